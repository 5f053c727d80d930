"""The columns of one stream's table: their order, and their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .fields import fields_of
from .pages import Document
from .tables import Table


def file_names(fields: Iterable[str], clean: Callable[[str], str]) -> dict[str, str]:
    """Return what each field is called in a file: no two alike, or readers refuse the table.

    Parameters
    ----------
    fields : iterable of str
        The fields.
    clean : callable
        Makes a name one that the file can have. What is one already it leaves alone, and that field
        keeps its name; ``_`` is added to others until nothing else is called so.
    """
    cleaned = {field: clean(field) for field in fields}
    taken = {field for field, name in cleaned.items() if name == field}
    for field, name in cleaned.items():
        if name != field:
            while name in taken:
                name += "_"
            taken.add(name)
            cleaned[field] = name
    return cleaned


def tell_name(stream: str, field: str, name: str, notice: Callable[[str], None]) -> None:
    """Say what a field is called in the file, if not what it is called."""
    if name != field:
        notice(f"{stream}: field {field!r} is called {name!r} in the file")


class OwnNames:
    """Names for the columns that are ours: no two are equal, and a field has its own.

    Parameters
    ----------
    stream : str
        The stream, for what the user is told.
    fields : iterable of str
        The names that are taken.
    notice : callable
        Told where a column of ours could not have its usual name.
    """

    def __init__(self, stream: str, fields: Iterable[str], notice: Callable[[str], None]) -> None:
        self._stream, self._notice = stream, notice
        self._taken = set(fields)

    def event(self, name: str) -> str:
        """Return the name for something of the event itself: ``time``, ``seq_num``, ``uid``."""
        return self._free(name, f"event_{name}", f"the event's own {name}")

    def timestamp(self, field: str) -> str:
        """Return the name for the timestamps of a field."""
        name = f"{field}_timestamp"
        return self._free(name, f"{name}_", "another's timestamp")

    def _free(self, name: str, otherwise: str, what: str) -> str:
        chosen = name
        while chosen in self._taken:
            chosen = otherwise if chosen == name else f"{chosen}_"
        self._taken.add(chosen)
        if chosen != name:
            self._notice(f"stream {self._stream} has a field named {name!r}: {what} is in column {chosen}")
        return chosen


@dataclass(frozen=True)
class Order:
    """The fields of a whole stream in the order in which people read them."""

    before: tuple[str, ...]
    """Scanned motors: the time comes after them."""
    after: tuple[str, ...]

    @classmethod
    def of(cls, start: Document, table: Table) -> Order:
        """Sort the fields of all descriptors; those that only later ones have come last."""
        first = table.descriptors[0]
        fields = fields_of(start, first)
        later = [field for field in table.fields if field not in first["data_keys"]]
        return cls(fields.motors, (*fields.others, *fields.detectors, *later))
