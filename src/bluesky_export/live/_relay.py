"""From the recorder to the writers that live in the session, on the pump's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._handoff import Handoff
from ._pump import Pump

MOST = 100_000
"""Documents that wait for the writers in the session, at most; the journal has them all."""


class Relay:
    """A queue with a bound, and the pump that empties it.

    Parameters
    ----------
    make_pump : callable
        Makes the pump for a hand-off.
    refuse : callable
        Told of the start of a run that no writer in the session can be given.

    Attributes
    ----------
    journals : dict of str to str
        Runs that are handed on, uid → the name of the journal's file.
    """

    def __init__(
        self, make_pump: Callable[[Handoff], Pump], refuse: Callable[[Mapping[str, Any], str], None]
    ) -> None:
        self._handoff = Handoff()
        self.pump = make_pump(self._handoff)
        self._refuse = refuse
        self._full = False
        self.journals: dict[str, str] = {}
        self.pump.start()

    def wake(self) -> None:
        """Have the queue looked at now."""
        self.pump.wake()

    @property
    def waiting(self) -> int:
        """Events that no writer in the session has taken."""
        return self.pump.waiting

    def control(self, order: Callable[[], None]) -> None:
        """Have the pump call ``order`` after all that was handed on before now."""
        self._handoff.control(order)

    def hand_on(self, name: str, doc: Any) -> None:
        """Hand a document on; runs for which there is no room are given up, and said so."""
        waiting = len(self._handoff.queue)
        text = f"{MOST:,} documents wait for it; the journal has the run"
        if waiting >= MOST and not self._full:
            self._full = True
            self.fail(text)
        elif self._full and name == "start" and waiting < MOST // 2:
            self._full = False
        if not self._full:
            self._handoff.queue.append((name, doc))
        elif name == "start":
            self._refuse(doc, text)

    def fail(self, text: str) -> None:
        """Give up the runs that are open: documents of them are missing."""
        self.control(lambda: self.pump.fail_all(MemoryError(text)))

    def end_all(self) -> None:
        """End every open run as unfinished."""
        self.control(self.pump.end_all)
