"""Read a format's files back with readers that are not ours, and hold them against the documents.

``CHECKS[format](files, documents)`` asserts that the files of one run say what its documents say.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..corpus import Pairs

Check = Callable[[list[Path], Pairs], Any]


def check(name: str) -> Check:
    """Return the check of a format; a format without one fails here."""
    return importlib.import_module(f"{__name__}.{name}").check  # type: ignore[no-any-return]
