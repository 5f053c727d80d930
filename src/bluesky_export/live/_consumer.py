"""A thread that empties the hand-off's queue: what the recorder and the pump have in common."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ._handoff import CONTROL, Handoff
from ._sink import Say, events_in, one_line, quietly

POLL_BUSY = 0.05
"""Seconds between looks at the queue while a run is open or being written."""
POLL_IDLE = 0.2
"""Seconds between looks at the queue otherwise."""
BATCH = 500
"""Documents handled before what they made is handed on and the RunEngine's thread gets a turn."""


class Consumer(ABC):
    """Empty the queue on a daemon thread.

    It polls: the RunEngine's thread never pays for waking it. :meth:`wake` is for those who wait.

    Parameters
    ----------
    handoff : Handoff
        Where the documents come from.
    may_leave : callable
        Called when there is nothing to do; the thread ends if it returns true.
    say : callable
        Shows a line to the user.
    name : str
        The thread's.
    """

    def __init__(self, handoff: Handoff, may_leave: Callable[[], bool], say: Say, name: str) -> None:
        self._handoff = handoff
        self._may_leave = may_leave
        self._say = say
        self._wake = threading.Event()
        self._told: set[str] = set()
        self._busy = False  # look often; set by each turn
        self.thread = threading.Thread(target=self._loop, name=name, daemon=True)

    # -- from other threads ----------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def wake(self) -> None:
        """Have the queue looked at now."""
        self._wake.set()

    @property
    def queued(self) -> int:
        """Events received that were not handled yet."""
        return sum(events_in(*item) for item in self._handoff.queue.copy())

    # -- the thread ------------------------------------------------------------------------

    @abstractmethod
    def _turn(self) -> None:
        """Look at the queue once, and set ``_busy``."""

    @abstractmethod
    def _handle(self, name: str, doc: Any) -> None:
        """Take one document, on the thread."""

    @abstractmethod
    def _unfinished(self) -> bool:
        """Say whether something is at work that forbids to leave."""

    def _left(self) -> None:  # noqa: B027 - not everybody has something to do
        """Do what is to be done when the thread ends."""

    def _loop(self) -> None:
        while True:
            error = quietly(self._turn)
            if error is not None:
                # If this thread itself has a fault, the next document still counts.
                self._tell_once(f"bluesky-export: an internal error, please report it: {one_line(error)}")
            queue = self._handoff.queue
            if not queue and not self._unfinished() and self._may_leave():
                break
            if not queue:
                self._wake.wait(POLL_BUSY if self._busy else POLL_IDLE)
                self._wake.clear()
            else:
                time.sleep(0)  # a backlog: the RunEngine's thread has the interpreter first
        self._left()

    def _take(self) -> int:
        """Handle what is queued, up to a batch; return how much it was."""
        queue = self._handoff.queue
        handled = 0
        while queue and handled < BATCH:
            name, doc = queue.popleft()
            handled += 1
            if name == CONTROL:
                doc()
                continue
            error = quietly(lambda name=name, doc=doc: self._handle(name, doc))  # type: ignore[misc]
            if error is not None:
                self._tell_once(f"bluesky-export: a {name} document was not understood: {one_line(error)}")
        return handled

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            quietly(lambda: self._say(text))
