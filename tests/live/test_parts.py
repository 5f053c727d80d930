"""The parts by themselves: hand-off, router, pages, the table, and leaving the session."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from bluesky import plans as bp
from ophyd.sim import det1

from bluesky_export.attach import attach_writer, detach_writer, status
from bluesky_export.live import _status, live_writers
from bluesky_export.live._consumer import BATCH
from bluesky_export.live._engine import _engines
from bluesky_export.live._handoff import Handoff, own
from bluesky_export.live._leaving import leave_hook
from bluesky_export.live._pager import OpenRun
from bluesky_export.live._router import Router
from bluesky_export.live._sink import Sink
from bluesky_export.live._status import StatusRow, StatusTable

from .conftest import wait_until
from .writers import LinesWriter

EVENT = {
    "descriptor": "d",
    "uid": "e",
    "time": 1.0,
    "seq_num": 1,
    "data": {"x": 1},
    "timestamps": {"x": 1.0},
    "filled": {},
}


def test_own_shares_nothing():
    array, record = np.zeros(3), np.zeros(2, dtype=[("a", float)])
    value = {
        "a": [1, [2, {"b": array}]],
        "t": (array, {"c": 1}),
        "o": np.array([[1], None], dtype=object),
        "r": record,
    }
    mine = own(value)
    array[:] = 7
    record["a"] = 7
    value["a"][1][1]["new"] = 1
    value["t"][1]["c"] = 2
    value["o"][0].append(9)
    assert mine["a"][1][1]["b"].tolist() == [0, 0, 0]
    assert "new" not in mine["a"][1][1]
    assert mine["t"][0].tolist() == [0, 0, 0]
    assert mine["t"][1] == {"c": 1}
    assert mine["o"][0] == [1]
    assert mine["r"]["a"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "value",
    [
        np.float32(1.5),
        np.int16(3),
        np.ma.masked_array([1, 2], [0, 1]),
        np.str_("x"),
        1j,
        None,
        b"x",
        np.array(5),
    ],
)
def test_own_keeps_types(value):
    mine = own(value)
    assert type(mine) is type(value)
    assert repr(mine) == repr(value)


def test_handoff_never_raises():
    class Hostile:
        def __deepcopy__(self, memo):
            raise SystemExit

    handoff = Handoff()
    endless = []
    endless.append(endless)
    documents = [
        ("event", {**EVENT, "data": {"x": Hostile()}}),
        ("event", {}),
        ("event", None),
        ("start", {"uid": Hostile()}),
        ("start", {"uid": endless}),
        ("event", EVENT),
    ]
    for name, doc in documents:
        assert handoff.receive(name, doc) is None
    assert len(handoff.queue) == 6
    assert handoff.uncopied == 5
    assert handoff.lost == 0


def test_handoff_and_ctrl_c():
    """On the main thread it belongs to whoever replays documents there; on a RunEngine's it cannot be."""

    class Interrupted:
        def __deepcopy__(self, memo):
            raise KeyboardInterrupt

    handoff = Handoff()
    with pytest.raises(KeyboardInterrupt):
        handoff.receive("start", {"x": Interrupted()})
    thread = threading.Thread(target=handoff.receive, args=("start", {"x": Interrupted()}))
    thread.start()
    thread.join()
    assert len(handoff.queue) == 2


