"""SPEC, by spec2nexus, silx and PyMca."""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import unquote

import numpy as np

from bluesky_export.formats import Written

from ..comparing import same
from ..formats.spec_readers import READERS, bits, remarks, spec2nexus_scans
from .metadata import decode, plain
from .reading import Read, Table, each, is_array, number

__all__ = [
    "RULES",
    "compare",
    "hold_configuration",
    "hold_start",
    "hold_stop",
    "metadata",
    "partly",
    "read",
    "times",
    "too_long",
]

_LABELLED = re.compile(r"field (.*) is labelled (.*)$", re.DOTALL)
_REMARK = re.compile(r"row (\d+): (.*?) = (.*)$")


def metadata(document: Any) -> Any:
    return document


def _parse(text: str) -> Any:
    """Return the value of a ``#MD`` or ``#U`` line: JSON where it reads as JSON, else the text."""
    if text in ("None", "NaN"):
        return None if text == "None" else math.nan
    if text in ("True", "False"):
        return text == "True"
    try:
        return _undone(json.loads(text))
    except ValueError:
        return text


def _undone(value: Any) -> Any:
    if isinstance(value, list):
        return [_undone(item) for item in value]
    if isinstance(value, dict) and len(value) == 1 and value.keys() & {"$complex", "$binary"}:
        return decode(value)
    return {k: _undone(v) for k, v in value.items()} if isinstance(value, dict) else value


def read(written: Written) -> Read:
    (path,) = written.files
    scans = [reader(path) for reader in READERS.values()]
    assert [len(found) for found in scans] == [1, 1, 1]
    (scan, *others) = [found[0] for found in scans]
    rows = len(scan.columns.get("Epoch", ()))
    for other in others:
        assert other.number == scan.number
        if rows:  # of a scan without points, each reader shows other labels
            assert other.labels == scan.labels
        for label in other.labels:
            mine, theirs = scan.columns.get(label, ()), other.columns.get(label, ())
            assert bits(np.ravel(theirs)) == bits(np.ravel(mine)), label
    text = path.read_bytes().decode("utf-8")
    status = re.search(r"^#C .*  exit_status = (.*)$", text, re.MULTILINE)
    assert status is not None
    times = scan.columns["Epoch_float"].tolist() if rows else []
    fields = _fields(scan, path, written, rows)
    table = {"primary": Table(fields, times)} if rows else {}
    return Read(table, status[1].partition(":")[0].strip())


def _md(path: Any) -> dict[str, str]:
    (scan,) = spec2nexus_scans(path)
    return dict(scan.MD)


def _fields(scan: Any, path: Any, written: Written, rows: int) -> dict[str, list[Any]]:
    labels = {label: label for label in scan.labels if label not in ("Epoch", "Epoch_float")}
    for notice in written.notices:
        if found := _LABELLED.search(notice):
            name, label = (json.loads(json.dumps(eval(part))) for part in found.groups())  # two reprs
            labels[label] = name
    values = {name: list(scan.columns[label]) for label, name in labels.items()}
    for line in remarks(path):
        match = _REMARK.match(line)
        assert match, line
        row, name, text = int(match[1]) - 1, unquote(match[2], errors="surrogatepass"), match[3]
        name = labels.get(name, name)
        values.setdefault(name, [None] * rows)[row] = _parse(text)
    return values


def times(rows: list[dict[str, Any]], start: dict[str, Any]) -> list[float]:
    """Return what stands for the times: seconds since the start."""
    return [row["time"] - start["time"] for row in rows]


def hold_start(written: Written, start: dict[str, Any]) -> None:
    """Each metadatum is one line, by the documented rules; one that is too long is said."""
    (path,) = written.files
    found = {_key(key): _parse(value) for key, value in _md(path).items()}
    raw = path.read_bytes()
    assert raw.count(b"\n#S ") + raw.startswith(b"#S ") == 1
    for key, value in start.items():
        if key in ("uid", "scan_id"):
            assert key == "scan_id" or start["uid"] in raw.decode("utf-8")
        elif key not in found:
            assert any(repr(key)[1:-1] in notice or key in notice for notice in written.notices), key
        else:
            expected = plain(value)
            assert same(found[key], expected) or _date(found[key]) == expected, (key, found[key], expected)


def hold_stop(written: Written, stop: dict[str, Any] | None) -> None:
    """Each entry is a comment behind the last row."""
    text = written.files[0].read_bytes().decode("utf-8")
    found = {
        _key(key): _parse(value) for key, value in re.findall(r"^#C .*?\d\.  (.*?) = (.*)$", text, re.M)
    }
    for key, value in (stop or {}).items():
        if key == "num_events":
            for stream, count in value.items():
                said = any("number of events of stream" in notice for notice in written.notices)
                assert found.get(f"num_events_{stream}", count if said else None) == count
        elif key not in ("uid", "time", "run_start") and value != "":
            assert same(found[key], plain(value)), (key, found[key], value)


def hold_configuration(written: Written, documents: list[tuple[str, dict[str, Any]]]) -> None:
    """Each device's configuration is a line, and again where it has changed."""
    text = written.files[0].read_bytes().decode("utf-8")
    found: dict[str, list[Any]] = {}
    for device, value in re.findall(r"^#U configuration (\S+) = (.*)$", text, re.M):
        found.setdefault(_key(device), []).append(_parse(value))
    for name, doc in documents:
        if name == "descriptor" and doc["name"] == "primary":
            for device, record in doc["configuration"].items():
                if record["data"]:
                    assert any(same(one, plain(record["data"])) for one in found.get(device, ())), device


def _key(text: str) -> str:
    return "" if text == "%" else unquote(text, errors="surrogatepass")


def _date(value: Any) -> Any:
    return {"$date": value} if isinstance(value, str) else value


def compare(found: Any, expected: Any) -> bool:
    """Cells are floats to all readers, bit for bit; remarks are what they say."""
    expected = number(expected)
    if isinstance(expected, (bool, np.bool_)):
        return found in (0.0, 1.0) and bool(found) == bool(expected)
    if isinstance(expected, (int, float, np.number)) and not isinstance(expected, complex):
        return bits([float(found)]) == bits([float(expected)])
    return same(found, plain(expected))


def too_long(value: Any) -> bool:
    """Say whether a value makes a line that silx does not survive."""
    return isinstance(value, str) and len(json.dumps(value).encode()) > 7_900


def partly(values: list[Any]) -> list[Any]:
    """Arrays of one are numbers, other arrays are left out; so are lines that are too long."""
    return [_one(value) for value in values]


def _one(value: Any) -> Any:
    if is_array(value):
        array = np.asarray(value)
        return array.reshape(-1)[0].item() if array.size == 1 else None
    return None if too_long(value) else value


RULES = dict.fromkeys(
    (
        "nan",
        "uint64",
        "integer",
        "boolean",
        "narrow",
        "complex",
        "int-float",
        "none",
        "text",
        "line-breaks",
        "surrogates",
        "formula",
        "mixed",
    ),
    each(lambda value: value),
)
