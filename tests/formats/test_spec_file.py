"""SPEC files that others have written too: appended to, locked, put back, never harmed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bluesky_export.errors import OutputError, RunAlreadyInFile
from bluesky_export.formats._spec_file import SpecFile
from bluesky_export.formats._spec_survey import survey
from bluesky_export.formats.spec import SPECWriter
from bluesky_export.outputs import Output, Target

from ..replaying import run_of
from . import spec_readers
from .spec_readers import READERS
from .test_spec import with_motors, write


def spec_file(name: str) -> bytes:
    """Return a file that SPEC (or the first callback of apstools) has written."""
    import spec2nexus

    return (Path(spec2nexus.__file__).parent / "data" / name).read_bytes()


REAL = [
    "APS_spec_data.dat",
    "02_03_setup.dat",
    "20220311-161530.dat",
    "spec_from_spock.spc",
    "twoc.dat",
    "user6idd.dat",
]


def writer_on(path: Path, run: Any) -> SPECWriter:
    return SPECWriter(Output(Target.parse(path), run[0][1], ".dat"))


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("motors", [{}, {"m1": 0.1, "m2": -7.0}])
def test_appending_to_files_of_spec(tmp_path, name, motors):
    before = spec_file(name)
    path = tmp_path / "a.dat"
    path.write_bytes(before)
    readers = {"silx": spec_readers.silx_scans, "pymca": spec_readers.pymca}
    known = {name: read(path) for name, read in readers.items()}
    for number in (1, 2):
        run = run_of({"x": [0.1, 0.2]}, uid=f"run-{number}", start={"scan_id": 9000 + number})
        write(with_motors(run, motors) if motors else run, path)
    assert path.read_bytes().startswith(before)
    for reader, read in readers.items():
        scans = read(path)
        assert [scan.number for scan in scans[:-2]] == [scan.number for scan in known[reader]]
        for scan, old in zip(scans[:-2], known[reader], strict=True):
            assert scan.motors == old.motors
            assert {key: column.tolist() for key, column in scan.columns.items()} == {
                key: column.tolist() for key, column in old.columns.items()
            }
        check_ours(scans[-2:], motors)
    file = spec_readers.spec2nexus_file(path)
    for number in (9001, 9002):
        scan = file.getScan(number)
        assert scan.data["x"] == [0.1, 0.2]
        assert dict(scan.positioner) == motors
    text = path.read_bytes()[len(before) :].decode()
    assert text.count("#F ") <= 1  # the second scan has the first one's header


def check_ours(scans: Any, motors: dict[str, float]) -> None:
    for number, scan in enumerate(scans, 1):
        assert scan.number == 9000 + number
        assert scan.columns["x"].tolist() == [0.1, 0.2]
        assert scan.motors == motors


def test_the_header_of_spec_serves_if_its_motors_are_ours(tmp_path):
    path = tmp_path / "a.dat"
    path.write_text(
        "#F a\n#E 1600000000\n#D Sun Sep 13 12:26:40 2020\n#C x  User = u\n#O0 m1  m2\n\n"
        "#S 1  ascan m1\n#D Sun Sep 13 12:26:41 2020\n#P0 1 2\n#N 1\n#L a\n1\n"
    )
    write(with_motors(run_of({"x": [1.0]}), {"m1": 5.0, "m2": 6.0}), path)
    assert path.read_text().count("#F ") == 1
    for reader in READERS.values():
        assert [scan.motors for scan in reader(path)] == [{"m1": 1.0, "m2": 2.0}, {"m1": 5.0, "m2": 6.0}]


def test_an_older_run_gets_its_own_header(tmp_path):
    path = tmp_path / "a.dat"
    write(run_of({"x": [1.0]}, uid="new"), path)
    old = run_of({"x": [1.0]}, uid="old", start={"time": 1600000000.0})
    write(old, path)
    assert survey(path).epoch == 1600000000


def test_a_last_line_without_its_end_is_ended(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(spec_file("20220311-161530.dat").rstrip() + b"\n1.5 2")
    write(run_of({"x": [1.0]}, start={"scan_id": 900}), path)
    assert b"\n1.5 2\n" in path.read_bytes()
    assert spec_readers.silx(path)[-1].number == 900


def test_what_a_survey_finds(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(spec_file("APS_spec_data.dat"))
    found = survey(path)
    assert found.scans == len(spec_readers.pymca(path))
    assert found.highest == max(scan.number for scan in spec_readers.pymca(path))
    assert found.epoch == 1288809574
    assert found.user == "s15usaxs"
    assert found.motors == list(spec_readers.pymca(path)[-1].motors)
    path.write_bytes(spec_file("usaxs-bluesky-specwritercallback.dat"))
    assert survey(path, "4bd2bff9-4a43-4fda-835c-c1efbe4fc910").has_run
    assert not survey(path, "4bd2bff9").has_run


def test_a_survey_finds_what_lies_on_the_border_of_two_pieces(tmp_path, monkeypatch):
    path = tmp_path / "a.dat"
    for number in range(4):
        run = run_of({"x": [1.0] * 3}, uid=f"run-{number}", start={"scan_id": number + 1})
        write(with_motors(run, {f"m{number}": 1.0}), path)
    whole = survey(path, "run-2")
    assert (whole.scans, whole.highest, whole.has_run, whole.motors) == (4, 4, True, ["m3"])
    for size in (1, 7, 64, 100, 999):
        monkeypatch.setattr("bluesky_export.formats._spec_survey._CHUNK", size)
        pieces = survey(path, "run-2")
        assert (pieces.scans, pieces.highest, pieces.has_run, pieces.whole) == (4, 4, True, True)


# -- giving up ---------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 99])
@pytest.mark.parametrize("released", [False, True])
def test_abort_puts_the_file_back(tmp_path, steps, released):
    path, run = tmp_path / "a.dat", run_of({"x": [1.0, 2.0]})
    for before in (None, spec_file("APS_spec_data.dat"), spec_file("user6idd.dat")[:-1]):
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)
        writer = writer_on(path, run)
        for name, doc in run[:steps]:
            writer(name, doc)
        if released:
            writer.release()
        writer.abort()
        writer.abort()
        if before is None:
            assert not path.exists()
        else:
            assert path.read_bytes() == before
    write(run, path)  # nothing stays locked


def test_abort_after_close_keeps_the_run(tmp_path):
    path, run = tmp_path / "a.dat", run_of({"x": [1.0]})
    writer = writer_on(path, run)
    for name, doc in run:
        writer(name, doc)
    written = writer.close()
    assert writer.close() == written
    before = path.read_bytes()
    writer.abort()
    writer.release()
    assert path.read_bytes() == before


def test_lines_that_another_program_wrote_behind_ours_are_kept(tmp_path):
    path, run = tmp_path / "a.dat", run_of({"x": [1.0, 2.0]})
    writer = writer_on(path, run)
    for name, doc in run[:3]:
        writer(name, doc)
    with path.open("a") as file:
        file.write("#C written by SPEC\n")
    writer.abort()
    assert "written by SPEC" in path.read_text()
    assert any("left" in notice for notice in writer.notices)


def test_a_failed_run_leaves_the_scans_before_it(tmp_path):
    path = tmp_path / "a.dat"
    write(run_of({"x": [1.0]}, uid="good"), path)
    before = path.read_bytes()
    bad = run_of({"x": [1.0, 2.0]}, uid="bad")
    bad[3][1]["descriptor"] = "nobody's"
    with pytest.raises(KeyError, match="nobody's"):
        write(bad, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("persistent", [False, True])
def test_a_full_disk_at_every_write(tmp_path, monkeypatch, persistent):
    path, run = tmp_path / "a.dat", run_of({"x": [1.0, 2.0, 3.0]})
    write(run_of({"x": [1.0]}, uid="good"), path)
    before = path.read_bytes()
    real = os.write
    for failing in range(1, 50):
        calls = 0

        def full(descriptor: int, data: Any, failing: int = failing) -> int:
            nonlocal calls
            calls += 1
            if calls == failing:
                return real(descriptor, data[: len(data) // 2])
            if calls == failing + 1 or (persistent and calls > failing):
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(descriptor, data)

        monkeypatch.setattr("bluesky_export.formats._spec_file.os.write", full)
        try:
            writer = writer_on(path, run)
            try:
                for name, doc in run:
                    writer(name, doc)
                writer.close()
            except OutputError as error:
                assert "the disk is full" in str(error)  # noqa: PT017
                monkeypatch.setattr("bluesky_export.formats._spec_file.os.write", real)
                # Whole lines only, so that a reader who follows is not misled …
                assert path.read_bytes().endswith(b"\n")
                writer.abort()
                assert path.read_bytes() == before  # … and nothing in the end
                continue
        finally:
            monkeypatch.setattr("bluesky_export.formats._spec_file.os.write", real)
        break
    else:
        pytest.fail("the run never came through")
    assert failing > 4
    assert len(spec_readers.silx(path)) == 2


def test_a_killed_session_leaves_a_readable_file(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(spec_file("20220311-161530.dat"))
    code = f"""
