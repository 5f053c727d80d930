"""What fields are called in a table, as documented."""

from __future__ import annotations

from collections.abc import Callable, Iterable


def named(fields: Iterable[str], escape: Callable[[str], str]) -> dict[str, str]:
    """Names that need no escaping stay; to others ``_`` is added until nothing else is called so."""
    names: dict[str, str] = {}
    for field in sorted(fields, key=lambda field: escape(field) != field):
        name = escape(field)
        while name in names.values():
            name += "_"
        names[field] = name
    return names
