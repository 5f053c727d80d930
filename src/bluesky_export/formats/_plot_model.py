"""What a plot of a run shows: which fields, against what, in which form. No drawing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..documents.assets import Assets
from ..documents.columns import Array
from ..documents.fields import fields_of, is_external, scanned
from ..documents.images import ImageColumn, images_of
from ..documents.pages import Document
from ..documents.tables import Table
from ..errors import BadOption

PANELS = 8
"""Fields in one plot, at most."""
FRAMES = 36
"""Images on one contact sheet, at most."""
PIXELS = 512
"""Rows and columns of an image that are drawn, at most: of larger ones every second, third … ."""
Notice = Callable[[str], None]


@dataclass
class Axis:
    """One axis: what it is called, and a value for each point."""

    label: str
    values: Array


@dataclass
class Panel:
    """One field.

    Attributes
    ----------
    kind : {"line", "points", "map", "sheet"}
        Values against ``x``; colours at ``x`` and ``y``; colours on the grid of those; images.
    field : str
        Whose values.
    label : str
        With its units.
    values : ndarray
        One for each point; for a map rows × columns, NaN where nothing was measured; for a sheet images.
    x, y : Axis or None
        The axes.
    titles : list of str
        Of the images on a sheet.
    """

    kind: Literal["line", "points", "map", "sheet"]
    field: str
    label: str
    values: Array
    x: Axis | None = None
    y: Axis | None = None
    titles: list[str] = dataclasses.field(default_factory=list)


class Chooser:
    """Choose what to show of one stream.

    Parameters
    ----------
    start : Mapping
        The start document.
    table : Table
        The stream, closed.
    assets : Assets
        The files of the run.
    files : bool
        Also show images from detector files.
    notice : callable
        Told what is not shown.
    """

    def __init__(self, start: Document, table: Table, assets: Assets, files: bool, notice: Notice) -> None:
        self.start, self.table, self._assets, self._files, self._notice = (
            start,
            table,
            assets,
            files,
            notice,
        )
        self.lost: list[str] = []
        motors: list[str] = []
        others: list[str] = []
        detectors: list[str] = []
        hinted: list[str] = []
        for doc in table.descriptors:
            fields = fields_of(start, doc)
            motors += fields.motors
            detectors += fields.detectors
            others += fields.others
            for hint in (doc.get("hints") or {}).values():
                hinted += (hint.get("fields") or []) if isinstance(hint, Mapping) else []
        self.motors = list(dict.fromkeys(motors))
        self._preferred = [name for name in dict.fromkeys([*detectors, *hinted]) if name in table.fields]
        self._preferred = [name for name in self._preferred if name not in self.motors]
        self._others = [name for name in table.fields if name not in (*self.motors, *self._preferred)]

    # -- what is there ---------------------------------------------------------------------

    def numbers(self, name: str) -> Array | None:
        """Return a field's values as floats, NaN where there is none; None if they are no numbers."""
        packed = self.table.values(name)
        if packed is None or (is_external(self.table.data_key(name)) and packed.kind == "text"):
            return self._external_numbers(name) if self._files else None
        if packed.kind != "array" or packed.values.dtype.kind not in "iufb" or packed.values.ndim != 1:
            return None
        values: Array = packed.values.astype(np.float64)
        values[packed.nulls] = np.nan
        return values if np.isfinite(values).any() else None

    def _external_numbers(self, name: str) -> Array | None:
        external = self.table.external(name, self._assets)
        if external is None:
            return None
        try:
            if (
                not external.readable
                or external.row_shape not in ((), (1,))
                or external.dtype.kind not in "iufb"
            ):
                return None
            values: Array = external.read(0, external.rows).reshape(-1).astype(np.float64)
            values[external.missing_rows] = np.nan
        finally:
            external.close()
        return values if np.isfinite(values).any() else None

    def label(self, name: str) -> str:
        """Return a field's name with its units."""
        units = self.table.data_key(name).get("units")
        return f"{name} ({units})" if isinstance(units, str) and units else name

    # -- choosing --------------------------------------------------------------------------

    def panels(self, y: Sequence[str] = (), x: str | None = None) -> list[Panel]:
        """Return what to show; nothing if no field has numbers or images.

        Raises
        ------
        BadOption
            A field that was asked for is not there, or is nothing that can be drawn.
        """
        for name in y:
            if name not in self.table.fields:
                raise BadOption(f"y={name}: no such field; fields of {self.table.name}: {self._listed()}")
        for names in [y] if y else [self._preferred, self._others, self.motors]:
            shown = [(name, values) for name in names if (values := self.numbers(name)) is not None]
            if shown and not (y and len(shown) < len(y)):
                if len(shown) > PANELS:
                    self._notice(f"the first {PANELS} of {len(shown)} fields are shown; option y=FIELD,…")
                    shown = shown[:PANELS]
                return [self._panel(name, values, x) for name, values in shown]
            for name in names:
                if (sheet := self._sheet(name)) is not None:
                    return [sheet]
            if y:
                raise BadOption(f"y={','.join(y)}: neither numbers nor images; fields: {self._listed()}")
        return []

    def _listed(self) -> str:
        return ", ".join(self.table.fields) or "none"

    def _panel(self, name: str, values: Array, x: str | None) -> Panel:
        label = self.label(name)
        if x is None:
            dimensions = self._dimensions()
            if len(dimensions) == 2 and name not in (axis.label for axis in dimensions):
                slow, fast = dimensions
                return self._map(name, values, slow, fast) or Panel(
                    "points", name, label, values, fast, slow
                )
        return Panel("line", name, label, values, self._x(x, name))

    def _x(self, x: str | None, name: str) -> Axis:
        if x not in (None, "time", "seq_num"):
            values = self.numbers(x)
            if values is None:
                raise BadOption(f"x={x}: no field with numbers; fields: {self._listed()}, or time, seq_num")
            return Axis(self.label(x), values)
        dimensions = self._dimensions() if x is None else []
        if len(dimensions) == 1 and name not in self.motors:
            return dimensions[0]
        if len(dimensions) > 2 or x == "seq_num":
            return Axis("point", self._numbers_of_points())
        return Axis("time (s)", self._elapsed())

    def _numbers_of_points(self) -> Array:
        return np.array([math.nan if n is None else n for n in self.table.seq_num.rows()], np.float64)

    def _elapsed(self) -> Array:
        times = self.table.time.values
        began = self.start.get("time")
        return np.asarray(times, np.float64) - (began if isinstance(began, (int, float)) else 0.0)

    def _dimensions(self) -> list[Axis]:
        """Return an axis for each hinted dimension: its first motor that has numbers."""
        hinted = (self.start.get("hints") or {}).get("dimensions")
        groups: list[list[str]] = []
        for dimension in hinted or []:
            if isinstance(dimension, (list, tuple)) and dimension:
                names = [dimension[0]] if isinstance(dimension[0], str) else list(dimension[0])
                groups.append([name for name in names if name != "time"])
        if not any(groups) and scanned(self.start):
            groups = [self.motors]
        axes = []
        for names in groups:
            fields = [name for name in names if name in self.table.fields] or [
                name for name in self.motors if len(groups) == 1
            ]
            found = next(((n, v) for n in fields if (v := self.numbers(n)) is not None), None)
            if found is not None:
                axes.append(Axis(self.label(found[0]), found[1]))
        return axes

    def _map(self, name: str, values: Array, slow: Axis, fast: Axis) -> Panel | None:
        """Return a grid scan as a map; None if the points are not on the grid that the plan tells of."""
        shape = self.start.get("shape")
        gridding = (self.start.get("hints") or {}).get("gridding")
        if gridding != "rectilinear" or not isinstance(shape, (list, tuple)) or len(shape) != 2:
            return None
        if not all(isinstance(n, int) and n > 1 for n in shape):
            return None
        rows, columns = shape
        points = self._numbers_of_points() - 1
        if not (np.isin(points, np.arange(rows * columns)).all() and len(set(points)) == len(points)):
            return None
        row, column = np.divmod(points.astype(np.int64), columns)
        snaking = self.start.get("snaking")
        if isinstance(snaking, (list, tuple)) and len(snaking) == 2 and snaking[1]:
            column = np.where(row % 2 == 1, columns - 1 - column, column)
        ys, y_ok = _steps(slow.values, row)
        xs, x_ok = _steps(fast.values, column)
        if not (y_ok and x_ok):
            return None
        grid = np.full((len(ys), len(xs)), np.nan)
        grid[np.searchsorted(np.unique(row), row), np.searchsorted(np.unique(column), column)] = values
        return Panel("map", name, self.label(name), grid, Axis(fast.label, xs), Axis(slow.label, ys))

    def _sheet(self, name: str) -> Panel | None:
        column = images_of(self.table, name, self._assets, files=self._files)
        if not isinstance(column, ImageColumn) or column.dtype.kind not in "iufb":
            if not isinstance(column, ImageColumn) and column.lost:
                self.lost.append(f"{self.table.name}.{name}: {column.what}")
            return None
        try:
            return self._frames(name, column)
        finally:
            self.lost += column.lost_text()
            column.close()

    def _frames(self, name: str, column: ImageColumn) -> Panel | None:
        present = column.present
        chosen = np.unique(np.linspace(0, len(present) - 1, min(FRAMES, len(present))).round().astype(int))
        if len(chosen) < len(present):
            self._notice(f"{column.where}: {len(chosen)} of {len(present)} images are shown")
        dimensions = self._dimensions()
        frames, titles = [], []
        for row in present[chosen].tolist():
            values = column.read(row, row + 1)
            if not column.has(row):
                continue
            frame = values.reshape(-1, *column.row_shape[-2:])[0]
            frames.append(frame[:: -(-frame.shape[0] // PIXELS), :: -(-frame.shape[1] // PIXELS)])
            words = [f"{axis.label.partition(' (')[0]} {axis.values[row]:.5g}" for axis in dimensions]
            titles.append(", ".join(words) or f"point {self._numbers_of_points()[row]:.0f}")
        if not frames:
            return None
        return Panel("sheet", name, self.label(name), np.stack(frames).astype(np.float64), titles=titles)


def _steps(positions: Array, index: Array) -> tuple[Array, bool]:
    """Return the mean position of each step of a grid, and whether they go one way."""
    steps = np.unique(index)
    means = np.array([positions[index == step].mean() for step in steps])
    differences = np.diff(means)
    one_way = bool(np.isfinite(means).all() and ((differences > 0).all() or (differences < 0).all()))
    return means, one_way and len(steps) > 1
