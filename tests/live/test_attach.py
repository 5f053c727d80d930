"""Attaching, detaching, and what is written in between, on a real RunEngine."""

from __future__ import annotations

import re
import shutil
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd.sim import det1, det2, motor1, motor2

from bluesky_export import attach
from bluesky_export.attach import attach_writer, detach_writer, status
from bluesky_export.errors import (
    BadOption,
    NoRunEngine,
    OutputError,
    UnknownFormat,
    UsageError,
    WriterAttachError,
)
from bluesky_export.live import live_writers

from ..fidelity import formats_for
from ..replaying import run_of
from .conftest import wait_until
from .writers import AppendingWriter, LinesWriter, SlowWriter, columns, read


def four_runs():
    for number in range(4):
        yield from bp.scan([det1], motor1, number, number + 1, 5)


def expected(documents):
    """Return, by run uid, the values of motor1 that another callback saw."""
    runs, of = {}, {}
    for name, doc in documents:
        if name == "start":
            runs[doc["uid"]] = []
        elif name == "descriptor" and doc["name"] == "primary":
            of[doc["uid"]] = doc["run_start"]
        elif name == "event" and doc["descriptor"] in of:
            runs[of[doc["descriptor"]]].append(doc["data"].get("motor1"))
    return runs


def test_four_runs_in_one_plan(engine, documents, tmp_path, said):
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    engine(four_runs())
    result = detach_writer(RE=engine, say=said)
    assert len(result) == 4
    runs = expected(documents)
    assert {item.uid for item in result.written} == set(runs)
    for item in result.written:
        docs = read(item.files[0])
        assert docs[0][1]["uid"] == item.uid
        assert docs[-1][0] == "stop"
        assert docs[-1][1]["run_start"] == item.uid
        assert columns(docs)["motor1"] == runs[item.uid]
        assert (item.events, item.status, item.partial) == (5, "success", False)
    assert len({id(writer) for writer in LinesWriter.made}) == 4
    assert len({path.name for path in result}) == 4
    assert said[-1].count("\n") == 4
    assert not list(tmp_path.glob("*.part"))


def test_interleaved_and_nested_runs(engine, documents, tmp_path, said):
    @bpp.set_run_key_decorator("inner")
    @bpp.run_decorator(md={"which": "inner"})
    def inner():
        for value in (10, 20):
            yield from bps.mv(motor2, value)
            yield from bps.trigger_and_read([motor2])

    def interleaved():
        yield from bpp.set_run_key_wrapper(bps.open_run(md={"which": "a"}), "a")
        yield from bpp.set_run_key_wrapper(bps.open_run(md={"which": "b"}), "b")
        for value in range(6):
            yield from bps.mv(motor1, value)
            key = "ab"[value % 2]
            yield from bpp.set_run_key_wrapper(bps.trigger_and_read([motor1]), key)
        yield from inner()
        yield from bpp.set_run_key_wrapper(bps.close_run(), "a")
        yield from bpp.set_run_key_wrapper(bps.close_run(), "b")

    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    attach_writer(AppendingWriter, tmp_path / "all.txt", RE=engine, say=said)
    engine(interleaved())
    found = {}
    for item in detach_writer("lines", RE=engine, say=said).written:
        docs = read(item.files[0])
        found[docs[0][1]["which"]] = columns(docs)
    assert found == {
        "a": {"motor1": [0, 2, 4], "motor1_setpoint": [0, 2, 4]},
        "b": {"motor1": [1, 3, 5], "motor1_setpoint": [1, 3, 5]},
        "inner": {"motor2": [10, 20], "motor2_setpoint": [10, 20]},
    }
    detach_writer("appending", RE=engine, say=said)
    docs = read(tmp_path / "all.txt")  # one after the other, in the order of their start
    starts = [doc["which"] for name, doc in docs if name == "start"]
    assert starts == ["a", "b", "inner"]
    borders = [name for name, doc in docs if name in ("start", "stop")]
    assert borders == ["start", "stop"] * 3
    run = None
    for name, doc in docs:
        run = doc["uid"] if name == "start" else run
        if name in ("descriptor", "stop"):
            assert doc["run_start"] == run


