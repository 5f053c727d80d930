"""The verb ``runs``: what has been measured, as a table or one run in full."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalogs._base import Run
from .details import RunDetails
from .documents.fields import scanned
from .errors import OutputError, UsageError
from .outputs import clock, explain, full_path
from .selection import Say, Selection, select, tell_if_measuring
from .session import find_catalog, namespace
from .tables import has_colours, html_table, terminal_width, text_table

if TYPE_CHECKING:
    import pandas

logger = logging.getLogger("bluesky_export")

DEFAULT_COLUMNS = (
    "scan_id",
    "uid",
    "time",
    "duration",
    "plan",
    "points",
    "motors",
    "detectors",
    "sample",
    "status",
)

_KEEP = ("scan_id", "uid", "time", "duration", "points", "status")
"""Never shortened: half a number says something wrong."""
_EXPENDABLE = ("duration", "detectors", "sample", "motors", "points")
"""Left out, in this order, where the terminal is too narrow for all."""
_STYLES = {
    "success": "green",
    "abort": "bold yellow",
    "halt": "bold yellow",
    "fail": "bold red",
    "unfinished": "bold magenta",
}


def _duration(run: Run) -> str:
    stop = (run.stop or {}).get("time")
    if stop is None:
        return ""
    seconds = float(stop) - float(run.start["time"])
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _points(run: Run) -> str:
    asked = run.start.get("num_points")
    counts = (run.stop or {}).get("num_events")
    if not isinstance(counts, Mapping):
        return f"?/{asked}" if asked is not None else ""
    got = counts.get("primary", 0) if "primary" in counts or asked is not None else sum(counts.values())
    return f"{got}/{asked}" if asked is not None else f"{got}"


def _sample(run: Run) -> str:
    for key in ("sample", "sample_name", "Sample_Name", "title", "scan_title", "purpose"):
        value = run.start.get(key)
        if isinstance(value, Mapping):
            value = value.get("name") or value.get("title")
        if value not in (None, ""):
            return str(value)
    return ""


def _listed(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ", ".join(map(str, value)) if isinstance(value, Iterable) else ""


COLUMNS: Mapping[str, Callable[[Run], str]] = {
    "scan_id": lambda run: "" if run.scan_id is None else str(run.scan_id),
    "uid": lambda run: run.uid[:7],
    "time": lambda run: clock(run.start["time"]),
    "duration": _duration,
    "plan": lambda run: str(run.start.get("plan_name") or ""),
    "points": _points,
    "motors": lambda run: ", ".join(scanned(run.start)),
    "detectors": lambda run: _listed(run.start.get("detectors") or ()),
    "sample": _sample,
    "status": lambda run: run.status,
}


def _column(name: str) -> Callable[[Run], str]:
    """Return what fills a column: one of ours, or a key of the start or stop document."""
    if name in COLUMNS:
        return COLUMNS[name]

    def look_up(run: Run) -> str:
        document, _, rest = name.partition(".")
        value: Any = {"start": run.start, "stop": run.stop or {}}.get(document)
        if value is None or not rest:
            value, rest = run.start, name
        for key in rest.split("."):
            if not isinstance(value, Mapping) or key not in value:
                return ""
            value = value[key]
        return str(value)

    return look_up


@dataclass(frozen=True)
class RunTable:
    """A table of runs: text in the terminal, HTML in a notebook.

    Attributes
    ----------
    columns : tuple of str
        The titles.
    rows : tuple of tuple of str
        A row a run.
    runs : tuple of Run
        The runs, in the same order: the table can be given to ``export``.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    runs: tuple[Run, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Any:
        return iter(self.runs)

    def __str__(self) -> str:
        return self._text()

    def __repr__(self) -> str:
        return str(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show the table, with colours where the terminal has them."""
        styles = _STYLES if has_colours() else None
        printer.text(self._text(styles))

    def _text(self, styles: Mapping[str, str] | None = None) -> str:
        return text_table(
            *(self.columns, self.rows, terminal_width(), _KEEP, _EXPENDABLE),
            styles=styles,
            hint="; --columns chooses",
        )

    def _repr_html_(self) -> str:
        return html_table(self.columns, self.rows)

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the table as a pandas DataFrame of text, indexed by the full uid."""
        import pandas as pd

        return pd.DataFrame(
            list(self.rows),
            columns=list(self.columns),
            index=pd.Index([r.uid for r in self.runs], name="run"),
        )

    def save(self, path: str | Path) -> Path:
        """Write the table as a new CSV file, with full uids.

        Raises
        ------
        OutputError
            The file exists or cannot be written.
        """
        full = full_path(path)
        rows = [
            [run.uid if column == "uid" else cell for column, cell in zip(self.columns, row, strict=True)]
            for run, row in zip(self.runs, self.rows, strict=True)
        ]
        buffer = io.StringIO(newline="")
        csv.writer(buffer, lineterminator="\n").writerows([self.columns, *rows])
        try:
            with full.open("x", encoding="utf-8", newline="") as file:
                file.write(buffer.getvalue())
        except FileExistsError:
            raise OutputError(f"{full} exists; give another name") from None
        except OSError as error:
            raise explain(error, full) from error
        return full


def runs(
    selectors: Any = (),
    *,
    n: int | None = None,
    columns: str | Iterable[str] | None = None,
    catalog: Any = None,
    since: Any = None,
    until: Any = None,
    plan: str | None = None,
    where: Mapping[str, Any] | None = None,
    all_matches: bool = False,
    csv: str | Path | None = None,
    plot: bool = False,
    say: Say | None = None,
) -> RunTable | RunDetails:
    """List runs.

    Parameters
    ----------
    selectors : str, int, Run or list
        Which runs; left out: the last 20, newest first. A single run is shown in full.
    n : int, optional
        At most so many.
    columns : str or list of str, optional
        ``"scan_id,plan,stop.reason"``: our columns, or keys of the start document
        (``stop.…`` for the stop document).
    catalog, since, until, plan, where, all_matches
        As in :func:`bluesky_export.export`.
    csv : str or Path, optional
        Save the table to this new file as well.
    plot : bool
        Show one run with a plot: text in a terminal, a picture in a notebook.
    say : callable, optional
        Told, a line each, what the user has to know.

    Returns
    -------
    RunTable or RunDetails
        Details if one run was selected by one selector and no columns were asked for.

    Raises
    ------
    BlueskyExportError
        No catalog, or nothing matches.
    """
    if n is not None and n < 1:
        raise UsageError(f"-n {n}: give a number from 1 up")
    say = say or logger.info
    variables = namespace()
    source = find_catalog(catalog, variables)
    given = tuple(selectors.split()) if isinstance(selectors, str) else selectors
    given = tuple(given) if isinstance(given, (list, tuple)) else (given,)
    chosen = Selection(given, since, until, plan, where or {}, all_matches)
    if plot and not chosen:
        given = ("-1",)
        chosen = Selection(given)
    tell_if_measuring(chosen, source, variables, say)
    if chosen:
        found = select(chosen, source, variables, say)
        if len(given) == 1 and len(found) == 1 and columns is None and csv is None and chosen.query is None:
            details = RunDetails(found[0], plot)
            return details.check_plot() if plot else details
        if plot:
            raise UsageError(f"--plot shows one run, not {len(found)}: %runs {found[-1].uid[:7]} --plot")
        found = found[-n:] if n is not None else found
    else:
        found = source.newest(n or 20)
        if not found:
            say(f"{source.name} has no runs yet")
    names = columns.split(",") if isinstance(columns, str) else columns
    titles = tuple(name.strip() for name in names) if names else DEFAULT_COLUMNS
    fill = [_column(name) for name in titles]
    table = RunTable(titles, tuple(_row(run, fill) for run in found), tuple(found))
    for title, column in zip(titles, zip(*table.rows, strict=True), strict=False):
        if title not in COLUMNS and not any(column):
            say(
                f"none of these runs has {title}; columns are {', '.join(COLUMNS)}, or keys of the metadata"
            )
    if csv is not None:
        say(f"wrote {table.save(csv)}")
    return table


def _row(run: Run, fill: Sequence[Callable[[Run], str]]) -> tuple[str, ...]:
    """Return the cells of a run; what cannot be read is marked, and the table goes on."""
    cells = []
    for column in fill:
        try:
            cells.append(column(run))
        except Exception as error:  # one odd run must not hide the others
            cells.append(f"unreadable ({type(error).__name__})")
    return tuple(cells)
