"""JSON Lines, by Python's json."""

from __future__ import annotations

import json
from pathlib import Path

from ..corpus import Pairs
from .streams import events_by_stream, expect, only


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    read: Pairs = [
        (name, doc) for name, doc in map(json.loads, path.read_bytes().decode("utf-8").split("\n")[:-1])
    ]
    assert read[0][0] == "start"
    assert [name for name, _ in read].count("start") == 1
    for kind in ("start", "stop"):
        expect(only(read, kind), only(documents, kind), kind)
    found, mine = ({doc["uid"]: doc for doc in only(docs, "descriptor")} for docs in (read, documents))
    expect(found, mine, "descriptors")  # MongoDB gives them by time
    expect(events_by_stream(read), events_by_stream(documents), "events")
    if only(documents, "stop"):
        assert read[-1][0] == "stop"
