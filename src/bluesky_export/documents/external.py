"""A field's values that are kept in files of their own, as one column that is read piece by piece.

A column is a row of :class:`Segment` objects, each some consecutive rows from one place. Nothing
here raises for what a file holds or fails to hold: rows that cannot be read are listed in
:attr:`ExternalColumn.missing`, with the reason, and filled (NaN, or 0 for integers).
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layout = tuple[np.dtype[Any], tuple[int, ...]]
"""The dtype and the shape of one row."""


@dataclass(frozen=True)
class Missing:
    """Rows that cannot be read from here.

    Attributes
    ----------
    first, stop : int
        Rows of the column, ``stop`` not included.
    path : Path or None
        The file they should come from; None if no document says.
    reason : str
        Why, in a few words.
    absent : bool
        Nothing is lost: these events do not have the field at all.
    """

    first: int
    stop: int
    path: Path | None
    reason: str
    absent: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


@dataclass(frozen=True)
class Block:
    """Consecutive rows that are consecutive entries of one HDF5 dataset.

    Attributes
    ----------
    first, rows : int
        The rows of the column that it holds.
    path : Path
        The file, absolute.
    dataset : str
        Path of the dataset in it.
    start, stop : int
        Entries along the dataset's first axis, ``(stop - start) // rows`` for each row.
    whole : bool
        These are all entries of the dataset.
    """

    first: int
    rows: int
    path: Path
    dataset: str
    start: int
    stop: int
    whole: bool


class Unreadable(Exception):
    """Why a segment cannot be read; never leaves this module's callers."""


class Segment(ABC):
    """Some consecutive rows of a column, from one place."""

    rows: int
    together = 1
    """Rows that are compressed in one: each read of some of them decompresses all."""

    @property
    @abstractmethod
    def files(self) -> list[Path]:
        """The files that the rows are in, in order."""

    @abstractmethod
    def layout(self) -> Layout:
        """Return dtype and row shape, looking at the files; raise if they cannot be read."""

    @abstractmethod
    def read(self, start: int, stop: int) -> Array:
        """Return some rows, counted from the segment's first; raise if they cannot be read."""

    def parts(self, start: int, stop: int, step: int) -> Generator[Array]:
        """Yield some rows, so many at a time; raise if they cannot be read."""
        for first in range(start, stop, step):
            yield self.read(first, min(first + step, stop))

    def cut(self, rows: int) -> None:
        """Keep only the first rows (those which are there)."""
        self.rows = rows

    def available(self) -> int:
        """Return how many of the rows are there, as far as can be told without reading them."""
        return self.rows

    def block(self, first: int) -> Block | None:
        """Return where the rows are in one HDF5 dataset, if they are."""
        return None

    def close(self) -> None:  # noqa: B027  (most hold nothing open)
        """Close what is open."""


class Nowhere(Segment):
    """Rows that no document or no file has."""

    def __init__(self, rows: int, reason: str, path: Path | None = None, absent: bool = False) -> None:
        self.rows, self.reason, self.path, self.absent = rows, reason, path, absent

    @property
    def files(self) -> list[Path]:  # noqa: D102
        return [self.path] if self.path else []

    def layout(self) -> Layout:  # noqa: D102
        raise Unreadable(self.reason)

    def read(self, start: int, stop: int) -> Array:  # noqa: D102
        raise Unreadable(self.reason)


