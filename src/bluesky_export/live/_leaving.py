"""Leaving the session: what is attached is finished in time, or said to be left."""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import Protocol

from ._attached import AttachedWriter
from ._sink import say_on_stderr

EXIT_TIMEOUT = 30.0
"""Seconds that leaving the session waits for files that are being finished."""


class Live(Protocol):
    """The writers of one RunEngine."""

    @property
    def attached(self) -> list[AttachedWriter]:
        """The writers."""

    def finish(self, timeout: float) -> bool:
        """Detach all, end open runs as unfinished, and wait."""

    def waiting_for(self, writer: AttachedWriter) -> int:
        """Return how many events are not given to a writer yet."""


class LeaveHook:
    """The one ``atexit`` hook, there only while something is attached."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: list[Live] = []

    def add(self, live: Live) -> None:
        with self._lock:
            if not self._live:
                atexit.register(self._leave, os.getpid())
            self._live.append(live)

    def remove(self, live: Live) -> None:
        with self._lock:
            if live in self._live:
                self._live.remove(live)
            if not self._live:
                atexit.unregister(self._leave)

    def _leave(self, pid: int) -> None:
        if pid != os.getpid():
            return  # a forked child has no pump; the files are its parent's
        until = time.monotonic() + EXIT_TIMEOUT
        for live in list(self._live):
            names = ", ".join(writer.name for writer in live.attached)
            # Most is done in a blink; who waits longer is told why.
            if live.finish(0.5):
                continue
            say_on_stderr(f"bluesky-export: finishing the files of {names} (up to {EXIT_TIMEOUT:.0f} s) …")
            if not live.finish(max(0.0, until - time.monotonic())):
                for writer in live.attached:
                    say_on_stderr(f"bluesky-export: {_left(live, writer)}")


def _left(live: Live, writer: AttachedWriter) -> str:
    """Say what becomes of the runs that a writer could not finish while the session was left."""
    count, events = len(writer.sinks), live.waiting_for(writer)
    text = f"{writer.name}: NOT finished: {count} run{'s' * (count != 1)}, {events:,} events; "
    if writer.client is None:
        return text + "export them from the catalog, or from the journal (--catalog journal)"
    return (
        text
        + f"its {writer.client.state} goes on; bluesky-export recover tells, and finishes what it could not"
    )


leave_hook = LeaveHook()
