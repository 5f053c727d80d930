"""Python's garbage collector, held while a run is read and written.

Documents are very many small objects in no cycle. The collector looks through all of them, and through
all that the session holds, again and again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[Callable[[], object]]:
    """Hold the collector; give what to call now and then, to let it look at what is new.

    Left as it was found, whatever happens. Where two threads do this at once, the collector runs again
    as soon as the first of them is done.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield _collect_new
    finally:
        if running:
            gc.enable()


def _collect_new() -> object:
    return gc.collect(1)
