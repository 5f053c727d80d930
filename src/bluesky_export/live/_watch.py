"""A watch on the space of the disks that attached writers write to."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from ._preflight import megabytes, min_free, warn_free
from ._sink import Say, quietly

EVERY = 10.0
"""Seconds between two looks."""

PATIENCE = 2.0
"""Seconds that one folder may keep the others waiting."""

_ENOUGH, _LOW, _FULL = range(3)


class SpaceWatch:
    """Say once when a disk has little space left, and when it has none; again when it has space.

    It has a thread of its own, which is there while :meth:`start` was called and :meth:`stop` was not.
    Since a look at a share that has gone may take for ever, each look has one as well: a folder whose
    last look has not come back is not looked at, and the others are.

    Parameters
    ----------
    targets : callable
        Returns the folders that are written to, each with the name of its writer.
    say : callable
        Shows a line to the user.
    """

    def __init__(self, targets: Callable[[], Iterable[tuple[str, Path]]], say: Say) -> None:
        self._targets = targets
        self._say = say
        self._levels: dict[int, int] = {}  # by file system
        self._looks: dict[Path, threading.Thread] = {}  # of folders that do not answer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="bluesky-export space", daemon=True)

    def start(self) -> None:
        """Begin to look; what is low already was said when the writer was attached."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more. A thread that is stuck in a look is left to itself."""
        self._stop.set()
        self._thread.join(1.0)

    def _loop(self) -> None:
        while not self._stop.is_set():
            quietly(self.look)
            self._stop.wait(EVERY)

    def look(self) -> None:
        """Look at each disk once; those that do not answer in time are left to their threads."""
        self._looks = {folder: thread for folder, thread in self._looks.items() if thread.is_alive()}
        for name, folder in self._targets():
            if folder not in self._looks:
                thread = threading.Thread(
                    target=quietly,
                    args=(partial(self._look_at, name, folder),),
                    name=f"bluesky-export space of {folder}",
                    daemon=True,
                )
                thread.start()
                thread.join(PATIENCE)
                if thread.is_alive():
                    self._looks[folder] = thread

    def _look_at(self, name: str, folder: Path) -> None:
        try:
            device, free = os.stat(folder).st_dev, shutil.disk_usage(folder).free
        except OSError:
            return  # gone, or not to be seen: the next run that is written there says so
        level = _FULL if free < min_free() else _LOW if free < warn_free() else _ENOUGH
        before = self._levels.get(device, min(level, _LOW))
        self._levels[device] = level
        if self._stop.is_set() or level == before:
            return
        left = f"{folder} has only {megabytes(free)} free"
        if level == _FULL:
            self._say(f"{name}: warning: {left}: runs may fail to be written; free space now")
        elif level == _LOW and before == _ENOUGH:
            self._say(f"{name}: warning: {left}")
        elif level == _ENOUGH:
            self._say(f"{name}: {folder} has {megabytes(free)} free again")
