"""Once a session, when the first writer is attached: finish what was left, remove what is old."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from ._cleaning import clean
from ._recovery import leftovers, recover, tidy
from ._sink import Say, one_line, quietly

CLEAN_EVERY = 600.0
"""Seconds before a session looks again for journals that are old."""

_cleaned: dict[Path, float] = {}


def keep_house(folder: Path, days: float, megabytes: float, say: Say) -> None:
    """Recover and clean on a thread of its own; says so only if there is something to say."""

    def work() -> None:
        left = leftovers(folder, failed=False)
        found = sum(len(one.runs) for one in left if one.assignment.replayable)
        if found:
            say(f"journal: {found} runs of a session that has ended are not written; they are finished now")
        elif not left and time.monotonic() - _cleaned.get(folder, -CLEAN_EVERY) < CLEAN_EVERY:
            return
        _cleaned[folder] = time.monotonic()
        recover(folder, say)
        clean(folder, days, megabytes)
        tidy(folder)

    def guarded() -> None:
        trouble = quietly(work)
        if trouble is not None:
            quietly(lambda: say(f"journal: {folder}: {one_line(trouble)}"))

    threading.Thread(target=guarded, name="bluesky-export housekeeping", daemon=True).start()
