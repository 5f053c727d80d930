"""A run as a small plot where it is shown: text in the terminal, a picture in the notebook.

What is plotted is what the format ``png`` draws: the hinted detectors against the scanned motor.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalogs._base import Run
from .errors import UsageError
from .outputs import Output, Target

if TYPE_CHECKING:
    from .formats._plot_model import Panel
    from .formats.png import PNGWriter

ROWS = 16
"""Lines of the terminal that a plot takes."""


def plotter(run: Run) -> PNGWriter:
    """Return the writer of plots, after it has taken a run. It writes nothing.

    Raises
    ------
    UnknownFormat
        matplotlib is missing.
    """
    from .formats import writer_class
    from .replay import PAGE_SIZE

    cls: Any = writer_class("png")
    writer: PNGWriter = cls(Output(Target(Path()), run.start, ".png"), root_map=dict(run.root_map))
    for name, doc in run.documents(PAGE_SIZE, timestamps=writer.reads_timestamps):
        writer(name, doc)
    return writer


def picture(writer: PNGWriter) -> bytes:
    """Return the plot as a PNG image."""
    buffer = io.BytesIO()
    writer.figure().canvas.print_png(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


def text_plot(panels: Sequence[Panel], width: int, scan: str) -> str:
    """Return lines as plots of characters; for maps and images, the line that draws them.

    Parameters
    ----------
    panels : sequence of Panel
        What to plot.
    width : int
        Columns of the terminal.
    scan : str
        How the run is selected, for that line.

    Raises
    ------
    UsageError
        plotext is missing.
    """
    return "\n".join(
        _line(panel, width)
        if panel.kind == "line"
        else f"{panel.label}: to see it: %export {scan} png   ({_WHAT[panel.kind]})"
        for panel in panels
    )


_WHAT = {"map": "a map", "points": "points on a plane", "sheet": "images"}


def need_plotext() -> Any:
    """Return the package that draws with characters.

    Raises
    ------
    UsageError
        It is missing.
    """
    try:
        import plotext
    except ImportError:
        raise UsageError("--plot in a terminal needs plotext: pip install 'bluesky-export[plot]'") from None
    return plotext


def _line(panel: Panel, width: int) -> str:
    from .printing import printable

    plotext = need_plotext()
    assert panel.x is not None  # a line has an axis
    figure = plotext.figure
    figure.clear()  # the library keeps one figure for the process
    try:
        figure.plot_size(width, ROWS)
        figure.draw(figure.signal(panel.x.values.tolist(), panel.values.tolist()))
        figure.label(printable(panel.x.label), "x")
        figure.label(printable(panel.label), "y")
        return str(plotext.uncolorize(str(figure.build()))).rstrip()
    finally:
        figure.clear()
