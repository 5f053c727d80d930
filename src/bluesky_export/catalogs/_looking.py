"""What is in a folder now: the files that a pattern matches, and what the file system says of each."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ..errors import CatalogUnavailable

Stamp = tuple[Any, ...]
"""What changes when a file changes: see :data:`_stamp_of`."""

_stamp_of: Callable[[os.stat_result], Stamp] = attrgetter(
    "st_mtime", "st_mtime_ns", "st_size", "st_ino", "st_ctime_ns"
)
"""Modification time in s (databroker's) and in ns, size, inode; and the time that nobody can set back."""

Look = tuple[list[str], list[Stamp]]
"""Paths, and the stamp of each."""

_WILD = re.compile(r"[*?[]")
_BELOW_A_FOLDER = os.listdir in os.supports_fd and os.stat in os.supports_dir_fd
"""Whether a file can be asked for below an open folder, so that the folder's path is gone through once."""


def look(pattern: str) -> Look:
    """Return what :func:`glob.glob` gives for a pattern, with the stamp of each file.

    A name that leads nowhere (a file removed since, a broken link) is left out. Every file is asked
    for at every look. That the folder has not changed would not do: its time says that no name came or
    went, and nothing of a file that is written again in place, or of one that was empty.

    Parameters
    ----------
    pattern : str
        With wildcards in the last part (``/data/*.msgpack``), elsewhere, or nowhere.

    Raises
    ------
    CatalogUnavailable
        A folder or a file is there and cannot be asked for.
    """
    folder, name = os.path.split(pattern)
    if not _WILD.search(name):
        return _stamps(glob.glob(pattern))
    if not _WILD.search(folder):
        return _in_folder(folder, name)
    paths, stamps = [], []
    for one in glob.glob(folder):
        if os.access(one, os.R_OK):  # a wildcard leads to folders that are not meant for everybody
            more = _in_folder(one, name)
            paths += more[0]
            stamps += more[1]
    return paths, stamps


def _in_folder(folder: str, name: str) -> Look:
    here = folder or os.curdir
    place = None
    try:
        if _BELOW_A_FOLDER:
            place = os.open(here, os.O_RDONLY | os.O_DIRECTORY)
        names = fnmatch.filter(os.listdir(here if place is None else place), name)
        if not name.startswith("."):
            names = [one for one in names if one[0] != "."]
        return _stamps(names, os.path.join(folder, ""), place)
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    except OSError as error:
        if isinstance(error, CatalogUnavailable):
            raise
        raise CatalogUnavailable(f"{here} cannot be read: {error.strerror}") from error
    finally:
        if place is not None:
            os.close(place)


def _stamps(names: list[str], before: str = "", place: int | None = None) -> Look:
    paths = [before + name for name in names]
    asked = paths if place is None else names
    ask = os.stat
    try:
        return paths, [_stamp_of(ask(name, dir_fd=place)) for name in asked]
    except OSError:
        return _one_by_one(asked, paths, place)


def _one_by_one(asked: list[str], paths: list[str], place: int | None) -> Look:
    found: Look = [], []
    for name, path in zip(asked, paths, strict=True):
        try:
            stamp = _stamp_of(os.stat(name, dir_fd=place))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CatalogUnavailable(f"{path} cannot be reached: {error.strerror}") from error
        found[0].append(path)
        found[1].append(stamp)
    return found
