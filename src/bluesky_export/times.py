"""Times as people type them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Any

from .errors import UsageError

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|w)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_SHORT = {4: "%Y", 7: "%Y-%m"}


def parse_time(when: Any, now: float | None = None) -> float:
    """Return epoch seconds.

    Parameters
    ----------
    when : str, float, or datetime
        ``2026``, ``2026-07``, ``2026-07-04``, ``2026-07-04 05:00``, with seconds or an offset as
        ISO 8601 has them; ``now``, ``today``, ``yesterday`` (their first moment); ``30min``,
        ``2h``, ``3d``, ``1w`` (that long ago). In the local zone unless an offset is given; a time
        that daylight saving repeats is taken as the first of the two.
    now : float, optional
        The present, in epoch seconds.

    Raises
    ------
    UsageError
        The text is none of these.
    """
    found = _parse(when, now)
    try:  # it will be shown, and a clock ends somewhere
        datetime.fromtimestamp(found).astimezone()
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"time {when!r} is beyond the calendar") from None
    return found


def _parse(when: Any, now: float | None) -> float:
    if isinstance(when, datetime):
        return when.timestamp()
    if isinstance(when, (int, float)) and not isinstance(when, bool):
        return float(when)
    text, now = str(when).strip(), time.time() if now is None else now
    if text == "now":
        return now
    midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday"):
        return (midnight - timedelta(days=text == "yesterday")).timestamp()
    if match := _AGO.fullmatch(text):
        return now - float(match[1]) * _SECONDS[match[2]]
    try:
        if len(text) in _SHORT:
            return datetime.strptime(text, _SHORT[len(text)]).timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(
            f"time {text!r}: write 2026-07, '2026-07-04 05:00', today, yesterday, 2h or 3d"
        ) from None
