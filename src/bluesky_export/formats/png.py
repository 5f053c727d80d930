"""PNG: the plot of a run that a scientist expects, drawn by matplotlib.

The rules, in full:

- **What**: the hinted detectors of ``primary`` (``stream=`` names another) that have numbers, a panel for
  each, eight at most; ``y=field,field`` names others. Without a detector that can be drawn, the other
  fields; without those, the motors.
- **Against what**: the scanned motor, as the hints have it; for a count the time in seconds since the
  start of the run; in scans over more than two dimensions the number of the point. ``x=`` names a field,
  ``time`` or ``seq_num``.
- **Grid scans** (two dimensions, ``gridding`` rectilinear) are maps; each row and column is where its
  points were on average. Other scans of two dimensions are coloured points.
- **Images**, where no detector has numbers, are a contact sheet: up to 36, spread evenly over the run,
  the first frame of each point, at most 512 pixels wide and high (of more every second, third …), in
  one range of colours, that of 99 % of the pixels.
- ``log=true`` makes values logarithmic; those that are not positive are not drawn.
- **NaN** and infinities are gaps. Booleans are 0 and 1. Text, complex numbers and arrays of one dimension
  are not drawn.
- **Text chunks** of the file have uid, scan_id, plan_name, sample, exit_status, start_time, and which
  fields are drawn; the title has the same for people.

A plot holds no data that could be read back: ``csv``, ``hdf5`` and the others do. A run with nothing to
draw is refused. Images that cannot be read are named, and the result is partial.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from ..documents import jsontext
from ..documents.features import FEATURES
from ..errors import BadOption, NoData
from ..outputs import Output, stamp
from ._fidelity import EXACT, fidelity, never_in
from ._keeping import KeepingWriter
from ._plot_figure import draw
from ._plot_model import Chooser, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNHOLDABLE = re.compile("[\x00-\x1f\ud800-\udfff]")


class PNGWriter(KeepingWriter):
    """Draw one picture of a run."""

    name = "png"
    suffix = ".png"
    reads_timestamps = False
    summary = "a plot: detectors against the motor, maps of grids, contact sheets of images"
    how_to_open = ("any picture viewer",)
    holds = frozenset()
    fidelity = fidelity(
        {
            **dict.fromkeys(FEATURES, never_in("a plot is to be looked at; csv, hdf5, nexus, json")),
            "start": never_in(
                "uid, scan_id, plan_name, sample, start_time are text chunks; json, hdf5 and others"
            ),
            "unreadable": never_in("the notices name the files; the result is partial"),
            "status": EXACT,
            "scan_id": EXACT,
        }
    )

    def __init__(
        self,
        output: Output,
        *,
        y: Annotated[str | None, "the fields to draw, with commas; else the hinted detectors"] = None,
        x: Annotated[str | None, "a field, time or seq_num; else the scanned motor"] = None,
        log: Annotated[bool, "logarithmic values"] = False,
        stream: Annotated[str | None, "the stream to draw; else primary, or the only one"] = None,
        dpi: Annotated[int, "dots an inch; the plot is 7.5 inches wide"] = 120,
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        if not 20 <= dpi <= 1200:
            raise BadOption(f"dpi={dpi}: 20 to 1200")
        self._y = [name.strip() for name in (y or "").split(",") if name.strip()]
        self._x, self._log, self._stream, self._dpi = x, log, stream, dpi
        self._drawn: list[str] = []

    def finish(self) -> None:
        """Draw, and write the file."""
        figure = self.figure()
        path = self.output.part()
        figure.canvas.print_png(path, metadata=self._chunks())  # type: ignore[attr-defined]

    def figure(self) -> Figure:
        """Return the plot of what was taken so far.

        Raises
        ------
        NoData, BadOption
            As :meth:`panels`.
        """
        panels = self.panels()
        self._drawn = [panel.field for panel in panels]
        return draw(self._title(), panels, log=self._log, dpi=self._dpi, notice=self.notice)

    def panels(self) -> list[Panel]:
        """Return what there is to plot, one field a panel.

        Raises
        ------
        NoData
            There is nothing to draw.
        BadOption
            A stream or field that was asked for is not there.
        """
        for table in self._tables.values():
            table.close(self._assets)
        with_rows = [table for table in self._tables.values() if table.rows]
        if self._stream is not None and self._stream not in self._tables:
            raise NoData(f"stream={self._stream}: this run has no such stream; it has {self._listed()}")
        name = self._stream or (
            "primary" if "primary" in self._tables or not with_rows else with_rows[0].name
        )
        panels, chooser = [], None
        if name in self._tables and self._tables[name].rows:
            chooser = Chooser(
                self.start_doc, self._tables[name], self._assets, self.images != "skip", self.notice
            )
            panels = chooser.panels(self._y, self._x)
            for sentence in chooser.lost:
                self.partial = True
                self.notice(sentence)
        if not panels:
            lost = f" ({'; '.join(chooser.lost)})" if chooser is not None and chooser.lost else ""
            raise NoData(
                f"{self.run_in_words} has nothing to plot "
                f"in stream {name}{lost}; its streams: {self._listed()}"
            )
        return panels

    def _listed(self) -> str:
        return ", ".join(f"{name} ({table.rows} points)" for name, table in self._tables.items()) or "none"

    def _sample(self) -> str:
        sample = self.start_doc.get("sample_name", self.start_doc.get("sample"))
        if isinstance(sample, Mapping):
            sample = sample.get("name")
        return sample if isinstance(sample, str) else ""

    def _began(self) -> str:
        time = self.start_doc.get("time")
        return stamp(time).isoformat(" ", "seconds") if isinstance(time, (int, float)) else ""

    def _title(self) -> list[str]:
        first = [f"scan {self.start_doc.get('scan_id', '')}", str(self.start_doc.get("plan_name") or "")]
        second = [self.uid[:7], self._began(), "" if self.status == "success" else self.status]
        return [" · ".join(filter(None, words)) for words in ([*first, self._sample()], second)]

    def _chunks(self) -> dict[str, str]:
        start = self.start_doc
        said = {key: start[key] for key in ("uid", "scan_id", "plan_name") if key in start}
        said.update(sample=self._sample(), start_time=self._began(), exit_status=self.status)
        said["fields"] = json.dumps(self._drawn)
        return {
            "Title": _chunk(" ".join(self._title())),
            **{key: _chunk(value) for key, value in said.items()},
        }


def _chunk(value: Any) -> str:
    """Return a value as a text chunk holds it: text as it is, if it can be; else JSON."""
    if isinstance(value, str) and not _UNHOLDABLE.search(value):
        return str.__str__(value)
    return json.dumps(jsontext.encode(value))
