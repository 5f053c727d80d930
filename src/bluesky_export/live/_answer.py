"""Looks at folders that may be on a share that hangs: on a thread, within a bound."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import OutputError
from ._sink import quietly

FIRST_LOOK = 5.0
"""Seconds that a folder has to answer the first question about it."""
WHOLE_LOOK = 60.0
"""Seconds for all that is looked at before a writer is attached: a SPEC file may be long."""

T = TypeVar("T")


def within(seconds: float, where: str | Path, look: Callable[[], T]) -> T:
    """Call a function that touches a file system, and wait no longer than that.

    A look at a hard-mounted share whose server is gone never returns, and no exception ends it. It goes
    on, on a thread that does not keep the session alive.

    Raises
    ------
    OutputError
        It did not return in time; else whatever the function raises.
    """
    result: list[T] = []
    errors: list[BaseException] = []
    over = threading.Event()

    def work() -> None:
        error = quietly(lambda: result.append(look()))
        if error is not None:
            errors.append(error)
        over.set()

    threading.Thread(target=work, name="bluesky-export look", daemon=True).start()
    if not over.wait(seconds):
        raise OutputError(
            f"{where} does not answer: a look at it has not come back for {seconds:g} s (a share that "
            "hangs?). Nothing was changed; try again when it does, or give another folder"
        )
    if errors:
        raise errors[0]
    return result[0]
