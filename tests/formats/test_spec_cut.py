"""A scan that a kill cut off is replaced when its run is written again; nothing else is touched."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from bluesky_export.errors import OutputError, RunAlreadyInFile
from bluesky_export.formats import _spec_file
from bluesky_export.formats._spec_survey import survey
from bluesky_export.formats.spec import SPECWriter
from bluesky_export.outputs import Output, Target

from ..replaying import run_of
from .spec_readers import READERS
from .test_spec import with_motors, write
from .test_spec_file import spec_file

RUN = run_of({"x": [1.0, 2.0, 3.0]}, uid="mine", start={"scan_id": 900, "sample": "Al"})


def whole(path: Path, before: bytes | None, run=RUN) -> bytes:
    """Return the file with the run, written in one go."""
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)
    write(run, path)
    return path.read_bytes()


@pytest.mark.parametrize("motors", [{}, {"m1": 0.1, "m2": -7.0}], ids=["no motors", "motors"])
@pytest.mark.parametrize("name", [None, "same header", "APS_spec_data.dat", "twoc.dat"])
def test_cut_at_any_line_the_same_run_gives_the_same_file(tmp_path, name, motors):
    path = tmp_path / "a.dat"
    run = with_motors(RUN, motors) if motors else RUN
    before = None
    if name == "same header":
        other = run_of({"x": [5.0]}, uid="other", start={"scan_id": 899})
        before = whole(path, None, with_motors(other, motors) if motors else other)
    elif name is not None:
        before = spec_file(name)
        before += b"" if before.endswith(b"\n") else b"\n"
    full = whole(path, before, run)
    begin = len(before or b"")
    known = full.index(b".  uid = mine\n", begin) + len(b".  uid = mine\n")
    cuts = {at + 1 for at in range(known - 1, len(full) - 1) if full[at : at + 1] == b"\n"}
    cuts |= set(random.Random(1).sample(range(known, len(full)), 10))  # a machine that lost its power
    last = full.rindex(b"exit_status = success")
    for cut in sorted(cuts):
        path.write_bytes(full[:cut])
        assert survey(path, "mine").has_run is (cut > last + len(b"exit_status = success"))
        write(run, path)
        assert path.read_bytes() == full, f"cut at byte {cut} of {len(full)}"


def test_a_header_without_a_scan_is_taken_away_as_well(tmp_path):
    path = tmp_path / "a.dat"
    before = spec_file("APS_spec_data.dat")
    full = whole(path, before)
    scan = full.index(b"\n\n#S ", len(before))
    for cut in (scan, scan + 1):
        path.write_bytes(full[:cut])
        write(RUN, path)
        assert path.read_bytes() == full


def test_any_byte_that_a_crash_leaves_harms_no_other_scan(tmp_path):
    path = tmp_path / "a.dat"
    before = whole(path, spec_file("20220311-161530.dat"), run_of({"x": [5.0]}, uid="other"))
    full = whole(path, before)
    for cut in range(len(before), full.index(b".  uid = mine\n"), 7):
        path.write_bytes(full[:cut])
        write(RUN, path)
        assert path.read_bytes().startswith(before)
        assert READERS["silx"](path)[-1].columns["x"].tolist() == [1.0, 2.0, 3.0]


def test_an_unfinished_run_is_replaced_by_the_finished_one(tmp_path):
    path = tmp_path / "a.dat"
    before = whole(path, None, run_of({"x": [5.0]}, uid="other", start={"scan_id": 899}))
    full = whole(path, before)
    path.write_bytes(before)
    assert write(RUN[:-1], path).status == "unfinished"
    assert b"exit_status = unfinished" in path.read_bytes()
    write(RUN[:-1], path)  # and by an unfinished one that may hold more
    assert path.read_bytes().count(b"#S 900") == 1
    write(RUN, path)
    assert path.read_bytes() == full
    with pytest.raises(RunAlreadyInFile):
        write(RUN, path)
    assert path.read_bytes() == full


def test_a_cut_scan_that_others_follow_stays_and_the_run_is_appended(tmp_path):
    path = tmp_path / "a.dat"
    full = whole(path, None)
    cut = full[: full.rindex(b"\n3 3.") + 1] if b"\n3 3." in full else full[: full.rindex(b"#C")]
    path.write_bytes(cut)
    write(run_of({"x": [5.0]}, uid="other", start={"scan_id": 901}), path)
    before = path.read_bytes()
    assert before.startswith(cut)
    written = write(RUN, path)
    assert path.read_bytes().startswith(before)
    assert any("scan 900 above is the beginning of this run" in notice for notice in written.notices)
    added = path.read_bytes()[len(before) :]
    assert b".  scan 900 above is the beginning of this run, cut off\n" in added
    for reader in ("silx", "pymca"):
        scans = READERS[reader](path)
        assert [scan.number for scan in scans] == [900, 901, 900]
        assert scans[-1].columns["x"].tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(RunAlreadyInFile):
        write(RUN, path)


def test_another_runs_end_is_not_taken_for_this_ones(tmp_path, monkeypatch):
    """Whatever the pieces that the file is read in."""
    path = tmp_path / "a.dat"
    full = whole(path, None)
    path.write_bytes(full[: full.rindex(b"#C")].rsplit(b"#C", 1)[0])
    write(run_of({"x": [5.0]}, uid="other", start={"scan_id": 901}), path)
    for size in (1, 7, 64, 100, 999, 1 << 22):
        monkeypatch.setattr("bluesky_export.formats._spec_survey._CHUNK", size)
        found = survey(path, "mine")
        assert (found.has_run, found.tail, [scan.number for scan in found.of_run]) == (False, None, ["900"])
        assert survey(path, "other").has_run


def test_comments_typed_into_a_cut_scan_are_kept(tmp_path):
    path = tmp_path / "a.dat"
    writer = SPECWriter(Output(Target.parse(path), RUN[0][1], ".dat"))
    for name, doc in RUN[:3]:
        writer(name, doc)
    writer("comment", {"text": "the beam came back", "time": 1700000001.5})
    writer.release()  # as a kill does
    assert b"the beam came back" in path.read_bytes()
    written = write(RUN, path)
    lines = path.read_text().splitlines()
    (at,) = [number for number, line in enumerate(lines) if "the beam came back" in line]
    assert lines[at].startswith("#C Tue Nov 14 ")
    assert "num_events_primary" in lines[at + 1]
    assert any("comments typed then" in notice for notice in written.notices)
    # a recovery that knows of the comment has it once, at its place
    full = path.read_bytes()
    path.write_bytes(full[: full.rindex(b"#C")])
    again = SPECWriter(Output(Target.parse(path), RUN[0][1], ".dat"))
    for name, doc in RUN:
        again(name, doc)
        if name == "descriptor":
            again("comment", {"text": "the beam came back", "time": 1700000001.5})
    again.close()
    assert path.read_text().count("the beam came back") == 1


def test_the_cut_scan_comes_back_if_the_run_cannot_be_written(tmp_path):
    path = tmp_path / "a.dat"
    full = whole(path, spec_file("APS_spec_data.dat"))
    cut = full[: full.rindex(b"#C")]
    path.write_bytes(cut)
    for steps in (1, 3, len(RUN)):
        writer = SPECWriter(Output(Target.parse(path), RUN[0][1], ".dat"))
        for name, doc in RUN[:steps]:
            writer(name, doc)
        writer.abort()
        writer.abort()
        assert path.read_bytes() == cut


@pytest.mark.parametrize("points", [0, 1, 2])
def test_a_killed_process_and_the_run_again(tmp_path, points):
    path = tmp_path / "a.dat"
    before = spec_file("20220311-161530.dat")
    full = whole(path, before)
    path.write_bytes(before)
    code = f"""
