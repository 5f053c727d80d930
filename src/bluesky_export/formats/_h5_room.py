"""Room on the disk for an HDF5 file, taken before HDF5 writes.

HDF5 keeps back some of what it is given. If the disk is full when it writes that, it tries again as
its objects are released, where no exception can be raised, until it crashes the process. So the file
system is made to promise the space first (``fallocate``), behind the end of the file: what HDF5 then
writes has its place, whatever else fills the disk meanwhile. Where the system cannot promise, the
free space is looked at.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

MARGIN = 8 * 2**20
"""Bytes taken beyond what is asked for: names, attributes, and what HDF5 adds by itself."""
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE: HDF5 alone says how long the file is
_CANNOT = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL, errno.ENODEV, errno.ESPIPE}

_taken: dict[tuple[int, int], int] = {}
"""Device and inode of each file that is being written → up to where its space is promised."""


def begin(file: Any) -> None:
    """Take the first room for a file that was opened just now.

    Raises
    ------
    OSError
        The disk is full.
    """
    if (descriptor := _descriptor(file)) is not None:
        _taken.pop(_identity(descriptor), None)
    check_room(file)


def check_room(obj: Any, size: int = 0) -> None:
    """Take room for so many bytes, before they are written.

    Parameters
    ----------
    obj : h5py.Group or h5py.Dataset
        Anything in the file.
    size : int
        Bytes.

    Raises
    ------
    OSError
        The disk is full, or the user's quota is used up.
    """
    file = obj.file
    descriptor = _descriptor(file)
    if descriptor is None:
        return  # in memory
    needed = file.id.get_filesize() + size  # what HDF5 has not written yet is counted
    key = _identity(descriptor)
    known = _taken.get(key, 0)
    if needed + MARGIN // 2 <= known:
        return
    wanted = needed + MARGIN
    if _promise(descriptor, known, wanted - known):
        _taken[key] = wanted
    elif _free(file) < size + MARGIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def finish(path: Path) -> None:
    """Give back what was promised to a file that is closed now, and not used."""
    with suppress(OSError):  # it was thrown away, or is another's to look after
        found = os.stat(path)
        if _taken.pop((found.st_dev, found.st_ino), None) is not None:
            os.truncate(path, found.st_size)


def abandon(file: Any) -> None:
    """Let all that HDF5 still wants to write into a file go nowhere. Call it when writing has failed.

    The file is to be thrown away, so what lies beneath it is exchanged for memory, which does not
    fail. Then it is closed.
    """
    descriptor = _descriptor(file)
    if descriptor is not None:
        _taken.pop(_identity(descriptor), None)
        with suppress(OSError):
            if hasattr(os, "memfd_create"):
                nowhere = os.memfd_create("abandoned")
                os.dup2(nowhere, descriptor, inheritable=False)
                os.close(nowhere)
            else:
                with tempfile.TemporaryFile() as other:
                    os.dup2(other.fileno(), descriptor, inheritable=False)
    with suppress(Exception):  # the first error is the one to tell
        file.close()


def _descriptor(file: Any) -> int | None:
    try:
        handle = file.id.get_vfd_handle()
    except Exception:  # not every driver has one
        return None
    return handle if isinstance(handle, int) else None


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _promise(descriptor: int, start: int, size: int) -> bool:
    """Have the file system keep room; false where it has no way to."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (
        ctypes.c_int(descriptor),
        ctypes.c_int(_KEEP_SIZE),
        ctypes.c_int64(start),
        ctypes.c_int64(size),
    )
    while getattr(libc, "fallocate64", libc.fallocate)(*arguments) != 0:
        code = ctypes.get_errno()
        if code in _CANNOT:
            return False
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return True


def _free(file: Any) -> int:
    try:
        return shutil.disk_usage(os.path.dirname(os.fsdecode(file.filename)) or ".").free
    except OSError:  # nobody knows
        return sys.maxsize
