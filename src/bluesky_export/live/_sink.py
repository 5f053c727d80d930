"""What consumes the documents of a run: a writer, or the ticket of a writer in another process."""

from __future__ import annotations

import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from ..documents.pages import Document, page_length
from ..printing import printable_lines

Say = Callable[[str], object]
"""Shows one line to the user, at once; called from the pump's thread as well."""


class Sink(ABC):
    """The consumer of the documents of one run.

    The pump makes its sinks for each run (see :data:`SinkMaker`), and calls them from its own thread
    only: :meth:`take` for each document in order, :meth:`tick` now and then, :meth:`end` once. None
    of them raises, whatever happens inside; a sink that cannot go on keeps quiet until :meth:`end`.
    """

    pages: ClassVar[bool | None] = True
    """Whether events come as event pages, gathered by the pump; else one by one, as emitted.

    None: no documents come, only the end of the run.
    """

    @abstractmethod
    def take(self, name: str, doc: Document) -> None:
        """Take one document; it is this sink's own, no one else holds it."""

    @abstractmethod
    def end(self, missing: dict[str, int]) -> None:
        """Learn that the run is over, with a stop document or without.

        Parameters
        ----------
        missing : dict of str to int
            By stream, the events that the RunEngine counted and that never arrived here.
        """

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """Learn that a document of the run was lost on the way: what follows would not be the run."""

    @abstractmethod
    def tick(self, now: float) -> None:
        """Do what is due at ``now`` (a monotonic time in seconds): flush, look after a thread."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether everything is written, or given up; true only after :meth:`end`."""

    @property
    def waiting(self) -> int:
        """Events taken that are not yet given to a writer."""
        return 0


SinkMaker = Callable[[dict[str, Any]], list[Sink]]
"""Given a start document, makes the sinks for its run."""


def events_in(name: str, doc: Any) -> int:
    """Return how many events a document holds, 0 for one that is none."""
    if name == "event":
        return 1
    try:
        return page_length(doc) if name == "event_page" else 0
    except (LookupError, TypeError):
        return 0  # not an event page, whatever it is called


def say_on_stderr(text: str) -> None:
    """Show a line to the user, on the error stream, where it does not mix with a result."""
    sys.stderr.write(printable_lines(text) + "\n")
    sys.stderr.flush()


def message_of(error: BaseException) -> str:
    """Return an exception's own text in one line, whatever its ``__str__`` does."""
    try:
        return " ".join(str(error).split())
    except BaseException:
        return "(its message cannot be shown)"


def one_line(error: BaseException) -> str:
    """Describe an exception in one line."""
    text = message_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def trace_of(error: BaseException) -> str:
    """Return a traceback as text."""
    try:
        return "".join(traceback.format_exception(error))
    except BaseException:
        return one_line(error)


def quietly(call: Callable[[], object]) -> BaseException | None:
    """Call a function; return what it raised, of whatever kind, or None.

    The one place where everything is caught: on the pump's thread no signal arrives, and neither
    SystemExit nor MemoryError of one writer may end the others.
    """
    try:
        call()
    except BaseException as error:
        return error
    return None
