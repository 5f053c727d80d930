"""SPEC, CSV and JSON Lines can be followed while a scan runs: whole lines, and more and more of them."""

from __future__ import annotations

import io
import itertools
import json
import threading
import time

import pandas
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from ophyd.sim import det1, motor1

from bluesky_export.attach import attach_writer, detach_writer, status
from bluesky_export.formats import writer_class
from bluesky_export.live import live_writers
from bluesky_export.outputs import Output, Target

from ..formats.spec_readers import READERS
from ..live.conftest import wait_until
from ..live.session import Engine
from ..live.session import documents as simulated

POINTS = 60


def waiting_for(seen):
    """Measure points, and let the follower see each third of them before the next."""
    points = itertools.count(1)

    def slowly(detectors, motor, step):
        yield from bps.one_1d_step(detectors, motor, step)
        if next(points) % (POINTS // 3) == 0:
            known = len(seen)
            wait_until(lambda: len(seen) > known, 60)

    return slowly


def growing(folder):
    """Return what is in the file that is being written: SPEC's own, or a temporary one."""
    found = sorted(path for path in folder.iterdir() if "metadata" not in path.name)
    return found[0].read_bytes() if found else b""


@pytest.mark.sample(2)
@pytest.mark.parametrize("name", ["spec", "csv", "jsonl"])
def test_a_scan_is_followed(engine, tmp_path, said, name):
    folder = tmp_path / "data"
    folder.mkdir()
    attach_writer(name, folder / "a.dat" if name == "spec" else folder, RE=engine, say=said)
    seen, over = [], threading.Event()

    def follow():
        while not over.wait(0.01):
            try:
                data = growing(folder)
            except FileNotFoundError:  # renamed just now
                continue
            if data and (not seen or data != seen[-1]):
                seen.append(data)

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        engine(bp.scan([det1], motor1, 0, 1, POINTS, per_step=waiting_for(seen)))
        result = detach_writer(RE=engine, say=said)
    finally:
        over.set()
        follower.join()
    assert not result.failed
    whole = result.files[0].read_bytes()
    assert len(seen) >= 3
    for data in seen:
        assert data.endswith(b"\n"), data[-80:]
        assert whole.startswith(data)
    if name == "spec":
        copy = tmp_path / "copy.dat"
        for data in (seen[len(seen) // 3], seen[len(seen) // 2], seen[-1]):
            copy.write_bytes(data)
            rows = sum(line[:1].isdigit() or line[:1] == b"-" for line in data.splitlines())
            for reader in ("silx", "pymca", "spec2nexus"):
                scans = READERS[reader](copy) if rows else []
                assert [len(scan.columns["det1"]) for scan in scans] == ([rows] if rows else [])


def test_readers_of_a_running_scan(engine, tmp_path, said):
    """PyMca and silx on the file itself, between two points of a scan that goes on."""
    path = tmp_path / "a.dat"
    attach_writer("spec", path, RE=engine, say=said)
    found = []

    def plan():
        yield from bps.open_run()
        for point in range(1, 7):
            yield from bps.trigger_and_read([det1])
            if point % 3 == 0:
                wait_until(lambda point=point: rows(path) == point, 60)
                for reader in ("silx", "pymca", "spec2nexus"):
                    found.append([len(scan.columns["det1"]) for scan in READERS[reader](path)])
        yield from bps.close_run()

    engine(plan())
    detach_writer(RE=engine, say=said)
    assert found == [[3]] * 3 + [[6]] * 3


def rows(path):
    if not path.exists():
        return 0
    return sum(line[:1].isdigit() for line in path.read_text().splitlines())


def parsed(name, data):
    """Return how many rows the readers of a growing file see in what is there of it."""
    if name == "csv":
        return len(pandas.read_csv(io.BytesIO(data)).dropna())
    return sum(kind == "event" for kind, _ in map(json.loads, data.decode().splitlines()))


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_a_burst_is_followed(tmp_path, said, name):
    """More than a file's buffer holds, between two flushes: still whole lines."""
    engine = Engine()  # one that runs: an idle one's run is ended while this test is kept waiting
    folder = tmp_path / "data"
    folder.mkdir()
    attach_writer(name, folder, RE=engine, say=said)
    receive = live_writers(engine).receive
    seen = []
    for kind, doc in simulated(6000, 1, {"much": "y" * 100}):
        receive(kind, doc)
        if kind == "event" and doc["seq_num"] % 100 == 0:
            time.sleep(0.002)
            data = growing(folder)
            if data and not data.endswith(b"\n"):
                time.sleep(0.02)  # a look in the middle of a write
                size, data = len(data), growing(folder)
                assert len(data) > size, "half a line stays"
            if data.endswith(b"\n") and data not in seen[-1:]:
                seen.append(data)
    engine.state = "idle"
    wait_until(lambda: status(engine).rows[0].runs == 1, 60)
    (path, *_) = detach_writer(RE=engine, say=said).files
    whole = path.read_bytes()
    for data in seen:
        assert whole.startswith(data)
        if data.count(b"\n") > 2:
            assert parsed(name, data) == data.count(b"\n") - (1 if name == "csv" else 2)
    assert parsed(name, whole) == 6000


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_only_whole_lines_get_into_the_file(tmp_path, name):
    """Without a flush, and with lines of every length around that of a buffer."""
    cls = writer_class(name)
    pairs = list(simulated(3000, 1))
    writer = cls(Output(Target.parse(f"{tmp_path}/"), pairs[0][1], cls.suffix))
    sizes = set()
    for kind, doc in pairs[:-1]:
        writer(kind, doc)
        for path in tmp_path.glob("*.part"):
            size = path.stat().st_size
            if size and size not in sizes:
                sizes.add(size)
                assert path.read_bytes().endswith(b"\n")
    assert sizes
    writer(*pairs[-1])
    assert writer.close().events == 3000