import os
from pathlib import Path
from bluesky_export.formats.spec import SPECWriter
from bluesky_export.outputs import Output, Target
from tests.replaying import run_of
run = run_of({{"x": [1.0, 2.0, 3.0]}}, start={{"scan_id": 900}})
writer = SPECWriter(Output(Target.parse({str(path)!r}), run[0][1], ".dat"))
for name, doc in run[:4]:
    writer(name, doc)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -9
    for reader in ("silx", "pymca"):
        assert READERS[reader](path)[-1].columns["x"].tolist() == [1.0, 2.0]
    write(run_of({"x": [5.0]}, uid="next", start={"scan_id": 901}), path)  # the lock went with it
    assert [scan.number for scan in spec_readers.silx(path)][-2:] == [900, 901]


# -- two writers -------------------------------------------------------------------------------


def test_two_writers_never_share_a_file(tmp_path):
    path = tmp_path / "a.dat"
    first, second = run_of({"x": [1.0]}, uid="one"), run_of({"x": [2.0]}, uid="two")
    writer = writer_on(path, first)
    for name, doc in first[:3]:
        writer(name, doc)
    other = writer_on(path, second)
    with pytest.raises(OutputError, match="being written by another"):
        other(*second[0])
    other.abort()
    writer(*first[3])
    writer.close()
    write(second, path)
    assert [scan.columns["x"].tolist() for scan in spec_readers.silx(path)] == [[1.0], [2.0]]