def test_twice_changes_nothing(engine, tmp_path, said):
    first = attach_writer(LinesWriter, tmp_path, RE=engine, options={"tag": "x"}, say=said)
    again = attach_writer(LinesWriter, tmp_path, RE=engine, options={"tag": "x"}, say=said)
    assert again is first
    assert "attached already" in said[-1]
    other = attach_writer(LinesWriter, tmp_path, RE=engine, options={"tag": "y"}, name="{uid}", say=said)
    assert other.name == "lines-2"
    assert len(status(engine)) == 2
    engine(bp.count([det1], 2))
    assert len(detach_writer(RE=engine, say=said)) == 2


def test_one_subscription_for_all(engine, tmp_path, said):
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        attach_writer(LinesWriter, tmp_path / str(number), RE=engine, say=said)
    by_kind = engine.dispatcher.cb_registry.callbacks
    assert all(len(by_id) == 1 for by_id in by_kind.values())
    assert len([t for t in threading.enumerate() if t.name == "bluesky-export pump"]) == 1


def test_appending_format_without_path(engine, tmp_path, said):
    first = attach_writer(AppendingWriter, RE=engine, say=said)
    assert attach_writer(AppendingWriter, RE=engine, say=said) is first
    engine(four_runs())
    (path,) = detach_writer(RE=engine, say=said)
    assert path.parent == tmp_path
    assert len(path.stem) == len("20260102-030405")
    assert [name for name, _ in read(path)].count("start") == 4


def test_two_writers_on_one_appended_file_are_refused(engine, tmp_path, said):
    attach_writer(AppendingWriter, tmp_path / "a.txt", RE=engine, say=said)
    with pytest.raises(WriterAttachError, match=r"appending writes to .*a\.txt already"):
        attach_writer(AppendingWriter, tmp_path / "a.txt", RE=engine, streams="primary", say=said)


def test_attach_and_detach_from_a_plan(engine, documents, tmp_path, said):
    """A writer gets whole runs: it begins with the next start, and ends with an open run."""

    def plan():
        @bpp.run_decorator(md={"number": 1})
        def first():
            yield from bps.trigger_and_read([det1])
            attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
            yield from bps.trigger_and_read([det1])

        @bpp.run_decorator(md={"number": 2})
        def second():
            yield from bps.trigger_and_read([det1])
            deferred = detach_writer(RE=engine, say=said)
            assert [one.name for one in deferred.deferred] == ["lines"]
            yield from bps.trigger_and_read([det1])

        yield from first()
        yield from second()
        yield from bp.count([det1], md={"number": 3})

    engine(plan())
    assert said.having("begins with the next run")
    assert said.having("written to its end")
    wait_until(lambda: not live_writers(engine).attached)
    (path,) = tmp_path.glob("*.lines")
    docs = read(path)
    assert docs[0][1]["number"] == 2
    assert len(columns(docs)["det1"]) == 2
    assert docs[-1][0] == "stop"
    wait_until(lambda: live_writers(engine).receive is None)  # and nobody had to call detach again


def test_slow_writer_does_not_slow_the_scan(engine, tmp_path, said):
    import time

    attach_writer(SlowWriter, tmp_path, RE=engine, say=said)
    begin = time.monotonic()
    engine(four_runs())
    scan = time.monotonic() - begin
    (row,) = status(engine).rows
    assert row.waiting > 0 or row.state == "writing"
    progress = []
    result = detach_writer(RE=engine, progress=progress.append, say=said)
    assert len(result) == 4
    assert sum(item.events for item in result.written) == 20
    assert progress
    assert scan < time.monotonic() - begin


def test_detach_gives_up_waiting_and_can_wait_again(engine, tmp_path, said):
    attach_writer(SlowWriter, tmp_path, RE=engine, say=said)
    engine(bp.count([det1], 2))
    with pytest.raises(WriterAttachError, match=r"still writing 1 run .* goes on in the background"):
        detach_writer(RE=engine, timeout=0.1, say=said)
    assert len(detach_writer("slow", RE=engine, say=said)) == 1


