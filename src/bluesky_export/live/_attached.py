"""What is attached: one writer by name, where it writes, and how it is doing."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from ..formats import Written
from ..outputs import Target
from ..printing import printable
from ._client import SILENT, Ticket, WorkerClient
from ._intents import Assignment, Intent, error_of, failure_of, outcome_of
from ._sink import Say, Sink, message_of, one_line, quietly, trace_of


@dataclass(frozen=True)
class FailedRun:
    """A run that a writer could not write: enough to write it later, when the cause is gone.

    Attributes
    ----------
    uid, scan_id : str, any
        The run.
    writer : str
        The name of the attachment.
    format : str or None
        A registered format; None for a callback of the session's own.
    target : Target or None
        Where it was to go.
    settings : Mapping
        ``streams``, ``fields``, ``images``, ``root_map`` and ``options`` as given when attaching.
    error : BaseException
        What was raised, without its traceback (which would keep the run's data in memory).
    traceback : str
        The traceback, as text.
    time : float
        When, in seconds of the epoch.
    """

    uid: str
    scan_id: Any
    writer: str
    format: str | None
    target: Target | None
    settings: Mapping[str, Any]
    error: BaseException
    traceback: str
    time: float
    intent: Path | None = None
    """What is known of it beside the journal."""
    plain: bool = False
    """Nothing but a format and a path was given when attaching."""
    lost: bool = False
    """Documents of it are not in the journal: only the catalog may have the whole run."""

    def forget(self) -> None:
        """Note beside the journal that the run was written by other means."""
        if self.intent is not None:
            with suppress(OSError):  # cleaned up since, or the disk is full
                outcome = {"message": "written later"}
                Intent.load(self.intent).changed(state="skipped", outcome=outcome).save(self.intent.parent)

    @property
    def command(self) -> str | None:
        """What to type to write the run later; None if only the session's own object can.

        What was given when attaching is not repeated: ``--failed`` knows it.
        """
        if self.format is None or self.target is None:
            return None
        return export_command(self.uid, self.format, self.target) if self.plain else "%export --failed"


def export_command(uid: str, name: str | None, target: Target) -> str:
    """Return what to type to export a run, in the format of that name, to where it was meant to go."""
    if name is None:
        return f"%export {short_uid(uid)} FORMAT"
    path = target.typed
    return f"%export {short_uid(uid)} {name} " + (f'"{path}"' if " " in path else path)


def short_uid(uid: str) -> str:
    """Return the beginning of a uid as it can be typed: one of digits alone would be a scan_id."""
    return f"uid:{uid[:8]}" if uid[:7].isdigit() else uid[:7]


def run_label(start: Mapping[str, Any]) -> str:
    """Return how a run is called in messages: its scan_id and the beginning of its uid."""
    uid = str(start.get("uid", ""))[:7]
    return f"{start['scan_id']} ({uid})" if start.get("scan_id") is not None else uid


@dataclass(eq=False, repr=False)
class AttachedWriter:
    """One attached writer. Changed by the thread that drives it; read from any.

    Attributes
    ----------
    name : str
        Unique on its RunEngine; what ``%detach_writer`` takes.
    format : str or None
        The registered format, None for a callback of the session's own.
    target : Target or None
        Where files go, None if the callback decides itself.
    where : str
        The target in words, for the table.
    key : Hashable
        Equal for two attachments that would write the same.
    make_sink : callable
        Given this object and a start document, makes the sink of one run in this session; a fresh
        writer each.
    assignment : Assignment
        The same for another process, or for one that finds its runs when this session has ended.
    client : WorkerClient or None
        The process that writes; None if this session does.
    record : Path or None
        Where it is noted what becomes of runs that this session writes.
    plain : bool
        Nothing but a format and a path was given when attaching: ``%export`` needs no more for the same.
    """

    name: str
    format: str | None
    target: Target | None
    where: str
    key: Hashable
    make_sink: Callable[[AttachedWriter, Mapping[str, Any]], Sink]
    say: Say
    assignment: Assignment
    settings: Mapping[str, Any] = field(default_factory=dict)
    client: WorkerClient | None = None
    record: Path | None = None
    plain: bool = False
    since: float = field(default_factory=time.time)
    written: list[Written] = field(default_factory=list)
    failed: list[FailedRun] = field(default_factory=list)
    skipped: int = 0
    given: int = 0
    """Events given to the writer, but for those of runs that a process has in hand."""
    last_error: str = ""
    active: bool = False
    """Given the runs that start from now on."""
    detaching: bool = False
    """Asked to end; shown so at once."""
    ended: bool = False
    """The pump has come to where it was asked to end: no run that starts later is for it."""
    sinks: list[Sink] = field(default_factory=list)
    """Of the runs that are open, or being finished."""
    detached: Event = field(default_factory=Event)
    subscribed_elsewhere: Callable[[], bool] = lambda: False
    """Whether a plan has subscribed the same object: it gets the run from there."""
    _said: set[str] = field(default_factory=set)
    _records: dict[str, Intent] = field(default_factory=dict)
    """By uid, the runs that this session writes."""

    def __repr__(self) -> str:
        return f"<attached writer {self.name}: {self.where}, {self.state}>"

    @property
    def runs(self) -> int:
        """Runs written completely."""
        return len(self.written)

    @property
    def events(self) -> int:
        """Events given to the writer."""
        return self.given + sum(getattr(sink, "events", 0) for sink in list(self.sinks))

    @property
    def process(self) -> str:
        """What writes: ``process 4711``, or ``in this session``."""
        return self.client.state if self.client is not None else "in this session"

    @property
    def silent(self) -> float:
        """Seconds since its process gave a sign, though it has something to do; 0 if all is well."""
        return self.client.silent if self.client is not None else 0.0

    @property
    def last_file(self) -> Path | None:
        """The main file of the run written last."""
        return next((item.files[0] for item in reversed(self.written) if item.files), None)

    @property
    def waiting(self) -> int:
        """Events that the pump has handed to this writer's runs and that are not written yet."""
        return sum(sink.waiting for sink in list(self.sinks))

    @property
    def state(self) -> str:
        """``FAILED`` (sticks until its failed runs are written), detached, NOT ANSWERING, writing …."""
        if self.failed:
            return "FAILED"
        if self.detached.is_set():
            return "detached"
        if self.silent >= SILENT:
            return "NOT ANSWERING"
        if self.detaching:
            return "detaching"
        return "writing" if self.sinks else "ready"

    @property
    def last_uri(self) -> str:
        """The run written last, of a writer that writes to a server."""
        return next((item.uris[0] for item in reversed(self.written) if item.uris), "")

    # -- told by the sinks -----------------------------------------------------------------

    def settle(self, ticket: Ticket, intent: Intent) -> None:
        """Note what became of a run in another process."""
        start = ticket.journal.start if ticket.journal is not None else intent.start
        self.given += ticket.events
        ticket.events = 0
        if intent.state == "written":
            self.add_written(replace(intent.written, scan_id=start.get("scan_id")), start)
        elif intent.state == "skipped":
            self.add_skipped(error_of(intent.outcome), start)
        else:
            path = ticket.client.writer / f"{intent.run}.json"
            trace = intent.outcome.get("traceback", "")
            self.add_failed(error_of(intent.outcome), start, trace, path, lost=bool(ticket.failure))

    def begin_record(self, intent: Intent) -> None:
        """Note beside the journal that this session is to write a run."""
        if self.record is not None:
            self._records[intent.uid] = intent
            with suppress(OSError):  # a full disk: the run is written all the same
                intent.save(self.record)

    def _end_record(self, start: Mapping[str, Any], state: str, outcome: Callable[[], Any]) -> Path | None:
        """Note what became of it; return where, if it had been noted."""
        intent = self._records.pop(str(start.get("uid", "")), None)
        if intent is None or self.record is None:
            return None
        with suppress(OSError):
            intent.changed(state=state, outcome=outcome()).save(self.record)
        return self.record / f"{intent.run}.json"

    def tell_once(self, text: str) -> None:
        """Show one line to the user, unless it was shown before."""
        if text not in self._said:
            self._said.add(text)
            self.tell(text)

    def tell(self, text: str) -> None:
        """Show one line to the user, with the writer's name."""
        quietly(lambda: self.say(printable(f"{self.name}: {text}")))

    def add_written(self, written: Written, start: Mapping[str, Any]) -> None:
        """Note a run that was written, and show its notices, each one once."""
        self._end_record(start, "written", lambda: outcome_of(written))
        self.written.append(written)
        if written.status == "unfinished":
            self.tell(
                f"run {run_label(start)} has no end (no stop document came): what there was of it is "
                f"written, {written.events:,} events, and marked as unfinished"
            )
        for notice in written.notices:
            if notice not in self._said:
                self._said.add(notice)
                self.tell(f"run {run_label(start)}: {notice}")

    def add_skipped(self, why: BaseException, start: Mapping[str, Any]) -> None:
        """Note a run that there was nothing to write of."""
        self._end_record(start, "skipped", lambda: failure_of(why, message_of(why), ""))
        self.skipped += 1
        self.tell(f"run {run_label(start)} not written: {_plain(why)}")

    def add_failed(
        self,
        error: BaseException,
        start: Mapping[str, Any],
        trace: str | None = None,
        intent: Path | None = None,
        *,
        lost: bool = False,
    ) -> None:
        """Note a run that could not be written, and say so at once, in one line."""
        trace = trace_of(error) if trace is None else trace
        noted = self._end_record(start, "failed", lambda: failure_of(error, message_of(error), trace))
        self.last_error = f"run {run_label(start)}: {one_line(error)}"
        failed = FailedRun(
            uid=str(start.get("uid", "")),
            scan_id=start.get("scan_id"),
            writer=self.name,
            format=self.format,
            target=self.target,
            settings=self.settings,
            error=_without_traceback(error),
            traceback=trace,
            time=time.time(),
            intent=intent or noted,
            plain=self.plain,
            lost=lost,
        )
        self.failed.append(failed)
        later = f"; when the cause is gone: {failed.command}" if failed.command else ""
        self.tell(f"FAILED to write run {run_label(start)}: {one_line(error)}. The scan goes on{later}")


def _plain(error: BaseException) -> str:
    """Return an error's own sentence, without the name of its class."""
    return one_line(error).partition(": ")[2] or one_line(error)


def _without_traceback(error: BaseException) -> BaseException:
    """Drop the tracebacks of an exception and of those behind it: they hold every local variable."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error
