"""A worker on a thread of the session, where no process can be started."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from ._loop import Loop
from ._pipes import Pipes
from ._sink import quietly


class InsideWorker:
    """As much of a process as the session's side needs: pipes, and whether it has ended."""

    def __init__(self, writer: Path) -> None:
        orders, to_orders = os.pipe()
        from_reports, reports = os.pipe()
        self.stdin: Any = os.fdopen(to_orders, "wb", buffering=0)
        self.stdout: Any = os.fdopen(from_reports, "rb", buffering=0)
        os.set_blocking(to_orders, False)
        os.set_blocking(from_reports, False)
        self.pid = os.getpid()
        self._status: int | None = None
        self._thread = threading.Thread(
            target=self._run, args=(writer, orders, reports), name="bluesky-export writer", daemon=True
        )
        self._thread.start()

    def _run(self, writer: Path, orders: int, reports: int) -> None:
        pipes = Pipes(orders, reports)
        error = quietly(lambda: Loop(writer, pipes.orders, pipes.report).run())
        self._status = 0 if error is None else 1
        os.close(orders)
        os.close(reports)

    def poll(self) -> int | None:
        """Return None while it runs."""
        return self._status
