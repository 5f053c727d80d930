"""Workbooks, by openpyxl; calamine, which is Rust, opens every one and finds the same cells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import python_calamine

from bluesky_export.formats import Written

from .metadata import decode, plain
from .names import named
from .reading import Read, Table, each, is_array, number

__all__ = ["RULES", "compare", "metadata", "partly", "read", "sheets_of", "too_long"]

_ESCAPED = re.compile("[\x00\ufffe\uffff\ud800-\udfff]")
Rows = list[list[Any]]


def metadata(document: Any) -> Any:
    return plain(document)


def sheets_of(path: Path) -> dict[str, Rows]:
    """Return the cells of all sheets."""
    book = openpyxl.load_workbook(path)
    try:
        found = {sheet.title: _rows(sheet) for sheet in book}
        assert all(cell.data_type != "f" for sheet in book for row in sheet.rows for cell in row)
        assert not any(sheet._hyperlinks for sheet in book)
    finally:
        book.close()
    other = python_calamine.CalamineWorkbook.from_path(path)
    assert other.sheet_names == list(found)
    for name, rows in found.items():
        cells = other.get_sheet_by_name(name).to_python(skip_empty_area=False)
        for row, row_there in zip(rows, cells, strict=True):
            for at, value in enumerate(row):
                there = row_there[at] if at < len(row_there) else ""
                assert ("" if value is None else value) == there, (name, value, there)
    return found


def _rows(sheet: Any) -> Rows:
    return [[_text(value) for value in row] for row in sheet.values]


def _text(value: Any) -> Any:
    """Turn ``_xHHHH_`` round, as ECMA-376 has it (ST_Xstring) and openpyxl does not."""
    if not isinstance(value, str):
        return value
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), value)


def read(written: Written) -> Read:
    (path,) = written.files
    sheets = sheets_of(path)
    documents = _documents(sheets["metadata"])
    descriptors = [documents[name] for name in documents if name.startswith("descriptor ")]
    head, *described = sheets["columns"]
    columns = [dict(zip(head, row, strict=True)) for row in described]
    fields = {doc["name"]: dict[str, None]() for doc in descriptors}
    for doc in descriptors:
        fields[doc["name"]].update(dict.fromkeys(doc["data_keys"]))
    tables = {}
    for stream, mine in fields.items():
        ours = [column for column in columns if column["stream"] == escape(stream)]
        rows = [row for name in dict.fromkeys(c["sheet"] for c in ours) for row in sheets[name][1:]]
        by_field = {}
        for column in ours:
            values = [row[column["column"] - 1] for row in rows]
            assert sheets[column["sheet"]][0][column["column"] - 1] == column["name"]
            if column["role"] == "event_time":
                time = values
            else:
                by_field[column["name"]] = values
        tables[stream] = Table(
            {field: by_field[name] for field, name in named(mine, escape).items() if name in by_field},
            [float(value) for value in time],
        )
    run = documents["run"]
    return Read(tables, run["status"], documents["start"], documents.get("stop"), descriptors)


def _documents(rows: Rows) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    assert rows[0][:4] == ["document", "key", "type", "value"]
    for name, key, kind, *values in rows[1:]:
        text = "".join(value for value in values if isinstance(value, str))
        document = found.setdefault(name, {})
        if kind == "JSON entry":
            document.update(json.loads(text))
        elif kind == "JSON":
            document[key or ""] = json.loads(text)
        elif kind == "text":
            document[key or ""] = text
        elif kind == "boolean":
            document[key or ""] = bool(values[0])
        else:
            document[key or ""] = {"integer": int, "float": float}[kind](values[0])
    return {name: decode(document) for name, document in found.items()}


def escape(text: str) -> str:
    return _ESCAPED.sub(lambda m: ascii(m.group())[1:-1], text)


too_long = True


def partly(values: list[Any]) -> list[Any]:
    """What is longer than a cell is an empty cell."""
    return [None if isinstance(value, str) and _units(value) > 32_767 else value for value in values]


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def compare(cell: Any, value: Any) -> bool:
    """Say whether a cell is a value."""
    value = number(value)
    value = value.item() if isinstance(value, np.generic) else value
    if value is None:
        return cell is None
    if isinstance(value, bool):
        return cell is value
    if isinstance(value, int):
        if abs(value) > 2**53:
            return isinstance(cell, str) and int(cell) == value
        return isinstance(cell, (int, float)) and cell == value
    if isinstance(value, float):
        taken = value == 0 or 2.2250738585072014e-308 <= abs(value) <= 9.99999999999999e307
        assert isinstance(cell, (int, float) if taken else str)
        return repr(float(cell)) == repr(value)
    if isinstance(value, complex):
        return isinstance(cell, str) and repr(complex(cell)) == repr(value)
    if isinstance(value, dict) or is_array(value):
        return bool(decode(json.loads(cell)) == value)
    return isinstance(cell, str) and cell == escape(str(value))


_AS_COMPARED = each(lambda value: value)
RULES = dict.fromkeys(
    (
        "new-field", "float", "nan", "integer", "uint64", "narrow", "complex", "int-float", "none", "text",
        "line-breaks", "surrogates", "mixed",
    ),
    _AS_COMPARED,
)  # fmt: skip
