"""Documents as plain Python: what stores hand out, without the classes of the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_AS_IS = frozenset({str, int, float, bool, type(None), bytes, complex})


def plain(value: Any) -> Any:
    """Return dicts, lists and scalars in place of a store's own classes, however deep.

    databroker's documents are dicts that refuse to be changed or pickled, MongoDB's integers are
    ``bson.Int64``. Arrays and numpy scalars stay what they are: their dtype is part of the data.
    """
    kind = type(value)
    if kind in _AS_IS:
        return value
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _AS_IS else plain(item) for item in value]
    if kind is dict or isinstance(value, Mapping):
        # most values are plain, and need no call
        return {key: item if type(item) in _AS_IS else plain(item) for key, item in value.items()}
    if kind.__module__.partition(".")[0] == "bson":
        return _from_bson(value)
    return value


def _from_bson(value: Any) -> Any:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return bytes(value)
    if type(value).__name__ == "ObjectId":
        return str(value)
    if type(value).__name__ == "Decimal128":
        return value.to_decimal()
    return value


def one_line(error: BaseException) -> str:
    """Return what an exception says, or what it is, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def start_time(start: Mapping[str, Any]) -> float:
    """Return what to sort a run by; a run without a usable time comes before all others."""
    time = start.get("time")
    if isinstance(time, (int, float)) and time == time:
        return float(time)
    return float("-inf")
