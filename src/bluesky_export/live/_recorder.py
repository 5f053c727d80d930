"""The recorder: one thread for a RunEngine, from the hand-off's queue to the journal.

It never waits for a writer. Workers read the journal; writers that live in the session are handed
their documents on, in a queue that has a bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ..documents.exact import ExactPacker
from ._consumer import Consumer
from ._handoff import COMMENT, Handoff
from ._journal import Memory, RunJournal
from ._place import Place
from ._relay import Relay
from ._router import Router
from ._sink import Say, Sink, one_line, quietly


class _OpenRun:
    def __init__(self, journal: RunJournal, sinks: list[Sink]) -> None:
        self.journal = journal
        self.sinks = sinks
        self.stop: Mapping[str, Any] | None = None
        self.failed = False


class Recorder(Consumer):
    """Journal what is in the queue, and hand it on.

    Parameters
    ----------
    handoff : Handoff
        Where the documents come from.
    place : Place
        The journal's folder.
    memory : Memory
        What may be kept in memory while the journal's disk is full.
    make_sinks : callable
        Given the journal of a run that starts, returns those who want to know of its end.
    engine_is_idle : callable
        Whether the RunEngine is idle, when no run can be open; None if that cannot be known.
    after_turn : callable
        Called after each look at the queue, with a monotonic time; says whether a writer is at work.
    may_leave : callable
        Called when there is nothing to do; the thread ends if it returns true.
    say : callable
        Shows a line to the user.

    Attributes
    ----------
    relay : Relay or None
        Hands documents on to writers that live in the session.
    over : bool
        The thread ends.
    runs, events : int
        Journaled so far: the system has them, they survive the end of this process.
    """

    def __init__(
        self,
        handoff: Handoff,
        place: Place,
        memory: Memory,
        make_sinks: Callable[[RunJournal], list[Sink]],
        engine_is_idle: Callable[[], bool | None],
        after_turn: Callable[[float], bool],
        may_leave: Callable[[], bool],
        say: Say,
    ) -> None:
        super().__init__(handoff, may_leave, say, "bluesky-export journal")
        self._place = place
        self._memory = memory
        self._make_sinks = make_sinks
        self._engine_is_idle = engine_is_idle
        self._after_turn = after_turn
        self._packer = ExactPacker()
        self._router = Router()
        self._runs: dict[str, _OpenRun] = {}
        self._comments: list[Any] = []  # for the next run
        self._spilled: list[RunJournal] = []  # of runs that are over, still in memory
        self._in_memory = False
        self._not_all = False  # documents of a run were lost meanwhile
        self._disk_works = True
        self._reported = 0  # documents lost, as told
        self._idle_looks = 0
        self._events_before = 0
        self.runs = 0
        self.over = False
        self.relay: Relay | None = None

    # -- from other threads ----------------------------------------------------------------

    def wake(self) -> None:
        """Have the queues looked at now."""
        super().wake()
        if self.relay is not None:
            self.relay.wake()

    @property
    def events(self) -> int:
        """Events journaled."""
        return self._events_before + sum(run.journal.events for run in list(self._runs.values()))

    @property
    def open_runs(self) -> int:
        """Runs that were seen to start and not to stop."""
        return len(self._runs)

    @property
    def trouble(self) -> str:
        """Why the journal is not on its disk at the moment; empty if it is."""
        journals = [*(run.journal for run in list(self._runs.values())), *self._spilled]
        return next((one.trouble for one in journals if one.spill is not None), "")

    # -- the thread ------------------------------------------------------------------------

    def _unfinished(self) -> bool:
        return bool(self._runs)

    def _left(self) -> None:
        self.over = True
        if self.relay is not None:
            self.relay.wake()
        for journal in self._spilled:
            if not journal.restore():
                path = journal.spill.path if journal.spill is not None else ""
                self._say(f"journal: run {journal.uid[:7]} ends in memory, in {path}")
            journal.close()

    def _turn(self) -> None:
        idle = self._engine_is_idle()  # asked before the queue is emptied: documents come before idle
        handled = self._take()
        for run in self._runs.values():
            self._flush(run)
        self._look_after_spilled()
        self._report_lost()
        self._busy = self._after_turn(time.monotonic()) or bool(self._runs)
        self._idle_looks = self._idle_looks + 1 if idle and not handled else 0
        if self._idle_looks >= 2 and not self._handoff.queue:
            self.end_all()

    def _handle(self, name: str, doc: Any) -> None:
        if name == "start":
            self._begin(doc)
            return
        if self.relay is not None:
            self.relay.hand_on(name, doc)
        if name == COMMENT:
            newest = next(reversed(self._runs.values()), None)
            if newest is None:
                self._comments.append(doc)
            else:
                newest.journal.comment(doc)
            return
        uid = self._router.route(name, doc)
        if uid is None:
            return  # a run that began before a writer was attached
        run = self._runs[uid]
        run.journal.add(name, doc)
        if name == "stop":
            run.stop = doc
            self._end(uid)

    def _begin(self, start: Any) -> None:
        try:
            uid = self._router.route("start", start)
            journal = RunJournal(self._place.folder, start, self._packer, self._memory)
            if self.relay is not None:
                self.relay.journals[journal.uid] = journal.name
        finally:
            if self.relay is not None:
                self.relay.hand_on("start", start)
        assert uid is not None
        run = self._runs[uid] = _OpenRun(journal, [])
        run.sinks = self._make_sinks(journal)
        self.runs += 1
        journal.add("start", start)
        comments, self._comments = self._comments, []
        for comment in comments:
            journal.comment(comment)

    def _flush(self, run: _OpenRun) -> None:
        self._flush_to_disk(run.journal)
        if (run.journal.spill is not None) and not self._in_memory:
            self._in_memory, self._not_all, self._disk_works = True, False, False
            self._say(
                f"journal: {self._place.folder} cannot be written ({run.journal.trouble}). The writers "
                f"go on from memory, up to {self._memory.most / 1e6:,.0f} MB; if this session is killed "
                "now, export from the catalog"
            )
        failure = run.journal.failure
        if failure is not None and not run.failed:
            run.failed = self._not_all = True
            why = f"{one_line(failure)}; export the run from the catalog"
            for sink in run.sinks:
                sink.fail(type(failure)(why) if isinstance(failure, MemoryError) else failure)
            quietly(run.journal.give_up)
            self._tell_once(f"journal: run {run.journal.uid[:7]} is not kept: {why}")

    def _flush_to_disk(self, journal: RunJournal) -> None:
        """Flush, and note whether the disk has taken it."""
        size, spilled = journal.size, journal.spill is not None
        journal.flush()
        if journal.failure is None and journal.spill is None and (spilled or journal.size > size):
            self._disk_works = True

    def _look_after_spilled(self) -> None:
        if not self._in_memory:
            return
        for journal in list(self._spilled):
            self._flush_to_disk(journal)  # restores it now and then
            if journal.spill is None:
                journal.sync()
                journal.close()
                self._spilled.remove(journal)
        nothing_left = not self._spilled and all(run.journal.spill is None for run in self._runs.values())
        if nothing_left and self._disk_works:  # what is given up has left the memory as well
            self._in_memory = False
            holds = (
                "holds all runs but those that are not kept, as told"
                if self._not_all
                else "holds everything"
            )
            self._say(f"journal: {self._place.folder} can be written again, and {holds}")
            self._not_all = False

    def _end(self, uid: str) -> None:
        run = self._runs[uid]
        self._report_lost()
        self._flush(run)
        run.journal.sync()
        missing = self._router.missing(uid, run.stop)
        self._router.forget(uid)
        del self._runs[uid]
        self._events_before += run.journal.events
        for sink in run.sinks:
            sink.end(missing)
        if run.journal.spill is None:
            run.journal.close()
        else:
            self._spilled.append(run.journal)

    def end_all(self) -> None:
        """End every open run as unfinished; on this thread only."""
        for uid in list(self._runs):
            self._end(uid)
        if self.relay is not None:
            self.relay.end_all()

    def _report_lost(self) -> None:
        lost = self._handoff.lost
        if lost > self._reported:
            self._reported = lost
            text = f"{lost} documents were lost for lack of memory"
            for run in self._runs.values():
                run.journal.failure = run.journal.failure or MemoryError(text)
                self._flush(run)
            if self.relay is not None:
                self.relay.fail(f"{text}; export the run from the catalog")
