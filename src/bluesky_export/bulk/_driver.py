"""What the process that was asked does: hand out the runs, and finish them in their order."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..catalogs._base import Catalog, Run
from ..catalogs._reopening import address_of
from ..errors import BlueskyExportError, ExportFailed, TargetExists
from ..interrupts import Interrupted
from ..outputs import Output, adopt, sweep
from ..replay import FormatPlan, Job
from ..results import ExportResult, Failure, counted, interrupted_text
from ..selection import brief
from ._cluster import workers_client
from ._task import Outcome, Task, unpacked, write_run

AHEAD = 50
"""Runs handed out for each thread of the workers before the first of them is finished."""


def write_all(
    job: Job,
    source: Catalog,
    runs: Sequence[Run],
    result: ExportResult,
    *,
    workers: int | None,
    scheduler: str | None,
    events: Callable[[Run], int],
) -> None:
    """Write runs with workers; the result and the files are those of writing one after another.

    Formats that append several runs to one file are written here, in the order of the runs.

    Parameters
    ----------
    job : Job
        What to write and where, as without workers.
    source : Catalog
        Where the runs were selected from.
    runs : sequence of Run
        The runs, in their order.
    result : ExportResult
        Filled in.
    workers, scheduler : int or None, str or None
        One of them: processes to start here, or the address of a dask scheduler.
    events : callable
        How many events a run has, for the progress bar.

    Raises
    ------
    NoCatalog
        Other processes cannot open the catalog.
    UsageError, WorkersUnavailable
        There are no workers to be had.
    """
    driver = _Driver(job, source, runs, result, events)
    try:
        with workers_client(workers, scheduler, job.target.folder) as client:
            driver.work(client)
    finally:
        sweep(driver.folders, driver.mark)


@dataclass(frozen=True)
class _Out:
    """A run that was handed out: the formats that a worker writes, and the future of them."""

    run: Run
    future: Any
    formats: tuple[str, ...]
    again: Callable[[], Any]
    """Hands it out once more, and returns the new future."""


@dataclass
class _Driver:
    job: Job
    source: Catalog
    runs: Sequence[Run]
    result: ExportResult
    events: Callable[[Run], int]
    mark: str = field(default_factory=lambda: secrets.token_hex(4))
    folders: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.there = [plan for plan in self.job.plans if not plan.writer.appends]
        appending = [plan for plan in self.job.plans if plan.writer.appends]
        self.here = replace(self.job, plans=appending, bar=None)
        if self.there:
            for run in self.runs:
                address_of(run, self.source)  # refused now rather than half-way

    def work(self, client: Any) -> None:
        from distributed import Event

        stop = Event(f"bluesky-export-{self.mark}", client=client)
        waiting = deque(self.runs)
        out: deque[_Out] = deque()
        threads = max(1, sum(client.nthreads().values()))
        done = 0
        try:
            while waiting or out:
                while waiting and len(out) < AHEAD * threads:
                    out.append(self._submit(client, waiting.popleft(), stop))
                failed = len(self.result.failed)
                self._finish(out[0])
                out.popleft()
                done += 1
                gone = [one for one in self.result.failed[failed:] if one.catalog_gone]
                if gone and (out or waiting):
                    self._give_up([*(one.run for one in out), *waiting], gone[0].error)
                    break
        except KeyboardInterrupt:
            self.job.say(interrupted_text(done, len(self.runs), self.result))
            raise Interrupted from None
        finally:
            left = [one.future for one in out if one.future is not None]
            if left:
                stop.set()
                _let_end(client, left)

    def _submit(self, client: Any, run: Run, stop: Any) -> _Out:
        """Hand out a run, if there is something of it for a worker to do."""
        plans = [plan for plan in self.there if self._may_begin(run, plan)]
        if not plans:
            return _Out(run, None, (), lambda: None)
        job = self.job
        target = job.target.replaced(mark=self.mark, taken=set())
        task = Task(
            address_of(run, self.source),
            target,
            tuple((plan.name, plan.options) for plan in plans),
            job.streams,
            job.fields,
            job.shared,
            {**run.root_map, **job.root_map},
        )

        def submit() -> Any:
            return client.submit(write_run, task, stop, pure=False)

        return _Out(run, submit(), tuple(plan.name for plan in plans), submit)

    def _may_begin(self, run: Run, plan: FormatPlan) -> bool:
        """Look before a worker reads the run whether its file may be written at all."""
        try:
            output = Output(self.job.target, run.start, plan.writer.suffix)
            self.folders.add(output.path().parent)
            plan.writer.check(output)
        except BlueskyExportError:
            return False  # told in its turn, where it may have become another error
        return True

    def _finish(self, out: _Out) -> None:
        run = out.run
        outcome = Outcome() if out.future is None else self._outcome(out)
        before = len(self.result.written)
        for plan in self.there:
            self._finish_format(run, plan, outcome, plan.name in out.formats)
        if self.here.plans:
            self.here.write(run, self.result)
        order = [plan.name for plan in self.job.plans]
        self.result.written[before:] = sorted(
            self.result.written[before:], key=lambda written: order.index(written.format)
        )
        for path in outcome.skipped:
            self.job.skip(path, self.result)
        if self.job.bar is not None:
            self.job.bar.update(self.events(run))

    def _outcome(self, out: _Out) -> Outcome:
        """Return what the workers made of a run.

        A run that dask gives up, after some workers have died on it, is handed out once more: it may
        only have been waiting at the worker that another run ended.
        """
        from distributed import KilledWorker

        future = out.future
        for last in (False, True):
            try:
                return self._result(future)
            except KilledWorker:
                if last:
                    break
                future = out.again()
            except Exception as error:  # of dask, or of a worker that has another version of something
                return self._all_failed(f"run {brief(out.run)}: {type(error).__name__}: {error}")
        why = "each worker that wrote it died; see the workers' logs, or export it without workers"
        return self._all_failed(f"run {brief(out.run)}: {why}")

    def _result(self, future: Any) -> Outcome:
        """Wait for a worker, in short steps: Ctrl-C must not be lost."""
        from distributed import wait

        try:
            while not future.done():
                self.job.check()
                with suppress(TimeoutError):
                    wait([future], timeout=0.5)
            return future.result()  # type: ignore[no-any-return]
        finally:
            if future.done():
                future.release()

    def _all_failed(self, message: str) -> Outcome:
        return Outcome(failed={plan.name: ("ExportFailed", message, None) for plan in self.there})

    def _finish_format(self, run: Run, plan: FormatPlan, outcome: Outcome, handed_out: bool) -> None:
        job, target = self.job, self.job.target
        try:
            output = Output(target, run.start, plan.writer.suffix)
            if plan.name in outcome.failed:
                raise unpacked(*outcome.failed[plan.name])
            if plan.name not in outcome.written:
                if handed_out:
                    return  # the worker found its files there and was told to skip them
                plan.writer.check(output)  # what kept it from being handed out
                raise ExportFailed(
                    f"run {brief(run)} to {plan.name}: the file that was in the way has gone"
                )
            written, held = outcome.written[plan.name]
            files, left = adopt(target, run.start, plan.writer.suffix, held)
        except TargetExists as error:
            if target.if_exists != "skip":
                job.fail(Failure(run, plan.name, error), self.result)
            else:
                job.skip(error.path or output.path(), self.result)
        except BlueskyExportError as error:
            job.fail(Failure(run, plan.name, error), self.result)
        else:
            # In the format's own order: its main file comes first.
            written = replace(written, files=tuple(path for path in written.files if path in files))
            self.result.written.append(written)
            job.tell(run, written)
            for path in left:
                job.skip(path, self.result)

    def _give_up(self, rest: Sequence[Run], error: BlueskyExportError) -> None:
        self.job.say(f"stopped: the catalog has gone, {counted(len(rest), 'more run')} not tried")
        for run in rest:
            self.result.failed += [Failure(run, plan.name, error) for plan in self.job.plans]


def _let_end(client: Any, futures: Sequence[Any], seconds: float = 60) -> None:
    """Wait for workers that may be writing a temporary file still, as long as there are any.

    The run whose result an interrupted session was waiting for is one that dask knows no more: its
    worker sees the order to stop, and removes what it has begun.
    """
    from concurrent.futures import CancelledError

    from distributed import wait

    until = time.monotonic() + seconds
    # Without the scheduler, too, there is nobody to wait for, and an error to tell already.
    with suppress(OSError, CancelledError):
        while time.monotonic() < until and client.nthreads():
            with suppress(TimeoutError):
                wait(list(futures), timeout=0.5)
                return
