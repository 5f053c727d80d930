"""Two sessions that write to one folder, under the same names, at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py

from ..formats.spec_readers import READERS
from .one_session import FORMATS, RUNS

ROOT = Path(__file__).parents[2]


def test_nothing_is_clobbered_and_the_loser_is_told(tmp_path):
    command = [sys.executable, "-m", "tests.faults.one_session", str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    pairs = [("a", "b"), ("b", "a")]
    running = [subprocess.Popen([*command, *pair], cwd=ROOT, **pipes) for pair in pairs]
    found = []
    for process in running:
        out, _ = process.communicate(timeout=240)
        assert process.returncode == 0, out[-3000:]
        (line,) = [line for line in out.splitlines() if line.startswith("RESULT ")]
        found.append(json.loads(line.removeprefix("RESULT ")))
    uids = [uid for one in found for uid in one["uids"]]
    assert len(set(uids)) == 2 * RUNS
    # each run is written, or is known to have failed, in each format
    for one in found:
        written = {(uid, name) for uid, name, _ in one["written"]}
        failed = {(uid, name) for uid, name, _ in one["failed"]}
        assert not written & failed
        assert written | failed == {(uid, name) for uid in one["uids"] for name in [*FORMATS, "spec"]}
        for uid, name, error in one["failed"]:
            assert "\n" not in error
            if name == "spec":
                assert "is being written by another run or session" in error
            else:
                assert "give another name" in error, error
                assert any(f"{name}: FAILED" in line and uid[:7] in line for line in one["said"])
        assert set(one["again"]) <= {"spec"}  # the names are still the other's
    # each file is whole, and its owner's
    names = [path for one in found for _, name, files in one["written"] if name != "spec" for path in files]
    assert len(set(names)) == len(names)
    for uid, name, files in (item for one in found for item in one["written"]):
        for path in map(Path, files):
            if path.suffix == ".json":
                assert uid in path.read_text()
            elif name == "hdf5":
                with h5py.File(path) as file:
                    assert file.attrs["uid"] == uid
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("json-")]) == RUNS
    assert not list(tmp_path.glob("*.part"))
    # one SPEC file holds all runs of both, one after the other
    for reader in ("silx", "pymca"):
        assert [len(scan.columns["det1"]) for scan in READERS[reader](tmp_path / "both.dat")] == [
            20
        ] * 2 * RUNS
    text = (tmp_path / "both.dat").read_text()
    assert all(text.count(f".  uid = {uid}\n") == 1 for uid in uids)
