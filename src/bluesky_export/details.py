"""One run in full: metadata, streams, fields, external files."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .catalogs._base import Run
from .errors import UsageError
from .outputs import stamp
from .printing import printable
from .tables import in_notebook, terminal_width


@dataclass(frozen=True)
class RunDetails:
    """What ``%runs 554`` shows; the run itself is in ``run``."""

    run: Run
    plot: bool = False

    def __iter__(self) -> Iterator[Run]:
        """Give the run, so that what was shown can be exported by its name."""
        yield self.run

    @cached_property
    def files(self) -> list[tuple[str, bool]]:
        """External files, and whether each can be read from here."""
        if not any(
            key.get("external") for doc in self.run.descriptors() for key in doc["data_keys"].values()
        ):
            return []  # nothing to look for, and so no data to read
        from .documents.assets import Assets

        assets = Assets(dict(self.run.root_map))
        found: dict[str, bool] = {}
        for name, doc in self.run.documents(page_size=100_000, timestamps=False):
            if name in ("resource", "stream_resource"):
                path = assets.where(doc)
                found[str(path)] = _readable(path)
        return list(found.items())

    def lines(self) -> list[str]:
        """Return the text, a line each."""
        run = self.run
        begun = stamp(run.start["time"]).isoformat(sep=" ", timespec="milliseconds")
        ended = (run.stop or {}).get("time")
        out = [
            f"run {run.uid}",
            f"  scan_id   {run.scan_id}",
            f"  plan      {run.start.get('plan_name', '')}",
            f"  status    {run.status}"
            + (f": {run.stop['reason']}" if (run.stop or {}).get("reason") else ""),  # type: ignore[index]
            f"  started   {begun}",
            "  stopped   "
            + (
                stamp(ended).isoformat(sep=" ", timespec="milliseconds") if ended is not None else "not yet"
            ),
            "metadata",
        ]
        shown = {"uid", "scan_id", "plan_name", "time"}
        out += _tree({k: v for k, v in run.start.items() if k not in shown}, "  ")
        counts = run.counts()
        streams: dict[str, dict[str, Mapping[str, Any]]] = {}
        for descriptor in run.descriptors():
            streams.setdefault(str(descriptor.get("name", "primary")), {}).update(descriptor["data_keys"])
        for stream, fields in streams.items():
            out.append(
                f"stream {stream}: {counts.get(stream, 0)} event" + "s" * (counts.get(stream, 0) != 1)
            )
            widest = max(map(len, fields), default=0)
            for field, key in fields.items():
                dtype = key.get("dtype_numpy") or key.get("dtype", "")
                shape = f" {list(key['shape'])}" if key.get("shape") else ""
                units = f" {key['units']}" if key.get("units") else ""
                where = "  (detector files)" if key.get("external") else ""
                out.append(f"  {field:{widest}}  {dtype}{shape}{units}{where}")
        for path, readable in self.files:
            out.append(f"file {path}: {'readable' if readable else 'cannot be read from here'}")
        return out + [f"note: {note}" for note in run.notes]

    @cached_property
    def _plotter(self) -> Any:
        from .plotting import plotter

        return plotter(self.run)

    def check_plot(self) -> RunDetails:
        """Find out now, and not when it is shown, whether there is something to plot, and how.

        Raises
        ------
        NoData
            The run has nothing that can be plotted.
        UsageError
            In a terminal, plotext is missing.
        """
        from .plotting import need_plotext

        panels = self._plotter.panels()
        if not in_notebook() and any(panel.kind == "line" for panel in panels):
            need_plotext()
        return self

    def _text(self) -> str:
        return "\n".join(map(printable, self.lines()))

    def __str__(self) -> str:
        if not self.plot:
            return self._text()
        from .plotting import text_plot

        width = min(terminal_width() or 100, 100)
        short = self.run.uid[:8]
        scan = f"uid:{short}" if short.isdigit() else short
        try:
            plot = text_plot(self._plotter.panels(), width, scan)
        except UsageError as error:  # in a notebook, which shows the picture
            plot = str(error)
        return f"{self._text()}\n{plot}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        if not self.plot:
            return f"<pre>{html.escape(self._text())}</pre>"
        from .plotting import picture

        image = base64.b64encode(picture(self._plotter)).decode()
        shown = f'<img alt="plot of the run" src="data:image/png;base64,{image}">'
        return f"<pre>{html.escape(self._text())}</pre>{shown}"


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK) or any(path.parent.glob(path.name + "*"))  # a prefix of many files


def _tree(values: Mapping[str, Any], indent: str, most: int = 400) -> list[str]:
    """Return nested metadata, a line each; a long value is cut in the display with ``…``."""
    out = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            out += [f"{indent}{key}", *_tree(value, indent + "  ", most)]
        else:
            text = str(value)
            out.append(f"{indent}{key}: {text if len(text) <= most else text[:most] + '…'}")
    return out