import os
from bluesky_export.formats.spec import SPECWriter
from bluesky_export.outputs import Output, Target
from tests.formats.test_spec_cut import RUN
writer = SPECWriter(Output(Target.parse({str(path)!r}), RUN[0][1], ".dat"))
for name, doc in RUN[:{2 + points}]:
    writer(name, doc)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -9
    assert path.read_bytes().startswith(before)
    write(RUN, path)
    assert path.read_bytes() == full


# -- another program on the same file -----------------------------------------------------------


def test_who_meets_lines_of_another_program_gives_up(tmp_path):
    """SPEC itself asks for no lock."""
    path = tmp_path / "a.dat"
    writer = SPECWriter(Output(Target.parse(path), RUN[0][1], ".dat"))
    for name, doc in RUN[:3]:
        writer(name, doc)
    with path.open("ab") as other:
        other.write(b"\n#S 1  ascan by another\n")
    theirs = path.read_bytes()
    with pytest.raises(OutputError, match="another program writes to"):
        writer(*RUN[3])
    writer.abort()
    assert path.read_bytes() == theirs
    assert any("were left" in notice for notice in writer.notices)


def test_a_writer_waits_for_one_that_is_nearly_done(tmp_path, monkeypatch):
    path = tmp_path / "a.dat"
    first = SPECWriter(Output(Target.parse(path), RUN[0][1], ".dat"))
    for name, doc in RUN:
        first(name, doc)
    looks = []

    def ends(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            first.close()

    monkeypatch.setattr(_spec_file.time, "sleep", ends)
    write(run_of({"x": [2.0]}, uid="two"), path)
    assert len(looks) == 3
    assert [scan.columns["x"].tolist() for scan in READERS["silx"](path)] == [[1.0, 2.0, 3.0], [2.0]]


def test_where_there_are_no_locks_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(_spec_file, "fcntl", None)  # as on Windows
    written = write(RUN, tmp_path / "a.dat")
    assert any("cannot be locked here" in notice for notice in written.notices)
