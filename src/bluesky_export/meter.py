"""How much an export has written, and how fast: beside its progress bar."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

EVERY = 0.5
"""Seconds between two looks at the sizes of files."""


class Meter:
    """A progress bar of events, with the bytes of the files that are written beside it.

    Parameters
    ----------
    bar : any
        Like tqdm's.
    growing : collection of Path
        The temporary files that are being written, at any moment.
    """

    def __init__(self, bar: Any, growing: Iterable[Path] = ()) -> None:
        self._bar = bar
        self._growing = growing
        self._finished = 0
        self._begin = self._looked = time.monotonic()

    def update(self, events: int) -> None:
        """Count events, and look at the files now and then."""
        self._bar.update(events)
        now = time.monotonic()
        if now - self._looked >= EVERY:
            self._looked = now
            written = self._finished + _sizes(list(self._growing))
            rate = written / (now - self._begin)
            self._bar.set_postfix_str(f"{in_bytes(written)}, {in_bytes(rate)}/s", refresh=False)

    def finished(self, files: Iterable[Path]) -> None:
        """Count the files of a run as they are."""
        self._finished += _sizes(files)

    def describe(self, text: str) -> None:
        """Say what is being done."""
        self._bar.set_description(text, refresh=False)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()


def _sizes(files: Iterable[Path]) -> int:
    size = 0
    for path in files:
        with suppress(OSError):  # it has just got its name, or has just been removed
            size += path.stat().st_size
    return size


def in_bytes(number: float) -> str:
    """Return a number of bytes as people write it.

    Examples
    --------
    >>> in_bytes(999), in_bytes(1250), in_bytes(3.2e9)
    ('999 B', '1.2 kB', '3.2 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
