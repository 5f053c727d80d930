"""A RunEngine for each test, and a look at what the test left behind: as for the live writers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..live.conftest import documents, engine, nothing_left, said

__all__ = ["documents", "engine", "nothing_left", "said"]

ROOT = Path(__file__).parents[2]


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


class Share:
    """A mounted share, and the process that is its server."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.backing = folder / "share", folder / "backing"
        for path in (self.folder, self.backing):
            path.mkdir()
        command = [sys.executable, "-m", "tests.faults.share", str(self.folder), str(self.backing)]
        self.server = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.server.stdout is not None
        self.ready = self.server.stdout.readline() == "mounted\n"

    def hang(self) -> None:
        os.kill(self.server.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.server.pid, signal.SIGCONT)

    def end(self) -> None:
        if self.ready:
            self.go_on()
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
        self.server.kill()
        self.server.communicate()


@pytest.fixture
def share(tmp_path):
    """A share, mounted by the kernel."""
    if not os.access("/dev/fuse", os.W_OK):
        pytest.skip("no file system in a process can be mounted here: needs root and /dev/fuse")
    share = Share(tmp_path)
    try:
        if not share.ready:
            pytest.skip("no file system in a process can be mounted here: needs root")
        yield share
    finally:
        share.end()
