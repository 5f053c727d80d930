"""One run through the writers of all formats asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import collector
from .catalogs._base import Run
from .documents.pages import page_length
from .documents.subset import Subset
from .errors import BlueskyExportError, ExportFailed, NoData, TargetExists
from .formats import Writer, Written
from .meter import Meter
from .outputs import Output, Target, explain
from .printing import printable
from .results import ExportResult, Failure, counted
from .selection import Say, brief

logger = logging.getLogger("bluesky_export")

PAGE_SIZE = 5000
"""Rows an event page is read with: columns long enough to be fast, short enough for any memory."""


@dataclass(frozen=True)
class FormatPlan:
    """A format, its writer and the options for it."""

    name: str
    writer: type[Writer]
    options: dict[str, Any]


@dataclass
class Job:
    """One export: the same target, formats and choices for every run."""

    target: Target
    plans: list[FormatPlan]
    streams: list[str] | None
    fields: list[str] | None
    shared: dict[str, Any]
    root_map: dict[str, str]
    say: Say
    check: Callable[[], None]
    """Called between two pages; raises where the user has typed Ctrl-C."""
    bar: Meter | None = None
    make_output: type[Output] = Output
    told: set[str] = field(default_factory=set)
    """Notices are told once, however many runs and formats they hold for."""

    def line(self, text: str) -> None:
        """Show one line to the user."""
        self.say(printable(text))

    def plan(self, run: Run, result: ExportResult) -> None:
        """Say what would be written."""
        streams = [str(doc.get("name", "primary")) for doc in run.descriptors()]
        streams = [s for s in dict.fromkeys(streams) if self.streams is None or s in self.streams]
        for plan in self.plans:
            output = Output(self.target, run.start, plan.writer.suffix)
            if plan.writer.addressed:
                self.line(f"would send run {brief(run)} to {self.target.typed} ({plan.name})")
                result.planned_uris.append(self.target.typed)
            for path in plan.writer.planned(output, streams):
                exists = " (exists)" if path.exists() and not plan.writer.appends else ""
                self.line(f"would write {path} ({plan.name}, run {brief(run)}){exists}")
                result.planned.append(path)

    def write(self, run: Run, result: ExportResult) -> None:
        """Replay a run, once, through the writers of all formats; one that fails is dropped."""
        with collector.paused() as collect_new:
            self._write(run, result, collect_new)

    def _write(self, run: Run, result: ExportResult, collect_new: Callable[[], object]) -> None:
        writers = {plan.name: writer for plan in self.plans if (writer := self._open(plan, run, result))}
        if not writers:
            return
        subset = Subset(self.streams, self.fields)
        timestamps = any(writer.reads_timestamps for writer in writers.values())
        try:
            for name, doc in subset(run.documents(PAGE_SIZE, timestamps=timestamps)):
                self.check()
                if name == "event_page":
                    collect_new()
                    if self.bar is not None:
                        self.bar.update(page_length(doc))
                for key, writer in list(writers.items()):
                    try:
                        writer(name, doc)
                    except Exception as error:  # the other formats go on
                        del writers[key]
                        self.failed(run, key, writer, error, result)
                if not writers:
                    return
            self._check_subset(subset, run)
        except Exception as error:  # the catalog failed: no format can be finished
            for key, writer in writers.items():
                self.failed(run, key, writer, error, result)
            return
        except BaseException:
            for writer in writers.values():
                writer.abort()
            raise
        for key, writer in writers.items():
            try:
                for note in run.notes:
                    writer.notice(note)
                writer.partial |= run.incomplete
                written = writer.close()
            except Exception as error:
                self.failed(run, key, writer, error, result)
            except BaseException:
                for other in writers.values():
                    other.abort()
                raise
            else:
                self.done(run, written, writer.output, result)

    def done(self, run: Run, written: Written, output: Output, result: ExportResult) -> None:
        """Record what a writer has finished."""
        result.written.append(written)
        appended = any(one.writer.appends for one in self.plans if one.name == written.format)
        if self.bar is not None and not appended:  # such a file holds more than this run
            self.bar.finished(written.files)
        self.tell(run, written)
        for path in output.left:
            self.skip(path, result)

    def _open(self, plan: FormatPlan, run: Run, result: ExportResult) -> Writer | None:
        try:
            output = self.make_output(self.target, run.start, plan.writer.suffix)
            plan.writer.check(output)
            return plan.writer(
                output, root_map={**run.root_map, **self.root_map}, **self.shared, **plan.options
            )
        except TargetExists as error:
            if self.target.if_exists == "skip":
                self.skip(error.path or output.path(), result)
            else:
                self.fail(Failure(run, plan.name, error), result)
        except BlueskyExportError as error:
            self.fail(Failure(run, plan.name, error), result)
        return None

    def skip(self, path: Any, result: ExportResult) -> None:
        """Record a file that was there and was left."""
        result.skipped.append(Path(path))
        self.line(f"skipped {path}: it exists")

    def _check_subset(self, subset: Subset, run: Run) -> None:
        missing = subset.missing()
        if missing:
            what = "fields" if all(word.startswith("field") for word in missing) else "streams"
            known = subset.seen_fields if what == "fields" else subset.seen_streams
            listed = ", ".join(sorted(known)) or "none"
            raise NoData(f"run {brief(run)} has no {', no '.join(missing)}; its {what}: {listed}")

    def failed(self, run: Run, name: str, writer: Writer, error: Exception, result: ExportResult) -> None:
        """Drop a writer that failed, and record why."""
        with suppress(Exception):  # the first error is the one to tell
            writer.abort()
        if isinstance(error, TargetExists) and self.target.if_exists == "skip":
            self.skip(error.path or writer.output.path(), result)
            return
        if isinstance(error, BlueskyExportError):
            ours = error
        elif isinstance(error, OSError) and error.errno is not None:
            ours = explain(error, writer.output.path())
            ours.__cause__ = error
        else:
            ours = ExportFailed(f"run {brief(run)} to {name}: {type(error).__name__}: {error}")
            ours.__cause__ = error
            logger.debug("writing %s as %s failed", run.uid, name, exc_info=error)
        self.fail(Failure(run, name, ours), result)

    def fail(self, failure: Failure, result: ExportResult) -> None:
        """Record a failure."""
        result.failed.append(failure)
        self._report(result)

    def _report(self, result: ExportResult) -> None:
        """Tell a failure at once where more follows; that of one run in one format is raised."""
        if result.runs > 1 or len(self.plans) > 1:
            self.line(f"FAILED {result.failed[-1]}")

    def tell(self, run: Run, written: Written) -> None:
        """Say what was written of a run, and what of it was left out or converted."""
        marks = [counted(written.events, "event")]
        if written.status != "success":
            marks.append(
                f"run {written.status}"
                if written.status == "unfinished"
                else f"exit_status {written.status}"
            )
        if written.partial:
            marks.append("PARTIAL")
        if written.unchanged:
            self.line(f"unchanged {', '.join(written.uris)}: run {brief(run)} is there already, the same")
        for path in written.files if written.files else () if written.unchanged else written.uris:
            self.line(f"wrote {path} ({written.format}, run {brief(run)}, {', '.join(marks)})")
        for notice in written.notices:
            if notice not in self.told:
                self.told.add(notice)
                self.line(f"  note: {notice}")
