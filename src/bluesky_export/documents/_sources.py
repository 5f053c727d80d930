"""The kinds of places that external rows are read from: HDF5 datasets, image files, handlers."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._inflating import read_parts
from .external import Block, Layout, Segment, Unreadable

Array = NDArray[Any]


def open_hdf5(path: Path) -> Any:
    """Open an HDF5 file to read, also one that another process is writing in SWMR mode."""
    import h5py

    if not path.exists():
        raise FileNotFoundError(path)
    try:
        return h5py.File(path, "r")
    except OSError as first:
        try:
            return h5py.File(path, "r", swmr=True)
        except (OSError, ValueError):
            raise first from None


class HDF5Rows(Segment):
    """Rows that are consecutive entries of one dataset.

    Parameters
    ----------
    path, dataset : Path, str
        Where.
    start : int
        Index of the first row, in rows (not entries).
    rows : int
        How many.
    declared : tuple of int
        The declared shape of a row; says whether an entry's own axis belongs to it.
    multiplier : int or None
        Entries to a row, if the documents say so.
    scalar : bool
        The data key declares a number, so that a shape of ``[1]`` is no axis.
    """

    def __init__(
        self,
        path: Path,
        dataset: str,
        start: int,
        rows: int,
        declared: tuple[int, ...],
        multiplier: int | None = None,
        scalar: bool = False,
    ) -> None:
        self.path, self.dataset, self.start, self.rows = path, dataset, start, rows
        self._declared, self._multiplier, self._scalar = declared, multiplier, scalar
        self._per_row = 1
        self._entries = 0
        self._row_shape: tuple[int, ...] = ()

    @property
    def files(self) -> list[Path]:
        return [self.path]

    def layout(self) -> Layout:
        with open_hdf5(self.path) as file:
            if self.dataset not in file:
                raise Unreadable(f"has no dataset {self.dataset}")
            dataset = file[self.dataset]
            if not dataset.shape:
                raise Unreadable(f"{self.dataset} is not an array")
            if dataset.dtype.kind not in "biufc":
                raise Unreadable(f"{self.dataset} does not hold numbers")
            self._entries = dataset.shape[0]
            self._per_row, self._row_shape = row_shape(
                dataset.shape[1:], self._declared, self._multiplier, self._scalar
            )
            self.together = -(-(dataset.chunks or (1,))[0] // self._per_row)
            return dataset.dtype, self._row_shape

    def available(self) -> int:
        return self._entries // self._per_row - self.start

    def read(self, start: int, stop: int) -> Array:
        with closing(self.parts(start, stop, max(1, stop - start))) as parts:
            return next(parts)

    def parts(self, start: int, stop: int, step: int) -> Generator[Array]:
        with open_hdf5(self.path) as file:
            low, high = ((self.start + row) * self._per_row for row in (start, stop))
            with closing(read_parts(file[self.dataset], low, high, step * self._per_row)) as parts:
                for first, values in zip(range(start, stop, step), parts, strict=True):
                    yield values.reshape(min(step, stop - first), *self._row_shape)

    def block(self, first: int) -> Block | None:
        start = self.start * self._per_row
        stop = start + self.rows * self._per_row
        whole = start == 0 and stop == self._entries
        return Block(first, self.rows, self.path, self.dataset, start, stop, whole)


def row_shape(
    entry: tuple[int, ...], declared: tuple[int, ...], multiplier: int | None, scalar: bool
) -> tuple[int, tuple[int, ...]]:
    """Return how many entries make a row, and the row's shape.

    What is declared decides whether the frames of a point have an axis of their own where there
    is one of them; sizes are those of the file.
    """
    if multiplier is None:  # as many entries as the declared shape has more axes than an entry
        leading = len(declared) == len(entry) + 1 and not (scalar and declared == (1,))
        per_row = declared[0] if leading and declared[0] > 0 else 1
        return per_row, (per_row, *entry) if leading else entry
    if multiplier == 1 and (len(declared) <= len(entry) or (scalar and declared == (1,))):
        return 1, entry
    return multiplier, (multiplier, *entry)


class ImageRows(Segment):
    """Rows that are one file each, or several: TIFF, JPEG, NPY.

    Parameters
    ----------
    paths : sequence of sequences of Path
        The files of each row.
    declared : tuple of int
        The declared shape of a row.
    """

    def __init__(self, paths: Sequence[Sequence[Path]], declared: tuple[int, ...]) -> None:
        self.paths, self.rows, self._declared = list(paths), len(paths), declared

    @property
    def files(self) -> list[Path]:
        return [path for row in self.paths for path in row]

    def layout(self) -> Layout:
        for row in self.paths:  # the first that is there: one lost image is not all of them
            if all(path.exists() for path in row):
                values = self._row(row)
                return values.dtype, values.shape
        raise FileNotFoundError(self.paths[0][0])

    def read(self, start: int, stop: int) -> Array:
        return np.stack([self._row(row) for row in self.paths[start:stop]])

    def cut(self, rows: int) -> None:
        self.rows, self.paths = rows, self.paths[:rows]

    def _row(self, paths: Sequence[Path]) -> Array:
        images = [read_image(path) for path in paths]
        values = images[0] if len(images) == 1 else np.stack(images)
        if len(self._declared) == values.ndim + 1 and self._declared[0] == 1:
            return values[np.newaxis]
        if (
            len(images) > 1
            and values.ndim > len(self._declared)
            and math.prod(values.shape[:2]) == (self._declared[0] if self._declared else 0)
        ):
            return values.reshape(-1, *values.shape[2:])  # several frames in each of several files
        return values


class StackRows(Segment):
    """Rows that are pages of one image file."""

    def __init__(
        self,
        path: Path,
        start: int,
        rows: int,
        declared: tuple[int, ...],
        multiplier: int | None,
        scalar: bool,
    ) -> None:
        self.path, self.start, self.rows = path, start, rows
        self._declared, self._multiplier, self._scalar = declared, multiplier, scalar
        self._pages: Array | None = None

    @property
    def files(self) -> list[Path]:
        return [self.path]

    def _rows(self) -> Array:
        if self._pages is None:
            pages = read_image(self.path)
            if pages.ndim <= 2:
                pages = pages[np.newaxis]
            per_row, shape = row_shape(pages.shape[1:], self._declared, self._multiplier, self._scalar)
            count = len(pages) // per_row
            self._pages = pages[: count * per_row].reshape(count, *shape)
        return self._pages

    def layout(self) -> Layout:
        return self._rows().dtype, self._rows().shape[1:]

    def available(self) -> int:
        return len(self._rows()) - self.start

    def read(self, start: int, stop: int) -> Array:
        return self._rows()[self.start + start : self.start + stop]

    def close(self) -> None:
        self._pages = None


def read_image(path: Path) -> Array:
    """Return what one image file holds, with its dtype."""
    if not path.exists():
        raise FileNotFoundError(path)
    ending = path.suffix.lower()
    if ending == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if ending in (".tif", ".tiff"):
        import tifffile

        return np.asarray(tifffile.imread(path))
    if ending in (".jpg", ".jpeg", ".png"):
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image)
    raise Unreadable(f"no reader for files that end in {ending!r}")


@functools.cache
def handlers() -> Mapping[str, Callable[..., Any]]:
    """Return databroker's handlers by spec: all that are installed, found by their entry points."""
    import warnings

    from databroker.core import discover_handlers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a broken plug-in of somebody's: missing, if it is asked for
        found: dict[str, Callable[..., Any]] = discover_handlers()
    return found