def test_what_is_waited_for_is_told(engine, tmp_path, said, monkeypatch):
    monkeypatch.setattr(attach, "_Waiting", partial(attach._Waiting, pause=0.0))
    attach_writer("jsonl", tmp_path, RE=engine, say=said)
    detach_writer(RE=engine, say=said)  # before its process has started
    told = re.compile(r"waiting for jsonl to end: every run is written \(process \d+.*\)")
    assert any(told.fullmatch(line) for line in said), said


@pytest.mark.parametrize("how", ["abort", "halt", "stop"])
def test_interrupted_run_is_marked(engine, tmp_path, said, how):
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([det1])
        yield from bps.pause()

    with pytest.raises(Exception, match="paused"):
        engine(plan())
    getattr(engine, how)()
    (item,) = detach_writer(RE=engine, say=said).written
    assert item.status == {"abort": "abort", "halt": "abort", "stop": "success"}[how]
    docs = read(item.files[0])
    assert docs[-1][1]["exit_status"] == item.status
    assert len(columns(docs)["det1"]) == 1


def test_run_without_stop_is_finished_as_unfinished(engine, tmp_path, said):
    def break_on_stop(name, doc):
        raise ValueError("a callback before ours")

    engine.subscribe(break_on_stop, "stop")
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    with pytest.raises(ValueError, match="before ours"):
        engine(bp.count([det1], 2))
    (item,) = detach_writer(RE=engine, say=said).written
    assert item.status == "unfinished"
    assert len(columns(read(item.files[0]))["det1"]) == 2
    (line,) = said.having("has no end")
    assert "2 events, and marked as unfinished" in line


def test_missed_events_are_said(engine, tmp_path, said):
    """Where callback errors are ignored, one before ours can keep an event from us."""
    live = live_writers(engine)
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    receive = live.receive
    documents = []
    token = engine.subscribe(lambda name, doc: documents.append((name, doc)))
    live._handoff.receive = lambda name, doc: None
    engine.unsubscribe(live._token)
    engine(bp.count([det1], 5))
    for name, doc in documents:
        if not (name == "event" and doc["seq_num"] in (2, 5)):
            receive(name, doc)
    engine.unsubscribe(token)
    (item,) = detach_writer(RE=engine, say=said).written
    assert item.partial
    assert any("2 events of stream primary never reached" in notice for notice in item.notices)
    assert said.having("never reached")


def test_documents_changed_after_emission_do_not_leak(engine, tmp_path, said):
    """Devices reuse their arrays; plans change their metadata."""
    sample = {"name": "Al", "history": ["cast"]}

    def spoil(name, doc):
        if name == "event":
            doc["data"]["det1"] = -1e9
            doc["timestamps"].clear()
        if name == "start":
            doc["sample"]["history"].append("melted")
            doc["image"][0][0] = 666

    frame = np.arange(4.0).reshape(2, 2)
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    engine.subscribe(spoil)
    engine(bp.count([det1], 3, md={"sample": sample, "image": frame}))
    (path,) = detach_writer(RE=engine, say=said)
    docs = read(path)
    assert docs[0][1]["sample"] == {"name": "Al", "history": ["cast"]}
    assert docs[0][1]["image"] == [[0, 1], [2, 3]]
    assert len(columns(docs)["det1"]) == 3
    assert all(value > -1e9 for value in columns(docs)["det1"])
    assert all(doc["timestamps"]["det1"] for name, doc in docs if name == "event_page")


