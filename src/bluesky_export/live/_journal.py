"""The journal of one run: its documents, appended to a file as they come.

Bytes are acknowledged when the system has them: what is counted as journaled then survives the end
of this process, however it ends. Where the disk refuses, the file is cut back to what was
acknowledged and the run goes on in memory (:class:`Spill`), at the same offsets; it comes back when
the disk has space again.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..documents.exact import ExactPacker
from ..errors import OutputError
from ..outputs import clean_name
from ._place import memory_folder, memory_path
from ._sink import events_in, one_line

RETRY_EVERY = 2.0
"""Seconds between two looks whether the journal's disk has space again."""
MEMORY_KEPT = 64_000_000
"""Bytes of the memory's file system that are left to others."""


class Memory:
    """The bound on what all runs of a session keep in memory, in bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def take(self, size: int, folder: Path) -> None:
        """Reserve some.

        Raises
        ------
        OutputError
            The bound is reached.
        """
        if self.used + size > self.most or shutil.disk_usage(folder).free < size + MEMORY_KEPT:
            raise OutputError(
                f"the journal's disk is full, and {self.used / 1e6:.0f} MB of memory are used"
            )
        self.used += size


class Spill:
    """Where a run goes on while the journal's disk refuses: a file in memory.

    Attributes
    ----------
    path : Path
        Its name tells which bytes of the journal it stands for: ``<run>.<offset>.spill``.
    """

    def __init__(self, run: str, base: int, memory: Memory) -> None:
        self._memory = memory
        self.base = base
        self.size = 0
        self.path = memory_folder() / f"{run}.{base}.spill"
        self._fd = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)

    def write(self, data: bytes) -> None:
        self._memory.take(len(data), self.path.parent)
        try:
            _write_all(self._fd, data)
        except BaseException:
            self._memory.used -= len(data)
            raise
        self.size += len(data)

    def copy_to(self, fd: int) -> None:
        """Append all of it to the journal."""
        done = 0
        while done < self.size:
            block = os.pread(self._fd, 2**20, done)
            _write_all(fd, block)
            done += len(block)

    def close(self, *, keep: bool) -> None:
        os.close(self._fd)
        if not keep:
            self.path.unlink(missing_ok=True)
            self._memory.used -= self.size


class RunJournal:
    """The file of one run. Used by one thread; others may read its numbers.

    Parameters
    ----------
    folder : Path
        The journal's folder.
    start : Mapping
        The start document, which names the file.
    packer : ExactPacker
        The thread's.
    memory : Memory
        What may be kept in memory while the disk is full.

    Attributes
    ----------
    name : str
        The file's name without suffix.
    events : int
        Events acknowledged.
    size : int
        Bytes acknowledged.
    failure : OutputError or None
        Why documents of this run are not in the journal.
    spill : Spill or None
        Where it goes on in memory.
    """

    def __init__(self, folder: Path, start: Mapping[str, Any], packer: ExactPacker, memory: Memory) -> None:
        self.start = start
        self.uid = str(start["uid"])
        self.events = 0
        self.size = 0
        self.failure: BaseException | None = None
        self.spill: Spill | None = None
        self.trouble = ""
        self._packer = packer
        self._memory = memory
        self._pending: list[bytes] = []
        self._pending_events = 0
        self._retry = 0.0
        self.path, self._fd = _free_path(folder, clean_name(self.uid)), -1
        self.name = self.path.name.removesuffix(".msgpack")

    def add(self, name: str, doc: Any) -> None:
        """Take a document; :meth:`flush` writes it."""
        if self.failure is None:
            try:
                self._pending.append(self._packer.pack(name, doc))
            except BaseException as error:
                self.failure = error
                return
            self._pending_events += events_in(name, doc)

    def comment(self, doc: Mapping[str, Any]) -> None:
        """Keep a comment that was typed, with its place among the documents, in a file beside them.

        Raises
        ------
        OSError
            It cannot be kept.
        """
        if self.failure is not None:
            return
        at = self.size + sum(map(len, self._pending))
        line = json.dumps({"at": at, "doc": dict(doc)}).encode() + b"\n"
        fd = os.open(comments_of(self.path), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            _write_all(fd, line)
        finally:
            os.close(fd)

    def flush(self) -> None:
        """Hand what was taken to the system, and acknowledge it. Does not raise."""
        if self._pending:
            data, count = b"".join(self._pending), self._pending_events
            self._pending, self._pending_events = [], 0
            try:
                self._put(data)
            except (OSError, MemoryError) as error:
                self.failure = error
                return
            self.size += len(data)
            self.events += count
        elif self.spill is not None and time.monotonic() >= self._retry:
            self.restore()

    def _put(self, data: bytes) -> None:
        if self.spill is not None and time.monotonic() >= self._retry:
            self.restore()
        if self.spill is None:
            try:
                _write_all(self._file(), data)
            except OSError as error:
                self.trouble = error.strerror or one_line(error)
                self._cut(self.size)
                self._retry = time.monotonic() + RETRY_EVERY
                self.spill = Spill(self.name, self.size, self._memory)
            else:
                return
        self.spill.write(data)

    def _file(self) -> int:
        if self._fd < 0:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
            self._fd = os.open(self.path, flags, 0o600)
        return self._fd

    def _cut(self, size: int) -> None:
        """Take back what a write that failed has left."""
        if self._fd >= 0:
            with suppress(OSError):
                os.ftruncate(self._fd, size)

    def restore(self) -> bool:
        """Bring back to the disk what went to memory, if the disk takes it by now."""
        spill = self.spill
        if spill is None:
            return True
        self._retry = time.monotonic() + RETRY_EVERY
        try:
            spill.copy_to(self._file())
        except OSError as error:
            self.trouble = error.strerror or one_line(error)
            self._cut(spill.base)
            return False
        self.spill = None
        spill.close(keep=False)
        return True

    def sync(self) -> None:
        """Have the disk itself hold what was written."""
        self.flush()
        if self._fd >= 0:
            with suppress(OSError):
                os.fsync(self._fd)

    def close(self) -> None:
        """Close the files; what is in memory stays there."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self.spill is not None:
            self.spill.close(keep=True)

    def give_up(self) -> None:
        """Take the run out of the catalog that the journal is: documents of it are missing.

        What there is of it is kept beside the catalog, as ``<run>.incomplete``.
        """
        self._pending.clear()
        self.events = 0
        spill, self.spill = self.spill, None
        if spill is not None:
            spill.close(keep=False)
        if self._fd >= 0:
            with suppress(OSError):
                os.rename(self.path, incomplete_of(self.path))
            self.close()


def incomplete_of(journal: Path) -> Path:
    """Return where the documents of a run are if not all of them could be kept."""
    return journal.with_suffix(".incomplete")


def comments_of(journal: Path) -> Path:
    """Return where the comments of a run are: no documents, and so not in its journal."""
    return journal.with_suffix(".comments")


def _free_path(folder: Path, stem: str) -> Path:
    """Return the path for a run; one that was emitted before gets a second file."""
    number = 1
    while True:
        path = folder / f"{stem}{f'~{number}' if number > 1 else ''}.msgpack"
        taken = os.path.lexists(path) or os.path.lexists(incomplete_of(path))
        if not taken and not any(memory_path().glob(f"{glob.escape(path.stem)}.*.spill")):
            return path
        number += 1


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
