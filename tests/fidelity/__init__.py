"""Hold the files of a run against its documents by what the format's writer declares.

``hold(written, made)`` reads each file with libraries that are not ours and compares every value of
every field, every document and every time. What a writer declares exact must be equal; what it
declares converted, equal by the rule that stands beside its reader here; what it leaves out must be
absent, with a notice that names the field.

``refuses(name, made)`` says which runs a format has nothing to write of (no image, no event): those
have to end in NoData and leave no file.

The comparison is that of the kit (:mod:`bluesky_export.testing.kit`); here is a reader for each format.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterable
from typing import Any

from bluesky_export.formats import BUILT_IN, Written, writer_class
from bluesky_export.testing import Made, kit

__all__ = ["format_under_test", "formats_for", "hold", "refuses"]


@functools.cache
def format_under_test(name: str) -> kit.Tested:
    """Return a format with its reader; a format without one fails here."""
    return kit.Tested(writer_class(name), importlib.import_module(f"{__name__}.{name}"))


def hold(written: Written, made: Made) -> None:
    """Assert that the files of a run say what its documents say."""
    kit.hold(written, made, format_under_test(written.format))


def refuses(name: str, made: Made) -> str | None:
    """Return what the error says where a format has nothing to write of a run; None where it has."""
    return format_under_test(name).refuses(made)


def formats_for(documents: Iterable[tuple[str, Any]]) -> list[str]:
    """Return the formats that have something to write of a run."""
    made = Made(list(documents))
    return [name for name in BUILT_IN if refuses(name, made) is None]
