"""Writers that raise, found by their import path, so that any process can make them.

``csv__event_page__ValueError`` is the csv writer whose ``event_page`` raises ValueError in runs that
have ``fault`` in their metadata.
"""

from __future__ import annotations

import asyncio
import builtins
from typing import Any

from bluesky_export import formats

ERRORS = [
    "Exception",
    "ValueError",
    "OSError",
    "MemoryError",
    "SystemExit",
    "KeyboardInterrupt",
    "ReferenceError",
    "GeneratorExit",
    "CancelledError",
    "RecursionError",
    "StopIteration",
]
WHERE = ["start", "descriptor", "event_page", "stop"]


def path_of(name: str, where: str, error: str) -> str:
    """Return the import path of a writer that raises."""
    return f"{__name__}:{name}__{where}__{error}"


def __getattr__(attribute: str) -> Any:
    name, _, rest = attribute.partition("__")
    where, _, error = rest.partition("__")
    if where not in WHERE or error not in ERRORS:
        raise AttributeError(attribute)
    base = formats.writer_class(name)
    kind = getattr(builtins, error, None) or getattr(asyncio, error)

    def raising(self: Any, doc: Any) -> None:
        run = doc if where == "start" else self.start_doc
        if run.get("fault"):
            raise kind(f"put into {where}")
        getattr(base, where)(self, doc)

    cls = type(attribute, (base,), {where: raising, "__module__": __name__, "__doc__": base.__doc__})
    globals()[attribute] = cls
    return cls
