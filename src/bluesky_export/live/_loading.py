"""Classes by their import path, ``module:Class``: in this session, and in another process."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ..errors import UsageError
from ._sink import one_line


def load_path(path: str) -> Any:
    """Import what a path names.

    Raises
    ------
    UsageError
        There is no such module, or it has no such name.
    """
    module, _, attribute = path.partition(":")
    try:
        thing = importlib.import_module(module)
    except Exception as error:
        raise UsageError(f"{path}: {module} cannot be imported ({one_line(error)})") from error
    for part in attribute.split("."):
        if not hasattr(thing, part):
            raise UsageError(f"{path}: module {module} has no {attribute}")
        thing = getattr(thing, part)
    return thing


def path_of(cls: type) -> str:
    """Return the path by which another process finds a class; empty if it cannot."""
    module, name = cls.__module__, cls.__qualname__
    thing: Any = sys.modules.get(module)
    for part in name.split("."):
        thing = getattr(thing, part, None)
    return f"{module}:{name}" if thing is cls and module != "__main__" else ""
