"""The table of a stream's events, as a Tiled server gives it, turned into columns.

The server reads its database into a pandas DataFrame before it sends it: a missing number has
become NaN, a column of integers with a missing one has become float64. What was stored is known
from the table's own schema, and used here to undo that where it can be undone exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..documents._dtypes import common_dtype, declared_dtype
from ..errors import NotFaithful
from ._tiled_http import ARROW, RefusedRequest, Server
from ._tiled_nodes import Node

Column = NDArray[Any] | list[Any]
_EXACT = 2**53
Notice = Callable[[str], None]


class Table:
    """The internal table of a stream: one row an event.

    Parameters
    ----------
    server : Server
        Where it is.
    nodes : sequence of Mapping
        The table's node; several if it was split by columns.
    notice : callable
        Takes one sentence for the user.
    columns : sequence of str, optional
        Read only these.
    """

    def __init__(
        self, server: Server, nodes: Sequence[Node], notice: Notice, columns: Sequence[str] | None = None
    ) -> None:
        self._notice = notice
        self._columns: dict[str, tuple[pa.ChunkedArray, pa.DataType]] = {}
        rows = set()
        for node in nodes:
            stored = _schema(node)
            wanted = [name for name in stored.names if columns is None or name in columns]
            if not wanted:
                continue
            table = _fetch(server, node, wanted if columns is not None else None)
            rows.add(len(table))
            self._columns |= {name: (table.column(name), stored.field(name).type) for name in wanted}
        if len(rows) > 1:
            raise NotFaithful(
                f"the parts of the table at {nodes[0]['links']['self']} have {sorted(rows)} rows: "
                "the run is being written, or was not written to its end; try again later"
            )
        self.rows = rows.pop() if rows else 0

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return list(self._columns)

    def column(self, name: str, data_key: Mapping[str, Any] | None = None) -> Column:
        """Return a column, with the dtype its data key declares if that changes no value."""
        received, stored = self._columns[name]
        try:
            values = _convert(received, stored)
        except _Rounded as error:
            self._notice(
                f"field {name}: {error} integers beyond 2**53 stand in a column with missing values; "
                "Tiled rounds these, so they are given as None"
            )
            values = error.column
        return declare(values, data_key or {})


def declare(values: Column, data_key: Mapping[str, Any]) -> Column:
    """Give an array the dtype of its data key, if it is of the same kind and changes no value."""
    if isinstance(values, np.ndarray):
        hint = declared_dtype(data_key)
        if (
            hint is not None
            and hint != values.dtype
            and _kind(hint) == _kind(values.dtype)
            and common_dtype([values], hint=hint) == hint
        ):
            return values.astype(hint)
    return values


def _kind(dtype: np.dtype[Any]) -> str:
    return "i" if dtype.kind == "u" else dtype.kind


def stored_names(nodes: Sequence[Node]) -> list[str]:
    """Return the names of all columns of a table, without reading it."""
    return [name for node in nodes for name in _schema(node).names]


# -- from the server ---------------------------------------------------------------------------


def _schema(node: Node) -> pa.Schema:
    from tiled.structures.table import TableStructure

    return TableStructure.from_json(node["attributes"]["structure"]).arrow_schema_decoded


def _fetch(server: Server, node: Node, columns: list[str] | None) -> pa.Table:
    link = node["links"]["full"]
    try:
        content = server.content(link, ARROW, columns=columns)
    except RefusedRequest as error:
        names = columns if columns is not None else _schema(node).names
        if error.status != 400 or len(names) < 2:
            raise
        # "Response would exceed …": a server answers with 300 MB at most. Ask for half of it.
        half = len(names) // 2
        left, right = _fetch(server, node, names[:half]), _fetch(server, node, names[half:])
        for name in names[half:]:
            left = left.append_column(name, right.column(name))
        return left
    return pa.ipc.open_file(content).read_all()


# -- from Arrow --------------------------------------------------------------------------------


class _Rounded(Exception):
    """Some integers cannot be had exactly; ``column`` has None in their place."""

    def __init__(self, column: NDArray[Any], how_many: int) -> None:
        super().__init__(how_many)
        self.column = column


def _convert(received: pa.ChunkedArray, stored: pa.DataType) -> Column:
    kinds = pa.types
    if kinds.is_list(stored) or kinds.is_large_list(stored) or kinds.is_fixed_size_list(stored):
        return _arrays(received, stored)
    if kinds.is_floating(stored):
        if kinds.is_null(received.type):
            return np.full(len(received), np.nan, stored.to_pandas_dtype())
        return _contiguous(received)
    if kinds.is_integer(stored) and received.null_count:
        return _integers(received)
    if (kinds.is_integer(stored) or kinds.is_boolean(stored)) and not received.null_count:
        return _contiguous(received)
    return _objects(received.to_pylist())


def _contiguous(column: pa.ChunkedArray) -> NDArray[Any]:
    array = column.to_numpy()  # nulls of floats become NaN
    return array if array.dtype != object else np.array(column.to_pylist())


def _objects(values: Sequence[Any]) -> NDArray[Any]:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _integers(received: pa.ChunkedArray) -> NDArray[Any]:
    """Undo pandas: float64 with NaN was a column of integers in which some are missing."""
    column = _objects([_integer(value) for value in received.to_pylist()])
    lost = sum(value is _LOST for value in column)
    if lost:
        column[[value is _LOST for value in column]] = None
        raise _Rounded(column, lost)
    return column


_LOST = object()


def _integer(value: float | int | None) -> Any:
    if value is None or value != value:
        return None
    return int(value) if isinstance(value, int) or abs(value) < _EXACT else _LOST


def _arrays(received: pa.ChunkedArray, stored: pa.DataType) -> Column:
    """Return an N-D array if all rows have one shape, else a list of arrays."""
    depth, leaf = 0, stored
    while hasattr(leaf, "value_type"):
        depth, leaf = depth + 1, leaf.value_type
    if received.null_count or not len(received):
        return _rows(received, leaf) if len(received) else np.empty((0,), _dtype(leaf))
    flat: Any = received.combine_chunks()
    shape = [len(received)]
    for _ in range(depth):
        lengths = flat.value_lengths()
        sizes = set(lengths.unique().to_pylist())
        if len(sizes) != 1 or None in sizes:
            return _rows(received, leaf)
        shape.append(sizes.pop())
        flat = flat.flatten()
    if pa.types.is_null(flat.type):  # nothing but empty lists: the type is only known to the schema
        return np.empty(shape, _dtype(leaf))
    if pa.types.is_integer(leaf) and not pa.types.is_integer(flat.type):
        return _rows(received, leaf)
    if flat.null_count and not pa.types.is_floating(leaf):
        return _rows(received, leaf)
    return _convert(pa.chunked_array([flat]), leaf).reshape(shape)  # type: ignore[union-attr]


def _dtype(leaf: pa.DataType) -> Any:
    # The writer stores empty lists, whose type it cannot know, as lists of text.
    return leaf.to_pandas_dtype() if _is_number(leaf) else np.float64


def _is_number(leaf: pa.DataType) -> bool:
    return bool(pa.types.is_floating(leaf) or pa.types.is_integer(leaf) or pa.types.is_boolean(leaf))


def _rows(received: pa.ChunkedArray, leaf: pa.DataType) -> Column:
    out: list[Any] = []
    for row in received.to_pylist():
        if row is None:
            out.append(None)
            continue
        value = _mended(row, leaf)
        if _is_number(leaf) and not _has_none(value):
            try:
                out.append(np.array(value, leaf.to_pandas_dtype()))
                continue
            except ValueError:  # ragged within the row: lists in lists
                pass
        out.append(value)
    return out


def _mended(value: Any, leaf: pa.DataType) -> Any:
    if isinstance(value, list):
        return [_mended(item, leaf) for item in value]
    if pa.types.is_floating(leaf) and value is None:
        return math.nan
    if pa.types.is_integer(leaf):
        mended = _integer(value)
        if mended is _LOST:
            raise NotFaithful("integers beyond 2**53 in an array with missing values: Tiled rounds these")
        return mended
    return value


def _has_none(value: Any) -> bool:
    return any(map(_has_none, value)) if isinstance(value, list) else value is None
