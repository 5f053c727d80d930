"""Metadata as the text of JSON files gives it back: the documented rules turned round."""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def decode(value: Any) -> Any:
    """Return what was written, of what Python's json has read."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$numberDouble"}:
        return _NUMBERS[value["$numberDouble"]]
    if value.keys() == {"$complex"}:
        return complex(*(decode_number(part) for part in value["$complex"]))
    if value.keys() == {"$binary"}:
        return base64.b64decode(value["$binary"]["base64"])
    if value.keys() == {"$literal"}:
        return {key: decode(item) for key, item in value["$literal"].items()}
    return {key: decode(item) for key, item in value.items()}


def decode_number(value: Any) -> Any:
    return _NUMBERS[value] if isinstance(value, str) else decode(value)


def plain(value: Any) -> Any:
    """Return metadata as JSON can say it: lists for tuples, sets and arrays, dates as their ISO text."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return [plain(item) for item in sorted(value, key=repr)]
    if isinstance(value, (datetime.date, datetime.datetime)):
        return {"$date": value.isoformat()}
    return value
