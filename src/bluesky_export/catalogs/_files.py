"""A catalog of document files, found again at each question: new runs are seen at once."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..documents.pages import Pair
from ..errors import CatalogUnavailable, RunUnreadable
from ._base import Run
from ._document_files import Layout
from ._heads import Head, HeadCatalog
from ._looking import Look, Stamp, look
from ._plain import start_time
from ._stream import StreamRun, Transforms

Known = tuple[Mapping[str, Mapping[str, Any]], Mapping[str, float]]
"""Start documents by path, all of them of the catalog, and the times that the files had when read."""

_Record = tuple[Stamp | None, Layout, Mapping[str, Any] | None]
"""A file as it was when its start document was read (None: to be read again), and the document."""

_TICK = 2.0
"""Seconds within which a file that is written twice may bear one time: the coarsest clock (FAT's).

A file whose time is not that long ago when it is read, or is still to come, is read again at the next look:
what was written into it right after, and as much, would not show otherwise.
"""


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
    known : callable, optional
        Asked once, at the first look, for what another reader has loaded.
    """

    def __init__(
        self,
        name: str,
        files: Sequence[tuple[str, Layout]],
        *,
        root_map: Mapping[str, str],
        transforms: Transforms | None = None,
        accept: Callable[[Mapping[str, Any]], bool] | None = None,
        known: Callable[[], Known] | None = None,
    ) -> None:
        self.name = name
        self._files = list(files)
        self._root_map = root_map
        self._transforms = transforms or {}
        self._accept = accept
        self._known = known
        self._filled = False
        self._read: dict[str, _Record] = {}
        self._broken: dict[str, UnreadableRun] = {}
        self._looks: list[Look] | None = None
        self._order: list[Head] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(pattern for pattern, _ in self._files)}>"

    def _heads(self) -> list[Head]:
        before = time.time()
        looks = [look(pattern) for pattern, _ in self._files]
        if looks != self._looks:
            if self._known is not None:
                self._take_over(*self._known(), looks, before - _TICK)
                self._known = None
            if self._filled and not any(paths for paths, _ in looks):
                self._check_folders()
            self._read_changed(looks, before - _TICK)
            self._order = self._ordered(looks)
            self._filled = self._filled or bool(self._read)
            # As long as nothing changes the order stands, unless something has to be read again anyhow.
            self._looks = None if any(stamp is None for stamp, _, _ in self._read.values()) else looks
        return self._order

    def _take_over(
        self,
        starts: Mapping[str, Mapping[str, Any]],
        times: Mapping[str, float],
        looks: list[Look],
        settled: float,
    ) -> None:
        """Take what another reader has loaded of files that are now as they were then."""
        self._filled = bool(starts)
        for (_, layout), (paths, stamps) in zip(self._files, looks, strict=True):
            self._read |= {
                path: (stamp, layout, starts[path])
                for path, stamp in zip(paths, stamps, strict=True)
                if times.get(path) == stamp[0] < settled and path in starts
            }

    def _read_changed(self, looks: list[Look], settled: float) -> None:
        before, present = self._read, {}
        for (_, layout), (paths, stamps) in zip(self._files, looks, strict=True):
            for path, stamp in zip(paths, stamps, strict=True):
                record = before.get(path)
                if record is None or record[0] != stamp:
                    record = self._record(path, stamp, layout, settled)
                present[path] = record
        self._read = present
        if self._broken:
            self._broken = {path: run for path, run in self._broken.items() if path in present}

    def _ordered(self, looks: list[Look]) -> list[Head]:
        """Return the runs in the order of their times, those of one time in that of their files."""
        heads = [
            (start_time(start), path, layout, start)
            for path, (_, layout, start) in self._read.items()
            if start is not None
        ]
        if len({str(head[3]["uid"]) for head in heads}) < len(heads):
            stamps: dict[str, Stamp] = {}
            for paths, found in looks:
                stamps |= zip(paths, found, strict=True)
            heads.sort(key=lambda head: (stamps[head[1]], head[1]))
            heads = list({str(head[3]["uid"]): head for head in heads}.values())  # the last one written
        heads.sort()
        return heads  # type: ignore[return-value]

    def _check_folders(self) -> None:
        """Tell a catalog that has become empty from a share that is gone."""
        folders = [os.path.dirname(pattern) for pattern, _ in self._files]
        if not any(glob.glob(folder) for folder in folders):
            raise CatalogUnavailable(
                f"{self.name}: the folder {folders[0]} is not there any more; is its share mounted?"
            )

    def _record(self, path: str, stamp: Stamp, layout: Layout, settled: float) -> _Record:
        """Read a file's start document; to be read again if the file's times may not tell a change."""
        self._broken.pop(path, None)
        kept = stamp if max(stamp[0], stamp[-1] / 1e9) < settled else None
        try:
            start = layout.head(path)
        except RunUnreadable as error:
            if isinstance(error.__cause__, OSError):
                kept = None  # permission and the network may come back, and leave the file as it is
            if self._accept is not None:
                return kept, layout, None
            self._broken[path] = run = UnreadableRun(path, stamp[0], error)
            return kept, layout, run.start
        if start is not None and self._accept is not None and not self._accept(start):
            start = None
        return kept, layout, start

    def _open(self, head: Head) -> Run:
        _, path, layout, start = head
        broken = self._broken.get(path)
        if broken is not None:
            return broken
        return FileRun(path, layout, start, self._transforms, self._root_map)

    def _readable(self, head: Head) -> bool:
        return head[1] not in self._broken