def test_handoff_cost():
    """Far below 3 µs where the machine is quiet; a bound that a shared one keeps as well."""
    keys = [f"field_{number}" for number in range(10)]
    event = {**EVENT, "data": dict.fromkeys(keys, 1.5), "timestamps": dict.fromkeys(keys, 1.7e9)}
    handoff = Handoff()
    costs = []
    for _ in range(5000):
        begin = time.perf_counter_ns()
        handoff.receive("event", event)
        costs.append(time.perf_counter_ns() - begin)
    costs.sort()
    assert costs[len(costs) // 2] < 10_000


def test_router_follows_references():
    router = Router()
    assert router.route("descriptor", {"uid": "d0", "run_start": "unknown"}) is None
    assert router.route("event", EVENT) is None
    assert router.route("resource", {"uid": "r0"}) is None
    router.route("start", {"uid": "one"})
    router.route("start", {"uid": "two"})
    assert router.route("descriptor", {"uid": "d", "run_start": "one", "name": "primary"}) == "one"
    assert router.route("event", EVENT) == "one"
    assert router.route("resource", {"uid": "r1", "run_start": "one"}) == "one"
    assert router.route("resource", {"uid": "r2"}) == "two"
    assert router.route("datum", {"resource": "r1"}) == "one"
    assert router.route("datum_page", {"resource": "r2"}) == "two"
    assert router.route("stream_resource", {"uid": "s", "run_start": "two"}) == "two"
    assert router.route("stream_datum", {"descriptor": "d", "stream_resource": "s"}) == "one"
    assert router.route("stop", {"run_start": "one"}) == "one"
    router.forget("one")
    assert router.open == ["two"]
    assert router.route("event", EVENT) is None
    assert router.route("datum", {"resource": "r1"}) is None
    router.forget("two")
    assert not router._descriptors
    assert not router._resources


def test_router_counts_what_is_missing():
    router = Router()
    router.route("start", {"uid": "one"})
    router.route("descriptor", {"uid": "d", "run_start": "one", "name": "primary"})
    for number in (1, 2, 5, 3, 4, 5, 6):  # 3 and 4 missing; then resumed from a checkpoint at 3
        router.route("event", {**EVENT, "seq_num": number})
    router.route("event_page", {"descriptor": "d", "seq_num": np.array([8, 9])})
    assert router.missing("one", None) == {"primary": 3}
    assert router.missing("one", {"num_events": {"primary": 10, "dark": 2}}) == {"primary": 4, "dark": 2}
    router.route("stream_datum", {"descriptor": "d"})
    assert router.missing("one", {"num_events": {"primary": 100}}) == {"primary": 3}


class Keeping(Sink):
    def __init__(self):
        self.got = []

    def take(self, name, doc):
        self.got.append((name, doc))

    def end(self, missing):
        pass

    def fail(self, error):
        pass

    def tick(self, now):
        pass

    done = True


class KeepingEvents(Keeping):
    pages = False


def test_pages_are_cut_where_fields_change():
    sink, events = Keeping(), KeepingEvents()
    run = OpenRun([events, sink])
    documents = [
        {**EVENT, "seq_num": number, "data": {key: number}} for number, key in enumerate("xxyyyx", 1)
    ]
    for doc in documents:
        run.take("event", doc)
    assert run.waiting == 1
    run.take("stop", {"run_start": "one"})
    pages = [doc for name, doc in sink.got if name == "event_page"]
    assert [page["seq_num"] for page in pages] == [[1, 2], [3, 4, 5], [6]]
    assert [page["data"] for page in pages] == [{"x": [1, 2]}, {"y": [3, 4, 5]}, {"x": [6]}]
    assert sink.got[-1][0] == "stop"
    assert [doc for _, doc in events.got[:-1]] == documents
    assert events.got[0][1] is not documents[0]


def test_long_runs_come_in_pages():
    sink = Keeping()
    run = OpenRun([sink])
    for number in range(1, 2501):
        run.take("event", {**EVENT, "seq_num": number})
    run.flush()
    assert [len(doc["seq_num"]) for _, doc in sink.got] == [1000, 1000, 500]


# -- the table -----------------------------------------------------------------------------


def test_status_table():
    rows = [
        StatusRow("nexus", "/data/[red]x[/red]/", "ready", 3, 1200, 0, Path("/data/<b>.h5"), ""),
        StatusRow("NXWriter", "", "subscribed by startup"),
    ]
    table = StatusTable(rows)
    text = str(table)
    assert "[red]x[/red]" in text
    assert "1200" in text
    assert "subscribed by startup" in text
    assert "None" not in text
    page = table._repr_html_()
    assert "<td>&lt;b&gt;.h5</td>" in page
    assert len(table) == 2
    assert list(table) == rows
    assert "no writer is attached" in str(StatusTable([]))
    assert "no writer is attached" in StatusTable([])._repr_html_()


@pytest.mark.parametrize(
    ("width", "note"), [(55, "(too narrow for last file, written by)"), (100, None), (None, None)]
)
def test_the_status_table_fits_the_terminal(monkeypatch, width, note):
    monkeypatch.setattr(_status, "terminal_width", lambda: width)
    row = StatusRow("nexus", "/data/user/july/", "ready", 3, 1200, 0, Path("/data/long.h5"), "process 4711")
    lines = str(StatusTable([row])).splitlines()
    assert all(len(line) <= (width or 200) for line in lines), lines
    assert "1200" in lines[2]
    assert ("process 4711" in lines[2]) == (note is None)
    assert lines[3:] == ([] if note is None else [note])


def test_status_without_arguments(engine, tmp_path, said):
    assert len(attach_writer(RE=engine)) == 0
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    engine(bp.count([det1], 3))
    wait_until(lambda: status(engine).rows[0].runs == 1)
    (row,) = attach_writer(RE=engine).rows
    assert (row.name, row.events, row.waiting, row.last_error) == ("lines", 3, 0, "")
    assert row.last_file.is_file()
    assert row.target == f"{tmp_path}/"


def test_subscription_taken_away_is_seen_and_mended(engine, tmp_path, said):
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    engine.dispatcher.unsubscribe_all()
    assert [row.state for row in status(engine)] == ["UNSUBSCRIBED"]
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    assert [row.state for row in status(engine)] == ["ready"]
    engine(bp.count([det1]))
    assert len(detach_writer(RE=engine, say=said)) == 1


# -- leaving -------------------------------------------------------------------------------


def test_nothing_is_left(engine, tmp_path, said):
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)  # keeps house, once
    detach_writer(RE=engine, say=said)
    wait_until(lambda: not [t for t in threading.enumerate() if "housekeeping" in t.name])
    before = set(threading.enumerate())
    for _ in range(20):
        attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
        assert leave_hook._live == [live_writers(engine)]
        detach_writer(RE=engine, say=said)
        assert set(threading.enumerate()) == before
        assert leave_hook._live == []
        assert not any(engine.dispatcher.cb_registry.callbacks.values())


