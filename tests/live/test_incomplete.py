"""Runs of which the journal could not keep a document: they fail alone, and are never cut short."""

from __future__ import annotations

import json
import os

import pytest

from bluesky_export import session
from bluesky_export.again import export_failed
from bluesky_export.attach import attach_writer, detach_writer, failed_runs, status
from bluesky_export.cli import main
from bluesky_export.errors import NoCatalog, RunNotFound
from bluesky_export.listing import runs
from bluesky_export.live import _journal, live_writers
from bluesky_export.live._attached import short_uid
from bluesky_export.live._cleaning import clean
from bluesky_export.live._intents import Assignment, Intent, error_of, intents
from bluesky_export.live._place import Lock

from .conftest import wait_until
from .session import Engine
from .session import documents as simulated
from .test_journal import Disk


class Unkept:
    """An object that no journal keeps: it cannot be pickled."""

    def __reduce__(self):
        raise RuntimeError("no")


def give(engine, documents):
    """Give documents, as a RunEngine does; return the uid of the run."""
    for name, doc in documents:
        if name == "start":
            uid = doc["uid"]
        live_writers(engine).receive(name, doc)
    return uid


def with_odd_value(events, row, scan_id):
    """Yield a run of which one event holds what no journal keeps."""
    for name, doc in simulated(events, scan_id):
        if name == "event" and doc["seq_num"] == row + 1:
            doc = {**doc, "data": {**doc["data"], "det": Unkept()}}
        yield name, doc


@pytest.fixture
def running():
    return Engine()


def finish(engine, said):
    engine.state = "idle"
    return detach_writer(RE=engine, say=said, timeout=60)


def test_only_that_run_fails_where_its_first_document_is_not_kept(running, tmp_path, said, capsys):
    for name in ("csv", "json", "spec"):
        (tmp_path / name).mkdir()
        attach_writer(name, tmp_path / name, RE=running, say=said)
    good = [give(running, simulated(3, 1))]
    bad = give(running, simulated(3, 2, {"sample_note": Unkept()}))
    good.append(give(running, simulated(3, 3)))
    wait_until(
        lambda: len(failed_runs(running)) == 3 and all(row.runs == 2 for row in status(running).rows), 60
    )
    assert {run.uid for run in failed_runs(running)} == {bad}
    finish(running, said)
    assert len(said.having("FAILED to write run 2")) == 3
    assert not said.having("internal error")
    (path,) = (tmp_path / "spec").iterdir()
    assert path.read_text().count("#S ") == 2
    assert {json.loads(path.read_text())["start"]["uid"] for path in (tmp_path / "json").iterdir()} == set(
        good
    )
    # Nothing of it is in the journal: that is told once, with what to type, and not tried for ever.
    assert main(["recover"]) == 1
    told = capsys.readouterr().err
    assert told.count("documents of it are not in the journal") == 3
    assert f"%export {short_uid(bad)} csv {tmp_path / 'csv'}/" in told
    assert main(["recover"]) == 0
    assert "nothing to recover" in capsys.readouterr().err


@pytest.mark.parametrize("catalog", ["none", "the journal itself"])
def test_a_run_that_is_cut_short_in_the_journal_is_not_written_from_it(
    running, tmp_path, said, catalog, capsys
):
    (tmp_path / "out").mkdir()
    attach_writer("json", tmp_path / "out", RE=running, say=said)
    good = give(running, simulated(2, 1))
    uid = give(running, with_odd_value(5, 2, 2))
    wait_until(lambda: failed_runs(running), 60)
    given = None if catalog == "none" else "journal"
    for _ in range(2):
        result = export_failed(variables={"RE": running}, catalog=given, say=said)
        (failure,) = result.failed
        assert isinstance(failure.error, (RunNotFound, NoCatalog))
        assert "the journal does not have all of the run: --catalog NAME names another catalog" in str(
            failure
        )
        assert [run.uid for run in failed_runs(running)] == [uid]
    finish(running, said)
    (path,) = (tmp_path / "out").iterdir()
    assert json.loads(path.read_text())["start"]["uid"] == good
    folder = session.journal_folder()
    assert [path.suffix for path in folder.glob(f"{uid}*")] == [".incomplete"]
    table = str(runs(catalog="journal"))
    assert good[:7] in table
    assert uid[:7] not in table
    assert main(["recover"]) == 1
    assert "documents of it are not in the journal" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == [path]


def test_a_full_disk_and_no_memory_left(running, tmp_path, said, monkeypatch):
    """Runs that the journal has no room for fail, each by itself; with space the next are written."""
    monkeypatch.setattr(_journal, "RETRY_EVERY", 0.05)
    monkeypatch.setattr(_journal.Memory, "take", _no_memory)
    disk = Disk(monkeypatch, 10**9, True)
    (tmp_path / "out").mkdir()
    attach_writer("json", tmp_path / "out", RE=running, say=said)
    good = [give(running, simulated(3, 1))]
    wait_until(lambda: status(running).rows[0].runs == 1, 60)
    disk.first = 0
    bad = [give(running, simulated(3, number)) for number in (2, 3, 4)]
    wait_until(lambda: len(failed_runs(running)) == 3, 60)
    disk.full = False
    good.append(give(running, simulated(3, 5)))
    wait_until(lambda: status(running).rows[0].runs == 2, 60)
    assert [run.uid for run in failed_runs(running)] == bad
    assert not said.having("internal error")
    assert len(said.having("cannot be written")) == 1
    (line,) = said.having("can be written again")
    assert "holds all runs but those that are not kept" in line
    assert said.index(line) > said.index(said.having("FAILED to write run 4")[0])
    finish(running, said)
    found = {json.loads(path.read_text())["start"]["uid"] for path in (tmp_path / "out").iterdir()}
    assert found == set(good)


