"""BlueskySpecWriter on a RunEngine, as people use apstools' SpecWriterCallback2."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apstools.callbacks import SpecWriterCallback2, spec_comment

from bluesky_export.documents.pages import paginate
from bluesky_export.errors import UsageError
from bluesky_export.formats.spec import BlueskySpecWriter, SPECWriter
from bluesky_export.outputs import Output, Target

from ..checks.spec import check_scan
from ..corpus import simulated_runs
from ..replaying import run_of
from . import spec_readers
from .spec_readers import READERS


@pytest.fixture
def engine():
    from bluesky import RunEngine

    return RunEngine({"scan_id": 100}, call_returns_result=False)


def test_a_live_session_with_two_files(tmp_path, engine):
    from bluesky import plans as bp
    from ophyd.sim import det1, det2, motor1

    writer = BlueskySpecWriter()
    assert isinstance(writer, SpecWriterCallback2)
    documents: list[Any] = []
    engine.subscribe(writer.receiver)
    engine.subscribe(lambda name, doc: documents.append((name, doc)))
    runs = {}
    for path in (tmp_path / "one.dat", tmp_path / "two.dat"):
        assert writer.newfile(path, scan_id=False, RE=engine) == path
        assert not path.exists()
        for plan in (bp.count([det1], 2), bp.scan([det1, det2], motor1, 0, 1, 3)):
            documents.clear()
            engine(plan)
            runs.setdefault(path, []).append(list(documents))
    for path, mine in runs.items():
        assert path.read_text().startswith("#F ")
        for reader in READERS.values():
            scans = reader(path)
            assert len(scans) == 2
            for scan, run in zip(scans, mine, strict=True):
                check_scan(scan, run)


def test_scan_numbers_of_newfile_and_usefile(tmp_path, engine):
    from bluesky import plans as bp
    from ophyd.sim import det1

    writer = BlueskySpecWriter(tmp_path / "a.dat")
    engine.subscribe(writer.receiver)
    engine(bp.count([det1]))
    writer.newfile(tmp_path / "b.dat", scan_id=True, RE=engine)
    assert engine.md["scan_id"] == 0
    engine(bp.count([det1]))
    assert writer.usefile(tmp_path / "a.dat") == 101
    assert Path(writer.spec_filename) == tmp_path / "a.dat"
    writer.newfile(tmp_path / "a.dat", scan_id=5, RE=engine)
    assert engine.md["scan_id"] == 101
    engine(bp.count([det1]))
    assert [scan.number for scan in spec_readers.silx(tmp_path / "a.dat")] == [101, 102]
    assert [scan.number for scan in spec_readers.silx(tmp_path / "b.dat")] == [1]
    with pytest.raises(OSError, match="does not exist"):
        writer.usefile(tmp_path / "no.dat")


def test_apstools_own_writer_reads_our_file_back(tmp_path):
    writer = BlueskySpecWriter(tmp_path / "a.dat")
    for name, doc in run_of({"x": [1.0]}):
        writer.receiver(name, doc)
    theirs = SpecWriterCallback2()
    theirs.spec_filename = tmp_path / "a.dat"
    assert theirs.usefile(tmp_path / "a.dat") == 7
    assert theirs.spec_epoch == 1700000000


def test_comments_stand_where_they_were_made(tmp_path, engine):
    from bluesky import plan_stubs as bps
    from ophyd.sim import det1

    writer = BlueskySpecWriter(tmp_path / "a.dat")
    engine.subscribe(writer.receiver)

    def plan():
        spec_comment("before the run", writer=writer)
        yield from bps.open_run()
        spec_comment("at the start", "start", writer)
        yield from bps.trigger_and_read([det1])
        spec_comment("after the first row\n#S 5 second line", writer=writer)
        yield from bps.trigger_and_read([det1])
        spec_comment("at the end", "stop", writer)
        spec_comment("after the second row", writer=writer)
        yield from bps.close_run()

    engine(plan())
    lines = (tmp_path / "a.dat").read_text().splitlines()
    rows = [index for index, line in enumerate(lines) if line[:1].isdigit()]
    place = {note: index for index, line in enumerate(lines) for note in [line.partition(".  ")[2]] if note}
    assert (
        place["before the run"] < place["at the start"] < rows[0] < place["after the first row"] < rows[1]
    )
    assert place["after the first row"] + 1 == place["#S 5 second line"]
    assert rows[1] < place["after the second row"] < place["at the end"] < place["exit_status = success"]
    for reader in READERS.values():
        assert len(reader(tmp_path / "a.dat")) == 1


def test_comments_through_the_format_s_writer(tmp_path):
    run = run_of({"x": [1.0]})
    writer = SPECWriter(Output(Target.parse(tmp_path / "a.dat"), run[0][1], ".dat"))
    assert not writer.scanning
    for name, doc in run[:3]:
        writer(name, doc)
    assert writer.scanning
    spec_comment("sample is µm thick", writer=writer)
    assert writer._cmt("text").startswith("#C ")
    writer(*run[3])
    writer.close()
    assert "sample is µm thick" in (tmp_path / "a.dat").read_text(encoding="utf-8")


def test_runs_that_interleave_are_written_one_after_the_other(tmp_path):
    runs = []
    for number in (1, 2, 3):
        data = {"x": [number + row / 10 for row in range(4)]}
        runs.append(run_of(data, uid=f"run-{number}", start={"scan_id": number}))
    writer = BlueskySpecWriter(tmp_path / "a.dat")
    for documents in zip(*runs, strict=True):
        for name, doc in documents:
            writer.receiver(name, doc)
    scans = spec_readers.silx(tmp_path / "a.dat")
    assert [scan.number for scan in scans] == [1, 2, 3]
    for number, scan in enumerate(scans, 1):
        assert scan.columns["x"].tolist() == [number + row / 10 for row in range(4)]


def test_a_run_without_stop_does_not_keep_the_next_one_for_ever(tmp_path):
    writer = BlueskySpecWriter(tmp_path / "a.dat")
    for name, doc in [*run_of({"x": [1.0]}, uid="a", stop=None), *run_of({"x": [2.0]}, uid="b")]:
        writer.receiver(name, doc)
    writer.close()
    assert [scan.columns["x"].tolist() for scan in spec_readers.silx(tmp_path / "a.dat")] == [[1.0], [2.0]]
    assert "exit_status = unfinished" in (tmp_path / "a.dat").read_text()


def test_subscribed_in_the_middle_of_a_run(tmp_path):
    writer = BlueskySpecWriter(tmp_path / "a.dat")
    first = run_of({"x": [1.0, 2.0]}, uid="first")
    for name, doc in first[2:]:
        writer.receiver(name, doc)
    assert not (tmp_path / "a.dat").exists()
    for name, doc in run_of({"x": [3.0]}, uid="second"):
        writer.receiver(name, doc)
    assert [scan.columns["x"].tolist() for scan in spec_readers.silx(tmp_path / "a.dat")] == [[3.0]]


def test_changing_the_file_during_a_run_is_refused(tmp_path):
    writer = BlueskySpecWriter(tmp_path / "a.dat")
    run = run_of({"x": [1.0]})
    for name, doc in run[:3]:
        writer.receiver(name, doc)
    for change in (writer.newfile, writer.usefile):
        with pytest.raises(UsageError, match="a run is being written"):
            change(tmp_path / "b.dat")
    writer.receiver(*run[3])
    assert len(spec_readers.silx(tmp_path / "a.dat")) == 1


def test_a_failing_stop_does_not_block_the_next_run(tmp_path, monkeypatch):
    writer = BlueskySpecWriter(tmp_path / "a.dat")
    run = run_of({"x": [1.0]}, uid="a")
    for name, doc in run[:3]:
        writer.receiver(name, doc)

    def broken(*_: Any) -> None:
        raise OSError("gone")

    with monkeypatch.context() as patch:
        patch.setattr("bluesky_export.formats._spec_file.os.fsync", broken)
        with pytest.raises(OSError, match="gone"):
            writer.receiver(*run[3])
    for name, doc in run_of({"x": [2.0]}, uid="b"):
        writer.receiver(name, doc)
    assert spec_readers.silx(tmp_path / "a.dat")[-1].columns["x"].tolist() == [2.0]


def test_pages_and_events_give_the_same_file(tmp_path):
    texts = []
    for size in (1, 3, 1000):
        writer = BlueskySpecWriter(tmp_path / "a.dat")
        for run in simulated_runs().values():
            for name, doc in paginate(run, size):
                writer.receiver(name, doc)
        texts.append((tmp_path / "a.dat").read_bytes())
        (tmp_path / "a.dat").unlink()
    assert len(set(texts)) == 1


def test_notices_are_logged_or_handed_on(tmp_path, caplog):
    run = run_of({"x": [1.0], "wave": [np.arange(5)]}, keys={"wave": {"shape": [5]}})
    with caplog.at_level(logging.WARNING, "bluesky_export.formats._spec_writer"):
        writer = BlueskySpecWriter(tmp_path / "a.dat")
        for name, doc in run:
            writer.receiver(name, doc)
    assert "'wave' is left out" in caplog.text
    told: list[str] = []
    writer = BlueskySpecWriter(tmp_path / "b.dat", notice=told.append)
    for name, doc in run:
        writer.receiver(name, doc)
    assert any("'wave' is left out" in notice for notice in told)


def test_the_default_file_name_is_that_of_apstools(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    writer = BlueskySpecWriter()
    for name, doc in run_of({"x": [1.0]}):
        writer.receiver(name, doc)
    (path,) = tmp_path.iterdir()
    assert path.name == str(writer.spec_filename)
    assert path.suffix == ".dat"
