"""CSV, by Python's csv, pandas and json."""

from __future__ import annotations

import csv
import json
import re
from typing import Any

import numpy as np
import pandas as pd

from bluesky_export.formats import Written
from bluesky_export.testing import Made

from ..checks.streams import events_by_stream
from .metadata import decode, plain
from .names import named
from .reading import Read, Table, each, is_array, number

__all__ = ["RULES", "compare", "metadata", "partly", "read", "refuses"]

_ESCAPED = re.compile(r"[\x00\ud800-\udfff]")


def metadata(document: Any) -> Any:
    return plain(document)


def refuses(made: Made) -> str | None:
    return None if any(events_by_stream(made.documents).values()) else "has no data"


def read(written: Written) -> Read:
    *tables, path = written.files
    sidecar = json.loads(path.read_bytes().decode("utf-8"))
    found = {}
    for stream, described in sidecar["tables"].items():
        if described["file"] is None:
            continue
        (file,) = [table for table in tables if table.name == described["file"]]
        keys = {
            field: None
            for doc in sidecar["descriptors"]
            if doc["name"] == stream
            for field in doc["data_keys"]
        }
        found[stream] = _table(file, [field for field in keys if field not in described["left_out"]])
    assert len(found) == len(tables)
    descriptors = decode(sidecar["descriptors"])
    return Read(found, sidecar["status"], decode(sidecar["start"]), decode(sidecar["stop"]), descriptors)


def _table(path: Any, fields: list[str]) -> Table:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False)
    assert len(frame) == len(rows)
    assert len(set(header)) == len(header) == len(fields) + 1
    columns = dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
    _no_formula(columns)
    called = {field: _apostrophe(name) for field, name in named(fields, _escape).items()}
    (own,) = set(header) - set(called.values())
    times = [float(cell) for cell in columns.pop(own)]
    assert own == "time" or own.startswith("event_time")
    return Table({field: columns[name] for field, name in called.items()}, times)


def _no_formula(columns: dict[str, list[str]]) -> None:
    """No cell, and no name of a column, begins like a formula, unless it is a number."""
    for name, cells in columns.items():
        for cell in (name, *cells):
            if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
                complex(cell)  # a number, or this raises


def text(value: str) -> str:
    """Return a text as the documented rules change it."""
    return _apostrophe(_escape(value))


def _escape(value: str) -> str:
    return _ESCAPED.sub(lambda m: ascii(m.group())[1:-1], value)


def _apostrophe(value: str) -> str:
    return "'" + value if value.startswith(("=", "+", "-", "@", "\t", "\r", "'")) else value


def partly(values: list[Any]) -> list[Any]:
    """Arrays in a column that began with something else are empty cells."""
    return [None if is_array(value) else value for value in values]


def compare(cell: str, value: Any) -> bool:
    """Say whether a cell is a value: numbers to the last bit."""
    value = number(value)
    if value is None:
        return cell == ""
    if isinstance(value, (bool, np.bool_)):
        return cell == str(bool(value)).lower()
    if isinstance(value, (np.float32, np.float16)):
        return repr(type(value)(cell)) == repr(value)
    if isinstance(value, (int, np.integer)):
        return re.fullmatch(r"-?\d+", cell) is not None and int(cell) == value
    if isinstance(value, float):
        return repr(float(cell)) == repr(float(value))
    if isinstance(value, complex):
        return repr(complex(cell)) == repr(value)
    if isinstance(value, dict):
        return bool(decode(json.loads(cell)) == value)
    return cell == text(str(value))


_AS_COMPARED = each(lambda value: value)
RULES = dict.fromkeys(
    ("nan", "boolean", "complex", "none", "surrogates", "formula", "mixed", "narrow", "new-field"),
    _AS_COMPARED,
)
