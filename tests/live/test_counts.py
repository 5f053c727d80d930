"""Many of everything: a sample by default, the full count when ``long`` is asked for."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import time

import h5py
import psutil
import pytest

from bluesky_export.attach import attach_writer, detach_writer, status
from bluesky_export.live import choose, format_writer, live_writers
from bluesky_export.outputs import Target

from .conftest import wait_until
from .session import Engine
from .session import documents as simulated

long = pytest.mark.long


def held():
    """Return what this process holds: file descriptors, threads, children, megabytes."""
    gc.collect()
    me = psutil.Process()
    return me.num_fds(), me.num_threads(), len(me.children(recursive=True)), me.memory_info().rss / 1e6


def running():
    """Return an engine between start and stop: nothing ends a run by itself."""
    return Engine()


@pytest.mark.parametrize("count", [3, pytest.param(1000, marks=[long, pytest.mark.timeout(7200)])])
def test_attach_and_detach(tmp_path, said, count):
    count = int(os.environ.get("BLUESKY_EXPORT_ATTACHES", count)) if count > 3 else count
    engine = running()
    before = None
    for number in range(count):
        engine.state = "running"
        attach_writer("jsonl", tmp_path, RE=engine, name="{uid}", say=said)
        for name, doc in simulated(3, number):
            engine.receive(name, doc)
        engine.state = "idle"
        assert len(detach_writer(RE=engine, say=said).files) == 1
        wait_until(lambda: live_writers(engine).receive is None, 60)
        del said[:]
        if number == min(count // 10, count - 2):
            before = held()  # all that is loaded once is loaded
    wait_until(lambda: held()[:3] == before[:3], 20)
    print(before, held())
    assert held()[3] < before[3] + 20 + count * 0.03
    assert len(list(tmp_path.iterdir())) == count


@pytest.mark.parametrize("count", [10, pytest.param(1000, marks=[long, pytest.mark.timeout(7200)])])
def test_many_runs(tmp_path, said, count):
    """Each run has a file of its own with its own events, of each of three writers; nothing piles up."""
    engine = running()
    formats = ["jsonl", "csv", "hdf5"]
    for name in formats:
        (tmp_path / name).mkdir()
        attach_writer(name, f"{tmp_path / name}/", RE=engine, name="{uid}", say=said)
    live = live_writers(engine)
    before, uids = None, []
    for number in range(count):
        documents = list(simulated(3, number))
        uids.append(documents[0][1]["uid"])
        for name, doc in documents:
            engine.receive(name, doc)
        if number == count // 10:
            wait_until(lambda written=number + 1: all(one.runs == written for one in live.attached), 120)
            before = held()
    wait_until(lambda: all(one.runs == count for one in live.attached), 1800)
    after = held()
    print(before, after)
    assert after[:3] == before[:3]
    assert after[3] < before[3] + 20 + count * 0.03
    engine.state = "idle"
    detach_writer(RE=engine, say=said)
    for uid in uids:
        lines = [
            json.loads(line) for line in (tmp_path / "jsonl" / f"{uid}.jsonl").read_text().splitlines()
        ]
        descriptor = next(doc for kind, doc in lines if kind == "descriptor")
        assert descriptor["run_start"] == uid
        events = [doc for kind, doc in lines if kind == "event"]
        assert [doc["data"]["motor"] for doc in events] == [0.0, 1.0, 2.0]
        assert {doc["descriptor"] for doc in events} == {descriptor["uid"]}
        assert len((tmp_path / "csv" / f"{uid}-primary.csv").read_text().splitlines()) == 4
        with h5py.File(tmp_path / "hdf5" / f"{uid}.h5") as file:
            assert file["start/uid"].asstr()[()] == uid
    assert [len(list((tmp_path / name).iterdir())) for name in formats] == [count, 2 * count, count]


def cheap(events):
    """Yield the documents of a run; event-model's own checks of a million would take most of the time."""
    start, descriptor, (_, event), (_, stop) = simulated(1, 1)
    yield from (start, descriptor)
    for number in range(1, events + 1):
        data = {"motor": float(number), "det": number / 3}
        yield "event", {**event, "uid": f"event-{number}", "seq_num": number, "data": data}
    yield "stop", {**stop, "num_events": {"primary": events}}


@pytest.mark.parametrize("events", [5_000, pytest.param(10**6, marks=[long, pytest.mark.timeout(3600)])])
@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_many_events_in_one_run(tmp_path, said, events, name):
    engine = running()
    attach_writer(name, tmp_path, RE=engine, say=said)
    live = live_writers(engine)
    (one,) = live.attached
    wait_until(lambda: one.client._ready, 60)
    worker = psutil.Process(one.client._process.pid)
    before, most, most_worker = held()[3], 0.0, 0.0
    for number, (kind, doc) in enumerate(cheap(events)):
        engine.receive(kind, doc)
        if number % 1000 == 0:
            while len(live.recorder._handoff.queue) > 20_000:  # a RunEngine is slower than that
                time.sleep(0.01)
            most = max(most, psutil.Process().memory_info().rss / 1e6)
            most_worker = max(most_worker, worker.memory_info().rss / 1e6)
    wait_until(lambda: one.runs == 1, 1800)
    engine.state = "idle"
    path = detach_writer(RE=engine, say=said).files[0]
    print(f"{name}: session {before:.0f} to {most:.0f} MB, process {most_worker:.0f} MB")
    assert most < before + 150
    assert most_worker < 300
    seen = 0
    with path.open() as file:
        for line in file:
            if name == "csv":
                seen += line[:1].isdigit()
            elif line.startswith('["event"'):
                seen += 1
                assert json.loads(line)[1]["seq_num"] == seen
    assert seen == events


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=[long, pytest.mark.timeout(1200)])])
def test_overload(tmp_path, said, seconds):
    """A process that takes 200 events a second is given 2,000: for a minute, and then let go."""
    engine = running()
    target = Target.parse(f"{tmp_path}/", template="{uid}")
    common = {"images": "copy", "root_map": {}}
    choice = choose("tests.live.writers:ThrottledWriter", {})
    writer = format_writer(choice, target, common, {}, (None, None), said, one_file=False)
    writer.assignment = dataclasses.replace(writer.assignment, in_session=False)
    live = live_writers(engine)
    live.attach(writer)
    wait_until(lambda: writer.client._ready, 60)
    (tmp_path / "throttle").touch()
    before, waiting, slowest = held()[3], [], 0.0
    events = 2000 * seconds
    begin = time.perf_counter()
    for number, (kind, doc) in enumerate(simulated(events, 1)):
        called = time.perf_counter()
        engine.receive(kind, doc)
        slowest = max(slowest, time.perf_counter() - called)
        if number % 100 == 0:
            time.sleep(max(0.0, begin + number / 2000 - time.perf_counter()))
            waiting.append(status(engine).rows[0].waiting)
    fed, after = time.perf_counter() - begin, held()[3]
    # All of it is safe soon, though the writer is far behind.
    wait_until(lambda: live.recorder.events == events, 60)
    print(
        f"{events} events; behind: {waiting[-1]}; {before:.0f} to {after:.0f} MB; slowest {slowest:.4f} s"
    )
    # The last look was up to 100 documents before the end; each that was taken had its 5 ms.
    assert waiting[-1] >= events - 100 - 200 * fed
    assert after < before + 60
    (tmp_path / "throttle").unlink()
    wait_until(lambda: writer.runs == 1, 300)
    engine.state = "idle"
    detach_writer(RE=engine, say=said)
    (written,) = writer.written
    assert (written.events, written.partial, written.status) == (events, False, "success")
