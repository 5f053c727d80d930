"""A disk that fills while HDF5 writes: the run is refused, and the process lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..sampling import all_or_drawn

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", all_or_drawn("full disk under HDF5", ["hdf5", "nexus"], 1))
def test_the_disk_fills_at_every_step(small_disk, name):
    """HDF5 crashed the process: releasing a handle on a full disk is a segmentation fault."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.filling", str(small_disk), name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (done.returncode, lines[-3:], done.stderr[-2000:])
    assert lines[-1] == "came through"
    assert sum("refused" in line for line in lines) > 2
    assert sum("No space left" in line for line in lines) == sum("refused" in line for line in lines)
