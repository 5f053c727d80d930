"""JSON, by Python's json with everything refused that is not JSON."""

from __future__ import annotations

import json
from typing import Any

from bluesky_export.formats import Written

from ..comparing import same
from .jsonl import RULES as _LISTS
from .metadata import decode, decode_number, plain
from .reading import Read, Table, each

__all__ = ["RULES", "metadata", "read"]


def metadata(document: Any) -> Any:
    return plain(document)


def _refuse(token: str) -> Any:
    raise AssertionError(f"{token} is not JSON")


def read(written: Written) -> Read:
    (path,) = written.files
    whole = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_refuse)
    tables, descriptors = {}, []
    for name, stream in whole["streams"].items():
        fields = {field: list(map(_undone, column)) for field, column in stream["data"].items()}
        for field, key in stream["fields"].items():
            if key.get("external") and not any(isinstance(value, list) for value in fields[field]):
                del fields[field]
        assert all(len(column) in (0, stream["events"]) for column in fields.values())
        tables[name] = Table(
            fields, stream["time"], stream["seq_num"], None, dict(stream["timestamps"].items())
        )
        descriptors += [decode(doc) for doc in stream["configuration"]]
    return Read(tables, whole["status"], decode(whole["start"]), decode(whole["stop"]), descriptors)


def _undone(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"$complex"}:
        return complex(*(decode_number(part) for part in value["$complex"]))
    return [_undone(item) for item in value] if isinstance(value, list) else decode(value)


_NAMES = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(item) for item in value]
    return _NAMES.get(repr(value), value) if isinstance(value, float) else value


def _listed(value: Any) -> Any:
    (out,) = _LISTS["array"]([value])
    return _named(out)


RULES = {**dict.fromkeys(_LISTS, each(_listed)), "nan": each(_listed), "new-field": list}
compare = same
