"""Orders and reports between a session and a worker, as lines of JSON through two pipes."""

from __future__ import annotations

import json
import os
import select
from typing import Any


class Pipes:
    """Orders and reports as lines of JSON through two pipes."""

    def __init__(self, orders: int, reports: int) -> None:
        self._in, self._out = orders, reports
        self._rest = b""
        self._broken = False

    def orders(self, timeout: float) -> list[dict[str, Any]] | None:
        """Return the orders that came within so many seconds; None if the session has gone."""
        ready, _, _ = select.select([self._in], [], [], timeout)
        if not ready:
            return []
        data = os.read(self._in, 2**16)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def report(self, message: dict[str, Any]) -> None:
        """Send a report, as long as there is somebody to read it."""
        if self._broken:
            return
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._out, data) :]
        except OSError:
            self._broken = True  # the session has gone; what is done stands in the intents