@pytest.mark.parametrize("behind", [False, True])
def test_engine_that_is_dropped_takes_its_writers_along(tmp_path, said, behind):
    """Documents that wait in the queue when it is dropped are written like those before."""

    class Engine:
        state = "idle"

        def subscribe(self, func):
            self.func = func
            return 1

        def unsubscribe(self, token):
            raise AssertionError("it does not exist any more")

    engine = Engine()
    one = attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    dropped = threading.Event()
    if behind:  # by more than the recorder takes in one turn
        handoff = live_writers(engine)._handoff
        for _ in range(BATCH):
            handoff.control(dropped.wait)
    engine.func("start", {"uid": "u", "time": 0.0})
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    dropped.set()
    assert one.detached.wait(10)
    assert [item.status for item in one.written] == ["unfinished"]
    wait_until(lambda: not leave_hook._live)
    assert all(engine() is not None for engine in list(_engines.keyrefs()))


def test_engine_without_state(tmp_path, said):
    """A dispatcher of documents from elsewhere does not say whether a run is open."""

    class Dispatcher:
        def subscribe(self, func):
            self.func = func
            return 1

        def unsubscribe(self, token):
            self.func = None

    source = Dispatcher()
    attach_writer(LinesWriter, tmp_path, RE=source, say=said)
    source.func("start", {"uid": "u", "time": 0.0})
    wait_until(lambda: live_writers(source).open_runs)
    result = detach_writer(RE=source, say=said)
    assert len(result.deferred) == 1
    source.func("stop", {"uid": "s", "run_start": "u", "time": 1.0, "exit_status": "success"})
    assert result.deferred[0].detached.wait(10)
    assert [item.status for item in result.written] == ["success"]
    wait_until(lambda: source.func is None)


SESSION = """
    import sys
    from bluesky import RunEngine, plans as bp, plan_stubs as bps
    from ophyd.sim import det1
    from bluesky_export import attach_writer
    from bluesky_export.live import _leaving
    RE = RunEngine({}, call_returns_result=False)
    attach_writer("jsonl", "./", RE=RE)
"""


def leave(code, folder):
    script = textwrap.dedent(SESSION) + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_leaving_finishes_files(tmp_path):
    done = leave("RE(bp.count([det1], 500))", tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.jsonl")
    lines = path.read_text().splitlines()
    assert sum(line.startswith('["event"') for line in lines) == 500
    assert lines[-1].startswith('["stop"')


def test_leaving_in_the_middle_of_a_run_marks_it(tmp_path):
    code = """
    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([det1])
        yield from bps.pause()
    try:
        RE(plan())
    except BaseException:
        pass
    """
    done = leave(code, tmp_path)
    (path,) = tmp_path.glob("*.jsonl")
    text = path.read_text()
    assert '["event"' in text, done.stderr
    assert '["stop"' not in text


def test_leaving_does_not_wait_for_ever(tmp_path):
    code = """
    import threading
    _leaving.EXIT_TIMEOUT = 2.0
    def stuck(name, doc):
        threading.Event().wait()
    attach_writer(stuck, RE=RE)
    RE(bp.count([det1]))
    """
    done = leave(code, tmp_path)
    assert "NOT finished" in done.stderr
    assert "export them from the catalog" in done.stderr


def test_a_forked_child_leaves_all_to_its_parent(tmp_path):
    code = """
    import os, warnings
    from bluesky_export.live import _status, live_writers
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
    RE(bp.count([det1], 3))
    child = os.fork()
    if child == 0:
        assert live_writers(RE).attached == []
        assert not any(RE.dispatcher.cb_registry.callbacks.values())
        os._exit(7)  # pyepics hangs in a child that ends as others do
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    RE(bp.count([det1], 3))
    """
    done = leave(code, tmp_path)
    assert done.returncode == 0, done.stderr
    files = list(tmp_path.glob("*.jsonl"))
    assert len(files) == 2
    assert all(path.read_text().splitlines()[-1].startswith('["stop"') for path in files)
    assert not list(tmp_path.glob("*.part"))
