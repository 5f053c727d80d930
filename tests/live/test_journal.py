"""The journal: what comes out is what went in, on a full disk as well; it is a catalog; it is cleaned."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import errno
import os
import stat
import time
from fractions import Fraction

import intake
import msgpack
import numpy as np
import pytest
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd.sim import det1, motor1, motor2

from bluesky_export import attach, session
from bluesky_export.attach import attach_writer, detach_writer, failed_runs, status
from bluesky_export.documents.exact import ExactPacker, ext_hook
from bluesky_export.documents.msgpacked import decode
from bluesky_export.errors import NotFaithful, RunUnreadable
from bluesky_export.listing import runs
from bluesky_export.live import _client, _journal, choose, format_writer, live_writers
from bluesky_export.live._cleaning import clean
from bluesky_export.live._journal import Memory, RunJournal
from bluesky_export.live._place import memory_path
from bluesky_export.live._tail import Tail
from bluesky_export.outputs import Target

from .conftest import wait_until
from .session import Engine
from .session import documents as simulated
from .writers import LinesWriter, SlowWriter


def unpacked(data, trusted=True):
    return msgpack.unpackb(
        data, object_hook=decode, ext_hook=ext_hook(trusted), raw=False, strict_map_key=False
    )


ODD = {
    "integer": 2**70,
    "negative": -(2**80),
    "surrogate": "a\ud800b",
    "set": {1, 2},
    "frozen": frozenset({"x"}),
    "set of tuples": {(1, 2)},
    "date": datetime.date(2026, 7, 4),
    "moment": datetime.datetime(2026, 7, 4, 5, tzinfo=datetime.UTC),
    "decimal": decimal.Decimal("1.10"),
    "fraction": Fraction(1, 3),
    "keys": {1: "a", (2, 3): "b"},
    "complex": 1 - 2j,
    "narrow": np.float32(1 / 3),
    "zero-d": np.array(5),
    "dates": np.array(["2026-07-04"], dtype="M8[D]"),
    "masked": np.ma.masked_array([1, 2], [0, 1], fill_value=7),
    "objects": np.array([[1], None], dtype=object),
    "records": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "one record": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0],
    "strided": np.arange(12).reshape(3, 4)[:, ::2],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_values_are_kept_exactly(name):
    value = ODD[name]
    for kind, doc in (("event", {"data": {"x": value}, "seq_num": 1}), ("start", {"data": {"x": value}})):
        back = unpacked(ExactPacker().pack(kind, doc))[1]["data"]["x"]
        assert type(back) is type(value)
        assert repr(back) == repr(value)
        assert getattr(back, "dtype", None) == getattr(value, "dtype", None)


def test_what_cannot_be_kept_is_refused():
    class Local:
        def __reduce__(self):
            raise RuntimeError("no")

    with pytest.raises(NotFaithful, match="type Local cannot be kept"):
        ExactPacker().pack("event", {"data": {"x": Local()}})
    data = ExactPacker().pack("event", {"data": {"x": Fraction(1, 2)}})
    with pytest.raises(RunUnreadable, match="can run any code"):
        unpacked(data, trusted=False)


def test_the_folder_is_a_catalog(engine, documents, tmp_path, said):
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    engine(bpp.baseline_wrapper(bp.scan([det1], motor1, 0, 1, 4), [motor2]))
    engine(bp.count([det1], 2, md={"big": 2**70}))
    detach_writer(RE=engine, say=said)
    folder = session.journal_folder()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = list(folder.glob("*.msgpack"))
    assert len(files) == 2
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)
    theirs = intake.open_bluesky_msgpack_catalog(f"{folder}/*.msgpack")
    first, second = (doc["uid"] for name, doc in documents if name == "start")
    assert set(theirs) == {first, second}
    read = theirs[first].primary.read()
    assert (
        read["motor1"].values.tolist()
        == [
            doc["data"]["motor1"] for name, doc in documents if name == "event" and "motor1" in doc["data"]
        ][:4]
    )
    assert set(theirs[first]) == {"primary", "baseline"}
    assert len(theirs[second].primary.read()["det1"]) == 2
    ours = session.find_catalog(None, {})  # the session has no other
    assert [run.uid for run in ours.newest(2)] == [second, first]
    assert ours.newest(1)[0].start["big"] == 2**70
    assert session.find_catalog("journal", {"cat": 1}).name == "journal"
    assert second[:7] in str(runs(catalog="journal"))


def test_failed_runs_are_written_from_the_journal(engine, tmp_path, said):
    from bluesky_export.again import export_failed

    folder = tmp_path / "share"
    folder.mkdir()
    attach_writer("jsonl", folder, RE=engine, say=said)
    folder.rmdir()
    engine(bp.count([det1], 3))
    wait_until(lambda: failed_runs(engine), 60)
    folder.mkdir()
    result = export_failed(variables={"RE": engine}, say=said)
    assert len(result.files) == 1
    assert not failed_runs(engine)
    detach_writer(RE=engine, say=said)
    from bluesky_export.recovering import recover

    assert not recover(say=said).failed  # it is not tried again
    assert len(list(folder.iterdir())) == 1


# -- a disk that refuses ---------------------------------------------------------------------


class Disk:
    """Lets the journal's own disk refuse the writes from a number on, for ever or once."""

    def __init__(self, monkeypatch, first, forever):
        self.count, self.first, self.forever, self.full = 0, first, forever, True
        inner = _journal._write_all

        def write(fd, data):
            if os.readlink(f"/proc/self/fd/{fd}").startswith(str(memory_path())):
                return inner(fd, data)
            self.count += 1
            bad = self.count >= self.first if self.forever else self.count == self.first
            if bad and self.full:
                inner(fd, bytes(data)[: len(data) // 2])  # as a full disk does: a part fits
                raise OSError(errno.ENOSPC, "No space left on device")
            return inner(fd, data)

        monkeypatch.setattr(_journal, "_write_all", write)


@pytest.mark.parametrize("forever", [True, False])
@pytest.mark.parametrize("first", range(1, 8))
def test_every_write_may_fail(tmp_path, monkeypatch, first, forever):
    disk = Disk(monkeypatch, first, forever)
    monkeypatch.setattr(_journal, "RETRY_EVERY", 0.0)
    pairs = list(simulated(5, 1))
    memory = Memory(10**7)
    journal = RunJournal(tmp_path, pairs[0][1], ExactPacker(), memory)
    tail, found = Tail(journal.path), []
    for name, doc in pairs:
        journal.add(name, doc)
        journal.flush()
        found += tail.read()[0]
        assert journal.failure is None
    found += tail.read()[0]
    assert journal.events == 5
    assert [name for name, _ in found] == [name for name, _ in pairs]
    assert repr(found[-1][1]) == repr(pairs[-1][1])
    disk.full = False
    assert journal.restore()
    assert memory.used == 0
    journal.close()
    tail.close()
    assert not list(memory_path().glob(f"{journal.name}.*"))
    again = Tail(journal.path)
    assert [name for name, _ in again.read()[0]] == [name for name, _ in pairs]
    again.close()


def test_memory_has_a_bound(tmp_path, monkeypatch):
    Disk(monkeypatch, 1, True)
    pairs = list(simulated(50, 1))
    journal = RunJournal(tmp_path, pairs[0][1], ExactPacker(), Memory(3000))
    for name, doc in pairs:
        journal.add(name, doc)
        journal.flush()
    assert "disk is full" in str(journal.failure)
    assert journal.events < 50
    journal.spill.close(keep=False)
    journal.spill = None
    journal.close()


def test_writers_go_on_while_the_disk_is_full(engine, tmp_path, said, monkeypatch):
    disk = Disk(monkeypatch, 2, True)
    attach_writer("jsonl", tmp_path, RE=engine, say=said)
    engine(bp.count([det1], 5, delay=0.2))  # slower than the journal: it is written to more than once
    wait_until(lambda: status(engine).rows[0].runs == 1, 100)
    (line,) = said.having("cannot be written")
    assert "export from the catalog" in line
    assert "from memory" in line
    disk.full = False
    wait_until(lambda: said.having("can be written again"), 20)
    (path,) = detach_writer(RE=engine, say=said)
    assert path.read_text().count('"seq_num"') >= 1
    (journal,) = session.journal_folder().glob("*.msgpack")
    tail = Tail(journal)
    assert [name for name, _ in tail.read()[0]][-1] == "stop"
    tail.close()


# -- processes -------------------------------------------------------------------------------


def test_no_process_can_be_started(engine, tmp_path, said, monkeypatch):
    def refuse(writer):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(_client, "_popen", refuse)
    monkeypatch.setattr(_client, "BACK_OFF", (0.0,))
    attach_writer("jsonl", tmp_path, RE=engine, say=said)
    engine(bp.count([det1], 3))
    (path,) = detach_writer(RE=engine, say=said)
    assert path.read_text().splitlines()[-1].startswith('["stop"')
    assert len(said.having("it writes in this session")) == 1


def test_a_process_that_dies_is_started_again(engine, tmp_path, said):
    attach_writer("jsonl", tmp_path, RE=engine, say=said)
    (one,) = live_writers(engine).attached
    wait_until(lambda: one.client._ready, 100)
    pid = one.client._process.pid
    os.kill(pid, 9)
    engine(bp.count([det1], 3))
    (path,) = detach_writer(RE=engine, say=said)
    assert path.read_text().splitlines()[-1].startswith('["stop"')
    assert len(said.having("killed by SIGKILL")) == 1
    assert not list(tmp_path.glob("*.part"))


def test_only_the_run_that_takes_the_process_down_is_given_up(tmp_path, said, monkeypatch):
    """Two runs are open; one of them kills the process that writes both, each time that it is begun."""
    monkeypatch.setattr(_client, "BACK_OFF", (0.0,))
    choice = choose("tests.live.writers:KillingWriter", {})
    target = Target.parse(f"{tmp_path}/", template="{uid}")
    common = {"images": "copy", "root_map": {}}
    writer = format_writer(choice, target, common, {}, (None, None), said, one_file=False)
    writer.assignment = dataclasses.replace(writer.assignment, in_session=False)
    running = Engine()
    live = live_writers(running)
    live.attach(writer)
    pairs = zip(simulated(20, 1), simulated(20, 2, {"kill": True}), strict=True)
    good, bad = [], []
    for one, other in pairs:
        good.append(one)
        bad.append(other)
        live.receive(*one)
        live.receive(*other)
        if one[0] == "descriptor":
            wait_until(lambda: len(writer.client.tickets) == 2 and writer.client._ready, 60)
    wait_until(lambda: writer.failed and writer.written, 100)
    running.state = "idle"
    detach_writer(RE=running, say=said)
    (failed,) = writer.failed
    assert failed.uid == bad[0][1]["uid"]
    assert "died 5 times at it (last: died (killed by SIGKILL))" in str(failed.error)
    (written,) = writer.written
    assert (written.uid, written.events) == (good[0][1]["uid"], 20)
    assert [path.name for path in tmp_path.iterdir()] == [f"{written.uid}.lines"]


def test_overload_does_not_reach_the_run_engine(tmp_path, said):
    """Ten thousand events while no writer is ready: the queue is emptied into the journal."""
    engine = Engine()  # one that runs: an idle one's run is ended while this test is kept waiting
    attach_writer("jsonl", tmp_path, RE=engine, say=said)
    attach_writer(SlowWriter, tmp_path, RE=engine, name="slow", say=said)
    live = live_writers(engine)
    receive = live.receive
    recorder = live.recorder
    for name, doc in simulated(10_000, 1):
        receive(name, doc)
    # The queue is empty a moment before its last batch is in the journal.
    wait_until(lambda: recorder.events == 10_000, 60)
    assert recorder.queued == 0
    assert status(engine).journal.events == 10_000
    engine.state = "idle"
    result = detach_writer(RE=engine, say=said)
    assert [item.events for item in result.written] == [10_000] * 2


# -- cleaning --------------------------------------------------------------------------------


def test_only_what_is_written_is_removed(engine, tmp_path, said):
    for name in ("kept", "gone"):
        (tmp_path / name).mkdir()
    attach_writer("jsonl", tmp_path / "kept", RE=engine, say=said)
    engine(bp.count([det1]))
    wait_until(lambda: status(engine).rows[0].runs == 1, 100)
    (tmp_path / "kept").rename(tmp_path / "elsewhere")
    engine(bp.count([det1]))
    wait_until(lambda: failed_runs(engine), 100)
    attach.forget_failed([], engine)
    folder = session.journal_folder()
    written, failed = sorted(folder.glob("*.msgpack"), key=lambda path: path.stat().st_mtime)
    assert clean(folder, 14, 1000) == []
    old = time.time() - 20 * 86400
    for path in (written, failed):
        os.utime(path, (old, old))
    assert clean(folder, 14, 1000) == []  # one failed, the files of the other are not where they were
    (tmp_path / "elsewhere").rename(tmp_path / "kept")
    assert clean(folder, 14, 1000) == [written]
    assert clean(folder, 0, 0) == []
    assert failed.exists()
    detach_writer(RE=engine, say=said)
