"""Runs of which the journal could not keep a document: they fail alone, and are never cut short."""

from __future__ import annotations

import json

import pytest

from bluesky_export import session
from bluesky_export.again import export_failed
from bluesky_export.attach import attach_writer, detach_writer, failed_runs, status
from bluesky_export.cli import main
from bluesky_export.errors import NoCatalog, RunNotFound
from bluesky_export.listing import runs
from bluesky_export.live import _journal, live_writers
from bluesky_export.live._intents import error_of

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
    assert f"%export {bad[:7]} csv {tmp_path / 'csv'}" in told or f"uid:{bad[:8]}" in told
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
        assert "the journal does not have all of the run: add --catalog NAME" in str(failure)
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