def test_writers_do_not_see_each_others_changes(engine, documents, tmp_path, said):
    class Spoiler(LinesWriter):
        name = "spoiler"

        def event_page(self, doc):
            super().event_page(doc)
            doc["data"]["motor1"][:] = [-1.0] * len(doc["seq_num"])
            doc["seq_num"].clear()

    def spoil(name, doc):
        for part in doc.values():
            if isinstance(part, dict):
                part.clear()

    attach_writer(spoil, RE=engine, say=said)
    attach_writer(Spoiler, tmp_path, RE=engine, say=said)
    attach_writer(LinesWriter, tmp_path, RE=engine, name="copy", say=said)
    engine(bp.scan([det1], motor1, 0, 1, 3))
    detach_writer(RE=engine, say=said)
    assert columns(read(tmp_path / "copy.lines"))["motor1"] == [0, 0.5, 1]
    assert all(doc["timestamps"].keys() >= {"det1"} for name, doc in documents if name == "event")


def test_streams_and_fields(engine, tmp_path, said):
    one = attach_writer(
        LinesWriter, tmp_path, RE=engine, streams="primary", fields=["det1", "ghost"], say=said
    )
    engine(bpp.baseline_wrapper(bp.count([det1, det2], 2), [motor1]))
    (item,) = detach_writer(RE=engine, say=said).written
    docs = read(item.files[0])
    assert [doc["name"] for name, doc in docs if name == "descriptor"] == ["primary"]
    assert columns(docs).keys() == {"det1"}
    assert item.notices == ("this run has no field ghost",)
    assert item.events == 2
    assert not item.partial
    assert one.events == 2
    assert repr(one) == f"<attached writer lines: {tmp_path}/, detached>"


def test_run_without_the_stream_is_skipped_and_said(engine, tmp_path, said):
    attach_writer(LinesWriter, tmp_path, RE=engine, streams="other", say=said)
    engine(bp.count([det1]))
    result = detach_writer(RE=engine, say=said)
    assert not result.files
    assert not result.failed
    assert said.having("this run has no stream other")
    assert not list(tmp_path.iterdir())


def test_growing_file_is_flushed(engine, tmp_path, said):
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)

    def plan():
        yield from bps.open_run()
        for _ in range(3):
            yield from bps.trigger_and_read([det1])
            yield from bps.sleep(0.3)
        (part,) = tmp_path.glob("*.part")
        assert columns(read(part))["det1"]
        yield from bps.close_run()

    engine(plan())
    detach_writer(RE=engine, say=said)


def test_attach_and_detach_while_runs_go_by(engine, documents, tmp_path, said):
    """Many threads at it: every file that appears is a complete run."""
    stop = threading.Event()

    def churn(number):
        folder = tmp_path / f"t{number}"
        folder.mkdir()
        while not stop.is_set():
            one = attach_writer(LinesWriter, folder, RE=engine, name="{uid}", say=said)
            stop.wait(0.02)
            detach_writer(one.name, RE=engine, say=said)
            wait_until(lambda one=one: one.detached.is_set())
        return number

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(churn, number) for number in range(3)]
        try:
            engine(repeated(15))
        finally:
            stop.set()
        for job in jobs:
            job.result(30)
    runs = expected(documents)
    files = list(tmp_path.glob("*/*.lines"))
    assert files
    for path in files:
        docs = read(path)
        assert docs[-1][0] == "stop"
        assert columns(docs)["motor1"] == runs[docs[0][1]["uid"]]


def repeated(times):
    for number in range(times):
        yield from bp.scan([det1], motor1, number, number + 1, 4)
        yield from bps.sleep(0.02)


# -- what cannot be attached ---------------------------------------------------------------


def refused(error, match, engine, *args, **kwargs):
    with pytest.raises(error, match=match):
        attach_writer(*args, RE=engine, say=lambda text: None, **kwargs)
    assert not live_writers(engine).attached


