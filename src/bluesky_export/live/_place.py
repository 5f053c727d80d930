"""Where the journal is: a folder on a local disk, the user's own, that survives a restart.

::

    <folder>/                     0700
        <uid>.msgpack             the documents of a run: the folder is a databroker catalog
        writers/<session>/
            lock                  locked as long as the session lives
            <n>.json              an attached writer: what it writes, and where to
            <n>.lock              locked by the process that writes for it
            <n>.log               what that process printed
            <n>.at                the run that it is at
            <n>/<run>.json        one run that it is given, and what became of it

The locks are those of POSIX (``fcntl.lockf``): a process that is killed loses them, and one that
is forked does not have them.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ..errors import OutputError
from . import _answer
from ._answer import within
from ._mounts import network_of
from ._sink import Say

WRITERS = "writers"
MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory; what is made there is private


def private_folder(path: Path) -> Path:
    """Make a folder that nobody else can look into.

    Raises
    ------
    OutputError
        It cannot be made, or it is somebody else's.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise OutputError(f"{path} is not a folder of yours; set BlueskyExport.journal to another one")
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)
        os.close(os.open(path / f".probe-{os.getpid()}", os.O_CREAT | os.O_WRONLY, 0o600))
        (path / f".probe-{os.getpid()}").unlink()
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            f"no journal can be kept in {path} ({error.strerror}); "
            "set BlueskyExport.journal to another folder"
        ) from error
    return path


def memory_path() -> Path:
    """Return where :func:`memory_folder` is, or would be."""
    home = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    return home / f"bluesky-export-{os.getuid()}"


def memory_folder() -> Path:
    """Return a private folder in memory, or on the temporary disk where there is none.

    Raises
    ------
    OutputError
        There is no such place.
    """
    return private_folder(memory_path())


def mark_of(writer: Path) -> str:
    """Return by what the temporary files of an attached writer are known, whichever process makes them."""
    return f"{writer.parent.name.rpartition('-')[2]}-{writer.name}"


class Lock:
    """A lock on a file, held until :meth:`release` or the end of this process.

    Raises
    ------
    BlockingIOError
        Another process holds it.
    """

    _here: set[Path] = set()  # noqa: RUF012 - a second lock in one process would succeed, its closing free both

    def __init__(self, path: Path) -> None:
        self.path = path
        if path in self._here:
            raise BlockingIOError(f"{path} is locked by this process")
        self._fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise BlockingIOError(f"{path} is locked by another process") from error
        self._pid = os.getpid()
        self._here.add(path)

    def release(self) -> None:
        """Let others have it. In a forked child nothing happens: the lock is its parent's."""
        if self._pid == os.getpid() and self.path in self._here:
            self._here.discard(self.path)
            os.close(self._fd)


def is_locked(path: Path) -> bool:
    """Say whether a living process, this one included, holds a lock."""
    try:
        lock = Lock(path)
    except BlockingIOError:
        return True
    lock.release()
    return False


class Place:
    """A session's part of a journal folder.

    Parameters
    ----------
    folder : Path
        The journal's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = private_folder(folder)
        private_folder(folder / WRITERS)
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{secrets.token_hex(3)}"
        self.session = private_folder(folder / WRITERS / name)
        self._lock = Lock(self.session / "lock")
        self._writers = 0

    def next_writer(self) -> Path:
        """Return the path, without suffix, of the files of one more attached writer."""
        self._writers += 1
        return self.session / str(self._writers)

    def close(self) -> None:
        """Give the session's part up; it is removed if there is nothing in it."""
        self._lock.release()
        remove_if_done(self.session)


def open_place(find: Callable[[], Path], say: Say) -> Place:
    """Return the session's part of a journal folder, in memory if the folder cannot be used.

    Parameters
    ----------
    find : callable
        Returns the folder.
    say : callable
        Shows a line to the user.

    Raises
    ------
    OutputError
        Neither can be used.
    """

    def look() -> tuple[Place, str]:
        folder = find()
        return Place(folder), network_of(folder)

    try:
        place, share = within(_answer.FIRST_LOOK, "the journal's folder", look)
        if share:
            say(
                f"warning: the journal's folder {place.folder} is on a network share ({share}): if that "
                "stalls, what is measured waits in memory. Set BlueskyExport.journal to a local disk"
            )
        return place
    except (OSError, OutputError) as error:
        place = Place(memory_folder() / "journal")
        say(f"journal: {error}. For now it is in {place.folder}, which a restart of the machine empties")
        return place


def remove_if_done(session: Path) -> None:
    """Remove what is left of a session of which no run is remembered."""
    with suppress(OSError):
        if any(session.glob("*/*.json")):
            return
        for path in sorted(session.glob("**/*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        session.rmdir()


def dead_sessions(folder: Path) -> Iterator[Path]:
    """Yield the sessions that have ended, oldest first."""
    for lock in sorted((folder / WRITERS).glob("*/lock")):
        if not is_locked(lock):
            yield lock.parent
