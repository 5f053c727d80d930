"""What it takes for a value that was read back to be the one that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def same(found: Any, expected: Any) -> bool:
    """Say whether two values are equal, and of one kind; NaN equals NaN, -0.0 is not 0.0."""
    if isinstance(expected, (np.ndarray, np.generic)):
        expected = expected.tolist()
    if isinstance(found, (np.ndarray, np.generic)):
        found = found.tolist()
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(found, (list, tuple))
            and len(found) == len(expected)
            and all(map(same, found, expected))
        )
    if isinstance(expected, Mapping):
        return (
            isinstance(found, Mapping)
            and found.keys() == expected.keys()
            and all(same(found[key], expected[key]) for key in expected)
        )
    if isinstance(expected, (float, complex)):
        return type(found) is type(expected) and repr(found) == repr(expected)
    return type(found) is type(expected) and bool(found == expected)
