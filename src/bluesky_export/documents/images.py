"""The images of a run: fields with two dimensions or more a point, in the events or in files of their own.

Nothing here fills a gap: points without an image are named, not invented.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from .assets import Assets
from .columns import Array, Packed
from .external import ExternalColumn, Missing
from .fields import is_external
from .pages import Document
from .tables import Table

_AT_ONCE, _TOGETHER = 2**20, 2**23
"""Bytes that are read at once, unless a single point has more; and where points are compressed together."""


@dataclass(frozen=True)
class NoImages:
    """Why a field has no images.

    Attributes
    ----------
    what : str
        In words: what the field holds instead, or why it cannot be read.
    wanted : bool
        It might have been expected to have some (an array, a field in files): worth telling.
    lost : bool
        They are in files that cannot be read from here.
    """

    what: str
    wanted: bool
    lost: bool = False


class ImageColumn:
    """The images of one field of a stream, a row for each point.

    Parameters
    ----------
    stream, field : str
        Whose.
    data_key : Mapping
        What the descriptor says of the field.
    source : ExternalColumn or ndarray
        Where the rows are read.
    without : ndarray of int
        Rows that have no image, of those in memory.

    Attributes
    ----------
    rows : int
        Points, those without an image included.
    dtype : numpy.dtype
        As measured.
    row_shape : tuple of int
        Shape of one point's images: two dimensions or more, none of them 0.
    """

    def __init__(
        self,
        stream: str,
        field: str,
        data_key: Document,
        source: ExternalColumn | Array,
        without: Array | None = None,
    ) -> None:
        self.stream, self.field, self.data_key, self.source = stream, field, data_key, source
        self._without = np.empty(0, np.int64) if without is None else without
        self.dtype: np.dtype[np.generic] = source.dtype
        self.rows = source.rows if isinstance(source, ExternalColumn) else len(source)
        self.row_shape: tuple[int, ...] = tuple(
            source.row_shape if isinstance(source, ExternalColumn) else source.shape[1:]
        )

    @property
    def where(self) -> str:
        """The field with its stream, for what the user is told."""
        return f"{self.stream}.{self.field}"

    @property
    def row_bytes(self) -> int:
        """Bytes of one point's images."""
        return self.dtype.itemsize * math.prod(self.row_shape)

    @property
    def in_memory(self) -> Array | None:
        """All rows as one array, if they are in the events and every one is there."""
        whole = not isinstance(self.source, ExternalColumn) and not len(self._without)
        return self.source if whole else None  # type: ignore[return-value]

    @property
    def present(self) -> Array:
        """The rows that have an image, as far as is known before each was read."""
        gone = self.source.missing_rows if isinstance(self.source, ExternalColumn) else self._without
        return np.setdiff1d(np.arange(self.rows), gone)

    def has(self, row: int) -> bool:
        """Say whether a row has an image, as far as is known."""
        if isinstance(self.source, ExternalColumn):
            return not any(missing.first <= row < missing.stop for missing in self.source.missing)
        return row not in self._without

    @property
    def lost(self) -> list[Missing]:
        """What should be there and cannot be read from here."""
        if isinstance(self.source, ExternalColumn):
            return [missing for missing in self.source.missing if not missing.absent]
        return []

    def lost_text(self) -> list[str]:
        """Return what is lost, a sentence each."""
        said = []
        for missing in self.lost:
            all_rows = missing.stop - missing.first == self.rows
            where = "all rows" if all_rows else f"rows {missing.first} to {missing.stop - 1}"
            said.append(f"{self.where}, {where}: not read: {missing}")
        return said

    def first_readable(self) -> NoImages | None:
        """Read on until one image was read; if none can be, return that."""
        while len(present := self.present):
            row = int(present[0])
            self.read(row, row + 1)
            if self.has(row):
                return None
        more = f" (and {len(self.lost) - 1} more)" if len(self.lost) > 1 else ""
        return NoImages(f"its files cannot be read: {self.lost[0]}{more}", wanted=True, lost=True)

    def read(self, start: int, stop: int) -> Array:
        """Return consecutive rows."""
        if isinstance(self.source, ExternalColumn):
            return self.source.read(start, stop)
        return self.source[start:stop]

    def pieces(self, rows: Array | None = None) -> Generator[Array]:
        """Yield the images of those rows in turn, as many at once as bounded memory allows."""
        rows = self.present if rows is None else rows
        together = self.source.together if isinstance(self.source, ExternalColumn) else 1
        at_once, most = (size // max(1, self.row_bytes) for size in (_AT_ONCE, _TOGETHER))
        step = max(1, at_once, min(together, most))
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for consecutive in np.split(rows, breaks) if len(rows) else ():
            first, last = int(consecutive[0]), int(consecutive[-1]) + 1
            if isinstance(self.source, ExternalColumn):
                yield from self.source.parts(first, last, step)
            else:
                yield from (self.source[low : min(low + step, last)] for low in range(first, last, step))

    def close(self) -> None:
        """Close the files."""
        if isinstance(self.source, ExternalColumn):
            self.source.close()


def images_of(table: Table, field: str, assets: Assets, *, files: bool = True) -> ImageColumn | NoImages:
    """Return the images of a field, or why it has none.

    Parameters
    ----------
    table : Table
        The stream, closed.
    field : str
        The field.
    assets : Assets
        The files of the run.
    files : bool
        Also read those that are in files of their own.
    """
    data_key = table.data_key(field)
    packed = table.values(field)
    if packed is None or (is_external(data_key) and packed.kind == "text"):
        if not files:
            return NoImages("it is kept in files of its own (images: skip)", wanted=True)
        external = table.external(field, assets)
        if external is None:
            return NoImages("no event holds a value", wanted=False)
        return _in_files(table.name, field, data_key, external)
    return _in_events(table.name, field, data_key, packed)


def _in_files(
    stream: str, field: str, data_key: Document, external: ExternalColumn
) -> ImageColumn | NoImages:
    column = ImageColumn(stream, field, data_key, external)
    if external.readable and (why := _no_image(external.row_shape)) is None:
        return column
    external.close()
    if external.readable:
        return NoImages(why or "", wanted=True)
    if not column.lost:
        return NoImages("no event holds a value", wanted=False)
    return column.first_readable() or column


def _in_events(stream: str, field: str, data_key: Document, packed: Packed) -> ImageColumn | NoImages:
    values, nulls = packed.values, packed.nulls
    if packed.kind == "text":
        return NoImages("text", wanted=False)
    if packed.kind == "mixed" or values.dtype == object:
        return NoImages("no numbers of one kind", wanted=packed.kind == "array")
    if packed.shapes is not None:  # of integers, where some points have none
        there = np.setdiff1d(np.arange(len(packed)), nulls)
        shapes = np.unique(packed.shapes[there], axis=0)
        if len(shapes) != 1:
            return NoImages("arrays of different shapes", wanted=True)
        filled = np.zeros((len(packed), *shapes[0]), values.dtype)
        filled[there] = values.reshape(len(there), *shapes[0])
        values = filled
    if (why := _no_image(values.shape[1:])) is not None or not len(values):
        return NoImages(why or "no events", wanted=values.ndim > 1 and len(values) > 0)
    return ImageColumn(stream, field, data_key, values, nulls)


def _no_image(shape: Sequence[int]) -> str | None:
    if 0 in shape:
        return "empty arrays"
    if len(shape) < 2:
        return "arrays of one dimension" if shape else "numbers"
    return None
