"""Draw a plot with matplotlib's objects: no pyplot, no state that others share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from ._plot_model import Panel

Notice = Callable[[str], None]

_LABEL, _TITLE = 40, 90
_MANY = 20_000
"""Points from which on a line is drawn as dots: Agg cannot fill paths of any length."""


def draw(title: Sequence[str], panels: Sequence[Panel], *, log: bool, dpi: int, notice: Notice) -> Figure:
    """Return the figure.

    Parameters
    ----------
    title : sequence of str
        Its lines.
    panels : sequence of Panel
        What to draw: images on one sheet, or one panel below the other.
    log : bool
        Logarithmic values.
    dpi : int
        Dots an inch.
    notice : callable
        Told what could not be drawn as asked.
    """
    sheet = panels[0].kind == "sheet"
    flat = all(panel.kind == "line" for panel in panels)
    height = 1.2 + (2.6 if flat and len(panels) > 1 else 4.2) * len(panels)
    if sheet:
        height = _sheet_height(*panels[0].values.shape)
    figure = Figure(figsize=(7.5, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    lines = [cut(line, _TITLE) for line in title]
    figure.suptitle("\n".join(lines), fontsize="medium", parse_math=False)
    if sheet:
        _sheet(figure, panels[0], log, notice)
        return figure
    all_axes = figure.subplots(len(panels), 1, squeeze=False, sharex=flat)[:, 0]
    for axes, panel in zip(all_axes, panels, strict=True):
        if panel.kind == "line":
            _line(axes, panel, log, notice, last=axes is all_axes[-1])
        else:
            _colours(figure, axes, panel, log, notice)
    figure.align_ylabels(all_axes)
    return figure


def _line(axes: Axes, panel: Panel, log: bool, notice: Notice, last: bool) -> None:
    assert panel.x is not None
    x, y = panel.x.values, panel.values
    style = {"marker": "o", "markersize": 3} if len(y) <= 300 else {}
    if len(y) > _MANY:
        style = {"marker": ",", "linestyle": "none"}
    axes.plot(x, np.where(np.isfinite(y), y, np.nan), linewidth=1, **style)  # type: ignore[arg-type]
    if log and (y[np.isfinite(y)] > 0).any():
        axes.set_yscale("log", nonpositive="mask")
    elif log:
        notice(f"{panel.field} has no positive value: its axis is linear")
    axes.set_ylabel(cut(panel.label), parse_math=False)
    if last:
        axes.set_xlabel(cut(panel.x.label), parse_math=False)
    axes.grid(alpha=0.3)


def _norm(values: Any, panel: Panel, log: bool, notice: Notice, *, robust: bool = False) -> Normalize:
    finite = values[np.isfinite(values)]
    if log and (finite > 0).any():
        finite = finite[finite > 0]
        return LogNorm(float(finite.min()), float(finite.max()))
    if log:
        notice(f"{panel.field} has no positive value: its colours are linear")
    if not finite.size:
        return Normalize(0, 1)
    low, high = np.percentile(finite, (0.5, 99.5)) if robust else (finite.min(), finite.max())
    return Normalize(float(low), float(high))


def _colours(figure: Figure, axes: Axes, panel: Panel, log: bool, notice: Notice) -> None:
    assert panel.x is not None
    assert panel.y is not None
    norm = _norm(panel.values, panel, log, notice)
    values = np.ma.masked_invalid(panel.values)
    if panel.kind == "map":
        drawn: Any = axes.pcolormesh(panel.x.values, panel.y.values, values, shading="nearest", norm=norm)
    else:
        drawn = axes.scatter(panel.x.values, panel.y.values, c=values, norm=norm)
    axes.set_xlabel(cut(panel.x.label), parse_math=False)
    axes.set_ylabel(cut(panel.y.label), parse_math=False)
    figure.colorbar(drawn, ax=axes).set_label(cut(panel.label), parse_math=False)


def _rows_and_columns(count: int) -> tuple[int, int]:
    columns = math.ceil(math.sqrt(count))
    return math.ceil(count / columns), columns


def _sheet_height(count: int, high: int, wide: int) -> float:
    rows, columns = _rows_and_columns(count)
    return float(np.clip(0.9 + rows * (6.2 / columns * high / wide + 0.3), 3.0, 20.0))


def _sheet(figure: Figure, panel: Panel, log: bool, notice: Notice) -> None:
    rows, columns = _rows_and_columns(len(panel.values))
    norm = _norm(panel.values, panel, log, notice, robust=True)
    all_axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axes in all_axes:
        axes.set_axis_off()
    drawn: Any = None
    for axes, frame, title in zip(all_axes, panel.values, panel.titles, strict=False):
        drawn = axes.imshow(np.ma.masked_invalid(frame), norm=norm, interpolation="nearest")
        axes.set_title(cut(title, 24), fontsize="x-small", parse_math=False)
    bar = figure.colorbar(drawn, ax=list(all_axes), shrink=0.7)
    bar.set_label(cut(panel.label), parse_math=False)


def cut(text: str, length: int = _LABEL) -> str:
    """Return a text as the font can draw it, on one line, not longer than this."""
    known = _glyphs()
    line = "".join(char if ord(char) in known else "\ufffd" for char in " ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "…"


@functools.cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties())).get_charmap())
