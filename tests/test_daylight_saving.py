"""The hour that the clocks pass twice: 2026-11-01 01:30 in Chicago, first CDT, then CST."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import h5py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bluesky_export import listing
from bluesky_export.documents.pages import paginate
from bluesky_export.formats import writer_class
from bluesky_export.outputs import stamp
from bluesky_export.times import parse_time

from .fidelity import formats_for
from .fidelity.msgpack import pairs as documents_of
from .fidelity.xlsx import sheets_of
from .formats.spec_readers import spec2nexus_scans
from .memory_catalog import MemoryCatalog
from .replaying import replay, run_of

FIRST = datetime.fromisoformat("2026-11-01T01:30:00.123456-05:00").timestamp()
SECOND = datetime.fromisoformat("2026-11-01T01:30:00.123456-06:00").timestamp()
SPRING = datetime.fromisoformat("2026-03-08T03:00:00.5-05:00").timestamp()
"""02:00 to 03:00 is not on any clock that morning."""
OFFSETS = {FIRST: "-05:00", SECOND: "-06:00", SPRING: "-05:00"}


@pytest.fixture(autouse=True)
def chicago(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/Chicago")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def run_at(begin: float, uid: str) -> list:
    documents = run_of({"x": [1.5, 2.5]}, start={"time": begin}, stop={"time": begin + 60.25}, uid=uid)
    for number, (name, doc) in enumerate(documents):
        if name in ("descriptor", "event"):
            doc["time"] = begin + number / 3
    return documents


@pytest.fixture
def runs() -> dict[float, list]:
    uids = (f"{number:08d}-0000-4000-8000-000000000000" for number in (11111111, 22222222, 33333333))
    return {begin: run_at(begin, uid) for begin, uid in zip(OFFSETS, uids, strict=True)}


def test_an_hour_lies_between_the_two() -> None:
    assert SECOND - FIRST == 3600.0
    assert stamp(FIRST).replace(tzinfo=None) == stamp(SECOND).replace(tzinfo=None)
    assert [stamp(begin).isoformat()[-6:] for begin in OFFSETS] == list(OFFSETS.values())
    assert [stamp(begin).timestamp() for begin in OFFSETS] == list(OFFSETS)


@pytest.mark.parametrize("name", [one for one in formats_for(run_of({"x": [1.5]})) if one != "pack"])
def test_names_of_both_runs_have_the_hour_of_the_clock(name: str, runs: dict, tmp_path: Path) -> None:
    first, second, spring = (
        {path.name for path in replay(name, documents, tmp_path).files} for documents in runs.values()
    )
    assert not first & second
    assert all(path.startswith("20261101-013000-S00007-") for path in first | second)
    assert all(path.startswith("20260308-030000-S00007-") for path in spring)


def seconds(path: Path) -> tuple[float, list[float]]:
    """Return the time of the start and those of the events, as a file has them."""
    if path.suffix == ".json":
        whole = json.loads(path.read_text())
        return whole["start"]["time"], whole.get("streams", {}).get("primary", {}).get("time", [])
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return lines[0][1]["time"], [doc["time"] for kind, doc in lines if kind == "event"]
    if path.suffix in (".parquet", ".arrow"):
        with path.open("rb") as file:
            table = pq.read_table(file) if path.suffix == ".parquet" else pa.ipc.open_file(file).read_all()
        return json.loads(table.schema.metadata[b"bluesky.start"])["time"], table["time"].to_pylist()
    if path.suffix == ".xlsx":
        sheets = sheets_of(path)
        (start,) = [row[3] for row in sheets["metadata"] if row[:2] == ["start", "time"]]
        return start, [row[sheets["primary"][0].index("time")] for row in sheets["primary"][1:]]
    if path.suffix == ".msgpack":
        pairs = list(paginate(documents_of(path), 1))
        return pairs[0][1]["time"], [doc["time"][0] for kind, doc in pairs if kind == "event_page"]
    if path.suffix == ".dat":
        (scan,) = spec2nexus_scans(path)
        return float(scan.MD["time"]), [float(scan.MD["time"]) + t for t in scan.data["Epoch_float"]]
    with h5py.File(path) as file:
        if "documents" in file:
            return json.loads(file["documents/start"].asstr()[()])["time"], file["primary/time"][
                ()
            ].tolist()
        group = file["entry/instrument/bluesky"]
        start = json.loads(group["documents/start/data"].asstr()[()])
        return start["time"], group["events/primary/time"][()].tolist()


TIMED = [
    name
    for name in formats_for(run_of({"x": [1.5, 2.5]}))
    if writer_class(name).fidelity["event-time"].how != "left out"
]


@pytest.mark.parametrize("name", TIMED)
def test_epoch_seconds_are_kept_in_full(name: str, runs: dict, tmp_path: Path) -> None:
    for begin, documents in runs.items():
        files = replay(name, documents, tmp_path).files
        path = files[0 if name == "pack" else -1]
        found, times = seconds(path)
        assert found == begin
        expected = [doc["time"] for kind, doc in documents if kind == "event"]
        if name == "csv":
            table = next(iter(tmp_path.glob(f"*-{documents[0][1]['uid'][:7]}-primary.csv"))).read_text()
            times = [float(line.split(",")[0]) for line in table.splitlines()[1:]]
        if name == "spec":  # the difference of two floats, and the sum of it, have 53 bits each
            assert times == pytest.approx(expected, rel=0, abs=3e-7)
        else:
            assert times == expected


def test_readable_stamps_have_their_offset(runs: dict, tmp_path: Path) -> None:
    for begin, documents in runs.items():
        (path,) = replay("hdf5", documents, tmp_path).files
        with h5py.File(path) as file:
            text = file.attrs["start_time"]
        assert text.endswith(OFFSETS[begin])
        assert datetime.fromisoformat(text).timestamp() == begin
        (path,) = replay("nexus", documents, tmp_path).files
        with h5py.File(path) as file:
            for key, expected in (("start_time", begin), ("end_time", begin + 60.25)):
                text = file[f"entry/{key}"].asstr()[()]
                assert text.endswith(OFFSETS[begin]), key
                assert datetime.fromisoformat(text).timestamp() == expected


def test_the_table_of_runs_tells_the_hours_apart(runs: dict) -> None:
    table = listing.runs(catalog=MemoryCatalog(runs.values()), columns="time")
    assert [row[0] for row in table.rows] == [
        "2026-11-01 01:30:00-06",
        "2026-11-01 01:30:00-05",
        "2026-03-08 03:00:00-05",
    ]
    for (text,), run in zip(table.rows, table.runs, strict=True):  # as --since takes it
        assert parse_time(text) == int(run.start["time"])


def test_spec_dates_are_those_of_the_clock_and_the_epoch_tells_them_apart(
    runs: dict, tmp_path: Path
) -> None:
    """SPEC's #D has no place for an offset: the file's metadata have the epoch."""
    epochs = []
    for begin in (FIRST, SECOND):
        (path,) = replay("spec", runs[begin], tmp_path).files
        (scan,) = spec2nexus_scans(path)
        assert scan.date == "Sun Nov 01 01:30:00 2026"
        epochs.append(float(scan.MD["time"]))
    assert epochs == [FIRST, SECOND]