class ExternalColumn:
    """The values of an external field, row by row in the order of the events.

    Parameters
    ----------
    field : str
        The field.
    segments : sequence of Segment
        Where the rows are.
    dtype : numpy.dtype
        The declared one: taken when nothing can be read.
    declared : tuple of int
        The declared shape of a row: the same.

    Attributes
    ----------
    rows : int
        Number of rows.
    dtype : numpy.dtype
        As found in the files, never narrowed; as declared if none could be read.
    row_shape : tuple of int
        Shape of one row as found; as declared if none could be read.
    missing : list of Missing
        What cannot be read from here. Complete once every row was asked for.
    readable : bool
        At least one row can be read.
    """

    def __init__(
        self, field: str, segments: Sequence[Segment], dtype: np.dtype[Any], declared: tuple[int, ...]
    ) -> None:
        self.field = field
        self.dtype = dtype
        self.row_shape = declared
        self.missing: list[Missing] = []
        self.readable = False
        self._segments: list[tuple[int, Segment]] = []
        first = 0
        for segment in segments:
            rows = segment.rows  # _add may cut those that are not there
            self._add(first, segment)
            first += rows
        self.rows = first

    def _add(self, first: int, segment: Segment) -> None:
        path = next(iter(segment.files), None)
        if isinstance(segment, Nowhere):
            self._miss(first, first + segment.rows, path, Unreadable(segment.reason), segment.absent)
            return
        try:
            dtype, shape = segment.layout()
            if self.readable and (dtype, shape) != (self.dtype, self.row_shape):
                raise Unreadable(
                    f"holds {dtype} of shape {shape}, the rows before it "
                    f"{self.dtype} of shape {self.row_shape}"
                )
            there = min(segment.available(), segment.rows)
            if there <= 0:
                raise Unreadable("holds none of the frames yet")
        except Exception as error:
            self._miss(first, first + segment.rows, path, error)
            return
        self.dtype, self.row_shape, self.readable = dtype, shape, True
        if there < segment.rows:
            reason = Unreadable(f"holds {there} of {segment.rows} points; is it still being written?")
            self._miss(first + there, first + segment.rows, path, reason)
            segment.cut(there)
        self._segments.append((first, segment))

    def _miss(
        self, first: int, stop: int, path: Path | None, error: Exception, absent: bool = False
    ) -> None:
        reason = str(error) if isinstance(error, Unreadable) else _explain(error)
        last = self.missing[-1] if self.missing else None
        if last is not None and (last.stop, last.path, last.reason) == (first, path, reason):
            self.missing[-1] = Missing(last.first, stop, path, reason, absent)
        elif not any(m.first <= first and stop <= m.stop for m in self.missing):
            self.missing.append(Missing(first, stop, path, reason, absent))

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, then the shape of a row."""
        return (self.rows, *self.row_shape)

    @property
    def files(self) -> list[Path]:
        """The files the column is read from, each once, in order."""
        return list(dict.fromkeys(path for _, segment in self._segments for path in segment.files))

    @property
    def blocks(self) -> tuple[Block, ...] | None:
        """All readable rows as parts of HDF5 datasets; None if some are in other kinds of files."""
        found = [segment.block(first) for first, segment in self._segments]
        return tuple(b for b in found if b is not None) if found and None not in found else None

    @property
    def fill_value(self) -> Any:
        """What rows that cannot be read are filled with: NaN, or 0 where there is no NaN."""
        return np.array(np.nan if self.dtype.kind in "fc" else 0).astype(self.dtype)[()]

    @property
    def missing_rows(self) -> Array:
        """Indices of the rows that could not be read."""
        rows = [np.arange(m.first, m.stop) for m in self.missing]
        return np.unique(np.concatenate(rows)) if rows else np.empty(0, np.int64)

    def rows_within(self, max_bytes: int) -> int:
        """Return how many rows fit into this much memory, at least one."""
        return max(1, max_bytes // max(1, self.dtype.itemsize * math.prod(self.row_shape)))

    def read(self, start: int, stop: int) -> Array:
        """Return the rows from ``start`` to ``stop`` (not included), those missing filled."""
        stop = min(stop, self.rows)
        for first, segment in self._segments:
            if first <= start < stop <= first + segment.rows:
                with contextlib.suppress(Exception):  # below it is told which rows cannot be read
                    return np.require(self._values(first, segment, start, stop), None, ["C", "W"])
        out = np.full((max(0, stop - start), *self.row_shape), self.fill_value, self.dtype)
        for first, segment in self._segments:
            low, high = max(start, first), min(stop, first + segment.rows)
            if low < high:
                self._read_into(out[low - start : high - start], first, segment, low, high)
        return out

    def _values(self, first: int, segment: Segment, low: int, high: int) -> Array:
        return self._checked(segment.read(low - first, high - first), high - low)

    def _checked(self, read: Array, rows: int) -> Array:
        values = np.asarray(read)
        if values.shape != (rows, *self.row_shape) or values.dtype != self.dtype:
            raise Unreadable(
                f"holds {values.dtype} of shape {values.shape[1:]}, "
                f"the others {self.dtype} of shape {self.row_shape}"
            )
        return values

    def _read_into(self, out: Array, first: int, segment: Segment, low: int, high: int) -> None:
        try:
            values = self._values(first, segment, low, high)
        except Exception as error:
            if high - low > 1:  # find the rows that can be read
                for row in range(low, high):
                    self._read_into(out[row - low : row - low + 1], first, segment, row, row + 1)
                return
            files = segment.files
            path = files[low - first] if len(files) == segment.rows else next(iter(files), None)
            self._miss(low, high, path, error)
        else:
            out[...] = values

    @property
    def together(self) -> int:
        """Rows that are compressed in one, at most."""
        return max((segment.together for _, segment in self._segments), default=1)

    def parts(self, start: int, stop: int, step: int) -> Generator[Array]:
        """Yield rows, so many at a time, those missing filled. Close it if not all are wanted."""
        for first, segment in self._segments:
            if first <= start < stop <= first + segment.rows:
                ahead = segment.parts(start - first, stop - first, step)
                break
        else:
            ahead = (self.read(low, min(low + step, stop)) for low in range(start, stop, step))
        with contextlib.closing(ahead):
            for low in range(start, stop, step):
                values: Array | None = None
                with contextlib.suppress(Exception):  # below it is told which rows cannot be read
                    read = self._checked(next(ahead), min(step, stop - low))
                    values = np.require(read, None, ["C", "W"])
                yield self.read(low, min(low + step, stop)) if values is None else values

    def pieces(self, max_bytes: int = 32 * 2**20) -> Iterator[tuple[int, Array]]:
        """Yield ``(first row, rows)`` over the whole column, in bounded memory."""
        step = self.rows_within(max_bytes)
        for start in range(0, self.rows, step):
            yield start, self.read(start, start + step)

    def close(self) -> None:
        """Close every file."""
        for _, segment in self._segments:
            with contextlib.suppress(Exception):  # a handler's close; the data are read already
                segment.close()


def _explain(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
