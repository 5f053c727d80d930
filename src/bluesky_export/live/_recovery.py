"""Finish what sessions that have ended left unwritten: killed, or left with files still to be finished."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..formats import Written
from ._attached import export_command, run_label, short_uid
from ._client import Ticket, WorkerClient
from ._intents import Assignment, Intent, assignments, failure_of, intents
from ._journal import incomplete_of
from ._place import dead_sessions, is_locked, memory_path, remove_if_done
from ._sink import Say

POLL = 0.05
"""Seconds between two looks at the processes that finish files."""


@dataclass
class Recovered:
    """What became of the runs that were left: each by its writer's name.

    Attributes
    ----------
    written : list of Written
        Finished now, or by the writers' processes after their session had ended.
    failed : list of tuple
        Could not be written.
    busy : list of str
        Writers for which another process is at work.
    planned : list of tuple
        With a dry run, what would be finished.
    objects : list of tuple
        Not finished by objects that only their session had, and told now.
    """

    written: list[Written] = field(default_factory=list)
    failed: list[tuple[str, Intent]] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    planned: list[tuple[str, Intent]] = field(default_factory=list)
    objects: list[tuple[str, Intent]] = field(default_factory=list)


@dataclass
class Leftover:
    """The runs of one writer of a session that has ended."""

    writer: Path
    assignment: Assignment
    runs: list[Intent]
    """To be written."""
    later: list[Intent]
    """Written after the session had ended, and not told to anybody."""
    lost: list[Intent]
    """Not written, and documents of them are not in the journal."""


def leftovers(folder: Path, *, failed: bool) -> list[Leftover]:
    """Return what is left in a journal's folder, oldest session first.

    Parameters
    ----------
    folder : Path
        The journal's folder.
    failed : bool
        Whether to try again what has failed.
    """
    found = []
    for session in dead_sessions(folder):
        for writer in assignments(session):
            runs, later, lost = [], [], []
            again = failed and Assignment.load(writer).replayable
            for intent in intents(writer):
                failed_before = intent.state == "failed"
                whole = _has_documents(folder, intent.run)
                incomplete = not whole and (failed_before or _is_incomplete(folder, intent.run))
                if incomplete and (intent.state == "pending" or failed_before):
                    if again or intent.later or not failed_before:  # else it was told, and is not asked for
                        lost.append(intent)
                elif intent.later and intent.state != "pending":
                    later.append(intent)
                elif intent.state == "pending" and not whole:
                    # killed before one document was acknowledged
                    (writer / f"{intent.run}.json").unlink(missing_ok=True)
                elif intent.state == "pending" or (failed_before and again):
                    runs.append(intent)
            if runs or later or lost:
                found.append(Leftover(writer, Assignment.load(writer), runs, later, lost))
    return found


def _has_documents(folder: Path, run: str) -> bool:
    journal = folder / f"{run}.msgpack"
    return (journal.is_file() and journal.stat().st_size > 0) or (memory_path() / f"{run}.0.spill").exists()


def _is_incomplete(folder: Path, run: str) -> bool:
    return incomplete_of(folder / f"{run}.msgpack").exists()


def recover(
    folder: Path,
    say: Say,
    *,
    failed: bool = False,
    dry_run: bool = False,
    check: Callable[[], object] | None = None,
) -> Recovered:
    """Finish the files of runs that were left.

    Parameters
    ----------
    folder : Path
        The journal's folder.
    say : callable
        Told of each run.
    failed : bool
        Whether to try again what has failed.
    dry_run : bool
        Say what would be done.
    check : callable, optional
        Called now and then while waiting; may raise to end the waiting.
    """
    result = Recovered()
    found = leftovers(folder, failed=failed)
    working: list[WorkerClient] = []
    for left in found:
        _say_lost_documents(left, result, say, dry_run=dry_run)
        if not left.assignment.replayable:
            _say_lost_object(left, result, say, dry_run=dry_run)
            continue
        for intent in left.runs if dry_run else ():
            result.planned.append((left.assignment.name, intent))
            where = f"{left.assignment.name}, {left.assignment.address or left.assignment.folder}"
            say(f"would finish run {run_label(intent.start)} ({where})")
        if dry_run:
            continue
        if left.later and not _is_at_work(left):
            for intent in left.later:
                _settle(left.assignment, intent, result, say, "finished after its session had ended")
                _note(left, intent.changed(later=False))
        if left.runs:
            working.append(_give(left, result, say))
    try:
        _wait(working, check)
    finally:
        for client in working:
            client.abandon()
    for client in working:
        if client.busy:
            _say_busy(Assignment.load(client.writer).name, result, say)
    return result


def _say_busy(name: str, result: Recovered, say: Say) -> None:
    result.busy.append(name)
    say(f"{name}: another process is finishing its runs")


def _say_lost_documents(left: Leftover, result: Recovered, say: Say, *, dry_run: bool) -> None:
    """Tell, once, which runs were not written and cannot be from what the journal has of them."""
    wanted = left.assignment
    if left.lost and _is_at_work(left):
        if not left.runs:  # else that is seen when they are given to a process
            _say_busy(wanted.name, result, say)
        return
    for intent in left.lost:
        result.failed.append((wanted.name, intent))
        known = intent.outcome.get("message")
        why = f"documents of it are not in the journal{f' ({known})' if known else ''}"
        say(
            f"{wanted.name}: run {run_label(intent.start)} is not written: {why}. "
            f"Export it from the catalog: {export_command(intent.uid, wanted.format, wanted.target)}"
        )
        if not dry_run:
            outcome = failure_of(RuntimeError(why), why, "")
            _note(left, intent.changed(state="skipped", outcome=outcome, later=False))


def _is_at_work(left: Leftover) -> bool:
    """Say whether another process writes for the writer: then what it notes is not known yet."""
    return is_locked(left.writer.with_name(f"{left.writer.name}.lock"))


def _note(left: Leftover, intent: Intent) -> None:
    with suppress(OSError):  # a full disk: it is told again the next time
        intent.save(left.writer)


def _say_lost_object(left: Leftover, result: Recovered, say: Say, *, dry_run: bool) -> None:
    """Tell, once, which runs an object had not finished when its session ended."""
    for intent in left.runs:
        result.objects.append((left.assignment.name, intent))
        why = "it was not finished when its session ended, and only that session had the object"
        say(
            f"{left.assignment.name}: run {run_label(intent.start)}: {why}. The journal keeps the run: "
            f"%export {short_uid(intent.uid)} FORMAT --catalog journal"
        )
        if not dry_run:
            outcome = failure_of(RuntimeError(why), why, "")
            _note(left, intent.changed(state="failed", outcome=outcome))


def _give(left: Leftover, result: Recovered, say: Say) -> WorkerClient:
    name = left.assignment.name

    def tell(text: str) -> None:
        say(f"{name}: {text}")

    def done(ticket: Ticket, intent: Intent) -> None:
        if not ticket.before:  # else somebody else has finished it, and said so
            _settle(left.assignment, intent, result, say, "recovered")

    client = WorkerClient(left.writer, tell, done)
    for intent in left.runs:
        client.give(intent, ended=True, again=True)
    client.leave()
    return client


def _wait(working: list[WorkerClient], check: Callable[[], object] | None) -> None:
    while not all(client.closed for client in working):
        for client in working:
            client.tick(time.monotonic())
        if check is not None:
            check()
        time.sleep(POLL)


def _settle(writer: Assignment, intent: Intent, result: Recovered, say: Say, how: str) -> None:
    name = writer.name
    run = run_label(intent.start)
    if intent.state == "written":
        written = intent.written
        result.written.append(written)
        marks = [name, f"run {run}", f"{written.events:,} events"]
        marks += [] if written.status == "success" else [f"run {written.status}"]
        marks += ["PARTIAL"] if written.partial else []
        for place in (*written.files, *written.uris):
            say(f"{how}: {place} ({', '.join(marks)})")
    elif intent.state == "skipped":
        say(f"{name}: run {run} not written: {intent.outcome.get('message', '')}")
    else:
        result.failed.append((name, intent))
        why = f"{intent.outcome.get('error')}: {intent.outcome.get('message')}"
        command = export_command(intent.uid, writer.format, writer.target)
        say(
            f"{name}: FAILED to write run {run}: {why}. The journal keeps it; when the cause is gone: "
            f"bluesky-export recover, or {command} --catalog journal"
        )


def tidy(folder: Path) -> None:
    """Remove what is left of sessions of which no run is remembered."""
    for session in dead_sessions(folder):
        remove_if_done(session)
