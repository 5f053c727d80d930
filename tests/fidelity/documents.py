"""Formats that hold the documents themselves: one view of a run's documents, however they were kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import event_model
import numpy as np

from .reading import Read, Table


def assembled(pairs: Iterable[tuple[str, Any]]) -> Read:
    """Return the view of a run's documents; pages are taken apart by event-model."""
    found: dict[str, list[Any]] = {}
    for name, doc in pairs:
        events = event_model.unpack_event_page(doc) if name == "event_page" else [doc]
        found.setdefault("event" if name == "event_page" else name, []).extend(events)
    streams = {doc["uid"]: doc["name"] for doc in found.get("descriptor", ())}
    tables = {stream: Table({}, [], [], [], {}) for stream in streams.values()}
    keys: dict[str, list[str]] = {stream: [] for stream in streams.values()}
    for doc in found.get("descriptor", ()):
        keys[doc["name"]] += [key for key in doc["data_keys"] if key not in keys[doc["name"]]]
    for event in found.get("event", ()):
        stream = streams[event["descriptor"]]
        table = tables[stream]
        assert table.seq_num is not None
        assert table.uid is not None
        assert table.timestamps is not None
        for values, part in ((table.fields, "data"), (table.timestamps, "timestamps")):
            for field in keys[stream]:
                values.setdefault(field, []).append(event[part].get(field))
        table.time.append(event["time"])
        table.seq_num.append(event["seq_num"])
        table.uid.append(event["uid"])
    _without_external(found.get("descriptor", ()), tables, streams)
    for table in tables.values():
        for field, column in table.fields.items():
            dtypes = {getattr(value, "dtype", None) for value in column}
            if len(dtypes) == 1 and None not in dtypes:
                table.dtypes[field] = dtypes.pop()
    (start,), stop = found["start"], found.get("stop", [None])[0]
    status = (stop or {}).get("exit_status") or "unfinished"
    return Read(tables, status, start, stop, found.get("descriptor", []))


def _without_external(descriptors: Any, tables: dict[str, Table], streams: dict[str, str]) -> None:
    """Leave out the fields of which the file has nothing but a reference."""
    for doc in descriptors:
        fields = tables[streams[doc["uid"]]].fields
        for field, key in doc["data_keys"].items():
            held = any(isinstance(value, (list, np.ndarray)) for value in fields.get(field, ()))
            if key.get("external") and not held:
                fields.pop(field, None)
