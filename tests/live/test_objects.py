"""Callbacks of the session's own: apstools' writers, plain functions, classes by their path."""

from __future__ import annotations

import sys
import threading
from typing import ClassVar

import h5py
import numpy as np
import pytest
from apstools.callbacks import NXWriter, NXWriterAPS, SpecWriterCallback2
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from event_model import compose_run
from ophyd.sim import det1, motor1, motor2

from bluesky_export.attach import attach_writer, detach_writer, failed_runs, status
from bluesky_export.errors import UsageError, WriterAttachError
from bluesky_export.live import live_writers, subscribed_writers

from .conftest import wait_until
from .writers import LinesWriter


class SlowNXWriter(NXWriter):
    """An instrument's subclass, whose thread takes long enough for the next run to come along."""

    warn_on_missing_content = False

    def write_root(self, filename):
        import time

        time.sleep(0.3)
        super().write_root(filename)


class Collector:
    """A callback class that can be made without arguments."""

    made: ClassVar[list] = []

    def __init__(self):
        self.documents = []
        self.made.append(self)

    def __call__(self, name, doc):
        self.documents.append((name, doc))


def runs_of(number):
    for value in range(number):
        yield from bp.scan([det1], motor1, value, value + 1, 3, md={"number": value})


@pytest.mark.parametrize("cls", [SlowNXWriter, NXWriter, NXWriterAPS])
def test_nxwriter_back_to_back(engine, documents, tmp_path, said, cls):
    nxwriter = cls()
    nxwriter.warn_on_missing_content = False
    attach_writer("nxwriter", tmp_path, RE=engine, variables={"nxwriter": nxwriter}, say=said)
    engine(runs_of(5))
    assert status(engine).rows[0].name == "nxwriter"
    result = detach_writer("nxwriter", RE=engine, say=said)
    assert not result.failed, said
    starts = {doc["uid"]: doc for name, doc in documents if name == "start"}
    assert [item.uid for item in result.written] == list(starts)
    assert len({path.name for path in result}) == 5
    for item in result.written:
        with h5py.File(item.files[0]) as file:
            entry = file["entry"]
            number = starts[item.uid]["number"]
            assert entry["entry_identifier"][()].decode() == item.uid
            assert entry["instrument/bluesky/metadata/number"][()] == number
            values = entry["instrument/bluesky/streams/primary/motor1/value"][()]
        assert values.tolist() == [number, number + 0.5, number + 1]
    assert "write_root" not in vars(nxwriter)


def test_nxwriter_failing_in_its_thread(engine, tmp_path, said):
    """apstools: metadata None is a TypeError in a thread, and a torn file under the final name."""
    nxwriter = NXWriter()
    nxwriter.warn_on_missing_content = False
    attach_writer(nxwriter, tmp_path, RE=engine, say=said)
    engine(bp.count([det1], md={"bad": None}))
    engine(bp.count([det1], md={"good": 1}))
    result = detach_writer(RE=engine, say=said)
    assert [type(run.error).__name__ for run in result.failed] == ["TypeError"]
    assert failed_runs(engine)[0].command is None
    assert list(tmp_path.iterdir()) == result.files
    assert len(result) == 1
    with h5py.File(result[0]) as file:
        assert file["entry/instrument/bluesky/metadata/good"][()] == 1


def test_nxwriter_overwrites_nothing(engine, tmp_path, said):
    nxwriter = NXWriter()
    nxwriter.warn_on_missing_content = False
    nxwriter.file_name = tmp_path / "always.hdf"
    (tmp_path / "always.hdf").write_text("mine")
    attach_writer(nxwriter, RE=engine, say=said)
    engine(bp.count([det1]))
    result = detach_writer(RE=engine, say=said)
    assert len(result.failed) == 1
    assert "exists" in str(result.failed[0].error)
    assert (tmp_path / "always.hdf").read_text() == "mine"


def test_nxwriter_and_nested_runs(engine, documents, tmp_path, said):
    @bpp.set_run_key_decorator("inner")
    @bpp.run_decorator(md={"number": 2})
    def inner():
        yield from bps.trigger_and_read([motor2])

    @bpp.set_run_key_decorator("outer")
    @bpp.run_decorator(md={"number": 1})
    def outer():
        yield from bps.trigger_and_read([motor1])
        yield from inner()
        yield from bps.trigger_and_read([motor1])

    nxwriter = NXWriter()
    nxwriter.warn_on_missing_content = False
    attach_writer(nxwriter, tmp_path, RE=engine, say=said)
    engine(outer())
    result = detach_writer(RE=engine, say=said)
    assert not result.failed, said
    found = {}
    for path in result:
        with h5py.File(path) as file:
            streams = file["entry/instrument/bluesky/streams/primary"]
            number = file["entry/instrument/bluesky/metadata/number"][()]
            found[int(number)] = {
                key: len(streams[key]["value"]) for key in ("motor1", "motor2") if key in streams
            }
    assert found == {1: {"motor1": 2}, 2: {"motor2": 1}}


