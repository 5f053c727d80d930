"""What storing a run in Tiled changes in its documents."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from .corpus import Pairs

_DTYPES = {"number": "<f8", "array": "<f8", "boolean": "|b1", "string": "<U0", "integer": "<i8"}
_LIMIT = 2**53 - 1


def as_stored(documents: Pairs) -> Pairs:
    """Return a run's documents as they come back out of Tiled, with single events.

    Each change is one that bluesky-tiled-plugins' ``TiledWriter`` (its ``RunNormalizer`` and its
    ``_RunWriter``) or the server makes when a run is stored:

    - *start*: ``tiled_access_tags`` and ``tiled_specs`` become properties of the node.
    - *metadata* (start, stop, descriptors): JSON, so tuples are lists, NaN and infinities None;
      all but stop: integers beyond 2**53-1 and floats beyond 1.7976e308 are cut to these.
    - *descriptor*: ``dtype_numpy`` is added, from ``dtype_str`` or ``dtype_descr`` if there is one
      of these, else from ``dtype``; a missing ``shape`` (None) is ``[]``; a missing ``external``
      (None) is ``""``; data keys ``time`` and ``seq_num``, which are columns of the table, become
      ``time_`` and ``seq_num_``; ``object_keys`` is made again from each data key's
      ``object_name``; it is kept once a stream: of a later one only uid, time, and configuration.
    - *event*: its uid and ``filled`` are not kept. The uid is made from descriptor and seq_num;
      which descriptor it belongs to is told by its time.
    - *event data*: a field that is no key of the descriptor is dropped. Table columns have one
      type: integers beside floats become floats, None beside numbers becomes NaN, except in a
      column of integers only, which keeps None. Arrays of more than 16 elements are stored with
      ``dtype_numpy``, so integers without one become floats; those of unequal length are padded
      with NaN.
      Arrays of text are stored with ``dtype_numpy`` too, which cuts longer ones.
    - *resource, datum, stream_resource, stream_datum*: left out here; Tiled keeps the files and
      the shape of the whole, and the documents are made anew. External fields that are not
      filled in have no value in the events.
    - order: all descriptors by time, then the events stream by stream.
    """
    start = _cut(_jsonable({k: v for k, v in documents[0][1].items() if not k.startswith("tiled_")}))
    descriptors: dict[str, list[dict[str, Any]]] = {}
    stream_of: dict[str, str] = {}
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    stop = None
    for name, doc in documents:
        if name == "descriptor":
            stream_of[doc["uid"]] = doc["name"]
            known = descriptors.setdefault(doc["name"], [])
            known.append(_descriptor(doc, known[-1] if known else None, start["uid"]))
        elif name == "event":
            events[stream_of[doc["descriptor"]]].append(doc)
        elif name == "event_page":
            for event in _unpacked(doc):
                events[stream_of[doc["descriptor"]]].append(event)
        elif name == "stop":
            stop = _jsonable(doc)
    out: Pairs = [("start", start)]
    ordered = sorted((doc for docs in descriptors.values() for doc in docs), key=lambda doc: doc["time"])
    out += [("descriptor", doc) for doc in ordered]
    for stream, docs in descriptors.items():
        out += [("event", event) for event in _events(events[stream], docs)]
    return [*out, ("stop", stop)] if stop is not None else out


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _jsonable(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cut(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut(item) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value % 1 == 0:
        return max(-_LIMIT, min(_LIMIT, value))
    return value


def _renamed(key: str) -> str:
    return f"{key}_" if key in ("time", "seq_num") else key


def _data_key(data_key: dict[str, Any]) -> dict[str, Any]:
    out = {k: v for k, v in data_key.items() if k not in ("dtype_descr", "dtype_str")}
    described = [list(part) for part in data_key.get("dtype_descr") or []]
    dtype = (
        described
        or data_key.get("dtype_numpy", data_key.get("dtype_str"))
        or _DTYPES.get(data_key["dtype"])
    )
    if dtype:
        out["dtype_numpy"] = dtype
    if "shape" in out and out["shape"] is None:
        out["shape"] = []
    if "external" in out and out["external"] is None:
        out["external"] = ""
    return out


def _descriptor(doc: dict[str, Any], before: dict[str, Any] | None, run: str) -> dict[str, Any]:
    configuration = {
        device: {**conf, "data_keys": {k: _data_key(v) for k, v in conf.get("data_keys", {}).items()}}
        for device, conf in (doc.get("configuration") or {}).items()
    }
    if before is not None:
        out = copy.deepcopy(before)
        out |= {"uid": doc["uid"], "time": doc["time"]}
        for device, conf in _cut(_jsonable(configuration)).items():
            known = out.setdefault("configuration", {}).setdefault(device, {"data_keys": conf["data_keys"]})
            for part in ("data", "timestamps"):
                known.setdefault(part, {}).update(conf[part])
        return out
    out = {key: value for key, value in doc.items() if key != "object_keys"}
    out["data_keys"] = {_renamed(key): _data_key(value) for key, value in doc["data_keys"].items()}
    for device, keys in (doc.get("object_keys") or {}).items():
        for key in keys:
            out["data_keys"][_renamed(key)]["object_name"] = device
    if "configuration" in doc:
        out["configuration"] = configuration
    out = _cut(_jsonable(out))
    devices: dict[str, list[str]] = {}
    for key, data_key in out["data_keys"].items():
        if data_key.get("object_name"):
            devices.setdefault(data_key["object_name"], []).append(key)
    return {**out, "object_keys": devices, "run_start": run}


def _unpacked(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    import event_model

    yield from event_model.unpack_event_page(page)


def _events(events: list[dict[str, Any]], descriptors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    columns: dict[str, list[Any]] = {}
    keys = descriptors[0]["data_keys"]
    for old in events[0]["data"] if events else ():
        key = _renamed(old)
        if key in keys and all(_inside(event, old, keys[key]) for event in events):
            columns[key] = _column([event["data"][old] for event in events], keys[key])
    out = []
    for row, event in enumerate(events):
        owner = [doc for doc in descriptors if doc is descriptors[0] or doc["time"] <= event["time"]][-1]
        stamps = {_renamed(key): value for key, value in event["timestamps"].items()}
        out.append(
            {
                "uid": f"event-{owner['uid']}-{event['seq_num']}",
                "descriptor": owner["uid"],
                "seq_num": event["seq_num"],
                "time": event["time"],
                "data": {key: columns[key][row] for key in keys if key in columns},
                "timestamps": {key: stamps[key] for key in keys if key in columns},
                "filled": {key: True for key in columns if keys[key].get("external")},
            }
        )
    return out


def _inside(event: dict[str, Any], key: str, data_key: dict[str, Any]) -> bool:
    """Say whether a value is in the event, rather than in a file of its own."""
    filled = (event.get("filled") or {}).get(key)
    return bool(filled) if "external" in data_key else filled is not False


def _column(values: list[Any], data_key: dict[str, Any]) -> list[Any]:
    values = [value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value for value in values]
    if data_key["dtype"] == "array" and not isinstance(data_key.get("dtype_numpy"), list):
        return _arrays(values, data_key)
    types = {type(value) for value in values}
    if types <= {int, float, type(None)} and float in types:
        return [math.nan if value is None else float(value) for value in values]
    return values


def _arrays(values: list[Any], data_key: dict[str, Any]) -> list[Any]:
    shape = data_key.get("shape") or []
    dtype = np.dtype(data_key["dtype_numpy"])
    if None in shape or (math.prod(shape) <= 16 and dtype.kind not in "USO"):
        return values
    longest = max(map(len, values))
    if min(map(len, values)) < longest:
        values = [value + [math.nan] * (longest - len(value)) for value in values]
    return np.array(values, None if dtype.kind == "O" else dtype).tolist()