def test_a_writer_in_another_process_is_seen(tmp_path):
    path = tmp_path / "a.dat"
    code = f"import fcntl; f = open({str(path)!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as other:
        other.stdout.readline()
        with pytest.raises(OutputError, match="being written by another"):
            write(run_of({"x": [1.0]}), path)
        other.communicate("\n")
    assert path.exists()
    assert path.read_bytes() == b""


def test_a_file_system_without_locks_is_used_all_the_same(tmp_path, monkeypatch):
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("bluesky_export.formats._spec_file.fcntl.flock", no_locks)
    write(run_of({"x": [1.0]}), tmp_path / "a.dat")
    assert len(spec_readers.silx(tmp_path / "a.dat")) == 1


def test_a_file_that_the_other_writer_removes_between_open_and_lock(tmp_path, monkeypatch):
    import fcntl

    path, real, calls = tmp_path / "a.dat", fcntl.flock, []

    def removed_once(descriptor: int, how: int) -> None:
        if not calls:
            path.unlink()
        calls.append(how)
        real(descriptor, how)

    monkeypatch.setattr("bluesky_export.formats._spec_file.fcntl.flock", removed_once)
    write(run_of({"x": [1.0]}), path)
    assert len(calls) == 2
    assert len(spec_readers.silx(path)) == 1


def test_the_file_says_what_state_it_is_in(tmp_path):
    file = SpecFile(tmp_path / "a.dat")
    assert "closed" in repr(file)
    with pytest.raises(OutputError, match="not open"):
        file.write("x\n")
    file.open("uid")
    file.write("#F x\n")
    assert "open, 5 bytes added" in repr(file)
    file.close()
    file.close()
    assert file.rollback()
    assert (tmp_path / "a.dat").read_text() == "#F x\n"


def test_a_new_file_has_the_users_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write(run_of({"x": [1.0]}), tmp_path / "a.dat")
    finally:
        os.umask(before)
    assert (tmp_path / "a.dat").stat().st_mode & 0o777 == 0o640


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.dat")
    with pytest.raises(OutputError, match="is not a file"):
        write(run_of({"x": [1.0]}), tmp_path / "a.dat")


def test_a_run_that_apstools_wrote_is_not_written_again(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(spec_file("usaxs-bluesky-specwritercallback.dat"))
    with pytest.raises(RunAlreadyInFile):
        write(run_of({"x": [1.0]}, uid="4bd2bff9-4a43-4fda-835c-c1efbe4fc910"), path)
    assert path.read_bytes() == spec_file("usaxs-bluesky-specwritercallback.dat")