def test_bad_targets(engine, tmp_path):
    (tmp_path / "file").write_text("mine")
    refused(OutputError, "does not exist; make it", engine, LinesWriter, f"{tmp_path}/no/")
    refused(OutputError, "does not exist", engine, LinesWriter, f"{tmp_path}/no/where/")
    refused(OutputError, "not a folder", engine, LinesWriter, f"{tmp_path}/file/")
    refused(OutputError, "^cannot write into /proc/: no .*choose another", engine, LinesWriter, "/proc/")
    refused(UsageError, "a file for each run", engine, LinesWriter, tmp_path / "x.lines")
    refused(UsageError, "unknown field 'foo'", engine, LinesWriter, tmp_path, name="{foo}")
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_bad_words(engine, tmp_path):
    refused(UnknownFormat, "did you mean nexus", engine, "nexsus", tmp_path)
    refused(UsageError, "one writer at a time; attach tiff, then nexus", engine, "tiff,nexus", tmp_path)
    refused(BadOption, "no option 'zip'", engine, LinesWriter, tmp_path, options={"zip": 1})
    refused(UsageError, "refuse, overwrite or skip", engine, LinesWriter, tmp_path, if_exists="what")
    refused(UsageError, "no variable 'ghost'", engine, "$ghost", variables={})
    refused(UsageError, "cannot be imported", engine, "no.such.module:Thing", variables={})
    refused(UsageError, "has no Thing", engine, "json:Thing", variables={})
    refused(UsageError, "cannot be called", engine, "thing", variables={"thing": 3})


@pytest.mark.parametrize("given", [{"variables": {}}, {"RE": 3}, {"RE": "RE"}])
def test_no_run_engine(given):
    with pytest.raises(NoRunEngine):
        attach_writer("csv", **given)


def test_full_disk(engine, tmp_path, said, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, 199_000_000))
    refused(OutputError, "has 199 MB free, less than 200 MB", engine, LinesWriter, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 0, 999_000_000))
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    assert said.having("only 999 MB free")


def test_detach_unknown(engine, tmp_path, said):
    assert list(detach_writer(RE=engine, say=said)) == []
    assert said == ["no writer is attached"]
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    with pytest.raises(WriterAttachError, match="attached: lines"):
        detach_writer("nexus", RE=engine, say=said)


def test_if_exists(engine, tmp_path, said):
    (tmp_path / "same.lines").write_text("mine")
    attach_writer(LinesWriter, tmp_path, RE=engine, name="same", say=said)
    engine(bp.count([det1]))
    result = detach_writer(RE=engine, say=said)
    assert len(result.failed) == 1
    attach_writer(LinesWriter, tmp_path, RE=engine, name="same", if_exists="skip", say=said)
    engine(bp.count([det1]))
    result = detach_writer(RE=engine, say=said)
    assert not result.failed
    assert said.having("not written: ")
    assert (tmp_path / "same.lines").read_text() == "mine"


# -- the real formats ----------------------------------------------------------------------


@pytest.mark.parametrize("name", formats_for(run_of({"x": [1.5]})))
def test_each_format_is_written_live(engine, documents, tmp_path, said, name):
    attach_writer(name, f"{tmp_path}/", RE=engine, say=said)
    engine(four_runs())
    result = detach_writer(name, RE=engine, say=said)
    assert not result.failed, said
    assert [item.uid for item in result.written] == list(expected(documents))
    assert [item.events for item in result.written] == [5] * 4
    assert all(path.stat().st_size for path in result)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # spec2nexus leaves it to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_spec_is_read_by_spec2nexus(engine, documents, tmp_path, said):
    from spec2nexus.spec import SpecDataFile

    attach_writer("spec", tmp_path / "scans.dat", RE=engine, say=said)
    engine(four_runs())
    (path,) = detach_writer("spec", RE=engine, say=said)
    scans = SpecDataFile(str(path)).scans
    runs = list(expected(documents).values())
    assert len(scans) == 4
    for scan, values in zip(scans.values(), runs, strict=True):
        scan.interpret()
        assert scan.data["motor1"] == values


def test_nexus_is_read_by_h5py(engine, documents, tmp_path, said):
    import h5py

    attach_writer("nexus", tmp_path, RE=engine, say=said)
    engine(four_runs())
    for item in detach_writer("nx", RE=engine, say=said).written:
        with h5py.File(item.files[0]) as file:
            data = file["entry/instrument/bluesky/streams/primary/motor1/value"][()]
        assert data.tolist() == expected(documents)[item.uid]
