"""msgpack, opened as a catalog by databroker itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..corpus import Pairs
from ..fixtures_databroker import quiet
from .streams import events_by_stream, expect, only


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    with quiet():
        from databroker._drivers.msgpack import BlueskyMsgpackCatalog

        catalog = BlueskyMsgpackCatalog([str(path)])
        assert list(catalog) == [documents[0][1]["uid"]]
        run = catalog[documents[0][1]["uid"]]
        read: Pairs = [(name, plain(doc)) for name, doc in run.canonical(fill="no")]
    hold_documents(read, documents)


def hold_documents(read: Pairs, documents: Pairs) -> None:
    """Assert that databroker gives the documents back."""
    expect(only(read, "start"), only(documents, "start"), "start")
    # an interrupted run has no stop document, and databroker gives None for it
    expect([doc for doc in only(read, "stop") if doc], only(documents, "stop"), "stop")
    found, mine = ({doc["uid"]: doc for doc in only(docs, "descriptor")} for docs in (read, documents))
    expect(found, mine, "descriptors")
    expect(events_by_stream(read), events_by_stream(documents), "events")


def plain(doc: Any) -> Any:
    """Return databroker's documents as dicts."""
    if isinstance(doc, dict):
        return {key: plain(value) for key, value in doc.items()}
    return [plain(value) for value in doc] if isinstance(doc, (list, tuple)) else doc
