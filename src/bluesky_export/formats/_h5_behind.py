"""A large file goes to the disk while it is written, so that little is left for the sync at its end."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

STEP = 2**25
"""Bytes that are written before the next sync begins; smaller files are left to the sync at the end."""


class Behind:
    """Syncs a file in a thread, one sync at a time; nothing here raises.

    The kernel tells of a failed write to the disk once only, to whoever syncs next: what a sync says here
    has to be kept, or the one at the end may know nothing of it.

    Parameters
    ----------
    descriptor : int
        Of the file. It is open until :meth:`join` has returned.
    failed : callable
        Told what a sync raised, in the thread.
    """

    def __init__(self, descriptor: int, failed: Callable[[BaseException], None]) -> None:
        self._descriptor, self._failed = descriptor, failed
        self._waiting = 0
        self._thread: Thread | None = None

    def wrote(self, size: int) -> None:
        """Begin a sync if so much was written since the last one that it is worth it."""
        self._waiting += size
        if self._waiting < STEP or (self._thread is not None and self._thread.is_alive()):
            return
        self._waiting = 0
        thread = Thread(target=self._sync, name="bluesky-export-sync", daemon=True)
        with suppress(RuntimeError):  # no more threads can be had: the sync at the end does it all
            thread.start()
            self._thread = thread

    def join(self) -> None:
        """Wait for the sync that goes on, also if Ctrl-C comes meanwhile: it is told to ``failed``."""
        while self._thread is not None:
            try:
                self._thread.join()
                self._thread = None
            except BaseException as error:
                self._failed(error)

    def _sync(self) -> None:
        try:
            getattr(os, "fdatasync", os.fsync)(self._descriptor)  # macOS and Windows have no fdatasync
        except BaseException as error:
            self._failed(error)
