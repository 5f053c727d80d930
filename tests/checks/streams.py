"""What the documents of a run say, stream by stream."""

from __future__ import annotations

from typing import Any

from bluesky_export.testing.kit import (
    events_by_stream,
    keys_by_stream,
    only,
    same,
    start_of,
    stop_of,
)

__all__ = ["events_by_stream", "expect", "keys_by_stream", "only", "start_of", "stop_of"]


def expect(found: Any, expected: Any, what: str) -> None:
    """Assert :func:`same`, and say what differs."""
    assert same(found, expected), f"{what}: found {found!r:.300}, expected {expected!r:.300}"
