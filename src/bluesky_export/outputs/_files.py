"""The files of one run in one format: checked, written beside the target, then renamed."""

from __future__ import annotations

import errno
import glob
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import OutputError, TargetExists
from ._names import Target, clean_name

_NAME_BYTES = 235  # of the 255 of a name, room for a temporary ending and "~2"
_LOST_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EACCES}


def explain(error: OSError, path: Path, doing: str = "write") -> OutputError:
    """Turn a system error into one line that says what to do."""
    return OutputError(f"cannot {doing} {path}: {_hint(error, path.parent)}")


def _hint(error: OSError, folder: Path) -> str:
    missing = (
        f"the folder {folder} does not exist; make it: mkdir -p '{folder}'"  # at IPython's prompt as well
    )
    hints = {
        # a file system such as /proc says ENOENT where no file can be made; so does a name that has gone
        errno.ENOENT: "no file can be made there, or it was taken away; choose another folder"
        if folder.is_dir()
        else missing,
        errno.ENOTDIR: f"{folder} is not a folder",
        errno.EACCES: "no permission; choose another folder",
        errno.EPERM: "not permitted; choose another folder",
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.ENOSPC: "the disk is full; free space or choose another folder",
        errno.EDQUOT: "your quota is used up; free space or choose another folder",
    }
    return hints.get(error.errno or 0, error.strerror or str(error))


def check_folder(folder: Path, *, probe: bool = False) -> None:
    """Refuse a folder that is not there; with ``probe``, one in which no file can be made.

    The probe is a file without a name where the system has such files, else gone at once.

    Raises
    ------
    OutputError
        In one line, with what to do.
    """
    try:
        if not folder.is_dir():
            raise OSError(errno.ENOTDIR if folder.exists() else errno.ENOENT, "")
        if probe:
            if not os.access(folder, os.W_OK | os.X_OK):
                read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
                raise OSError(errno.EROFS if read_only else errno.EACCES, "")
            tempfile.TemporaryFile(prefix=".bluesky-export.", dir=folder).close()
    except OSError as error:
        raise OutputError(f"cannot write into {folder}/: {_hint(error, folder)}") from error


