"""A hand-off that can be checked: the files of an export, an index of the runs, sums, and a README.

::

    <name>/
      README.txt       what each file is, how to open it, the versions it was written with
      index.csv        a line for each file: run, plan, time, status, format, what was left out
      manifest.json    size and SHA-256 of every other file (what ``bluesky-export verify`` checks)
      files/…          the files

A bundle is a folder, or a ZIP file that holds one. It is made under a temporary name beside its final one
and renamed when it is whole; what is there already is never touched.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Literal

from . import formats
from .errors import OutputError, TargetExists
from .formats import Written
from .outputs import clean_name, explain, own_version, stamp
from .printing import printable

Kind = Literal["zip", "folder"]

MANIFEST, INDEX, README, FILES = "manifest.json", "index.csv", "README.txt", "files"
CHECK = """\
import hashlib, json, os
def sha256(name):
    found = hashlib.sha256()
    with open(name, "rb") as file:
        for block in iter(lambda: file.read(2**20), b""):
            found.update(block)
    return found.hexdigest()
for name, known in json.load(open("manifest.json"))["files"].items():
    if not os.path.isfile(name) or sha256(name) != known["sha256"]:
        print(name)
"""
"""How to check a bundle with nothing but Python; stands in its README."""
_BLOCK = 2**20
_SOFTWARE = ("bluesky-export", "bluesky", "databroker", "tiled", "event-model", "numpy", "h5py", "pyarrow")
_COLUMNS = (
    "file",
    "format",
    "scan_id",
    "uid",
    "plan_name",
    "started",
    "status",
    "events",
    "partial",
    "notes",
)


class Bundle:
    """One bundle that is being made; the export writes into :attr:`files`.

    Parameters
    ----------
    path : Path
        Its final path: a folder, or a file that ends in ``.zip``.
    kind : {"zip", "folder"}
        Which it shall be.

    Raises
    ------
    TargetExists
        Something has the name already.
    OutputError
        The folder around it is missing or cannot be written to.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path, self.kind = path, kind
        if os.path.lexists(path):
            raise TargetExists(
                f"{path} exists, and a bundle is never written over; give another name", path
            )
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent))
            # mkdtemp is for secrets; a bundle is for others, as far as the umask lets it.
            os.chmod(self._folder, 0o777 & ~_umask())
            self._root = self._folder / clean_name(path.stem if kind == "zip" else path.name)
            self.files = self._root / FILES
            self.files.mkdir(parents=True)
        except OSError as error:
            raise explain(error, path) from error

    def finish(
        self, written: list[Written], starts: dict[str, Any], absent: Sequence[tuple[str, str]] = ()
    ) -> Path:
        """Describe the files, sum them, and give the bundle its name.

        Parameters
        ----------
        written : list of Written
            What is in it.
        starts : dict
            The start document of each run, by uid.
        absent : sequence of (str, str)
            What was asked for and could not be written: the run, as messages call it, and the format.

        Returns
        -------
        Path
            The absolute path.
        """
        try:
            rows = list(self._rows(written, starts))
            (self._root / INDEX).write_text(_table(rows), encoding="utf-8", newline="")
            (self._root / README).write_text(self._readme(written, rows, absent), encoding="utf-8")
            sums = {name: _sum_of(self._root / name) for name in sorted(_names(self._root))}
            manifest = {
                "format": "bluesky-export bundle",
                "version": 1,
                "files": {name: {"size": size, "sha256": digest} for name, (size, digest) in sums.items()},
                "software": _versions(),
            }
            (self._root / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            if self.kind == "zip":
                self._zip()
            else:
                _rename_new(self._root, self.path)
        except FileExistsError:
            raise TargetExists(f"{self.path} appeared while it was being written", self.path) from None
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise explain(error, self.path, "finish") from error
        finally:
            self.discard()
        return self.path

    def discard(self) -> None:
        """Remove what is unfinished."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def final(self, path: Path) -> Path:
        """Return where a file is in the end: the folder's, or the ZIP file that it is in."""
        return self.path if self.kind == "zip" else self.path / path.relative_to(self._root)

    def _zip(self) -> None:
        part = self._folder / "bundle.zip"
        with zipfile.ZipFile(
            part, "x", zipfile.ZIP_DEFLATED, allowZip64=True, strict_timestamps=False
        ) as to:
            for name in sorted(_names(self._root)):
                to.write(self._root / name, f"{self._root.name}/{name}")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        _rename_new(part, self.path)

    def _rows(self, written: list[Written], starts: dict[str, Any]) -> Iterator[list[str]]:
        owners: dict[Path, list[Written]] = {}
        for one in written:
            for path in one.files:
                owners.setdefault(path, []).append(one)
        for path in sorted(owners):
            for one in owners[path]:
                start = starts.get(one.uid) or {}
                time = start.get("time")
                yield [
                    path.relative_to(self._root).as_posix(),
                    one.format,
                    str("" if one.scan_id is None else one.scan_id),
                    one.uid,
                    str(start.get("plan_name") or ""),
                    stamp(time).isoformat() if isinstance(time, (int, float)) else "",
                    one.status,
                    str(one.events),
                    "yes" if one.partial else "",
                    "; ".join(one.notices),
                ]

    def _readme(
        self, written: list[Written], rows: list[list[str]], absent: Sequence[tuple[str, str]]
    ) -> str:
        used = list(dict.fromkeys(one.format for one in written))
        runs = len({one.uid for one in written})
        lines = [
            f"Data of {runs} run{'' if runs == 1 else 's'}, written by bluesky-export.",
            "",
            *_absent_lines(absent),
            f"{INDEX}       which file is of which run, and what it does not hold",
            f"{MANIFEST}   size and SHA-256 of every file",
            f"{FILES}/          the files",
            "",
            "To check that all files are here and unchanged:",
            f"    bluesky-export verify {self.path.name}",
            "or without it, in this folder, in Python (it prints the names of those that are not):",
            *(f"    {line}" for line in CHECK.splitlines()),
            "",
            "How to open the files",
        ]
        for name in used:
            cls = formats.writer_class(name)
            files = [path for one in written if one.format == name for path in one.files]
            title = f"{self._which(cls.suffix, files)}: {cls.summary}"
            lines += ["", title, *(f"    {line}" for line in cls.how_to_open)]
        lines += ["", "Written with", *(f"    {name} {found}" for name, found in _versions().items())]
        return "\n".join(lines) + "\n"

    def _which(self, suffix: str, files: list[Path]) -> str:
        """Say which files are of a format: by their ending, or by the folder that they are in."""
        if suffix:
            return f"*{suffix}"
        places = [path.relative_to(self._root).parts for path in files]
        folders = {place[:2] for place in places if len(place) > 2}
        if all(len(place) > 2 for place in places):
            return f"{FILES}/{folders.pop()[1] if len(folders) == 1 else '*'}/"
        return ", ".join(sorted({f"*{path.suffix}" for path in files}))


def _absent_lines(absent: Sequence[tuple[str, str]]) -> list[str]:
    """Say what is not in a bundle, for who gets it; why not was told to who made it."""
    if not absent:
        return []
    return [
        "NOT IN HERE, since they could not be written:",
        *(f"    run {run} ({name})" for run, name in absent),
        "",
    ]


def _table(rows: list[list[str]]) -> str:
    """Return the index as CSV that no spreadsheet takes for formulas."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(_COLUMNS)
    for row in rows:
        table.writerow([_plain(cell) for cell in row])
    return file.getvalue()


def _plain(cell: str) -> str:
    text = printable(cell)
    return "'" + text if text.startswith(("=", "+", "-", "@", "'")) else text


def _versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in _SOFTWARE:
        try:
            found[name] = own_version() if name == "bluesky-export" else metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _names(root: Path) -> Iterator[str]:
    """Yield every file of a folder by its path inside it, with ``/``; links are not followed."""
    for folder, folders, files in os.walk(root):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in (*files, *links):
            yield (Path(folder) / name).relative_to(root).as_posix()


def _sum_of(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return sum_up(file)


def sum_up(file: IO[bytes]) -> tuple[int, str]:
    """Return size and SHA-256 of an open file, read in pieces."""
    digest, size = hashlib.sha256(), 0
    while block := file.read(_BLOCK):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _rename_new(part: Path, final: Path) -> None:
    """Rename and never replace: a folder replaces nothing but an empty one, a file is linked."""
    if part.is_dir():
        if os.path.lexists(final):
            raise FileExistsError(final)
        part.rename(final)
        return
    try:
        os.link(part, final)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        part.replace(final)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
