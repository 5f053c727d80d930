"""Ctrl-C is never lost."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading

import pytest

from bluesky_export.interrupts import watch


class Swallows:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):  # the signal's handler runs between two of these
            pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_discards_is_noticed(monkeypatch):
    discarded = []
    monkeypatch.setattr(sys, "unraisablehook", discarded.append)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with watch() as check:
            check()
            Swallows()
            gc.collect()
            # what else is collected just then may have something to say, too
            assert KeyboardInterrupt in {one.exc_type for one in discarded}
            with pytest.raises(KeyboardInterrupt):
                check()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, previous)


def test_on_another_thread_nothing_is_touched():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with watch() as check:
            seen.append(signal.getsignal(signal.SIGINT))
            check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