def _no_memory(self, size, folder):
    raise _journal.OutputError("the journal's disk is full, and 0 MB of memory are used")


def test_documents_that_were_lost_on_the_way(running, tmp_path, said, capsys):
    """For lack of memory they are not even queued: what the journal has is not the run, either."""
    (tmp_path / "out").mkdir()
    attach_writer("json", tmp_path / "out", RE=running, say=said)
    live = live_writers(running)
    pairs = list(simulated(5, 1))
    for name, doc in pairs[:4]:
        live.receive(name, doc)
    live._handoff.lost += 1  # as where a copy of the fifth could not be made
    for name, doc in pairs[5:]:
        live.receive(name, doc)
    wait_until(lambda: failed_runs(running), 60)
    assert said.having("1 documents were lost for lack of memory; export the run from the catalog")
    result = export_failed(variables={"RE": running}, say=said)
    assert "the journal does not have all of the run" in str(result.failed[0])
    finish(running, said)
    main(["recover"])
    assert list((tmp_path / "out").iterdir()) == []


def left_by_a_session(folder, out, state, **known):
    """Make what a session leaves that was killed: one run of one writer, incomplete."""
    writer = folder / "writers" / "1-abc" / "1"
    writer.mkdir(parents=True)
    (writer.parent / "lock").touch()
    Assignment("json", "json", folder=str(out)).save(writer)
    outcome = {"error": "OutputError", "message": "lost", "traceback": ""} if state == "failed" else {}
    Intent("a-run", "a-run", 7, 1.0, state=state, outcome=outcome, **known).save(writer)
    (folder / "a-run.incomplete").write_bytes(b"x")
    return writer


@pytest.mark.parametrize(("state", "later"), [("pending", False), ("failed", False), ("failed", True)])
def test_what_a_killed_session_left_incomplete_is_told_once(tmp_path, capsys, state, later):
    out = tmp_path / "out dir"
    out.mkdir()
    writer = left_by_a_session(tmp_path / "journal", out, state, later=later)
    lock = Lock(writer.with_name("1.lock"))  # a process of the writer is still at work: it knows better
    main(["recover", str(tmp_path / "journal")])
    assert capsys.readouterr().err == "json: another process is finishing its runs\n"
    lock.release()
    for _ in range(2):  # a dry run changes nothing
        assert main(["recover", "--dry-run", str(tmp_path / "journal")]) == 1
        assert "documents of it are not in the journal" in capsys.readouterr().err
    assert main(["recover", str(tmp_path / "journal")]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "run 7" in line]
    assert line.endswith(f'%export a-run json "{out}/"')
    assert main(["recover", str(tmp_path / "journal")]) == 0
    assert "nothing to recover" in capsys.readouterr().err
    assert clean(tmp_path / "journal", 1, 1000) == []
    for path in (tmp_path / "journal" / "a-run.incomplete", writer / "a-run.json"):
        os.utime(path, (1.0, 1.0))
    assert [path.name for path in clean(tmp_path / "journal", 1, 1000)] == ["a-run.incomplete"]
    assert intents(writer) == []


def test_the_next_writer_does_not_tell_it_again(running, tmp_path, said):
    (tmp_path / "out").mkdir()
    attach_writer("json", tmp_path / "out", RE=running, say=said)
    give(running, simulated(3, 1, {"sample_note": Unkept()}))
    wait_until(lambda: failed_runs(running), 60)
    finish(running, said)
    running.state = "running"
    before = len(said)
    attach_writer("json", tmp_path / "out", RE=running, say=said)
    give(running, simulated(3, 2))
    wait_until(lambda: status(running).rows[0].runs == 1, 60)
    finish(running, said)
    assert not [line for line in said[before:] if "not in the journal" in line]


def test_the_same_uid_again_leaves_what_was_kept(tmp_path):
    """Also where what was kept is incomplete."""
    packer, memory = _journal.ExactPacker(), _journal.Memory(10**6)
    pairs = list(with_odd_value(3, 1, 1))
    paths = []
    for _ in range(2):
        journal = _journal.RunJournal(tmp_path, pairs[0][1], packer, memory)
        for name, doc in pairs:
            journal.add(name, doc)
            journal.flush()
        assert journal.failure is not None
        journal.give_up()
        paths.append(_journal.incomplete_of(journal.path))
    assert len(set(paths)) == 2
    assert all(path.stat().st_size for path in paths)


def test_an_error_of_which_nothing_is_known():
    assert "nothing is known" in str(error_of({}))
