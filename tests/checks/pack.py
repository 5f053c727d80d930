"""Packs, opened by databroker through their catalog.yml, as databroker-unpack leaves it."""

from __future__ import annotations

from pathlib import Path

from ..corpus import Pairs
from ..fixtures_databroker import quiet
from .msgpack import hold_documents, plain


def check(files: list[Path], documents: Pairs) -> None:
    folder = files[0].parents[1]
    with quiet():
        import intake

        run = intake.open_catalog(str(folder / "catalog.yml"))["packed_catalog"][documents[0][1]["uid"]]
        read: Pairs = [(name, plain(doc)) for name, doc in run.canonical(fill="no")]
    hold_documents(read, documents)
