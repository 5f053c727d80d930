"""What a run of the tests takes of that which grows as runs × formats × stores.

``pytest`` takes a sample, drawn by a seed that its header prints; ``BLUESKY_EXPORT_SEED=<seed>`` draws
the same again. ``pytest --whole`` takes everything, and the tests that are marked ``long`` as well.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pytest

SEED = int(os.environ.setdefault("BLUESKY_EXPORT_SEED", str(random.SystemRandom().randrange(2**32))))
"""One for all processes of a run: they inherit it."""


_WHOLE = "BLUESKY_EXPORT_WHOLE"


def ask_for_everything() -> None:
    """Take no samples in this run of the tests."""
    os.environ[_WHOLE] = "1"


def is_whole() -> bool:
    """Say whether everything was asked for; known before tests are collected."""
    return os.environ.get(_WHOLE) == "1"


def takes(item: pytest.Item) -> bool:
    """Say whether a sample has a test: of those marked ``sample(n)``, about one in n cases."""
    mark = item.get_closest_marker("sample")
    if mark is None or is_whole():
        return True
    return random.Random(f"{SEED}/{item.nodeid}").randrange(mark.args[0]) == 0


def all_or_drawn(what: str, of: Sequence[str], count: int) -> list[str]:
    """Return all of them if everything was asked for, else ``count``, drawn, in their order."""
    taken = of if is_whole() else drawn(what, of, count)
    return [one for one in of if one in taken]


def drawn(what: str, of: Sequence[str], count: int) -> list[str]:
    """Draw ``count`` of several; the same for one seed, whatever else is drawn.

    What is drawn for a run and a format does not depend on which other runs and formats there are.
    """
    if count >= len(of):
        return list(of)
    return random.Random(f"{SEED}/{what}").sample(list(of), count)
