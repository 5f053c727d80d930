"""A run of one attached writer, guarded: whatever the writer raises ends that run, and no more."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..documents.pages import Document
from ..errors import NoData
from ..formats import Written
from ._sink import Sink, events_in, quietly


class Books(Protocol):
    """Where a sink writes down what became of its run."""

    name: str
    given: int

    def tell(self, text: str) -> None:
        """Show one line to the user."""

    def add_written(self, written: Written, start: Mapping[str, Any]) -> None:
        """Note a run that was written."""

    def add_skipped(self, why: BaseException, start: Mapping[str, Any]) -> None:
        """Note a run that there was nothing to write of."""

    def add_failed(self, error: BaseException, start: Mapping[str, Any]) -> None:
        """Note a run that could not be written."""


class Lane:
    """One run at a time: for writers that share a file, or an object, between runs.

    Runs that begin meanwhile (nested, interleaved, or back to back while the one before is still
    being finished) wait in memory for their turn, in the order of their start.
    """

    def __init__(self) -> None:
        self._queue: deque[GuardedSink] = deque()

    def enter(self, sink: GuardedSink) -> None:
        """Stand in line."""
        self._queue.append(sink)

    def has_turn(self, sink: GuardedSink) -> bool:
        """Say whether it is this run's turn."""
        return bool(self._queue) and self._queue[0] is sink

    def leave(self, sink: GuardedSink) -> None:
        """Give the turn to the next in line."""
        first = self.has_turn(sink)
        if sink in self._queue:
            self._queue.remove(sink)
        if first and self._queue:
            self._queue[0].go_on()


class GuardedSink(Sink):
    """What every writer shares, in the session and out of it: turns, failing once, and the books.

    A subclass has :meth:`_consume`, :meth:`_close`, :meth:`_abort` and may raise anything there.
    """

    def __init__(self, attached: Books, start: Mapping[str, Any], lane: Lane | None = None) -> None:
        self.attached = attached
        self.start = start
        self._lane = lane
        self._backlog: deque[tuple[str, Document]] = deque()
        self._missing: dict[str, int] = {}
        self._ended = False
        self._over = False  # written, failed or skipped
        if lane is not None:
            lane.enter(self)

    # -- the pump's side -------------------------------------------------------------------

    def take(self, name: str, doc: Document) -> None:
        """Hand a document to the writer, or keep it until it is this run's turn."""
        if self._over:
            return
        if self._lane is not None and not self._lane.has_turn(self):
            self._backlog.append((name, doc))
        else:
            self._guarded(lambda: self._count_and_consume(name, doc))

    def end(self, missing: dict[str, int]) -> None:
        """Finish the run, now or when its turn has come."""
        self._ended = True
        self._missing = missing
        self.go_on()

    def fail(self, error: BaseException) -> None:
        """Give this run up."""

        def give_up() -> None:
            raise error

        self._guarded(give_up)

    def tick(self, now: float) -> None:
        """Flush while the run is open; afterwards see whether it can be finished."""
        if self._over or (self._lane is not None and not self._lane.has_turn(self)):
            return
        if self._ended:
            self._try_close()
        else:
            self._guarded(lambda: self._flush(now))

    @property
    def done(self) -> bool:
        """Whether the run is over and its files are written, or given up."""
        return self._over and self._ended

    @property
    def waiting(self) -> int:
        """Events kept until it is this run's turn."""
        return sum(events_in(name, doc) for name, doc in self._backlog.copy())

    # -- inside ----------------------------------------------------------------------------

    def go_on(self) -> None:
        """Take what had to wait, and finish if the run has ended; called when the turn comes."""
        if self._over or (self._lane is not None and not self._lane.has_turn(self)):
            return
        while self._backlog and not self._over:
            name, doc = self._backlog.popleft()
            self._guarded(lambda name=name, doc=doc: self._count_and_consume(name, doc))  # type: ignore[misc]
        if self._ended:
            self._try_close()

    def _count_and_consume(self, name: str, doc: Document) -> None:
        self.attached.given += self._consume(name, doc)

    def _try_close(self) -> None:
        if not self._over:
            finished: list[bool] = []
            self._guarded(lambda: finished.append(self._close(self._missing)))
            if finished and finished[0]:
                self._finished()

    def _guarded(self, call: Callable[[], object]) -> None:
        if self._over:
            return
        error = quietly(call)
        if error is None:
            return
        explained = self._explain(error)
        trouble = quietly(self._abort)
        if self._is_skip(error):
            self.attached.add_skipped(error, self.start)
        else:
            self.attached.add_failed(explained, self.start)
        if trouble is not None and trouble is not error:
            self.attached.tell(f"and cleaning up after it failed as well ({type(trouble).__name__})")
        self._finished()

    def _finished(self) -> None:
        self._over = True
        self._backlog.clear()
        if self._lane is not None:
            self._lane.leave(self)

    # -- a subclass's part -----------------------------------------------------------------

    @abstractmethod
    def _consume(self, name: str, doc: Document) -> int:
        """Give a document to the writer; return how many events of it were given."""

    @abstractmethod
    def _close(self, missing: dict[str, int]) -> bool:
        """Finish; False if a thread of the writer is still at it, to be asked again."""

    @abstractmethod
    def _abort(self) -> None:
        """Clean up after a failure."""

    def _flush(self, now: float) -> None:
        """Put what was written where a reader sees it, if it is time to."""

    def _explain(self, error: BaseException) -> BaseException:
        """Return the error to show: this one, or one that says what to do."""
        return error

    def _is_skip(self, error: BaseException) -> bool:
        """Say whether the error only means that there is nothing to write."""
        return isinstance(error, NoData)


def missing_text(missing: Mapping[str, int]) -> list[str]:
    """Say what never arrived, one sentence a stream."""
    return [
        f"{count} events of stream {stream} never reached this writer "
        "(another callback failed on them?); export the run from the catalog"
        for stream, count in missing.items()
    ]
