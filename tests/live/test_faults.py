"""Whatever a writer raises, wherever: the scan ends well, and the run is remembered."""

from __future__ import annotations

import asyncio
import errno

import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from ophyd.sim import det1, motor1

from bluesky_export.attach import attach_writer, detach_writer, failed_runs, forget_failed, status
from bluesky_export.errors import OutputError
from bluesky_export.live import live_writers

from .conftest import wait_until
from .writers import FailingWriter, LinesWriter, columns, read

ERRORS = [
    Exception("plain"),
    ValueError("value"),
    OSError(errno.ENOSPC, "No space left on device"),
    MemoryError(),
    RecursionError("deep"),
    KeyboardInterrupt(),
    SystemExit(3),
    GeneratorExit(),
    StopIteration(),
    ReferenceError("weak"),
    asyncio.CancelledError(),
]
WHERE = ["__init__", "start", "descriptor", "event_page", "stop", "finish", "close", "flush"]


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("cannot even say what it is")


def fail(where, error):
    FailingWriter.where, FailingWriter.error, FailingWriter.armed = where, error, True


def step(delay):
    if delay is None:
        return None

    def one(detectors, motor, step):
        for _ in range(100):  # until the writer has failed, however busy the machine is
            if FailingWriter.armed:
                yield from bps.sleep(delay)
        yield from bps.one_1d_step(detectors, motor, step)

    return one


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("error", [*ERRORS, Unprintable()], ids=lambda e: type(e).__name__)
def test_scan_goes_on(engine, documents, tmp_path, said, error, where):
    if where == "__init__":

        class Refusing(FailingWriter):
            def __init__(self, *args, **kwargs):
                if type(self).armed:
                    type(self).armed = False
                    raise error
                super().__init__(*args, **kwargs)

        Refusing.armed = True
        cls = Refusing
    else:
        cls = FailingWriter
        fail(where, error)
    (tmp_path / "bad").mkdir()
    (tmp_path / "good").mkdir()
    attach_writer(cls, tmp_path / "bad", RE=engine, say=said)
    attach_writer(LinesWriter, tmp_path / "good", RE=engine, say=said)
    delay = 0.1 if where == "flush" else None  # open files are flushed while there is time
    engine(bp.scan([det1], motor1, 0, 1, 3, per_step=step(delay)))
    engine(bp.scan([det1], motor1, 0, 2, 3))
    names = [name for name, _ in documents]
    assert names == ["start", "descriptor", "event", "event", "event", "stop"] * 2
    assert [doc["exit_status"] for name, doc in documents if name == "stop"] == ["success"] * 2
    wait_until(lambda: [row.state for row in status(engine).rows] == ["FAILED (1 of 2 runs)", "ready"])
    bad, good = status(engine).rows
    assert good.runs == 2
    assert type(error).__name__ in bad.last_error or "OutputError" in bad.last_error
    (failed,) = failed_runs(engine)
    assert failed.uid == documents[0][1]["uid"]
    lines = said.having("FAILED to write run")
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert failed.error.__traceback__ is None
    result = detach_writer(RE=engine, say=said)
    first, second = (doc["uid"] for name, doc in documents if name == "start")
    by_writer = {one.name: [item.uid for item in one.written] for one in result.writers}
    assert by_writer == {"failing": [second], "lines": [first, second]}
    assert len(list((tmp_path / "bad").iterdir())) == 1  # and no temporary file of the first run
    (path,) = (tmp_path / "bad").iterdir()
    assert columns(read(path))["motor1"] == [0, 1, 2]


def test_failure_in_abort_is_survived(engine, tmp_path, said):
    class Worse(FailingWriter):
        def abort(self):
            super().abort()
            raise SystemExit("again")

    Worse.where, Worse.error, Worse.armed = "event_page", ValueError("first"), True
    attach_writer(Worse, tmp_path, RE=engine, say=said)
    engine(bp.count([det1], 2))
    engine(bp.count([det1], 2))
    result = detach_writer(RE=engine, say=said)
    assert len(result.failed) == 1
    assert len(result) == 1
    assert said.having("ValueError: first")
    assert said.having("cleaning up after it failed")


def test_error_in_say_is_survived(engine, tmp_path):
    def broken(text):
        if "FAILED to write" in text:
            raise OSError("the terminal has gone away")

    fail("start", ValueError("x"))
    attach_writer(FailingWriter, tmp_path, RE=engine, say=broken)
    engine(bp.count([det1]))
    engine(bp.count([det1]))
    assert len(detach_writer(RE=engine, say=broken)) == 1


def test_failed_run_can_be_written_later(engine, tmp_path, said):
    folder = tmp_path / "share"
    folder.mkdir()
    attach_writer("jsonl", folder, RE=engine, say=said)
    folder.rmdir()
    engine(bp.count([det1]))
    result = detach_writer(RE=engine, say=said)
    (failed,) = failed_runs(engine)  # it outlives the attachment
    assert result.failed == [failed]
    assert failed.command == f"%export {failed.uid[:7]} jsonl {folder}/" or failed.uid[:7].isdigit()
    (line,) = said.having("FAILED")[:1]
    assert "does not exist; make it" in line
    assert failed.command in line
    assert isinstance(failed.error, OutputError)
    assert "OutputError" in failed.traceback
    forget_failed([failed], engine)
    assert failed_runs(engine) == []


def test_pump_survives_what_is_no_document(engine, tmp_path, said):
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    receive = live_writers(engine).receive
    for name, doc in [("event", {}), ("event", None), ("start", 3), (None, object()), ("stop", {})]:
        receive(name, doc)
    engine(bp.count([det1], 2))
    assert len(detach_writer(RE=engine, say=said)) == 1
    assert said.having("was not understood")


def test_event_that_fits_no_page_fails_the_run(engine, tmp_path, said):
    """A document lost between the queue and the writer is never passed over."""
    attach_writer(LinesWriter, tmp_path, RE=engine, say=said)
    receive = live_writers(engine).receive
    documents = []
    token = engine.subscribe(lambda name, doc: documents.append((name, doc)))
    live_writers(engine)._engine().unsubscribe(live_writers(engine)._token)
    engine(bp.count([det1], 2))
    engine.unsubscribe(token)
    for name, doc in documents:
        receive(name, {k: v for k, v in doc.items() if name != "event" or k != "time"})
    result = detach_writer(RE=engine, say=said)
    assert not result.files
    assert len(result.failed) == 1
    assert not list(tmp_path.iterdir())


def test_a_temporary_file_in_a_folder_that_has_gone(engine, tmp_path, said):
    """It is said, and removed when the folder is back and the next run is written there."""
    folder, elsewhere = tmp_path / "share", tmp_path / "elsewhere"
    folder.mkdir()
    attach_writer("jsonl", folder, RE=engine, say=said)

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([det1])
        wait_until(lambda: list(folder.glob("*.part")), 60)
        folder.rename(elsewhere)
        yield from bps.close_run()

    engine(plan())
    wait_until(lambda: failed_runs(engine), 60)
    (part,) = elsewhere.glob("*.part")
    (line,) = said.having("could not be removed")
    assert str(folder / part.name) in line
    elsewhere.rename(folder)
    engine(bp.count([det1]))
    (path,) = detach_writer(RE=engine, say=said)
    assert list(folder.iterdir()) == [path]
