"""Ctrl-C that is never lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a verb, and the user was told what is finished."""


@contextmanager
def watch() -> Iterator[Callable[[], None]]:
    """Give a function to call between two steps: it raises if Ctrl-C came and was swallowed.

    Python discards an exception that a signal raises inside a weak reference's callback or a
    finaliser; long work would go on as if nothing had been typed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None  # signals reach the main thread only
        return
    previous = signal.getsignal(signal.SIGINT)
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if callable(previous):
            previous(number, frame)
        elif previous is not signal.SIG_IGN:
            raise KeyboardInterrupt

    def check() -> None:
        if came and previous is not signal.SIG_IGN:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, previous)
