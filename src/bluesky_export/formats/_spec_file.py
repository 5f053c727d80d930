"""A SPEC file that others have written too: surveyed, locked, appended to, and put back."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import OutputError, RunAlreadyInFile
from ..outputs import explain
from ._spec_survey import Survey, comments_of_others, survey_open

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows has no flock: see SpecFile.locked
    fcntl = None

LOCK_WAIT = 3.0
"""Seconds that a writer waits for another one to finish with the file."""
_LOCK_TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


def already_in_file(path: Path, uid: str) -> RunAlreadyInFile:
    """Return the error for a run that a file has."""
    return RunAlreadyInFile(
        f"{path} holds run {uid[:7]} already, as it was then; SPEC files are only appended to: "
        "give another name",
        path,
    )


class SpecFile:
    """A file that scans are appended to, in whole lines, while it is locked.

    Not thread-safe. What the file held before is never changed, but for a scan of the same run that
    was cut off and is the last one: :meth:`open` takes it away, to be written again.
    :meth:`rollback` removes what was added since, and puts that scan back.

    The lock is the operating system's (``flock``): it goes with the process that has it, so that
    what a killed session leaves is not locked. Programs that ask for no lock (SPEC itself), and file
    systems without locks, are met by a look at the file's size before each write: who finds
    that someone else has written gives up.

    Attributes
    ----------
    locked : bool
        The lock is held; false where the system has none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.survey = Survey()
        self._descriptor: int | None = None
        self._made = False
        self.locked = False
        self.comments: list[str] = []
        """Comments that were typed into the scan that :meth:`open` took away."""
        self._removed = b""  # the lines of that scan
        self._before = 0  # the size when opened
        self._end = 0  # the size after what we wrote

    def __repr__(self) -> str:
        state = "closed" if self._descriptor is None else f"open, {self._end - self._before} bytes added"
        return f"<SpecFile {self.path} {state}>"

    @property
    def is_open(self) -> bool:
        """Whether lines can be written now."""
        return self._descriptor is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in the file yet."""
        return self._end == 0

    def open(self, uid: str) -> None:
        """Open and lock the file for a run; make it if it is not there.

        If its last scan is the beginning of this run, cut off by a kill, that is taken away.

        Raises
        ------
        RunAlreadyInFile
            The file holds this run.
        OutputError
            It is not a SPEC file, another session writes to it, or it cannot be written.
        """
        self._lock()
        try:
            self.survey = survey_open(self._fd, self.path, uid)
            if self.survey.has_run:
                raise already_in_file(self.path, uid)
            self._before = self._end = os.fstat(self._fd).st_size
            if self.survey.tail is not None:
                self._take_away(self.survey.tail)
                self.survey = survey_open(self._fd, self.path, uid)
            if not self.survey.whole:
                self.write("\n")
        except BaseException:
            self.rollback()
            raise

    def _take_away(self, tail: int) -> None:
        with open(self.path, "rb") as file:
            file.seek(tail)
            removed = file.read()
        try:
            os.ftruncate(self._fd, tail)
        except OSError as error:
            raise explain(error, self.path) from error
        self._removed, self.comments = removed, comments_of_others(removed)
        self._before = self._end = tail

    @property
    def _fd(self) -> int:
        if self._descriptor is None:
            raise OutputError(f"{self.path} is not open for writing")
        return self._descriptor

    def _lock(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        until, lost = time.monotonic() + LOCK_WAIT, 0
        while lost < 5:
            try:
                if self.path.is_symlink() and not self.path.exists():
                    raise OutputError(f"{self.path} links to a file that is not there; give another name")
                if self.path.exists() and not stat.S_ISREG(self.path.stat().st_mode):
                    raise OutputError(f"{self.path} is not a file; give another name")
                try:
                    self._descriptor = os.open(self.path, flags | os.O_CREAT | os.O_EXCL, 0o666)
                    self._made = True
                except FileExistsError:
                    self._descriptor = os.open(self.path, flags)
                    self._made = False
            except OutputError:
                raise
            except OSError as error:
                raise explain(error, self.path) from error
            if not self._flock():
                self._made = False
                self.release()
                if time.monotonic() < until:
                    time.sleep(0.05)
                    continue
                raise OutputError(
                    f"{self.path} is being written by another run or session; "
                    "wait for its end or give another name"
                )
            if self._is_ours():
                return
            lost += 1
            self.release()  # another writer gave up and removed it between our open and our lock
        raise OutputError(f"{self.path} appears and disappears; give another name")

    def _flock(self) -> bool:
        """Ask for the lock; false if another one has it."""
        self.locked = False
        if fcntl is None:
            return True
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # A file system without locks (some network shares): the file is still usable.
            return error.errno not in _LOCK_TAKEN
        self.locked = True
        return True

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except FileNotFoundError:
            return False

    def write(self, text: str) -> None:
        """Append complete lines; all of them or none.

        Raises
        ------
        OutputError
            The disk is full, or gone; or another program has written to the file.
        """
        data = memoryview(text.encode("utf-8", "backslashreplace"))
        done = 0
        try:
            if os.fstat(self._fd).st_size != self._end:
                raise OutputError(
                    f"another program writes to {self.path}, too: its lines and this run's would mix. "
                    "Give another name"
                )
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OutputError:
            raise
        except OSError as error:
            # Leave no half a line behind, unless another program wrote after it.
            with suppress(OSError):
                if done and os.fstat(self._fd).st_size == self._end + done:
                    os.ftruncate(self._fd, self._end)
            raise explain(error, self.path) from error
        self._end += done

    def close(self) -> None:
        """Flush what was written to the disk, and unlock. What was written stays."""
        if self._descriptor is None:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise explain(error, self.path, "finish") from error
        self._before = self._end
        self._made, self._removed = False, b""
        self.release()

    def release(self) -> None:
        """Close and unlock without a flush. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def rollback(self) -> bool:
        """Remove what was added since :meth:`open`, and the file if we made it; then close.

        Returns
        -------
        bool
            False if another program has written behind our lines: they were left then.
        """
        if self._descriptor is None and (self._made or self._removed or self._end > self._before):
            try:
                self._descriptor = os.open(self.path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            except FileNotFoundError:
                self._made, self._end = False, self._before
                return True
            if not self._flock():
                self.release()
                return False
        if self._descriptor is None:
            return True
        try:
            if os.fstat(self._descriptor).st_size != self._end:
                return False
            if self._end > self._before:
                os.ftruncate(self._descriptor, self._before)
            if self._removed:
                os.lseek(self._descriptor, 0, os.SEEK_END)
                os.write(self._descriptor, self._removed)  # there was room for it before
                self._removed = b""
            if self._made and self._before == 0 and self._is_ours():
                os.unlink(self.path)
            self._made, self._end = False, self._before
        finally:
            self.release()
        return True
