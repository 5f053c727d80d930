"""A stream as one table, whatever its descriptors: what formats that write at the end need.

The events of a stream's first descriptor come first, then those of its second, each in the order
of arrival: the result is the same however the events were cut into pages. Where a descriptor does
not have a field, its rows are None.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .assets import Assets, Piece
from .columns import Column, Packed
from .external import ExternalColumn
from .fields import is_external
from .pages import Document, page_length

_FLOAT = {"dtype": "number", "dtype_numpy": "<f8"}
_INTEGER = {"dtype": "integer", "dtype_numpy": "<i8"}
_TEXT = {"dtype": "string"}


@dataclass
class _Part:
    """The events of one descriptor."""

    descriptor: Document
    time: Column = field(default_factory=lambda: Column(_FLOAT))
    seq_num: Column = field(default_factory=lambda: Column(_INTEGER))
    uid: Column = field(default_factory=lambda: Column(_TEXT))
    data: dict[str, Column] = field(default_factory=dict)
    timestamps: dict[str, Column] = field(default_factory=dict)

    def take(self, page: Document) -> None:
        rows, before = page_length(page), len(self.seq_num)
        self.time.extend(page["time"])
        self.seq_num.extend(page["seq_num"])
        self.uid.extend(page.get("uid") or [None] * rows)
        for columns, given in ((self.data, page["data"]), (self.timestamps, page.get("timestamps") or {})):
            for name in given.keys() | columns.keys():
                if name not in columns:
                    columns[name] = Column.joined([before])
                columns[name].extend(given[name] if name in given else [None] * rows)


class Table:
    """One stream, taken page by page.

    Parameters
    ----------
    name : str
        The stream.
    masked : bool
        Leave None to the format: see :meth:`bluesky_export.documents.columns.Column.pack`.
    """

    def __init__(self, name: str, *, masked: bool = False) -> None:
        self.name = name
        self._masked = masked
        self._parts: dict[str, _Part] = {}
        self._unseen: list[int] = []  # points of stream datums that no event has
        self._known: dict[str, Packed] = {}

    def descriptor(self, doc: Document) -> None:
        """Take a descriptor of this stream."""
        self._parts[doc["uid"]] = _Part(doc)

    def event_page(self, doc: Document) -> None:
        """Take events."""
        self._parts[doc["descriptor"]].take(doc)

    def close(self, assets: Assets) -> None:
        """Take note of the points that only stream datums know: rows without an event."""
        seen = {int(n) for n in self.seq_num.values.tolist()} if self.seq_num.kind == "array" else set()
        self._known.clear()
        for part in self._parts.values():
            numbers = [n for n in assets.stream_seq_nums(part.descriptor["uid"]) if n not in seen]
            part.seq_num.extend(numbers)
            self._unseen += numbers
            seen.update(numbers)
            rows = len(part.seq_num)
            columns = [part.time, part.uid, *part.data.values(), *part.timestamps.values()]
            for column in columns:
                column.extend([None] * (rows - len(column)))

    # -- the table -------------------------------------------------------------------------

    @property
    def descriptors(self) -> list[Document]:
        """The stream's descriptors, in order of arrival."""
        return [part.descriptor for part in self._parts.values()]

    @property
    def rows(self) -> int:
        """Number of rows: events, and the points that only stream datums know."""
        return sum(len(part.seq_num) for part in self._parts.values())

    @property
    def without_event(self) -> list[int]:
        """``seq_num`` of the rows that have no event."""
        return self._unseen

    @property
    def fields(self) -> list[str]:
        """The fields of all descriptors and events, in order."""
        names: dict[str, None] = {}
        for part in self._parts.values():
            names.update(dict.fromkeys(part.descriptor.get("data_keys") or {}))
        for part in self._parts.values():
            names.update(dict.fromkeys(sorted(part.data)))
        return list(names)

    def data_key(self, name: str) -> Document:
        """Return the first data key of a field, empty if no descriptor has one.

        It has no units if they change within the stream: a column has one label.
        """
        keys = self._data_keys(name)
        if not keys:
            return {}
        return keys[0] if len(self.units(name)) < 2 else {**keys[0], "units": None}

    def units(self, name: str) -> list[Any]:
        """Return the units of a field, each once, in order; None where a descriptor has none."""
        return units_of(self._data_keys(name))

    def _data_keys(self, name: str) -> list[Document]:
        known = (part.descriptor.get("data_keys") or {} for part in self._parts.values())
        return [keys[name] for keys in known if name in keys]

    @property
    def descriptor_index(self) -> NDArray[Any]:
        """For each row the number of its descriptor."""
        return np.repeat(np.arange(len(self._parts)), [len(part.seq_num) for part in self._parts.values()])

    @property
    def time(self) -> Packed:
        """Event times, epoch seconds."""
        return self._packed("time", _FLOAT)

    @property
    def seq_num(self) -> Packed:
        """Event numbers."""
        return self._packed("seq_num", _INTEGER)

    @property
    def uid(self) -> Packed:
        """Event uids."""
        return self._packed("uid", _TEXT)

    def _packed(self, name: str, data_key: Mapping[str, Any]) -> Packed:
        if name not in self._known:
            parts = [getattr(part, name) for part in self._parts.values()]
            self._known[name] = Column.joined(parts, data_key).pack(masked=self._masked)
        return self._known[name]

    def values(self, name: str) -> Packed | None:
        """Return a field's values as the events hold them; None if no event holds any."""
        parts = list(self._parts.values())
        if self.rows and not any(name in part.data for part in parts):
            return None
        columns = [part.data.get(name, len(part.seq_num)) for part in parts]
        return Column.joined(columns, self._hint(name)).pack(masked=self._masked)

    def timestamps(self, name: str) -> Packed | None:
        """Return a field's own timestamps, None if it has none."""
        parts = list(self._parts.values())
        if not any(name in part.timestamps for part in parts):
            return None
        columns = [part.timestamps.get(name, len(part.seq_num)) for part in parts]
        return Column.joined(columns, _FLOAT).pack(masked=self._masked)

    def forget(self, name: str) -> None:
        """Free the memory of a field that is written; it cannot be asked for again."""
        for part in self._parts.values():
            part.data.pop(name, None)
            part.timestamps.pop(name, None)

    def _hint(self, name: str) -> Document:
        """Return what the descriptors declare of a field, the dtype only if they agree."""
        keys = [p.descriptor["data_keys"].get(name) for p in self._parts.values()]
        declared = [key for key in keys if key]
        if not declared:
            return {}
        agree = all(key.get("dtype_numpy") == declared[0].get("dtype_numpy") for key in declared)
        return declared[0] if agree else {k: v for k, v in declared[0].items() if k != "dtype_numpy"}

    def external(self, name: str, assets: Assets) -> ExternalColumn | None:
        """Return a field's values from files of their own; None if the events hold them.

        A field that is declared external may be filled already: its values are no datum ids then.
        """
        pieces = []
        for part in self._parts.values():
            data_key = (part.descriptor.get("data_keys") or {}).get(name)
            if not len(part.seq_num):
                continue
            numbers = part.seq_num.pack().values
            ids: list[Any] | None = None
            if name in part.data:
                if data_key is None or not is_external(data_key):
                    return None
                values = part.data[name].pack()
                if values.kind != "text":
                    return None
                ids = list(values.rows())
            elif data_key is not None and not (
                is_external(data_key) or assets.in_stream(part.descriptor["uid"], name)
            ):
                return None
            pieces.append(Piece(part.descriptor, len(part.seq_num), ids, numbers))
        return assets.joined(name, pieces) if pieces else None


def units_of(data_keys: Iterable[Document]) -> list[Any]:
    """Return the units in data keys of one field, each once, in order; None where one has none."""
    found: list[Any] = []
    for key in data_keys:
        if (units := key.get("units")) not in found:
            found.append(units)
    return found
