"""A file that grows by whole lines: whoever follows it sees no half of one."""

from __future__ import annotations

from pathlib import Path

AT_ONCE = 2**16
"""Bytes that are collected before they are handed to the system, if no flush comes before."""


class Lines:
    """A new file, written to in whole lines (or documents), each of them in one piece with others.

    The buffer of an open file is handed on whenever it is full, in the middle of a line; a reader of a
    growing file (``tail -f``, pandas) would take that half for the last one.

    Parameters
    ----------
    path : Path
        The file; what it holds is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._collected: list[bytes] = []
        self._size = 0

    def write(self, lines: bytes) -> None:
        """Take one line or several, each with its end."""
        self._collected.append(lines)
        self._size += len(lines)
        if self._size >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Hand what was taken to the system.

        Raises
        ------
        OSError
            It was not taken, or not all of it; what is left is tried again the next time.
        """
        rest = memoryview(b"".join(self._collected))
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        finally:
            self._collected, self._size = ([rest.tobytes()] if rest else []), len(rest)

    def close(self) -> None:
        """Hand on what is left and close the file, also if that fails. Safe to call twice."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()
