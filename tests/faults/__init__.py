"""Faults put into what is attached to a real RunEngine, and looked at from outside."""

import pytest

from bluesky_export import formats

from ..sampling import all_or_drawn

PLAIN = [name for name in formats.names() if name not in ("tiff", "dx", "xdi", "tiled")]
"""Formats that take a scan of numbers: not those of images or of one kind of spectrum, nor servers."""


def some(request: pytest.FixtureRequest, count: int = 3) -> list[str]:
    """Draw formats for a test, SPEC and NeXus among them; all with ``--whole``.

    Each attached writer is a process of its own, which takes a second or two to start.
    """
    always = ["spec", "nexus"]
    others = [name for name in PLAIN if name not in always]
    return [*always, *all_or_drawn(request.node.name, others, count)]