def test_nxwriter_pages_are_taken_apart(engine, tmp_path, said):
    """apstools leaves event pages out without an error."""
    nxwriter = NXWriter()
    nxwriter.warn_on_missing_content = False
    attach_writer(nxwriter, tmp_path, RE=engine, say=said)
    receive = live_writers(engine).receive
    run = compose_run(metadata={"plan_name": "pages", "scan_id": 7})
    key = {"dtype": "number", "shape": [], "source": "x", "units": "", "precision": 3}
    stream = run.compose_descriptor(name="primary", data_keys={"x": key})
    receive("start", run.start_doc)
    receive("descriptor", stream.descriptor_doc)
    page = stream.compose_event_page(
        data={"x": [1.0, 2.0, 3.0]},
        timestamps={"x": [1.0, 2.0, 3.0]},
        seq_num=[1, 2, 3],
        time=[1.0, 2.0, 3.0],
    )
    receive("event_page", page)
    receive("stop", run.compose_stop())
    (item,) = detach_writer(RE=engine, say=said).written
    assert item.events == 3
    assert not item.notices
    with h5py.File(item.files[0]) as file:
        assert file["entry/instrument/bluesky/streams/primary/x/value"][()].tolist() == [1, 2, 3]


def test_plain_callback_gets_what_was_emitted(engine, documents, said):
    got = []
    threads = set()

    def callback(name, doc):
        threads.add(threading.current_thread().name)
        got.append((name, doc))

    attach_writer(callback, RE=engine, say=said)
    engine(bpp.baseline_wrapper(bp.count([det1], 3), [motor1]))
    detach_writer("callback", RE=engine, say=said)
    assert got == documents
    assert threads == {"bluesky-export pump"}


def test_class_is_made_anew_for_each_run(engine, said, monkeypatch):
    monkeypatch.setitem(sys.modules, "an_instrument", sys.modules[__name__])
    Collector.made.clear()
    attach_writer("an_instrument:Collector", RE=engine, variables={}, say=said)
    engine(runs_of(3))
    result = detach_writer("Collector", RE=engine, say=said)
    assert len(result.written) == 3
    assert [one.documents[0][1]["number"] for one in Collector.made] == [0, 1, 2]
    assert all(one.documents[-1][0] == "stop" for one in Collector.made)


def test_writer_class_by_path(engine, tmp_path, said):
    attach_writer(f"{LinesWriter.__module__}:LinesWriter", tmp_path, RE=engine, variables={}, say=said)
    engine(bp.count([det1]))
    assert len(detach_writer("lines", RE=engine, say=said)) == 1


def test_format_name_comes_before_a_variable(engine, tmp_path, said):
    got = []
    variables = {"csv": lambda name, doc: got.append(name)}
    attach_writer("csv", tmp_path, RE=engine, variables=variables, say=said)
    attach_writer("$csv", RE=engine, variables=variables, say=said)
    engine(bp.count([det1]))
    assert len(detach_writer("csv", RE=engine, say=said).files) >= 1
    detach_writer("csv-2", RE=engine, say=said)
    assert got == ["start", "descriptor", "event", "stop"]


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(), KeyboardInterrupt(), ReferenceError()])
@pytest.mark.parametrize("kind", ["start", "event", "stop"])
def test_callback_that_raises(engine, documents, said, kind, error):
    def callback(name, doc):
        if name == kind and doc.get("time", 0) and not raised:
            raised.append(name)
            raise error

    raised = []
    attach_writer(callback, RE=engine, say=said)
    engine(runs_of(2))
    result = detach_writer(RE=engine, say=said)
    assert [doc["exit_status"] for name, doc in documents if name == "stop"] == ["success"] * 2
    assert len(result.failed) == 1
    assert len(result.written) == 1


