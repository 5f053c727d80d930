"""JSON, by Python's json with everything that is not JSON refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..corpus import Pairs
from .streams import events_by_stream, expect, keys_by_stream, only, start_of, stop_of

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def decoded(value: Any) -> Any:
    """Return metadata with the special numbers as numbers, and tuples and arrays as lists."""
    if isinstance(value, dict):
        if value.keys() == {"$numberDouble"}:
            return _NUMBERS[value["$numberDouble"]]
        return {str(key): decoded(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return decoded(value.tolist())
    return [decoded(item) for item in value] if isinstance(value, (list, tuple)) else value


def column(value: Any) -> Any:
    """Return a column with the special numbers as numbers."""
    if isinstance(value, list):
        return [column(item) for item in value]
    return _NUMBERS.get(value, value) if isinstance(value, str) else value


def _refuse(token: str) -> Any:
    raise AssertionError(f"{token} is not JSON")


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    whole = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_refuse)
    expect(decoded(whole["start"]), decoded(start_of(documents)), "start")
    expect(decoded(whole["stop"]), decoded(stop_of(documents)), "stop")
    assert whole["status"] == ((stop_of(documents) or {}).get("exit_status") or "unfinished")
    events, keys = events_by_stream(documents), keys_by_stream(documents)
    assert whole["streams"].keys() == events.keys()
    for name, stream in whole["streams"].items():
        mine = events[name]
        assert stream["events"] == len(mine)
        expect(stream["time"], [event["time"] for event in mine], "time")
        expect(stream["seq_num"], [event["seq_num"] for event in mine], "seq_num")
        assert stream["data"].keys() == keys[name].keys()
        for field, found in stream["data"].items():
            text = any(isinstance(event["data"].get(field), str) for event in mine)
            values = decoded([event["data"].get(field) for event in mine])
            expect(found if text else column(found), values if found else [], f"{name}.{field}")
            stamps = [event["timestamps"].get(field) for event in mine]
            expect(
                stream["timestamps"][field],
                stamps if stream["timestamps"][field] else [],
                f"{field} stamps",
            )
            for key, value in keys[name][field].items():
                expect(decoded(stream["fields"][field][key]), decoded(value), f"{field} {key}")
        descriptors = [doc for doc in only(documents, "descriptor") if doc.get("name", "primary") == name]
        for mine_doc, found_doc in zip(descriptors, stream["configuration"], strict=True):
            expect(decoded(found_doc["configuration"]), decoded(mine_doc["configuration"]), "configuration")
