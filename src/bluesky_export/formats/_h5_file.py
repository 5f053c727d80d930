"""A file beneath HDF5 that never fails, so that HDF5 never meets a full disk.

HDF5 keeps back some of what it is given. If the disk is full when it writes that, or the quota used up, or
the share gone, it tries again as its objects are released, where no exception can be raised, until it
crashes the process. So it writes through :class:`SafeFile`: the first error is kept there, what
comes after goes nowhere, and :func:`check` raises the error where Python can see it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import h5py

from ._h5_behind import Behind

KEPT, KEPT_IN_ALL = 2**18, 2**26
"""Bytes: larger writes after an error are raw data, which HDF5 does not read again; and who goes on for
that long without a look at the error is not helped by the rest."""

_open: dict[int, SafeFile] = {}
"""HDF5's number of each file that is open."""


class SafeFile:
    """A new HDF5 file, and what h5py's driver for file objects calls to write it, of which nothing raises.

    Parameters
    ----------
    path : Path
        The file; what is in it is removed.
    **options
        Of :class:`h5py.File`.

    Attributes
    ----------
    file : h5py.File
        The HDF5 file. It is for :meth:`close` or :meth:`abandon` to close it.
    error : BaseException or None
        What went wrong first, or what came in between (Ctrl-C).

    Raises
    ------
    OSError
        The file cannot be opened.
    """

    def __init__(self, path: Path, **options: Any) -> None:
        self._path = path
        self._at = self._end = 0
        self._kept: list[tuple[int, bytes]] = []
        self._room = KEPT_IN_ALL
        self.error: BaseException | None = None
        self._raw = FileIO(path, "w+")
        self._behind = Behind(self._raw.fileno(), self._fail)
        try:
            self.file = h5py.File(self, "w", **options)
        except BaseException:
            self._behind.join()
            self._raw.close()
            raise
        self._number: int | None = self.file.id.id
        _open[self.file.id.id] = self

    # -- for HDF5 --------------------------------------------------------------------------

    def __repr__(self) -> str:
        return str(self._path)  # h5py's File.filename

    def read(self, size: int = -1) -> bytes:
        """Read; h5py asks for this method, and calls :meth:`readinto`."""
        buffer = bytearray(self._end - self._at if size < 0 else size)
        self.readinto(buffer)
        return bytes(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file."""
        self._at = self._end + offset if whence == os.SEEK_END else offset
        return self._at

    def tell(self) -> int:
        """Say where in the file we are."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read what HDF5 has written, also after an error; zeros beyond it."""
        view = memoryview(buffer).cast("B")
        begin, end = self._at, self._at + len(view)
        self._at = end
        done = 0
        try:
            self._raw.seek(begin)
            while done < len(view) and (got := self._raw.readinto(view[done:])):
                done += got
        except BaseException as error:
            self.error = self.error or error
        view[done:] = bytes(len(view) - done)
        for place, text in self._kept:
            first, last = max(place, begin), min(place + len(text), end)
            if first < last:
                view[first - begin : last - begin] = text[first - place : last - place]
        return len(view)

    def write(self, buffer: Any) -> int:
        """Write, or after an error keep what HDF5 may read again."""
        view = memoryview(buffer).cast("B")
        begin = self._at
        self._at += len(view)
        self._end = max(self._end, self._at)
        done = 0
        if self.error is None:
            try:
                self._raw.seek(begin)
                while done < len(view):
                    done += self._raw.write(view[done:])
                self._behind.wrote(done)
            except BaseException as error:
                self.error = error
        if self.error is not None and len(view) <= min(KEPT, self._room):
            self._room -= len(view)
            self._kept.append((begin, bytes(view)))
        return len(view)

    def truncate(self, size: int) -> int:
        """Set the length of the file."""
        self._end = size
        if self.error is None:
            try:
                self._raw.truncate(size)
            except BaseException as error:
                self.error = error
        return size

    def flush(self) -> None:
        """Nothing is kept back here."""

    # -- for us ----------------------------------------------------------------------------

    def close(self) -> None:
        """Close the HDF5 file. Safe to call twice.

        Raises
        ------
        OSError
            Not all of it could be written; a share may tell so only now.
        """
        self._close()
        if self.error is not None:
            raise self.error

    def abandon(self) -> None:
        """Close an HDF5 file that is to be thrown away. Safe to call twice."""
        self.error = self.error or OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
        with suppress(Exception):  # the first error is the one to tell
            self._close()

    def _fail(self, error: BaseException) -> None:
        self.error = self.error or error

    def _close(self) -> None:
        if self._number is None:
            return
        del _open[self._number]
        self._number = None
        try:
            self.file.close()
        finally:
            self._behind.join()
            self._kept.clear()
            try:
                self._raw.close()
            except OSError as error:
                self.error = self.error or error


def check(obj: Any) -> None:
    """Raise what went wrong in writing the file that a dataset or a group is in, if anything has.

    Call it before something large is written: what is written after an error goes nowhere.
    """
    checker(obj)()


def checker(obj: Any) -> Callable[[], None]:
    """Return :func:`check` of a dataset or a group, to be called again and again while its file is open."""
    beneath = _open.get(h5py.h5i.get_file_id(obj.id).id)

    def look() -> None:
        if beneath is not None and beneath.error is not None:
            raise beneath.error

    return look
