"""A RunEngine for each test, and a look at what the test left behind: as for the live writers."""

from __future__ import annotations

import os
import subprocess

import pytest

from ..live.conftest import documents, engine, nothing_left, said

__all__ = ["documents", "engine", "nothing_left", "said"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 24 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "bluesky-export-test", str(folder)]
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no file system can be mounted here: needs root")
    yield folder
    os.chdir(tmp_path)
    subprocess.run(["umount", "-l", str(folder)], check=True)
