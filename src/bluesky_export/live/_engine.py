"""The writers of one RunEngine: one subscription and one journal, however many they are."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..session import journal_folder, settings
from ._attached import AttachedWriter, FailedRun
from ._client import WorkerClient
from ._handoff import Handoff
from ._housekeeping import keep_house
from ._intents import Intent
from ._journal import Memory, RunJournal
from ._leaving import leave_hook
from ._place import Place, mark_of, open_place
from ._pump import Pump
from ._recorder import Recorder
from ._relay import Relay
from ._sink import Say, Sink, one_line, quietly
from ._subscribed import is_subscribed
from ._watch import SpaceWatch


class LiveWriters:
    """What is attached to one RunEngine.

    Thread-safe. The RunEngine's thread never takes the lock; documents, attachments and
    detachments are ordered by the queue, so that a writer gets whole runs only.

    Parameters
    ----------
    engine : RunEngine
        Anything with ``subscribe``, ``unsubscribe`` and perhaps ``state``. Held weakly.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = weakref.ref(engine)
        self._lock = threading.RLock()
        self._attached: list[AttachedWriter] = []
        self._failed_before: list[FailedRun] = []  # of writers that are detached since
        self._handoff: Handoff | None = None
        self._recorder: Recorder | None = None
        self._last: Recorder | None = None  # its threads may still be ending
        self._place: Place | None = None
        self._watch: SpaceWatch | None = None
        self._token: Any = None

    # -- looking ---------------------------------------------------------------------------

    @property
    def attached(self) -> list[AttachedWriter]:
        """The writers, in the order of attaching; those that finish their last run included."""
        with self._lock:
            return list(self._attached)

    @property
    def failed(self) -> list[FailedRun]:
        """The runs that writers could not write, oldest first, until :meth:`forget`."""
        with self._lock:
            runs = [*self._failed_before, *(run for one in self._attached for run in one.failed)]
        return sorted(runs, key=lambda run: run.time)

    def waiting_for(self, writer: AttachedWriter) -> int:
        """Return how many events were received and are not given to a writer yet."""
        recorder = self._recorder
        if recorder is None:
            return writer.waiting
        relay = recorder.relay if writer.client is None else None
        return recorder.queued + (relay.waiting if relay is not None else 0) + writer.waiting

    @property
    def recorder(self) -> Recorder | None:
        """What keeps the journal; None if nothing is attached."""
        return self._recorder

    @property
    def place(self) -> Place | None:
        """Where the journal is."""
        return self._place

    @property
    def receive(self) -> Callable[[str, Any], None] | None:
        """The function that is subscribed; None if nothing is."""
        return self._handoff.receive if self._handoff is not None else None

    @property
    def connected(self) -> bool:
        """Whether documents reach us: ``RE.unsubscribe`` of everything takes us along."""
        handoff, engine = self._handoff, self._engine()
        return handoff is None or engine is None or is_subscribed(engine, handoff.receive)

    def forget(self, failed: Iterable[FailedRun]) -> None:
        """Drop failed runs that have been written since."""
        failed = list(failed)
        for run in failed:
            run.forget()
        written = {id(run) for run in failed}
        with self._lock:
            for runs in (self._failed_before, *(one.failed for one in self._attached)):
                runs[:] = [run for run in runs if id(run) not in written]

    def engine_is_idle(self) -> bool | None:
        """Say whether no run can be open; None if the engine does not tell."""
        engine = self._engine()
        if engine is None:
            return True
        state = getattr(engine, "state", None)
        return None if state is None else state in ("idle", "panicked")

    def same(self, key: Any) -> AttachedWriter | None:
        """Return the attached writer that would write the same, if there is one."""
        with self._lock:
            return next((one for one in self._attached if one.key == key and not one.detaching), None)

    # -- attaching, detaching --------------------------------------------------------------

    def attach(self, writer: AttachedWriter) -> AttachedWriter:
        """Add a writer: it gets the runs that start from now on.

        Returns
        -------
        AttachedWriter
            ``writer``, or the one attached already that would write the same.
        """
        with self._lock:
            present = self.same(writer.key)
            if present is not None:
                self._connect(writer.say)  # mended, if someone took our subscription away
                return present
            names = {one.name for one in self._attached}
            base, number = writer.name, 1
            while writer.name in names:
                number += 1
                writer.name = f"{base}-{number}"
            handoff, recorder = self._connect(writer.say)
            self._hire(writer)
            self._attached.append(writer)
            self._order(handoff, recorder, writer, lambda: setattr(writer, "active", True))
        return writer

    def _connect(self, say: Say) -> tuple[Handoff, Recorder]:
        engine = self._engine()
        if engine is None:
            raise ReferenceError("this RunEngine does not exist any more")
        if self._handoff is not None and self._recorder is not None:
            if not self.connected:
                self._token = engine.subscribe(self._handoff.receive)
            return self._handoff, self._recorder
        self._place = open_place(journal_folder, say)
        self._handoff = handoff = Handoff()
        self._recorder = Recorder(
            handoff,
            self._place,
            Memory(int(settings().journal_memory * 1e6)),
            self._make_tickets,
            self.engine_is_idle,
            self._after_turn,
            self._disconnect_if_unused,
            say,
        )
        self._token = engine.subscribe(handoff.receive)
        self._last = self._recorder
        self._recorder.start()
        keep_house(self._place.folder, settings().journal_days, settings().journal_size, say)
        self._watch = SpaceWatch(self._folders, say)
        self._watch.start()
        leave_hook.add(self)
        return handoff, self._recorder

    def _hire(self, writer: AttachedWriter) -> None:
        """Give a writer a process of its own, if it can have one; note what it is in any case."""
        assert self._place is not None
        path = self._place.next_writer()
        try:
            writer.assignment.save(path)
            path.mkdir(mode=0o700)
        except OSError as error:
            writer.say(f"{writer.name}: writes in this session ({self._place.folder}: {error.strerror})")
            return
        if writer.assignment.in_session:
            writer.record = path
            if writer.target is not None:
                writer.target = writer.target.replaced(mark=mark_of(path))
            return
        writer.client = WorkerClient(path, writer.tell, writer.settle)

    def _order(
        self, handoff: Handoff, recorder: Recorder, writer: AttachedWriter, order: Callable[[], None]
    ) -> None:
        """Have something done at its place among the documents, by the thread that drives the writer."""
        if writer.client is not None:
            handoff.control(order)
            return
        if recorder.relay is None:
            recorder.relay = Relay(
                lambda queue: Pump(
                    queue, self._make_sinks, self._retire_inside, lambda: recorder.over, writer.say
                ),
                self._refuse,
            )
        relay = recorder.relay
        handoff.control(lambda: relay.control(order))

    def begin_detaching(self, writers: Iterable[AttachedWriter]) -> None:
        """Have writers end with the runs that have begun; returns at once."""
        with self._lock:
            for writer in writers:
                if self._handoff is not None and self._recorder is not None and not writer.detaching:
                    writer.detaching = True
                    order = partial(_end, writer)
                    self._order(self._handoff, self._recorder, writer, order)
        self.wake()

    def comment(self, text: str, kind: str = "event") -> None:
        """Give the writers of the newest open run, or else of the next one, a comment that was typed."""
        with self._lock:
            if self._handoff is not None:
                self._handoff.comment(text, kind)

    def wake(self) -> None:
        """Have the queue looked at now."""
        recorder = self._recorder
        if recorder is not None:
            recorder.wake()

    def join(self, timeout: float) -> None:
        """Wait for the threads to end; they do when nothing is attached any more."""
        recorder = self._last
        if recorder is not None:
            recorder.wake()
            recorder.thread.join(timeout)
            if recorder.relay is not None:
                recorder.relay.pump.thread.join(timeout)

    @property
    def open_runs(self) -> int:
        """Runs that were seen to start and not to stop."""
        return self._recorder.open_runs if self._recorder is not None else 0

    def finish(self, timeout: float) -> bool:
        """Detach all, end open runs as unfinished, and wait.

        Returns
        -------
        bool
            Whether everything was written, or given up, in time.
        """
        recorder, handoff = self._recorder, self._handoff
        if recorder is None or handoff is None:
            return True
        self.begin_detaching(self.attached)
        handoff.control(recorder.end_all)
        until = time.monotonic() + timeout
        while recorder.thread.is_alive() and time.monotonic() < until:
            recorder.wake()
            recorder.thread.join(0.02)
        return not recorder.thread.is_alive()

    def let_go(self) -> None:
        """Forget everything, in a forked child: threads, files and processes are its parent's."""
        self._lock = threading.RLock()
        engine, token = self._engine(), self._token
        if engine is not None and self._handoff is not None:
            quietly(lambda: engine.unsubscribe(token))
        for writer in self._attached:
            if writer.client is not None:
                writer.client.let_go()
        self._attached.clear()
        self._handoff = self._recorder = self._last = self._place = self._token = None

    # -- on the recorder's thread ----------------------------------------------------------

    def _make_tickets(self, journal: RunJournal) -> list[Sink]:
        tickets: list[Sink] = []
        for writer in self.attached:
            if writer.active and writer.client is not None:
                intent = Intent.of(journal.name, journal.start)
                with suppress(OSError):  # a full disk: the worker is told all the same
                    intent.save(writer.client.writer)
                ticket = writer.client.give(intent, journal)
                writer.sinks.append(ticket)
                tickets.append(ticket)
        return tickets

    def _after_turn(self, now: float) -> bool:
        """Look after the workers; say whether one is at work."""
        for writer in self.attached:
            if writer.client is not None:
                error = quietly(partial(writer.client.tick, now))
                if error is not None:
                    writer.tell_once(f"an internal error, please report it: {one_line(error)}")
        self._retire(inside=False)
        return any(writer.sinks or writer.detaching for writer in self.attached)

    def _retire(self, *, inside: bool) -> None:
        """Strike off finished runs, and writers that are done with their last one."""
        gone = self._engine() is None
        for writer in self.attached:
            if (writer.client is None) is not inside:
                continue
            if any(sink.done for sink in writer.sinks):
                writer.sinks[:] = [sink for sink in writer.sinks if not sink.done]
            if gone and not writer.detaching:
                self.begin_detaching([writer])  # at its place: documents may wait still
            if writer.sinks or not writer.ended:
                continue
            if writer.client is not None:
                writer.client.leave()
                if not writer.client.closed:
                    continue
            with self._lock:
                self._attached.remove(writer)
                self._failed_before += writer.failed
            writer.detached.set()

    def _folders(self) -> list[tuple[str, Path]]:
        return [
            (one.name, one.target.folder) for one in self.attached if one.target and not one.target.address
        ]

    # -- on the pump's thread --------------------------------------------------------------

    def _make_sinks(self, start: Mapping[str, Any]) -> list[Sink]:
        sinks: list[Sink] = []
        relay = self._last.relay if self._last is not None else None
        journal = relay.journals.pop(str(start["uid"]), None) if relay is not None else None
        for writer in self.attached:
            if not writer.active or writer.client is not None:
                continue
            made: list[Sink] = []
            if journal is not None:
                writer.begin_record(Intent.of(journal, start))
            error = quietly(lambda writer=writer, made=made: made.append(writer.make_sink(writer, start)))  # type: ignore[misc]
            if error is not None:
                writer.add_failed(error, start)
            writer.sinks.extend(made)
            sinks.extend(made)
        return sinks

    def _retire_inside(self) -> None:
        self._retire(inside=True)

    def _refuse(self, start: Mapping[str, Any], why: str) -> None:
        for writer in self.attached:
            if writer.active and writer.client is None:
                writer.add_failed(MemoryError(why), start)

    # -- the end ---------------------------------------------------------------------------

    def _disconnect_if_unused(self) -> bool:
        with self._lock:
            if self._attached:
                return False
            engine = self._engine()
            if engine is not None:
                quietly(lambda: engine.unsubscribe(self._token))
            place, watch = self._place, self._watch
            self._handoff = self._recorder = self._watch = self._token = self._place = None
            leave_hook.remove(self)
        if watch is not None:
            watch.stop()
        if place is not None:
            place.close()
        return True


def _end(writer: AttachedWriter) -> None:
    writer.active, writer.ended = False, True


_engines: weakref.WeakKeyDictionary[Any, LiveWriters] = weakref.WeakKeyDictionary()
_engines_lock = threading.Lock()


def live_writers(engine: Any) -> LiveWriters:
    """Return what is attached to a RunEngine, the same object each time."""
    with _engines_lock:
        if engine not in _engines:
            _engines[engine] = LiveWriters(engine)
        return _engines[engine]


def _in_child() -> None:
    global _engines_lock
    _engines_lock = threading.Lock()
    for live in list(_engines.values()):
        live.let_go()


os.register_at_fork(after_in_child=_in_child)
