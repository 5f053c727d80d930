"""SPEC, by spec2nexus, silx and PyMca."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..corpus import Pairs
from ..formats import spec_readers
from ..formats.spec_readers import READERS, bits


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    for reader in READERS.values():
        (scan,) = reader(path)
        check_scan(scan, documents)
    check_metadata(path, documents)


def check_metadata(path: Path, documents: Pairs) -> None:
    start = documents[0][1]
    metadata = {key: value for key, value in start.items() if key not in ("uid", "scan_id")}
    found = spec_readers.metadata(path)
    assert found == {**simple(metadata), **({} if "scan_id" in start else {"scan_id": None})}
    comments = "\n".join(spec_readers.spec2nexus_scans(path)[0].comments)
    assert f"uid = {start['uid']}" in comments
    stop = next((doc for name, doc in documents if name == "stop"), None) or {}
    assert f"exit_status = {stop.get('exit_status') or 'unfinished'}" in comments


def numbers(documents: Any, stream: str = "primary") -> tuple[dict[str, list[float]], list[float]]:
    """Return the columns that a table of numbers has, and the times, straight from the events."""
    mine = {d["uid"] for n, d in documents if n == "descriptor" and d["name"] == stream}
    events = [d for n, d in documents if n == "event" and d["descriptor"] in mine]
    keys = events[0]["data"] if events else {}
    columns = {
        key: [float(event["data"][key]) for event in events]
        for key in keys
        if all(isinstance(event["data"][key], (int, float)) for event in events)
    }
    return columns, [event["time"] for event in events]


def check_scan(scan: spec_readers.Scan, documents: Any) -> None:
    start = documents[0][1]
    columns, times = numbers(documents)
    if not times:
        assert all(len(column) == 0 for column in scan.columns.values())
        return
    assert set(scan.labels) == {*columns, "Epoch", "Epoch_float"}
    for name, values in columns.items():
        assert bits(scan.columns[name]) == bits(values), name
    assert bits(scan.columns["Epoch_float"]) == bits(time - start["time"] for time in times)
    assert scan.columns["Epoch"].tolist() == [round(time - start["time"]) for time in times]
    if "scan_id" in start:
        assert scan.number == start["scan_id"]
    assert scan.command.startswith(start.get("plan_name", "") + "(")


def simple(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: simple(item) for key, item in value.items()}
    return [simple(item) for item in value] if isinstance(value, (list, tuple)) else value
