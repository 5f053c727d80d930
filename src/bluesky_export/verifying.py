"""The verb ``verify``: whether everything is in a bundle, as it was written."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from .bundles import MANIFEST, _names, sum_up
from .errors import OutputError
from .printing import printable
from .results import counted

_DAMAGED = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What is raised by a file that cannot be read, and by a ZIP file with a wrong sum or a torn stream."""


@dataclass
class Verified:
    """What was found in a bundle; true if nothing is wrong with it.

    Attributes
    ----------
    path : Path
        The bundle.
    good : int
        Files that are as the manifest says.
    missing, changed, extra, unreadable : list of str
        Names of files that are not there, differ, are not in the manifest, cannot be read.
    """

    path: Path
    good: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return not (self.missing or self.changed or self.extra or self.unreadable)

    def report(self) -> dict[str, Any]:
        """Return the findings for a program."""
        names = ("missing", "changed", "extra", "unreadable")
        return {"path": str(self.path), "ok": bool(self), "good": self.good} | {
            name: getattr(self, name) for name in names
        }

    def __str__(self) -> str:
        lines = [
            f"{what} {printable(name)}"
            for what in ("missing", "changed", "extra", "unreadable")
            for name in getattr(self, what)
        ]
        wrong = "1 file is not as it was" if len(lines) == 1 else f"{len(lines)} files are not as they were"
        end = "all files are here and unchanged" if self else wrong
        return "\n".join([*lines, f"{self.path}: {counted(self.good, 'file')} verified, {end}"])


def verify(path: str | Path) -> Verified:
    """Compare a bundle, a folder or a ZIP file, with its manifest.

    Raises
    ------
    OutputError
        It is not there or cannot be read, or is no bundle: there is no manifest, or it cannot be
        understood.
    """
    place = Path(path).expanduser().absolute()
    with ExitStack() as stack:
        try:
            if place.is_dir():
                names, opened = list(_names(place)), _in_folder(place)
            else:
                archive = stack.enter_context(zipfile.ZipFile(place))
                names, opened = _in_zip(archive)
        except FileNotFoundError:
            raise OutputError(f"{place} is not there") from None
        except zipfile.BadZipFile as error:
            raise OutputError(f"{place} is neither a folder nor a whole ZIP file: {error}") from None
        except OSError as error:
            raise OutputError(f"cannot read {place}: {error.strerror or error}") from error
        return _compare(place, names, opened)


Opener = Callable[[str], IO[bytes]]


def _in_folder(place: Path) -> Opener:
    def opened(name: str) -> IO[bytes]:
        path = place / name
        if path.is_symlink() or not path.is_file():
            raise OSError("not a file")
        return path.open("rb")

    return opened


def _in_zip(archive: zipfile.ZipFile) -> tuple[list[str], Opener]:
    """Return the names in a ZIP file below its one folder, and what opens them; nothing is unpacked."""
    files = [info for info in archive.infolist() if not info.is_dir()]
    manifests = [info.filename for info in files if info.filename.rpartition("/")[2] == MANIFEST]
    top = min(manifests, key=len, default=MANIFEST)[: -len(MANIFEST)]
    inside = [(info.filename.removeprefix(top), info) for info in files]
    twice = {name for name, times in Counter(name for name, _ in inside).items() if times > 1}
    by_name = dict(inside)

    def opened(name: str) -> IO[bytes]:
        if name in twice:
            raise OSError("twice in the ZIP file")
        return archive.open(by_name[name])

    return list(by_name), opened


def _compare(place: Path, names: list[str], opened: Opener) -> Verified:
    declared = _manifest(place, names, opened)
    found = Verified(place)
    here = set(names) - {MANIFEST}
    found.missing = sorted(declared.keys() - here)
    found.extra = sorted(here - declared.keys())
    for name in sorted(declared.keys() & here):
        try:
            with opened(name) as file:
                size, digest = sum_up(file)
        except _DAMAGED:
            (found.changed if zipfile.is_zipfile(place) else found.unreadable).append(name)
            continue
        if (size, digest) == (declared[name].get("size"), declared[name].get("sha256")):
            found.good += 1
        else:
            found.changed.append(name)
    return found


def _manifest(place: Path, names: list[str], opened: Opener) -> dict[str, dict[str, Any]]:
    if MANIFEST not in names:
        raise OutputError(f"{place} is no bundle: it has no {MANIFEST}")
    try:
        with opened(MANIFEST) as file:
            whole = json.load(file)
        files = whole["files"]
        if not (isinstance(files, dict) and all(isinstance(one, dict) for one in files.values())):
            raise TypeError("files")
    except (*_DAMAGED, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{place}: {MANIFEST} cannot be read ({type(error).__name__}: {error})") from None
    return files