def test_objects_that_cannot_be_attached(engine, tmp_path, said):
    class NeedsArguments:
        def __init__(self, something):
            pass

        def __call__(self, name, doc):
            pass

    for thing, words in [
        (NeedsArguments, "without arguments"),
        (object(), "cannot be called"),
        (dict, "cannot be called"),
    ]:
        with pytest.raises(UsageError, match=words):
            attach_writer(thing, RE=engine, say=said)
    for keywords in ({"options": {"a": 1}}, {"images": "skip"}, {"name": "{uid}"}):
        with pytest.raises(UsageError, match="not one of our formats"):
            attach_writer(NXWriter(), RE=engine, say=said, **keywords)
    with pytest.raises(UsageError, match="decides itself"):
        attach_writer(SpecWriterCallback2(), tmp_path, RE=engine, say=said)
    with pytest.raises(UsageError, match="takes a folder"):
        attach_writer(NXWriter(), tmp_path / "x.h5", RE=engine, say=said)
    assert not live_writers(engine).attached


def test_spec_callback_object(engine, tmp_path, said):
    specwriter = SpecWriterCallback2()
    specwriter.newfile(tmp_path / "s.dat")
    attach_writer(specwriter, RE=engine, say=said)
    engine(runs_of(3))
    result = detach_writer(RE=engine, say=said)
    assert result.files == [tmp_path / "s.dat"]
    assert (tmp_path / "s.dat").read_text().count("#S ") == 3


# -- what the instrument's startup subscribed ----------------------------------------------


def test_subscribed_by_startup_is_seen(engine, tmp_path, said):
    nxwriter, specwriter = NXWriter(), SpecWriterCallback2()
    tokens = [engine.subscribe(one.receiver) for one in (nxwriter, specwriter)]
    engine.subscribe(lambda name, doc: None)
    assert [(one.name, one.format) for one in subscribed_writers(engine)] == [
        ("NXWriter", "nexus"),
        ("SpecWriterCallback2", "spec"),
    ]
    with pytest.raises(WriterAttachError, match=r"NXWriter.*written twice: RE.unsubscribe.*--also"):
        attach_writer("nexus", tmp_path, RE=engine, say=said)
    assert not live_writers(engine).attached
    attach_writer("nexus", tmp_path, RE=engine, also=True, say=said)
    table = status(engine)
    assert [row.state for row in table] == ["ready", "subscribed by startup", "subscribed by startup"]
    with pytest.raises(WriterAttachError, match="subscribed to the RunEngine already"):
        attach_writer(nxwriter, RE=engine, say=said)
    with pytest.raises(WriterAttachError, match="subscribed by the session's startup"):
        detach_writer("NXWriter", RE=engine, say=said)
    for token in tokens:
        engine.unsubscribe(token)
    assert subscribed_writers(engine, live_writers(engine).receive) == []


def test_engine_without_registry():
    class Dispatcher:
        pass

    assert subscribed_writers(Dispatcher()) == []


def test_same_object_twice(engine, tmp_path, said):
    nxwriter = NXWriter()
    first = attach_writer(nxwriter, tmp_path, RE=engine, say=said)
    assert attach_writer(nxwriter.receiver, tmp_path, RE=engine, say=said) is first
    with pytest.raises(WriterAttachError, match="with other settings"):
        attach_writer(nxwriter, RE=engine, say=said)


def test_stream_documents_to_apstools_are_refused(engine, tmp_path, said):
    """NXWriter would log an error and write a file without images."""
    attach_writer(NXWriter(), tmp_path, RE=engine, say=said)
    receive = live_writers(engine).receive
    run = compose_run(metadata={"plan_name": "p", "scan_id": 1})
    receive("start", run.start_doc)
    receive("stream_resource", {"uid": "r", "run_start": run.start_doc["uid"], "data_key": "image"})
    receive("stop", run.compose_stop())
    wait_until(lambda: failed_runs(engine))
    assert "cannot take stream_resource" in str(failed_runs(engine)[0].error)
    assert not list(tmp_path.iterdir())


def test_arrays_are_copied_for_callbacks(engine, said):
    got = []
    attach_writer(lambda name, doc: got.append((name, doc)), RE=engine, say=said)
    receive = live_writers(engine).receive
    run = compose_run()
    key = {"dtype": "array", "shape": [3], "source": "x"}
    stream = run.compose_descriptor(name="primary", data_keys={"x": key})
    receive("start", run.start_doc)
    receive("descriptor", stream.descriptor_doc)
    reused = np.zeros(3)
    for value in range(4):
        reused[:] = value
        receive("event", stream.compose_event(data={"x": reused}, timestamps={"x": 0.0}))
    receive("stop", run.compose_stop())
    detach_writer(RE=engine, say=said)
    assert [doc["data"]["x"].tolist() for name, doc in got if name == "event"] == [
        [v] * 3 for v in range(4)
    ]
