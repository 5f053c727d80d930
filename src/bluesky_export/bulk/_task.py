"""What a worker does: find one run again, and write its files under temporary names."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import errors, formats
from ..catalogs._base import Run
from ..catalogs._reopening import Address
from ..errors import BlueskyExportError, TargetExists
from ..formats import Written
from ..outputs import HeldOutput, Output, Target
from ..replay import FormatPlan, Job
from ..results import ExportResult, Failure

LOOK_EVERY = 1.0
"""Seconds between two looks whether the export was interrupted."""

_one_at_a_time = threading.Lock()  # a dask worker may have threads; a writer is not made for them


@dataclass(frozen=True)
class Task:
    """One run to write, as it is sent to a worker."""

    address: Address
    target: Target
    formats: tuple[tuple[str, dict[str, Any]], ...]
    streams: list[str] | None
    fields: list[str] | None
    shared: dict[str, Any]
    root_map: dict[str, str]


@dataclass
class Outcome:
    """What became of a task, by format; nothing in it belongs to the worker's process."""

    written: dict[str, tuple[Written, dict[Path, Path]]] = field(default_factory=dict)
    """What was written, and where its files are until they get their names."""
    failed: dict[str, tuple[str, str, Path | None]] = field(default_factory=dict)
    """The kind of error, its message, its file."""
    skipped: list[Path] = field(default_factory=list)


class Stopped(BaseException):
    """The export was interrupted."""


def our_version() -> str:
    """Return the version of this package that is installed in this process."""
    return version("bluesky-export")


def about(folder: str) -> tuple[str, bool]:
    """Return, of this process, the version and whether a folder can be written to."""
    return our_version(), os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def write_run(task: Task, stop: Any) -> Outcome:
    """Write one run.

    Parameters
    ----------
    task : Task
        What to write.
    stop : distributed.Event
        Set if the export was interrupted.
    """
    outcome = Outcome()
    with _one_at_a_time:
        try:
            run = task.address.find()
        except BlueskyExportError as error:
            outcome.failed = {name: packed(error) for name, _ in task.formats}
            return outcome
        plans = [FormatPlan(name, formats.writer_class(name), options) for name, options in task.formats]
        job = _HeldJob(
            task.target,
            plans,
            task.streams,
            task.fields,
            task.shared,
            task.root_map,
            lambda _line: None,
            _looking(stop),
            make_output=HeldOutput,
            outcome=outcome,
        )
        try:
            job.write(run, ExportResult())
        except Stopped:
            outcome.failed = {name: ("ExportFailed", "interrupted", None) for name, _ in task.formats}
    return outcome


@dataclass
class _HeldJob(Job):
    outcome: Outcome = field(default_factory=Outcome)

    def done(self, run: Run, written: Written, output: Output, result: ExportResult) -> None:
        assert isinstance(output, HeldOutput)
        self.outcome.written[written.format] = written, output.held
        self.outcome.skipped += output.left

    def skip(self, path: Any, result: ExportResult) -> None:
        self.outcome.skipped.append(Path(path))

    def fail(self, failure: Failure, result: ExportResult) -> None:
        self.outcome.failed[failure.format] = packed(failure.error)


def packed(error: BlueskyExportError) -> tuple[str, str, Path | None]:
    """Return an error in a form that any process understands."""
    kind = next(cls.__name__ for cls in type(error).__mro__ if cls.__name__ in errors.__all__)
    path = getattr(error, "path", None)
    return kind, str(error), path if isinstance(path, Path) else None


def unpacked(kind: str, message: str, path: Path | None) -> BlueskyExportError:
    """Return the error that :func:`packed` was given."""
    cls: type[BlueskyExportError] = getattr(errors, kind)
    return cls(message, path) if issubclass(cls, TargetExists) else cls(message)


def _looking(stop: Any) -> Callable[[], None]:
    """Return what a writer's loop calls: it raises when the export was interrupted."""
    looked = -LOOK_EVERY

    def check() -> None:
        nonlocal looked
        now = time.monotonic()
        if now - looked >= LOOK_EVERY:
            looked = now
            if stop.is_set():
                raise Stopped

    check()
    return check
