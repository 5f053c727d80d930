"""A worker: the runs of one writer, followed in their journals, as told by the session.

It takes orders and gives reports, both dicts that JSON can hold; whether through the pipes of a
process or within one, it does not know.

==================================  =================================================
order
==================================  =================================================
``{"run": r, "intent": i}``         follow this run; ``ended``: nothing will come any more;
                                    ``death``: how the last process ended; ``again``: though it
                                    has failed before; ``fail``: why it is to be given up at once,
                                    if it is
``{"end": r}``                      its session has seen its end
``{"fail": r, "why": text}``        documents of it are missing in the journal
``{"leave": true}``                 end when all runs are done
``{"key": k}``                      the key of the address that is written to
==================================  =================================================

The reports: ``{"ready": pid}``; ``{"run": r, "seen": n, "events": n}`` for progress;
``{"done": r, "intent": i}`` when a run is written, skipped or failed, as its intent tells
(``before``: by another process);
``{"alive": pid}`` now and then while it has something to do; ``{"tell": text}``;
``{"busy": true}`` if another process writes for this writer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..outputs import remember_key, sweep
from ._at_work import AtWork
from ._follow import Followed
from ._intents import Assignment, Intent, intents
from ._place import Lock, is_locked, mark_of
from ._sink import one_line, quietly

POLL = 0.05
"""Seconds between two looks at journals that have not grown."""
REPORT_EVERY = 0.1
"""Seconds between two reports of progress."""
ALIVE_EVERY = 1.0
"""Seconds between two signs that it does not hang."""

Message = dict[str, Any]


class Loop:
    """Write what is ordered until told to leave.

    Parameters
    ----------
    writer : Path
        The writer's files, without suffix (see :mod:`bluesky_export.live._place`).
    orders : callable
        Returns the orders that came within so many seconds (None: waits for one); None if there
        will be no more because the session has gone.
    report : callable
        Sends a report.

    Raises
    ------
    BlockingIOError
        Another process writes for this writer.
    """

    def __init__(
        self,
        writer: Path,
        orders: Callable[[float], list[Message] | None],
        report: Callable[[Message], None],
    ) -> None:
        self._writer = writer
        self._orders = orders
        self._report = report
        self._lock = Lock(writer.with_name(f"{writer.name}.lock"))
        self._assignment = Assignment.load(writer)
        self._target = self._assignment.target.replaced(mark=mark_of(writer))
        self._at = AtWork(writer.with_name(f"{writer.name}.at"))
        for known in intents(writer):
            if known.state == "pending" and known.run == self._at.before:
                with suppress(OSError):  # the process before this one died at it
                    known.changed(deaths=known.deaths + 1).save(writer)
            if known.state == "written":
                self._target.taken.update(map(Path, known.outcome["files"]))
        self._runs: dict[str, Followed] = {}
        self._leaving = False
        self._orphan = False
        self._reported: dict[str, tuple[int, int]] = {}
        self._report_due = 0.0
        self._alive_due = 0.0
        self._left = False  # a run that failed may have left temporary files in a folder that had gone

    def run(self) -> None:
        """Write until told to leave, or until the session has gone and its runs are written."""
        error = quietly(lambda: self._assignment.made_of)  # imported while there is nothing to do yet
        if error is not None:
            self._report({"tell": f"cannot be loaded: {one_line(error)}"})
        self._report({"ready": os.getpid()})
        try:
            busy = False
            while self._runs or not self._leaving:
                self._obey(0.0 if busy else POLL if self._runs else 1.0)
                busy = self._turn()
        finally:
            for run in self._runs.values():
                run.close()
            if self._left:
                self._sweep()
            self._at.close()
            self._lock.release()

    def _obey(self, timeout: float) -> None:
        if self._orphan:
            time.sleep(timeout)
            self._end_orphans()
            return
        orders = self._orders(timeout)
        if orders is None:
            self._orphan = True
            return
        for order in orders:
            if "run" in order:
                self._begin(order)
                if order["fail"] and order["run"] in self._runs:
                    self._runs[order["run"]].fail(OutputError(order["fail"]))
            elif "end" in order and order["end"] in self._runs:
                self._runs[order["end"]].ended = True
            elif "fail" in order and order["fail"] in self._runs:
                self._runs[order["fail"]].fail(OutputError(order["why"]))
            elif "key" in order and self._target.address is not None:
                remember_key(self._target.address.text, order["key"])
            elif "leave" in order:
                self._leaving = True

    def _begin(self, order: Message) -> None:
        intent = Intent(**order["intent"])
        with suppress(OSError):  # it knows how far a process before this one came; a full disk has none
            intent = Intent.load(self._writer / f"{intent.run}.json")
        if intent.state == "failed" and order["again"]:
            intent = intent.changed(state="pending", attempts=0, deaths=0, outcome={}, later=False)
        if intent.state != "pending":
            self._report({"done": intent.run, "intent": intent.as_dict(), "before": True})
            return
        self._runs[intent.run] = Followed(
            self._writer,
            intent,
            self._assignment,
            self._target,
            self._tell,
            ended=order["ended"],
            last_death=order["death"],
        )

    def _tell(self, text: str) -> None:
        self._report({"tell": text})

    def _end_orphans(self) -> None:
        """Finish the runs of a session that was killed: nothing will be added to their journals."""
        if not is_locked(self._writer.parent / "lock"):
            self._leaving = True
            for run in self._runs.values():
                run.ended = True

    def _sweep(self) -> None:
        """Remove temporary files of runs that failed, now that the folder may be back."""
        if self._target.address is None:
            error = quietly(lambda: sweep([self._target.folder], self._target.mark, self._target.open))
            self._left = error is not None

    def _turn(self) -> bool:
        """Give every run its turn; of those that share a file only the first one."""
        now = time.monotonic()
        busy = False
        for name, run in list(self._runs.items())[: 1 if self._one_at_a_time else None]:
            self._at.note(name)
            busy = run.step(now) or busy
            if run.over:
                del self._runs[name]
                self._left = self._left or run.intent.state == "failed"
                if self._left and run.intent.state == "written":
                    self._sweep()
                self._reported.pop(name, None)
                if self._orphan:
                    with suppress(OSError):
                        run.intent.changed(later=True).save(self._writer)
                self._report({"run": name, "seen": run.seen, "events": run.given})
                self._report({"done": name, "intent": run.intent.as_dict()})
        if self._runs and now >= self._alive_due:
            self._alive_due = now + ALIVE_EVERY
            self._report({"alive": os.getpid()})
        if now >= self._report_due:
            self._report_due = now + REPORT_EVERY
            for name, run in self._runs.items():
                if self._reported.get(name) != (run.seen, run.given):
                    self._reported[name] = run.seen, run.given
                    self._report({"run": name, "seen": run.seen, "events": run.given})
        return busy

    @property
    def _one_at_a_time(self) -> bool:
        return self._assignment.appends
