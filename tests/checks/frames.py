"""Tables of streams that a library reads as rows: what parquet, arrow and xlsx checks have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..corpus import Pairs
from .json import decoded
from .streams import events_by_stream, expect, keys_by_stream, only, start_of, stop_of

Frame = Mapping[str, list[Any]]
Opened = tuple[Mapping[str, str], Frame]
"""The metadata of a file, and its columns."""


def check_tables(files: list[Path], documents: Pairs, open_file: Callable[[Path], Opened]) -> None:
    """Hold a file a stream against the events."""
    events, keys = events_by_stream(documents), keys_by_stream(documents)
    found = {}
    for path in files:
        said, frame = open_file(path)
        found[json.loads(said["bluesky.stream"])] = frame
        expect(decoded(json.loads(said["bluesky.start"])), decoded(start_of(documents)), "start")
        stop = json.loads(said["bluesky.stop"]) if "bluesky.stop" in said else None
        expect(decoded(stop), decoded(stop_of(documents)), "stop")
        mine = [
            doc
            for doc in only(documents, "descriptor")
            if doc.get("name", "primary") == json.loads(said["bluesky.stream"])
        ]
        expect(decoded(json.loads(said["bluesky.descriptors"])), decoded(mine), "descriptors")
        assert said["bluesky.status"] == ((stop or {}).get("exit_status") or "unfinished")
    assert found.keys() == events.keys()
    assert next(iter(found)) == "primary" or "primary" not in found
    for stream, frame in found.items():
        check_frame(frame, events[stream], keys[stream])


def check_frame(frame: Frame, events: list[dict[str, Any]], keys: Mapping[str, Any]) -> None:
    from ..fidelity.hdf5 import declared

    fields = [field for field, key in keys.items() if not key.get("external")]
    for field in keys.keys() - set(fields):
        assert field not in frame or field in ("time", "seq_num", "uid")
    own = {name: f"event_{name}" if name in keys else name for name in ("time", "seq_num", "uid")}
    for name, column in own.items():
        expect(frame[column], [event[name] for event in events], name)
    for field in fields:
        values = declared([event["data"].get(field) for event in events], keys[field])
        expect([plain(value) for value in frame[field]], [plain(value) for value in values], field)
        stamps = [event["timestamps"].get(field) for event in events]
        if events:
            expect(frame[f"{field}_timestamp"], stamps, f"{field} timestamps")


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
