"""Disks that are full, read-only, gone or forbidden: the scan goes on, the run is written later."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import databroker
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from ophyd.sim import det1, motor1

from bluesky_export import session
from bluesky_export.again import export_failed
from bluesky_export.attach import attach_writer, detach_writer, failed_runs, status

from ..live.conftest import wait_until
from . import PLAIN, some
from .filling import fill

ROOT = Path(__file__).parents[2]


@pytest.fixture
def catalog(engine):
    """What the session keeps its runs in."""
    broker = databroker.temp()
    engine.subscribe(broker.v1.insert)
    return broker.v2


@pytest.fixture(autouse=True)
def no_least_space(monkeypatch):
    """The disks of these tests are small."""
    settings = session.BlueskyExport(min_free=0, warn_free=0)
    monkeypatch.setattr(session, "_settings", [settings])
    return settings


def contents(folder):
    return {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "filler"
    }


def full(folder):
    fill(folder / "filler")
    return (folder / "filler").unlink


def read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    return lambda: subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def gone(folder):
    (folder / "data").rename(folder / "elsewhere")
    return lambda: (folder / "elsewhere").rename(folder / "data")


def unmounted(folder):
    """The share is not there: its folder is, empty, and belongs to the disk beneath."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0755", "empty", str(folder)], check=True)
    return lambda: subprocess.run(["umount", str(folder)], check=True)


CAUSES = [full, read_only, gone, unmounted]


# A disk with open files cannot be made read-only.
MOMENTS = [(cause, when) for cause in CAUSES for when in ("before", "during")]
MOMENTS.remove((read_only, "during"))


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("cause", "when"), MOMENTS, ids=[f"{cause.__name__}-{when}" for cause, when in MOMENTS]
)
def test_the_run_is_written_when_the_cause_is_gone(
    engine, documents, catalog, small_disk, said, cause, when, request
):
    names = some(request)
    folder = small_disk / "data"
    folder.mkdir()
    for name in names:
        (folder / name).mkdir()
        path = folder / name / ("all.dat" if name == "spec" else "")
        attach_writer(name, path, RE=engine, say=said)
    engine(bp.scan([det1], motor1, 0, 1, 3))
    wait_until(lambda: all(row.runs == 1 for row in status(engine)), 60)
    before = contents(folder)
    mend = []

    def breaking():
        yield from bps.open_run(md={"much": "y" * 200_000})
        for value in range(4):
            if value == (0 if when == "before" else 2):
                mend.append(cause(small_disk))
            yield from bps.mv(motor1, value)
            yield from bps.trigger_and_read([det1, motor1])
            yield from bps.sleep(0.3)
        yield from bps.close_run()

    if when == "before":
        mend.append(cause(small_disk))
        engine(bp.scan([det1], motor1, 0, 3, 4, md={"much": "y" * 200_000}))
    else:
        engine(breaking())
    assert [doc["exit_status"] for name, doc in documents if name == "stop"] == ["success"] * 2
    wait_until(lambda: all(row.runs + row_failed(row) == 2 for row in status(engine)), 60)
    failed = {run.writer for run in failed_runs(engine)}
    assert len(failed) >= (len(names) - 1 if when == "before" else 2), said
    for writer in failed:
        (line,) = [line for line in said if line.startswith(f"{writer}: FAILED to write run")]
        assert "\n" not in line
    if cause not in (gone, unmounted):
        keeps_all(contents(folder), before)
    mend[-1]()
    result = export_failed(catalog=catalog, variables={"RE": engine}, say=said)
    assert bool(result), said
    assert not failed_runs(engine)
    detach_writer(RE=engine, say=said)
    after = contents(folder)
    keeps_all(after, before)
    # what was begun where nothing could be removed, and can be seen by its name
    parts = [path for path in after if path.suffix == ".part"]
    assert not parts or (when == "during" and cause is not full)
    uid = [doc["uid"] for name, doc in documents if name == "start"][-1]
    for name in names:
        new = [
            path
            for path in after
            if path not in parts and path.is_relative_to(folder / name) and after[path] != before.get(path)
        ]
        assert new, name
        if name == "pack":  # its lists have changed as well
            new = [path for path in new if path.parent.name == "documents"]
        assert name == "spec" or all(uid[:7] in path.name for path in new)


def keeps_all(after, before):
    """Files of earlier runs are as they were; SPEC may have added a scan, a pack entered a run."""
    for path, data in before.items():
        if path.suffix == ".dat":
            assert after[path].startswith(data), path
        elif path.name == "documents_manifest.txt":
            assert set(data.splitlines()) <= set(after[path].splitlines()), path
        else:
            assert after[path] == data, path


def row_failed(row):
    return 1 if "FAILED" in row.state else 0


def test_a_file_that_another_program_holds(engine, catalog, tmp_path, said):
    """Another session's SPEC file, as the system sees it."""
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "a.dat"
    attach_writer("spec", path, RE=engine, say=said)
    engine(bp.count([det1]))
    wait_until(lambda: status(engine).rows[0].runs == 1, 60)
    before = path.read_bytes()
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        engine(bp.count([det1]))
        wait_until(lambda: failed_runs(engine), 60)
        assert path.read_bytes() == before
    assert said.having("is being written by another run or session")
    assert export_failed(catalog=catalog, variables={"RE": engine}, say=said)
    detach_writer(RE=engine, say=said)
    assert path.read_bytes().startswith(before)
    assert path.read_bytes().count(b"#S ") == 2


def test_a_folder_that_may_not_be_written_to(tmp_path):
    """Root may write everywhere: here without the capability to."""
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o555)
    code = f"""
from bluesky_export.errors import OutputError
from bluesky_export.outputs import Output, Target
from bluesky_export.formats import writer_class
from tests.replaying import run_of
run = run_of({{"x": [1.0]}})
for name in {PLAIN!r}:
    cls = writer_class(name)
    for target in (Target.parse({str(folder)!r} + "/"), Target.parse({str(folder)!r} + "/a" + cls.suffix)):
        try:
            writer = cls(Output(target, run[0][1], cls.suffix))
            for pair in run:
                writer(*pair)
            writer.close()
        except OutputError as error:
            assert "no permission" in str(error), error
        else:
            raise SystemExit(name + " wrote")
print("refused all")
"""
    assert without_power(code).strip() == "refused all"
    assert not list(folder.iterdir())


def without_power(code):
    """Run code as somebody whom permissions bind; return what it prints."""
    command = [sys.executable, "-c", code]
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root cannot give up its power here: no setpriv")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]
    return done.stdout


def test_a_folder_that_may_not_be_looked_into(tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    code = f"""
from bluesky_export.catalogs.packed import open_folder
from bluesky_export.errors import BlueskyExportError
from bluesky_export.outputs import Target
for ask in (open_folder, lambda path: Target.parse(path + "/deep/x.csv")):
    try:
        ask({str(folder)!r})
    except BlueskyExportError as error:
        print(error)
"""
    catalog, path = without_power(code).splitlines()
    assert catalog.startswith(f"{folder}: no permission to read {folder}/catalog.yml")
    assert path == f"{folder}/deep/x.csv: no permission to look there; choose another folder"