class Output:
    """The files of one run in one format.

    Files are written under a temporary name beside their final one (``<name>.<pid>.part``) and
    renamed by :meth:`commit`, all of them or none (then those they replace are put back);
    :meth:`discard` leaves nothing behind.
    An existing file is never touched unless the target says so.

    Parameters
    ----------
    target : Target
        Where to write.
    start : Mapping
        The run's start document, which names the files.
    suffix : str
        The format's ending, with its dot.
    before_commit : callable, optional
        Told, when all is on the disk, which files are about to get their names:
        final path → temporary one.
    """

    def __init__(
        self,
        target: Target,
        start: Mapping[str, Any],
        suffix: str,
        *,
        before_commit: Callable[[Mapping[Path, Path]], object] | None = None,
    ) -> None:
        self.target = target
        self._before_commit = before_commit
        self.suffix = suffix
        self.uid = str(start["uid"])
        if target.file is not None:
            self._stem = Path(target.file).stem
        else:
            self._stem = target.stem(start)
        self._exact = target.file
        self._parts: dict[Path, Path] = {}  # final -> temporary
        self._owners: dict[Path, tuple[str | None, str | None]] = {}  # final -> asked for as
        self.left: list[Path] = []
        """Files that were there and were left as they are (``if_exists="skip"``)."""
        self.unreachable: list[Path] = []
        """Temporary files that could not be removed, since their folder has gone."""

    def path(self, stream: str | None = None, suffix: str | None = None) -> Path:
        """Return the final path: of the run, of one of its streams, or of a file beside it.

        A file name that was typed goes to the run's own file, and where there is one file a
        stream, to ``primary``.
        """
        suffix = self.suffix if suffix is None else suffix
        if self._exact is not None and suffix == self.suffix and stream in (None, "primary"):
            name = self._exact
        else:
            name = self._stem + (f"-{self._short(clean_name(stream), suffix)}" if stream else "") + suffix
        return self.target.folder / name

    def _short(self, stream: str, suffix: str) -> str:
        """Cut a stream's name to what a file name has left; :meth:`part` tells equal ones apart."""
        taken = len(os.fsencode(f"{self._stem.rpartition('/')[2]}-{suffix}"))
        return stream.encode()[: max(_NAME_BYTES - taken, 1)].decode(errors="ignore").rstrip(" .") or "_"

    def check(self, path: Path | None = None) -> Path:
        """Refuse now what would fail after a long export.

        Raises
        ------
        TargetExists
            The file is there and may not be replaced.
        OutputError
            The folder is missing or cannot be written to.
        """
        path = path or self.path()
        parent = path.parent
        if not parent.is_dir():
            inside = parent != self.target.folder and self.target.folder.is_dir()
            if not inside:  # folders from a template are made; the one that was typed is not
                raise explain(OSError(errno.ENOTDIR if parent.exists() else errno.ENOENT, ""), path)
            try:
                parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise explain(error, path) from error
        if not os.access(parent, os.W_OK | os.X_OK):
            raise explain(OSError(errno.EACCES, ""), path)
        if path.is_dir():
            raise OutputError(f"{path} is a folder; end it with / to write into it")
        if path not in self._parts:
            self._check_taken(path)
        if os.path.lexists(path) and self.target.if_exists != "overwrite":
            raise TargetExists(
                f"{path} exists; add --overwrite or --skip-existing, or give another name", path
            )
        return path

    def _check_taken(self, path: Path) -> None:
        if path in self.target.taken:
            raise OutputError(
                f"{path} was written a moment ago, for another run or in another format; put {{uid}} or "
                "{scan_id} into --name, or export the formats one by one"
            )

    def part(self, stream: str | None = None, suffix: str | None = None) -> Path:
        """Return a temporary path to write to; :meth:`commit` renames it to ``path(...)``.

        Asked twice for one file it returns the same path. Two streams whose cleaned names are
        equal get different files.
        """
        final = self.path(stream, suffix)
        key, number = final, 1
        while key in self._parts and self._owners.get(key) != (stream, suffix):
            number += 1
            key = final.with_name(f"{final.stem}~{number}{final.suffix}")
        if key in self._parts:
            return self._parts[key]
        try:
            self.check(key)
        except TargetExists:
            if self.target.if_exists != "skip":
                raise
            self.left.append(key)  # written to a temporary file all the same, and then dropped
        part = self._parts[key] = claim(key, self.target.mark)
        self._owners[key] = (stream, suffix)
        self.target.open.add(part)
        return part

    def final(self, part: Path) -> Path:
        """Return the final path of a temporary one, which :meth:`path` does not know for equal names."""
        return next(final for final, known in self._parts.items() if known == part)

    def commit(self) -> list[Path]:
        """Flush every file to the disk and give it its final name; all of them or none.

        Returns
        -------
        list of Path
            Absolute final paths, in the order they were asked for.
        """
        for path in self.left:
            self._parts.pop(path).unlink()
        undo: list[Callable[[], None]] = []
        kept: list[Path] = []  # second names of the files that are replaced
        final = self.target.folder
        try:
            for part in self._parts.values():
                sync(part)
            for final in self._parts:  # formats that are written together see each other's files only now
                self._check_taken(final)
            if self._before_commit is not None:
                self._before_commit(dict(self._parts))
            for final, part in self._parts.items():
                if self.target.if_exists != "overwrite":
                    rename_new(part, final)
                elif os.path.lexists(final):
                    if len(self._parts) > 1 and (old := second_name(final)) is not None:
                        kept.append(old)
                        undo.append(partial(os.replace, old, final))
                    os.replace(part, final)
                    continue
                else:
                    os.replace(part, final)
                undo.append(partial(os.replace, final, part))
        except BaseException as error:
            for step in reversed(undo):
                step()
            self.discard()
            if isinstance(error, FileExistsError):
                raise TargetExists(
                    f"{final} appeared while it was being written; it was left as it is. "
                    "Add --overwrite or give another name",
                    final,
                ) from None
            if isinstance(error, OSError) and not isinstance(error, OutputError):
                raise explain(error, final, "finish") from error
            raise
        finally:
            for old in kept:
                old.unlink(missing_ok=True)
        files = list(self._parts)
        self.target.taken.update(files)
        self.target.open.difference_update(self._parts.values())
        self._parts = {}
        return files

    def remove_left_over(self) -> None:
        """Remove what a process that was killed left of these files under the target's mark."""
        for part in marked(self.path().parent, self.target.mark, self._stem.rpartition("/")[2]):
            if part not in self.target.open:  # of another run, whose name begins like this one's
                part.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove every temporary file."""
        self.target.open.difference_update(self._parts.values())
        for part in self._parts.values():
            try:
                part.unlink()
            except FileNotFoundError:
                if not part.parent.is_dir():  # a folder that has gone may come back
                    self.unreachable.append(part)
        self._parts = {}


def marked(folder: Path, mark: str, stem: str = "") -> Iterator[Path]:
    """Yield the temporary files that carry a mark, as :func:`claim` names them: ``a-1`` is not ``a-12``."""
    stem, mark = glob.escape(stem), glob.escape(mark)
    for ending in (f".{mark}.part", f".{mark}-[0-9]*.part"):
        yield from folder.glob(f"{stem}*{ending}")


def claim(final: Path, mark: str = "") -> Path:
    """Make an empty temporary file beside a final path, under a name that nobody has."""
    mark = mark or str(os.getpid())
    for number in range(100):
        # What a killed session left is passed over: in a container every session has the same pid.
        part = final.with_name(f"{final.name}.{mark}{f'-{number}' if number else ''}.part")
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        except OSError as error:
            raise explain(error, part) from error
        return part
    raise OutputError(f"{final.parent} is full of files {final.name}.….part; remove those")


def second_name(final: Path) -> Path | None:
    """Give a file another name, by which it can be put back; None where there are no hard links."""
    old = final.with_name(f"{final.name}.{os.getpid()}.old")
    try:
        old.unlink(missing_ok=True)
        os.link(final, old, follow_symlinks=False)
    except OSError:
        return None
    return old


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_new(part: Path, final: Path) -> None:
    """Rename without ever replacing: ``link`` fails if the name is taken, ``rename`` does not."""
    try:
        os.link(part, final)
    except OSError as error:
        if error.errno not in _LOST_LINKS:
            raise
        # A file system without hard links: claim the name, then replace our own empty claim.
        os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        try:
            os.replace(part, final)
        except BaseException:
            final.unlink(missing_ok=True)
            raise
    else:
        part.unlink()