class HandlerRows(Segment):
    """Rows that a databroker handler reads, one datum each."""

    def __init__(
        self,
        spec: str,
        path: Path,
        kwargs: Mapping[str, Any],
        datums: Sequence[Mapping[str, Any]],
        declared: tuple[int, ...],
        cache: dict[Any, Any],
    ) -> None:
        self.spec, self.path, self.kwargs, self.datums = spec, path, dict(kwargs), list(datums)
        self.rows, self._declared = len(datums), declared
        self._cache = cache  # of handlers, shared by the segments of a run

    @property
    def files(self) -> list[Path]:
        try:
            listed = self._handler().get_file_list(self.datums)
            return [Path(os.path.abspath(name)) for name in listed]
        except Exception:  # not all handlers can list, and none can if its file is gone
            return [self.path]

    def layout(self) -> Layout:
        values = self._row(self.datums[0])
        return values.dtype, values.shape

    def read(self, start: int, stop: int) -> Array:
        return np.stack([self._row(datum) for datum in self.datums[start:stop]])

    def cut(self, rows: int) -> None:
        self.rows, self.datums = rows, self.datums[:rows]

    def _handler(self) -> Any:
        key = (self.spec, self.path, repr(sorted(self.kwargs.items())))
        if key not in self._cache:
            if self.spec not in handlers():
                raise Unreadable(f"no handler for {self.spec!r} is installed")
            self._cache[key] = handlers()[self.spec](str(self.path), **self.kwargs)
        return self._cache[key]

    def _row(self, datum: Mapping[str, Any]) -> Array:
        values: Array = np.asarray(self._handler()(**datum))
        if values.dtype.kind not in "biufc":
            raise Unreadable(f"the handler for {self.spec!r} gave no array of numbers")
        frames = self.kwargs.get("frame_per_point", 1)
        # area-detector-handlers 0.0.10 reads too many CBF frames where there are several a point.
        if values.ndim > 2 and isinstance(frames, int) and frames > 1 and values.shape[0] != frames:
            raise Unreadable(f"the handler for {self.spec!r} gave {values.shape[0]} frames, not {frames}")
        if values.ndim == len(self._declared) + 1 and values.shape[0] == 1 and frames == 1:
            squeezed: Array = values[0]
            return squeezed
        return values

    def close(self) -> None:
        for handler in self._cache.values():
            if hasattr(handler, "close"):
                handler.close()
        self._cache.clear()
