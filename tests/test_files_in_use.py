"""Detector files that another process has open, and is still writing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bluesky_export.testing import RUNS

from .fidelity import hold
from .replaying import replay

HOLDS = """
import sys, h5py
with h5py.File(sys.argv[1]) as old:
    images = old["/entry/data/data"][()]
file = h5py.File(sys.argv[1], "w", libver="latest")  # as SWMR asks
dataset = file.create_dataset(
    "/entry/data/data", data=images, chunks=(1, *images.shape[1:]), maxshape=(None, *images.shape[1:])
)
file.flush()
if sys.argv[2] == "swmr":
    file.swmr_mode = True
if sys.argv[3] == "more":
    dataset.resize(dataset.shape[0] + 2, axis=0)
    dataset[-2:] = 7
    dataset.flush()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path: Path):
    """Have a process hold a file open until the test is over."""
    processes = []

    def hold_open(path: Path, how: str, more: str = "") -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS, str(path), how, more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout.readline() == "open\n"

    yield hold_open
    for process in processes:
        process.communicate()


@pytest.mark.parametrize("name", ["hdf5", "nexus"])
@pytest.mark.parametrize(("how", "more"), [("swmr", ""), ("swmr", "more"), ("locked", "")])
def test_a_file_that_is_still_open(held, name, how, more, tmp_path):
    """What can be read is right; what cannot is named, and the rest is written."""
    made = RUNS["ad-hdf5"].make(tmp_path / "detectors")
    (path,) = (tmp_path / "detectors").rglob("*.h5")
    held(path, how, more)
    written = replay(name, made.documents, tmp_path)
    if written.partial:
        assert any("image" in notice and str(path) in notice for notice in written.notices)
        made.external["primary", "image"] = [None] * 3
    assert written.partial == (how == "locked")
    hold(written, made)


@pytest.mark.parametrize("name", ["hdf5", "nexus"])
def test_a_file_that_grows_meanwhile(held, name, tmp_path):
    """An unfinished run whose detector is ahead of the events: no frame but theirs."""
    made = RUNS["ad-hdf5"].make(tmp_path / "detectors")
    made.documents.pop()
    (path,) = (tmp_path / "detectors").rglob("*.h5")
    held(path, "swmr", "more")
    written = replay(name, made.documents, tmp_path)
    assert written.status == "unfinished"
    hold(written, made)
    assert np.shape(made.external["primary", "image"])[0] == 3
