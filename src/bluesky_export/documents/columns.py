"""A field's values over all pages of a run, packed into one faithful column.

The rules, which do not depend on how the values were cut into pages:

- bool stays bool; int becomes int64, uint64 where needed; float becomes float64; numpy numbers
  keep their dtype, in native byte order. Different number dtypes meet in the smallest that holds
  *every value* exactly.
- Equal shapes make one N-D array, different ones a ragged column (all values in a row, and the
  shape of each row: CF's contiguous ragged array).
- ``dtype_numpy`` of the data key is used where it holds every value exactly: stores that keep
  JSON or msgpack have lost the dtype, a live run has not, and both have to come out the same.
- None beside numbers becomes NaN, beside text the empty text, and its rows are listed in
  ``Packed.nulls``.
- Whatever cannot be held so (bool beside numbers, integers that no dtype holds together, dicts,
  text beside numbers) becomes JSON text, one per row: :mod:`~bluesky_export.documents.jsontext`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import jsontext
from ._chunks import Chunk, Part, Texts, chunk_of, text_array
from ._dtypes import common_dtype, declared_dtype, is_number, native_copy

Kind = Literal["array", "text", "ragged", "mixed"]
Array = NDArray[Any]

_COMPACT = 4096  # rows held as Python objects before they are made an array
_COMPACT_BYTES = 16 * 2**20

RULE_NULL_NUMBER = "None was written as NaN; the rows are listed"
RULE_NULL_TEXT = "None was written as an empty text; the rows are listed"
RULE_NULL_ARRAY = "None was written as an empty row; the rows are listed"
RULE_FLOAT = "integers and floats in one field were all written as floats, exactly"
RULE_JSON = "values that no single type holds were written as JSON text"


@dataclass(frozen=True)
class Packed:
    """One column of a table.

    Attributes
    ----------
    kind : {"array", "text", "ragged", "mixed"}
        What ``values`` is: an array whose first axis is the row (of numbers, or of ``str`` in an
        object array of two or more axes); a sequence of str; a flat array of all rows' values in turn;
        a list of JSON texts.
    values : numpy.ndarray or sequence of str
        The values.
    shapes : numpy.ndarray or None
        For "ragged": the shape of each row, an integer array of ``rows × dimensions``.
    nulls : numpy.ndarray
        Indices of the rows that were None.
    rule : str or None
        A named conversion that was made, to be told to the user.
    """

    kind: Kind
    values: Any
    shapes: Array | None = None
    nulls: Array = field(default_factory=lambda: np.empty(0, np.int64))
    rule: str | None = None

    def __len__(self) -> int:
        return len(self.values if self.shapes is None else self.shapes)

    def rows(self) -> Iterator[Any]:
        """Yield the values row by row as they were packed, None included."""
        nulls = set(self.nulls.tolist())
        for row, value in enumerate(self._rows()):
            yield None if row in nulls else value

    def _rows(self) -> Iterator[Any]:
        if self.kind == "mixed":
            yield from map(jsontext.loads, self.values)
        elif self.shapes is not None:
            ends = np.cumsum(np.prod(self.shapes, axis=1, dtype=np.int64))
            for shape, end in zip(self.shapes.tolist(), ends.tolist(), strict=True):
                yield self.values[end - int(np.prod(shape)) : end].reshape(shape)
        else:
            yield from self.values


class Column:
    """The values of one field, taken page by page.

    Numbers are kept as compact arrays: a million floats take 8 MB. Not thread-safe.

    Parameters
    ----------
    data_key : Mapping, optional
        The field's data key. It decides the dtype of an empty column, and restores the dtype
        (``dtype_numpy``) that a store has lost if that is exact for every value.
    """

    def __init__(self, data_key: Mapping[str, Any] | None = None) -> None:
        self.data_key = data_key or {}
        self._chunks: list[Chunk] = []
        self._tail: list[Any] = []
        self._tail_bytes = 0
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def extend(self, values: Sequence[Any] | Array) -> None:
        """Take one page's values: a list, or an array whose first axis is the row.

        Arrays are copied: the caller may use its buffer again.
        """
        if isinstance(values, np.ndarray):
            if is_number(values.dtype) and len(values) >= _COMPACT // 16:
                self._compact()
                self._chunks.append(Chunk(len(values), [Part(None, native_copy(values))]))
                self._rows += len(values)
                return
            values = values.tolist() if values.dtype.kind in "OU" else list(values)
        if any(issubclass(kind, np.ndarray) for kind in set(map(type, values))):
            values = [native_copy(row) if isinstance(row, np.ndarray) else row for row in values]
            self._tail_bytes += sum(row.nbytes for row in values if isinstance(row, np.ndarray))
        self._tail += values
        self._rows += len(values)
        if len(self._tail) >= _COMPACT or self._tail_bytes >= _COMPACT_BYTES:
            self._compact()

    def pack(self, *, masked: bool = False) -> Packed:
        """Return all values taken so far as one column.

        With ``masked``, None does not turn numbers into floats or rows into ragged ones: the rows
        in ``nulls`` hold zeros of the column's own dtype, for formats that have nulls themselves.
        """
        self._compact()
        if not self._rows:
            return self._empty()
        nulls = self._nulls()
        texts = sum(len(chunk.texts) for chunk in self._chunks)
        others = sum(len(chunk.others) for chunk in self._chunks)
        if len(nulls) == self._rows:
            return self._all_null(nulls, masked)
        if texts + len(nulls) == self._rows:
            return self._pack_text(nulls, masked)
        if not texts and not others:
            packed = self._pack_numbers(nulls, masked)
            if packed is not None:
                return packed
        if others == self._rows:
            array = text_array([row for chunk in self._chunks for row in chunk.raw()])
            if array is not None:
                return Packed("array", array)
        return Packed("mixed", [jsontext.dumps(row) for row in self._raw()], rule=RULE_JSON)

    @classmethod
    def joined(cls, columns: Sequence[Column | int], data_key: Mapping[str, Any] | None = None) -> Column:
        """Return one column of several; a number stands for so many rows that are None."""
        whole = cls(data_key)
        for column in columns:
            if isinstance(column, int):
                if column:
                    whole._chunks.append(Chunk(column, nulls=list(range(column))))
            else:
                column._compact()
                whole._chunks += column._chunks
            whole._rows += column if isinstance(column, int) else len(column)
        return whole

    # -- taking ----------------------------------------------------------------------------

    def _compact(self) -> None:
        if self._tail:
            self._chunks.append(chunk_of(self._tail))
            self._tail, self._tail_bytes = [], 0

    # -- packing ---------------------------------------------------------------------------

    def _empty(self) -> Packed:
        if self.data_key.get("dtype") == "string":
            return Packed("text", Texts(()))
        shape = self.data_key.get("shape") or ()
        known = all(isinstance(size, int) and size >= 0 for size in shape)
        return Packed("array", np.empty((0, *(shape if known else ())), self._declared()))

    def _declared(self) -> np.dtype[Any]:
        by_name = {"integer": np.int64, "boolean": np.bool_}
        return declared_dtype(self.data_key) or np.dtype(
            by_name.get(self.data_key.get("dtype", ""), np.float64)
        )

    def _all_null(self, nulls: Array, masked: bool) -> Packed:
        dtype = self.data_key.get("dtype")
        if dtype == "string":
            return self._pack_text(nulls, masked)
        if masked:
            return Packed("array", np.zeros(self._rows, self._declared()), nulls=nulls)
        if dtype in ("number", "integer", None):
            return Packed("array", np.full(self._rows, np.nan), nulls=nulls, rule=RULE_NULL_NUMBER)
        return Packed("mixed", ["null"] * self._rows, rule=RULE_JSON)

    def _pack_text(self, nulls: Array, masked: bool) -> Packed:
        parts = [
            Texts([chunk.texts.get(row, "") for row in range(chunk.rows)])
            if isinstance(chunk.texts, dict)
            else chunk.texts
            for chunk in self._chunks
        ]
        rule = RULE_NULL_TEXT if len(nulls) and not masked else None
        return Packed("text", Texts.concatenated(parts), nulls=nulls, rule=rule)

    def _pack_numbers(self, nulls: Array, masked: bool) -> Packed | None:
        parts = list(self._parts())
        shapes = {part.values.shape[1:] for _, part in parts}
        uniform = len(shapes) == 1
        if len({len(shape) for shape in shapes}) > 1:
            return None
        arrays = [part.values for _, part in parts if part.known]
        before = {array.dtype for array in arrays}
        # NaN stands for None in a scalar or an array of floats; an array of integers keeps its
        # dtype, and has an empty row there instead.
        floats = shapes == {()} or all(d.kind in "fc" for d in before)
        as_nan = not masked and bool(len(nulls)) and uniform and floats
        dtype = common_dtype(arrays, with_nan=as_nan, hint=declared_dtype(self.data_key))
        if dtype is None:
            if arrays:
                return None
            dtype = self._declared()  # nothing but empty lists
        rule = None
        if len(nulls) and not masked:
            rule = RULE_NULL_NUMBER if as_nan else RULE_NULL_ARRAY
        elif dtype.kind in "fc" and len({d.kind in "iu" for d in before}) > 1:
            rule = RULE_FLOAT
        if not uniform or (len(nulls) and not as_nan and not masked):
            return self._pack_ragged(parts, dtype, nulls, rule)
        (shape,) = shapes
        values = np.zeros((self._rows, *shape), dtype) if masked else np.empty((self._rows, *shape), dtype)
        if as_nan:
            values[nulls] = np.nan
        for first, part in parts:
            values[part.rows(first)] = part.values
        return Packed("array", values, nulls=nulls, rule=rule)

    def _pack_ragged(
        self, parts: list[tuple[int, Part]], dtype: np.dtype[Any], nulls: Array, rule: str | None
    ) -> Packed:
        shapes = np.zeros((self._rows, parts[0][1].values.ndim - 1), np.int64)
        for first, part in parts:
            shapes[part.rows(first)] = part.values.shape[1:]
        sizes = np.prod(shapes, axis=1, dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        flat = np.empty(int(sizes.sum()), dtype)
        for first, part in parts:
            for start, values in zip(starts[part.rows(first)].tolist(), part.values, strict=True):
                flat[start : start + values.size] = values.reshape(-1)
        return Packed("ragged", flat, shapes=shapes, nulls=nulls, rule=rule)

    # -- all chunks ------------------------------------------------------------------------

    def _starts(self) -> Iterator[tuple[int, Chunk]]:
        first = 0
        for chunk in self._chunks:
            yield first, chunk
            first += chunk.rows

    def _parts(self) -> Iterator[tuple[int, Part]]:
        for first, chunk in self._starts():
            for part in chunk.parts:
                yield first, part

    def _nulls(self) -> Array:
        return np.array([first + row for first, chunk in self._starts() for row in chunk.nulls], np.int64)

    def _raw(self) -> Iterator[Any]:
        for chunk in self._chunks:
            yield from chunk.raw()


def pack(values: Sequence[Any] | Array, data_key: Mapping[str, Any] | None = None) -> Packed:
    """Pack the values of a whole column at once."""
    column = Column(data_key)
    column.extend(values)
    return column.pack()
