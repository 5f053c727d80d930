"""Rows of a column as they are kept in memory: compact arrays and what does not fit into one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._dtypes import is_number, leaves_array

Array = NDArray[Any]


@dataclass
class Part:
    """Rows of numbers of one dtype and shape."""

    places: Array | None
    """Which rows of the chunk; None for all."""
    values: Array
    known: bool = True
    """False for empty lists, which say nothing of their dtype."""

    def rows(self, first: int) -> Array | slice:
        """Return an index of the rows in a column in which the chunk starts at ``first``."""
        return slice(first, first + len(self.values)) if self.places is None else self.places + first


class Texts(Sequence[str]):
    """Many texts in one, at a byte a character where Python can: uids take 40 bytes, not 93."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._joined = "".join(texts)
        self._ends = np.cumsum([len(text) for text in texts], dtype=np.int64)

    @classmethod
    def concatenated(cls, parts: Sequence[Texts]) -> Texts:
        """Return the texts of all parts, in order."""
        whole = cls(())
        whole._joined = "".join(part._joined for part in parts)
        starts = np.cumsum([0, *(len(part._joined) for part in parts)])
        ends = [part._ends + start for part, start in zip(parts, starts[:-1], strict=True)]
        whole._ends = np.concatenate([np.empty(0, np.int64), *ends])
        return whole

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Texts({list(self)!r})"

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            first, stop, step = row.indices(len(self))
            if step != 1:
                return [self[number] for number in range(first, stop, step)]
            ends = self._ends[first:stop].tolist()
            starts = [0 if first == 0 else int(self._ends[first - 1]), *ends[:-1]]
            return [self._joined[start:end] for start, end in zip(starts, ends, strict=False)]
        row = range(len(self))[row]  # negative ones count from the end, others out of range raise
        return self._joined[0 if row == 0 else self._ends[row - 1] : self._ends[row]]

    def __iter__(self) -> Iterator[str]:
        return iter(self[:])

    @property
    def joined(self) -> str:
        """All texts in one: what holds for each of its characters holds for each text."""
        return self._joined


@dataclass
class Chunk:
    """Consecutive rows of a column, sorted by what they are."""

    rows: int
    parts: list[Part] = field(default_factory=list)
    nulls: list[int] = field(default_factory=list)
    texts: dict[int, str] | Texts = field(default_factory=dict)
    others: dict[int, Any] = field(default_factory=dict)

    def raw(self) -> list[Any]:
        """Return the rows as Python objects, arrays as nested lists."""
        rows: list[Any] = [None] * self.rows
        for part in self.parts:
            places = range(self.rows) if part.places is None else part.places.tolist()
            for place, value in zip(places, part.values.tolist(), strict=True):
                rows[place] = value
        texts = self.texts if isinstance(self.texts, dict) else dict(enumerate(self.texts))
        for place, value in {**texts, **self.others}.items():
            rows[place] = value
        return rows


def chunk_of(rows: list[Any]) -> Chunk:
    """Sort rows into arrays of one dtype and shape, nulls, texts and others."""
    chunk = Chunk(len(rows))
    types = set(map(type, rows))
    if types == {str}:
        chunk.texts = Texts(rows)
        return chunk
    groups: dict[Any, tuple[list[int], list[Any]]] = {}
    texts: dict[int, str] = {}
    for kind in sorted(types, key=lambda kind: kind.__qualname__):
        places = None if len(types) == 1 else [row for row, value in enumerate(rows) if type(value) is kind]
        values = rows if places is None else [rows[place] for place in places]
        if kind is type(None):
            chunk.nulls = list(range(len(rows))) if places is None else places
        elif issubclass(kind, str):
            # str() of an enumeration of texts (ophyd-async has them) is its name, not its value
            plain = map(str.__str__, values)
            texts.update(zip(places or range(len(rows)), plain, strict=True))
        elif (array := leaves_array(values)) is not None:
            chunk.parts.append(Part(None if places is None else np.array(places), array))
        else:
            _sort_rows(places or range(len(rows)), values, groups, chunk.others)
    chunk.texts = texts
    for (dtype, _), (found, arrays) in groups.items():
        where = None if len(found) == len(rows) else np.array(found)
        order = np.argsort(found) if where is None else slice(None)
        chunk.parts.append(Part(where, np.stack(arrays)[order], dtype is not None))
    return chunk


def _sort_rows(
    places: Sequence[int],
    values: list[Any],
    groups: dict[Any, tuple[list[int], list[Any]]],
    others: dict[int, Any],
) -> None:
    for place, value in zip(places, values, strict=True):
        array = _row_array(value)
        if array is None:
            others[place] = value
        else:
            known = bool(array.size) or isinstance(value, np.ndarray)
            found, arrays = groups.setdefault((array.dtype if known else None, array.shape), ([], []))
            found.append(place)
            arrays.append(array)


def _row_array(value: Any) -> Array | None:
    """Return a row of numbers as an array with their own dtype; None if it is not one."""
    if isinstance(value, np.ndarray) and is_number(value.dtype):
        return value
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype.kind == "O"):
        nested = flatten(value)
        if nested is None:
            return None
        shape, leaves = nested
        array = leaves_array(leaves) if leaves else np.empty(0)
        return None if array is None else array.reshape(shape)
    array = leaves_array([value])
    return None if array is None else array.reshape(())


def flatten(value: Any) -> tuple[tuple[int, ...], list[Any]] | None:
    """Return shape and leaves of nested lists or arrays; None if they are ragged."""
    if isinstance(value, np.ndarray):
        value = list(value) if value.ndim else value[()]
    if not isinstance(value, (list, tuple)):
        return (), [value]
    if not any(isinstance(item, (list, tuple, np.ndarray)) for item in value):
        return (len(value),), list(value)
    inner = [flatten(item) for item in value]
    first = inner[0]
    if first is None or any(item is None or item[0] != first[0] for item in inner):
        return None
    return (len(value), *first[0]), [leaf for item in inner if item is not None for leaf in item[1]]


def text_array(rows: list[Any]) -> Array | None:
    """Return rows that are arrays of text, all of one shape, as an object array."""
    nested = [flatten(row) for row in rows]
    first = nested[0]
    if first is None or not first[0]:
        return None
    out = np.empty((len(rows), len(first[1])), object)
    for number, item in enumerate(nested):
        if item is None or item[0] != first[0] or not all(isinstance(leaf, str) for leaf in item[1]):
            return None
        out[number] = [str.__str__(leaf) for leaf in item[1]]
    return out.reshape(len(rows), *first[0])
