"""Some frames of an external column, one a row: what formats ask for that keep frames in one long stack."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .columns import Array
from .external import Block, ExternalColumn


def stretches(rows: Array) -> Iterator[Array]:
    """Yield the longest parts of ascending numbers that count up by one."""
    if len(rows):
        yield from np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)


class SelectedFrames(ExternalColumn):
    """The frames of some points.

    Parameters
    ----------
    column : ExternalColumn
        Images: two dimensions or more a point; the last two are those of a frame.
    points : ndarray of int
        Rows of the column, ascending; those that have an image.
    """

    def __init__(self, column: ExternalColumn, points: Array) -> None:
        super().__init__(column.field, [], column.dtype, column.row_shape[-2:])
        self._column, self._points = column, points
        self._each = math.prod(column.row_shape[:-2])
        self.rows = len(points) * self._each
        self.readable = bool(len(points))

    @property
    def files(self) -> list[Path]:  # noqa: D102
        return self._column.files

    @property
    def blocks(self) -> tuple[Block, ...] | None:
        """The frames as parts of HDF5 datasets, where an entry of those is a frame."""
        found: list[Block] = []
        for block in self._column.blocks or ():
            each = (block.stop - block.start) // block.rows
            if each != self._each:
                return None
            inside = (self._points >= block.first) & (self._points < block.first + block.rows)
            for places in stretches(np.flatnonzero(inside)):
                for part in stretches(self._points[places]):
                    first = int(np.searchsorted(self._points, part[0]))
                    start = block.start + (int(part[0]) - block.first) * each
                    frames = len(part) * each
                    whole = block.whole and len(part) == block.rows
                    found.append(
                        Block(first * each, frames, block.path, block.dataset, start, start + frames, whole)
                    )
        return tuple(found) or None

    def read(self, start: int, stop: int) -> Array:
        """Return frames from ``start`` to ``stop`` (not included)."""
        stop = min(stop, self.rows)
        first, last = start // self._each, -(-stop // self._each)
        parts = [
            self._column.read(int(part[0]), int(part[-1]) + 1)
            for part in stretches(self._points[first:last])
        ]
        frames = (parts[0] if len(parts) == 1 else np.concatenate(parts)).reshape(-1, *self.row_shape)
        return frames[start - first * self._each : stop - first * self._each]
