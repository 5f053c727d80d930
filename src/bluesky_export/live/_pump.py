"""The pump: one thread for the writers that live in the session, from a queue to the sinks of each run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ._consumer import Consumer
from ._handoff import COMMENT, Handoff
from ._pager import OpenRun
from ._router import Router
from ._sink import Say, Sink, SinkMaker, quietly


class Pump(Consumer):
    """Give what is in the queue to the sinks of its run.

    Parameters
    ----------
    handoff : Handoff
        Where the documents come from.
    make_sinks : callable
        Called with each start document; returns the sinks of that run.
    after_turn : callable
        Called after each look at the queue.
    may_leave : callable
        Called when there is nothing to do; the thread ends if it returns true.
    say : callable
        Shows a line to the user.
    """

    def __init__(
        self,
        handoff: Handoff,
        make_sinks: SinkMaker,
        after_turn: Callable[[], None],
        may_leave: Callable[[], bool],
        say: Say,
    ) -> None:
        super().__init__(handoff, may_leave, say, "bluesky-export pump")
        self._make_sinks = make_sinks
        self._after_turn = after_turn
        self._router = Router()
        self._runs: dict[str, OpenRun] = {}
        self._ending: list[Sink] = []  # of runs that are over, not done yet
        self._comments: list[Any] = []  # for the next run

    # -- from other threads ----------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Events received that no sink has taken yet."""
        return self.queued + sum(run.waiting for run in list(self._runs.values()))

    @property
    def open_runs(self) -> int:
        """Runs that were seen to start and not to stop."""
        return len(self._runs)

    # -- the thread ------------------------------------------------------------------------

    def _unfinished(self) -> bool:
        return bool(self._runs or self._ending)

    def _turn(self) -> None:
        self._take()
        for run in self._runs.values():
            self._guard_run(run, run.flush)
        self._tick()
        self._after_turn()
        self._busy = self._unfinished()

    def _handle(self, name: str, doc: Any) -> None:
        if name == COMMENT:
            newest = next(reversed(self._runs.values()), None)
            if newest is None:
                self._comments.append(doc)
            else:
                self._guard_run(newest, lambda: newest.comment(doc))
            return
        uid = self._router.route(name, doc)
        if uid is None:
            return  # a run that began before a writer was attached
        if name == "start":
            self._runs[uid] = OpenRun(self._make_sinks(doc))
        run = self._runs[uid]
        self._guard_run(run, lambda: run.take(name, doc))
        if name == "start":
            comments, self._comments = self._comments, []
            for comment in comments:
                self._guard_run(run, lambda comment=comment: run.comment(comment))  # type: ignore[misc]
        if name == "stop":
            run.stop = doc
            self._end(uid)

    def _guard_run(self, run: OpenRun, call: Callable[[], None]) -> None:
        """Give a run up if something fails between the queue and its sinks: a document is lost."""
        error = quietly(call)
        if error is not None:
            run.fail(error)

    def _end(self, uid: str) -> None:
        run = self._runs.pop(uid)
        self._guard_run(run, run.flush)
        missing = self._router.missing(uid, run.stop)
        self._router.forget(uid)
        for sink in run.sinks:
            sink.end(missing)
            if not sink.done:
                self._ending.append(sink)

    def end_all(self) -> None:
        """End every open run as unfinished; on the pump's thread only."""
        for uid in list(self._runs):
            self._end(uid)

    def fail_all(self, error: BaseException) -> None:
        """Give up every open run; on the pump's thread only."""
        for run in self._runs.values():
            run.fail(error)

    def _tick(self) -> None:
        now = time.monotonic()
        for run in self._runs.values():
            for sink in run.sinks:
                sink.tick(now)
        for sink in self._ending:
            sink.tick(now)
        self._ending = [sink for sink in self._ending if not sink.done]
