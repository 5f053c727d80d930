"""A catalog of document files, found again at each question: new runs are seen at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..documents.pages import Pair
from ..errors import CatalogUnavailable, RunUnreadable
from ._base import Run
from ._document_files import Layout
from ._heads import Head, HeadCatalog
from ._stream import StreamRun, Transforms

Stamp = tuple[float, int, int, int]
"""Modification time in s and in ns, size and inode: what changes when a file changes."""


class FileRun(StreamRun):
    """One file of documents."""

    def __init__(
        self,
        path: str,
        layout: Layout,
        start: Mapping[str, Any],
        transforms: Transforms,
        root_map: Mapping[str, str],
    ) -> None:
        super().__init__(start, transforms, root_map)
        self.path = path
        self._layout = layout

    def _stored(self) -> Iterator[Pair]:
        return self._layout.documents(self.path)

    def _outline(self) -> Iterator[Pair]:
        return self._layout.outline(self.path)

    def _find_stop(self) -> Mapping[str, Any] | None:
        return self._layout.stop(self.path, str(self._stored_start["uid"]))


class UnreadableRun(Run):
    """A file from which not even the start document can be had: one marked row, one clear error.

    Its ``uid`` is the name of the file, which suitcase makes from the uid, its time that of the
    file's last change.
    """

    def __init__(self, path: str, changed: float, error: RunUnreadable) -> None:
        self.start = {"uid": Path(path).stem, "time": changed}
        self.stop = None
        self.path = path
        self._error = error

    @property
    def status(self) -> str:
        """``unreadable``."""
        return "unreadable"

    def _refuse(self) -> NoReturn:
        raise RunUnreadable(str(self._error)) from self._error

    def descriptors(self) -> list[Mapping[str, Any]]:
        self._refuse()

    def documents(self, page_size: int = 1000, *, timestamps: bool = True) -> Iterator[Pair]:
        self._refuse()

    @property
    def notes(self) -> tuple[str, ...]:
        return (str(self._error),)


class FileCatalog(HeadCatalog):
    """All runs in the files that some patterns match.

    The first look reads the beginning of each file, later ones only of those that have changed.

    Parameters
    ----------
    name : str
        What to call the catalog in messages.
    files : sequence of (str, Layout)
        Patterns as of :func:`glob.glob`, and how to read what they match.
    root_map : Mapping of str to str
        Where external files were moved to.
    transforms : Mapping, optional
        databroker's transforms.
    accept : callable, optional
        Says of a start document whether the run belongs to the catalog.
    known : dict of str to (float, Mapping), optional
        Start documents by path that another reader has loaded at that modification time.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[tuple[str, Layout]],
        *,
        root_map: Mapping[str, str],
        transforms: Transforms | None = None,
        accept: Callable[[Mapping[str, Any]], bool] | None = None,
        known: Mapping[str, tuple[float, Mapping[str, Any]]] | None = None,
    ) -> None:
        self.name = name
        self._files = list(files)
        self._root_map = root_map
        self._transforms = transforms or {}
        self._accept = accept
        self._known = dict(known or {})
        self._read: dict[str, tuple[Stamp, Head | None]] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(pattern for pattern, _ in self._files)}>"

    def _heads(self) -> list[Head]:
        present = self._present()
        if not present and (self._read or self._known):
            self._check_folders()
        self._read = {path: self._read[path] for path in self._read.keys() & present.keys()}
        by_uid: dict[str, tuple[Stamp, Head]] = {}
        for path, (stamp, layout) in sorted(present.items()):
            before = self._read.get(path)
            if before is None or before[0] != stamp:
                before = self._read[path] = stamp, self._head(path, stamp, layout)
            head = before[1]
            if head is None or (self._accept and not (head.readable and self._accept(head.start))):
                continue
            uid = str(head.start["uid"])
            if uid not in by_uid or by_uid[uid][0] < stamp:  # copies of a run: the last one written
                by_uid[uid] = stamp, head
        return [head for _, head in by_uid.values()]

    def _present(self) -> dict[str, tuple[Stamp, Layout]]:
        found = {}
        for pattern, layout in self._files:
            for path in glob.glob(pattern):
                try:
                    found[path] = _stamp_of(path), layout
                except FileNotFoundError:
                    continue  # removed since, or a link to nowhere
                except OSError as error:
                    raise CatalogUnavailable(f"{path} cannot be reached: {error.strerror}") from error
        return found

    def _check_folders(self) -> None:
        """Tell a catalog that has become empty from a share that is gone."""
        folders = [os.path.dirname(pattern) for pattern, _ in self._files]
        if not any(glob.glob(folder) for folder in folders):
            raise CatalogUnavailable(
                f"{self.name}: the folder {folders[0]} is not there any more; is its share mounted?"
            )

    def _head(self, path: str, stamp: Stamp, layout: Layout) -> Head | None:
        known = self._known.get(path)
        if known is not None and known[0] == stamp[0]:
            return Head(known[1], lambda: self._run(path, layout, known[1]))
        try:
            start = layout.head(path)
        except RunUnreadable as error:
            unreadable = UnreadableRun(path, stamp[0], error)
            return Head(unreadable.start, lambda: unreadable, readable=False)
        return None if start is None else Head(start, lambda: self._run(path, layout, start))

    def _run(self, path: str, layout: Layout, start: Mapping[str, Any]) -> Run:
        return FileRun(path, layout, start, self._transforms, self._root_map)


def _stamp_of(path: str) -> Stamp:
    status = os.stat(path)
    return status.st_mtime, status.st_mtime_ns, status.st_size, status.st_ino
