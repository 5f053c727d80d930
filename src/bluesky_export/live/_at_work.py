"""Which run a process is at, in a file that tells the next one if it dies."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SIZE = 512
"""Bytes; more than a file name can have."""


class AtWork:
    """The name of one run, written when it changes.

    Parameters
    ----------
    path : Path
        The file.

    Attributes
    ----------
    before : str
        The run that the process before was at last; empty if there was none.
    """

    def __init__(self, path: Path) -> None:
        self._fd = -1
        self.before = ""
        with suppress(OSError):  # a full disk: then no death is put down to a run
            self._fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            self.before = os.pread(self._fd, SIZE, 0).decode("utf-8", "replace").strip()
        self._now = self.before

    def note(self, run: str) -> None:
        """Note that it is at this run from now on."""
        if run != self._now and self._fd >= 0:
            self._now = run
            with suppress(OSError):
                os.pwrite(self._fd, run.encode().ljust(SIZE), 0)

    def close(self) -> None:
        """Note that nothing is in hand, and close the file."""
        if self._fd >= 0:
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1
