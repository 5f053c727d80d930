"""How the attached writers are doing, as a table."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from ..printing import printable
from ..tables import has_colours, html_table, terminal_width, text_table
from ._engine import LiveWriters
from ._subscribed import subscribed_writers

_HEADINGS = (
    *("writer", "target", "state", "runs", "events"),
    *("waiting", "last file", "written by", "last error"),
)
_KEEP = ("writer", "state", "runs", "events", "waiting")
_EXPENDABLE = ("last file", "written by")
_STYLES = {
    "ready": "green",
    "writing": "bold cyan",
    "detaching": "bold magenta",
    "FAILED": "bold red",
    "UNSUBSCRIBED": "bold red",
}
"""By the first word of a state."""


@dataclass(frozen=True)
class StatusRow:
    """One writer, as it is at this moment.

    Attributes
    ----------
    name, target, state : str
        ``state`` is ready, writing, detaching, FAILED, UNSUBSCRIBED (by someone else; attaching
        again mends it), or "subscribed by startup".
    runs, events : int or None
        Written so far; None for a writer that we do not drive.
    waiting : int or None
        Events measured that are not given to the writer yet.
    last_file : Path or None
        The file written last.
    process : str
        What writes: a process by its number, or the session itself.
    last_error : str
        What went wrong last; empty if nothing did, or if those runs have been written since.
    last_uri : str
        The run written last, of a writer that writes to a server.
    """

    name: str
    target: str
    state: str
    runs: int | None = None
    events: int | None = None
    waiting: int | None = None
    last_file: Path | None = None
    process: str = ""
    last_error: str = ""
    last_uri: str = ""

    def cells(self) -> list[str]:
        """Return the row as text."""
        cells = ["" if value is None else str(value) for value in astuple(self)][: len(_HEADINGS)]
        if self.last_uri:
            cells[_HEADINGS.index("last file")] = self.last_uri.rpartition("/")[2]
        if self.last_file is not None:
            cells[_HEADINGS.index("last file")] = self.last_file.name  # its folder is the target's
        return cells


@dataclass(frozen=True)
class JournalStatus:
    """What is safe.

    Attributes
    ----------
    folder : Path
        Where.
    runs, events : int
        Journaled since the first writer was attached: they survive the end of the session.
    queued : int
        Events measured that are not in the journal yet.
    trouble : str
        Why it is in memory at the moment, and not on its disk; empty if it is not.
    """

    folder: Path
    runs: int
    events: int
    queued: int
    trouble: str

    def __str__(self) -> str:
        events = f"{self.events:,} event" + "s" * (self.events != 1)
        runs = f"{self.runs:,} run" + "s" * (self.runs != 1)
        text = f"journal: {events} of {runs} in {self.folder}"
        text += f", {self.queued:,} not yet" if self.queued else ""
        return text + (f"; IN MEMORY: {self.trouble}" if self.trouble else "")


class StatusTable(Sequence[StatusRow]):
    """The rows: a table in the terminal, HTML in a notebook.

    Attributes
    ----------
    rows : list of StatusRow
        Those of ours first, then those that the instrument's startup subscribed.
    journal : JournalStatus or None
        What is safe; None if nothing is attached.
    """

    def __init__(self, rows: Sequence[StatusRow], journal: JournalStatus | None = None) -> None:
        self.rows = list(rows)
        self.journal = journal

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[StatusRow]:
        return iter(self.rows)

    def __str__(self) -> str:
        return self._text()

    __repr__ = __str__

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show the table, with colours where the terminal has them."""
        styles = {row.state: _STYLES.get(row.state.partition(" ")[0], "") for row in self.rows}
        printer.text(self._text(styles if has_colours() else None))

    def _text(self, styles: Mapping[str, str] | None = None) -> str:
        if not self.rows:
            return "no writer is attached; attach one: %attach_writer nexus"
        table = text_table(
            _HEADINGS[:-1],
            [row.cells()[:-1] for row in self.rows],
            terminal_width(),
            _KEEP,
            _EXPENDABLE,
            paths=("target", "last file"),
            styles=styles,
        )
        errors = [f"{row.name}: {row.last_error}" for row in self.rows if row.last_error]
        journal = [str(self.journal)] if self.journal is not None else []
        return "\n".join([table, *map(printable, [*journal, *errors])])

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p>{html.escape(str(self))}</p>"
        table = html_table(_HEADINGS, [row.cells() for row in self.rows])
        return table + (f"<p>{html.escape(str(self.journal))}</p>" if self.journal is not None else "")


def status_table(live: LiveWriters, engine: Any) -> StatusTable:
    """Return the writers attached to a RunEngine, and those that were subscribed without us."""
    rows = []
    connected = live.connected  # someone may have taken all subscriptions away
    for one in live.attached:
        failed = f" ({len(one.failed)} of {one.runs + len(one.failed)} runs)" if one.failed else ""
        rows.append(
            StatusRow(
                one.name,
                one.where,
                (one.state if connected else "UNSUBSCRIBED") + failed,
                one.runs,
                one.events,
                live.waiting_for(one),
                one.last_file,
                one.process,
                one.last_error if one.failed else "",  # else its runs have been written since
                one.last_uri,
            )
        )
    rows += [
        StatusRow(found.name, "", "subscribed by startup")
        for found in subscribed_writers(engine, live.receive)
    ]
    recorder, place = live.recorder, live.place
    journal = None
    if recorder is not None and place is not None:
        journal = JournalStatus(
            place.folder, recorder.runs, recorder.events, recorder.queued, recorder.trouble
        )
    return StatusTable(rows, journal)
