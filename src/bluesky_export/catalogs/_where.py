"""The search of :class:`~bluesky_export.catalogs._base.Query`: for MongoDB, and done here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import UsageError
from ._base import Query
from ._plain import start_time

# Not Python's own idea of a number: "1_000", "nan" and "007" are names of samples.
_NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d+)?")
_BOOLEANS = {"True": True, "true": True, "False": False, "false": False}


def alternatives(value: Any) -> list[Any]:
    """Return everything that a value from the command line may stand for, as typed first."""
    if not isinstance(value, str):
        return [value]
    out: list[Any] = [value]
    if value in _BOOLEANS:
        out.append(_BOOLEANS[value])
    elif _NUMBER.fullmatch(value) and re.search(r"\d", value.partition("e")[0]):
        number = float(value)
        if math.isfinite(number):
            out.append(int(value) if re.fullmatch(r"[+-]?\d+", value) else number)
    return out


def conditions(query: Query) -> dict[str, list[Any]]:
    """Return the keys of the start document and the values one of which each must have.

    Raises
    ------
    UsageError
        A key that no start document can have, or that a database would take for an operator.
    """
    out = {key: alternatives(value) for key, value in query.where.items()}
    for key in out:
        if not key or any(not part or part.startswith("$") for part in key.split(".")):
            raise UsageError(
                f"{key!r} is no key of a start document: --where KEY=VALUE, dots for nested keys"
            )
    if query.plan is not None:
        out["plan_name"] = [v for v in out.get("plan_name", [query.plan]) if v == query.plan]
    return out


def mongo_query(query: Query) -> dict[str, Any]:
    """Return the search in MongoDB's language."""
    parts: dict[str, Any] = {}
    window = {}
    if query.since is not None:
        window["$gte"] = query.since
    if query.until is not None:
        window["$lt"] = query.until
    if window:
        parts["time"] = window
    for key, values in conditions(query).items():
        condition = {"$in": [value for value in values if _fits(value)]}
        if key in parts:
            parts = {"$and": [parts, {key: condition}]}
        else:
            parts[key] = condition
    return parts


def _fits(value: Any) -> bool:
    """Say whether BSON can hold the value; no document there can be equal to what it cannot."""
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def matches(start: Mapping[str, Any], query: Query) -> bool:
    """Say whether a start document matches, as MongoDB would: a list matches by any item."""
    time = start_time(start)
    if query.since is not None and not time >= query.since:
        return False
    if query.until is not None and not time < query.until:
        return False
    return all(
        any(_equal(found, value) for found in _at(start, key) for value in values)
        for key, values in conditions(query).items()
    )


def _at(doc: Any, path: str) -> Iterator[Any]:
    if isinstance(doc, Mapping):
        if path in doc:  # also a key that has dots in it
            yield doc[path]
        first, dot, rest = path.partition(".")
        if dot and first in doc:
            yield from _at(doc[first], rest)
    elif isinstance(doc, (list, tuple)):
        first, dot, rest = path.partition(".")
        if first.isdecimal() and int(first) < len(doc):
            item = doc[int(first)]
            yield from _at(item, rest) if dot else [item]
        for item in doc:
            yield from _at(item, path)


def _equal(found: Any, value: Any) -> bool:
    if type(found).__module__ == "numpy":
        found = found.tolist()
    if isinstance(found, (list, tuple)):
        return list(found) == value or any(_equal(item, value) for item in found)
    if isinstance(found, bool) is not isinstance(value, bool):  # in Python 1 == True
        return False
    return bool(found == value)
