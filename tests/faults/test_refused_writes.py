"""A share that refuses each write in turn, once or from then on: earlier files stay, nothing is half."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..sampling import drawn
from . import PLAIN
from .conftest import ROOT

IMAGES = [f"{name} images" for name in ("hdf5", "nexus", "dx", "tiff", "pack")]
"""Formats that copy a detector's frames."""
CASES = [*(f"{name} numbers" for name in PLAIN), "spec appended", *IMAGES]


def refuse(share, case, step):
    order = share.backing.with_name(f"{share.backing.name}.refuse")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.faults.refusing",
            str(share.folder),
            str(order),
            *case.split(),
            str(step),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (done.returncode, lines[-3:], done.stderr[-3000:])
    assert [line.split()[0] for line in lines if "came through" in line] == ["once", "always"]
    assert sum("refused" in line for line in lines) > 1


@pytest.mark.parametrize("case", drawn("refused writes", CASES, 1))
def test_some_writes(share, case):
    refuse(share, case, 9)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
@pytest.mark.timeout(3600)
def test_every_write(share, case):
    refuse(share, case, 1)
