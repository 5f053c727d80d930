"""Runs that are interrupted, and sessions that are left: what is in the file says so."""

from __future__ import annotations

import json
import re

import h5py
import pexpect
import pytest
from bluesky import plan_stubs as bps
from ophyd.sim import det1

from bluesky_export.attach import attach_writer, detach_writer

from ..formats import spec_readers
from ..test_terminal import EXAMPLES, Terminal
from . import some

POINTS = 3


def status_in(name, path):
    """Return the exit status that a file tells; None if it tells none."""
    if name == "spec":
        found = re.findall(r"exit_status = (.*)", path.read_text())
        return found[0].split(":")[0] if found else None
    if name == "csv":
        return json.loads(next(path.parent.glob("*-metadata.json")).read_text())["status"]
    if name == "json":
        whole = json.loads(path.read_text())
        return whole.get("status") or (whole.get("stop") or {}).get("exit_status")
    if name == "jsonl":
        last = json.loads(path.read_text().splitlines()[-1])
        return last[1].get("exit_status") if last[0] == "stop" else "unfinished"
    if name == "hdf5":
        with h5py.File(path) as file:
            return file.attrs["exit_status"]
    if name == "nexus":
        with h5py.File(path) as file:
            return file["entry/instrument/bluesky/exit_status"][()].decode()
    return None


@pytest.mark.sample(2)
@pytest.mark.parametrize("how", ["abort", "halt", "stop"])
def test_an_interrupted_run_is_marked_in_every_format(engine, tmp_path, said, how, request):
    names = some(request, 5)
    for name in names:
        (tmp_path / name).mkdir()
        path = tmp_path / name / "a.dat" if name == "spec" else tmp_path / name
        attach_writer(name, path, RE=engine, say=said)

    def plan():
        yield from bps.open_run()
        for _ in range(POINTS):
            yield from bps.trigger_and_read([det1])
        yield from bps.pause()

    with pytest.raises(Exception, match="paused"):
        engine(plan())
    getattr(engine, how)()
    wanted = {"abort": "abort", "halt": "abort", "stop": "success"}[how]
    result = detach_writer(RE=engine, say=said)
    assert not result.failed
    assert [item.status for item in result.written] == [wanted] * len(names)
    for item in result.written:
        assert item.events == POINTS
        assert status_in(item.format, item.files[0]) in (wanted, None), item.format
    told = {item.format for item in result.written if status_in(item.format, item.files[0]) == wanted}
    assert told >= {"spec", "csv", "hdf5", "nexus", "jsonl"} & set(names)


@pytest.fixture
def terminal(tmp_path):
    terminal = Terminal(EXAMPLES / "databroker_session.py", tmp_path)
    yield terminal
    terminal.child.close(force=True)


def begin(terminal, tmp_path):
    """Type a scan that takes for ever, and wait for its third row in the SPEC file."""
    for name in ("spec a.dat", "hdf5", "jsonl"):
        assert "attached" in terminal.type(f"%attach_writer {name}")
    terminal.child.sendline("uids = RE(bp.count([noisy], 10_000, delay=0.1))")
    terminal.number += 1
    path = tmp_path / "a.dat"
    for _ in range(600):
        if path.exists() and len(re.findall(r"^\d", path.read_text(), re.MULTILINE)) > 2:
            return path
        pause(terminal)
    raise AssertionError("no rows came")


def pause(terminal):
    """Wait a moment, and take what the terminal shows meanwhile."""
    terminal.child.expect([pexpect.TIMEOUT], timeout=0.3)


def test_ctrl_c_twice_and_abort(terminal, tmp_path):
    path = begin(terminal, tmp_path)
    terminal.child.sendintr()
    pause(terminal)
    terminal.child.sendintr()
    terminal._prompt()
    assert terminal.type("RE.state").endswith("'paused'")
    terminal.type("_ = RE.abort()")
    said = terminal.type("files = %detach_writer")
    assert said.count("detached: 1 run") == 3, said
    check_all(tmp_path, path, "abort")
    terminal.leave()


def test_leaving_in_the_middle_of_a_run(terminal, tmp_path):
    path = begin(terminal, tmp_path)
    terminal.child.sendintr()
    pause(terminal)
    terminal.child.sendintr()
    terminal._prompt()
    terminal.leave()
    check_all(tmp_path, path, "unfinished")


def check_all(folder, path, wanted):
    """The files are whole, hold the same rows, and say that the run was interrupted."""
    (hdf5,), (jsonl,) = folder.glob("*.h5"), folder.glob("*.jsonl")
    assert status_in("spec", path) == wanted
    assert status_in("hdf5", hdf5) == wanted
    assert status_in("jsonl", jsonl) == wanted
    (scan,) = spec_readers.silx(path)
    with h5py.File(hdf5) as file:
        assert file["primary/noisy_det"][()].tolist() == scan.columns["noisy_det"].tolist()
    assert not list(folder.glob("*.part"))


def test_unloading_the_extension_in_the_middle_of_a_run(terminal, tmp_path):
    path = begin(terminal, tmp_path)
    terminal.child.sendintr()
    pause(terminal)
    terminal.child.sendintr()
    terminal._prompt()
    said = terminal.type("%unload_ext bluesky_export")
    assert "live writing has ended" in said or "written to its end" in said, said
    terminal.type("_ = RE.abort()")
    terminal.leave()
    check_all(tmp_path, path, "abort")
