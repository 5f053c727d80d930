"""Arrays that a Tiled server keeps as nodes of their own beside the table of a stream."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..errors import NotFaithful
from ._tiled_http import ARROW, OCTETS, Server
from ._tiled_nodes import Node
from ._tiled_tables import Column, Notice, declare

_BLOCK = 32 * 2**20  # bytes asked for at once; a server answers with 300 MB at most


class ArrayColumn:
    """A field whose values are a node, an array with a row an event, read block by block.

    Parameters
    ----------
    server : Server
        Where it is.
    node : Mapping
        The array's node: regular or ragged.
    data_key : Mapping
        Its data key.
    notice : callable
        Takes one sentence for the user.
    """

    def __init__(self, server: Server, node: Node, data_key: Mapping[str, Any], notice: Notice) -> None:
        self._server = server
        self._notice = notice
        self._node = node
        self._data_key = data_key
        structure = node["attributes"]["structure"]
        self.ragged = node["attributes"]["structure_family"] == "ragged"
        self.shape = tuple(structure["shape"])
        self.dtype = _dtype(structure["data_type"])
        self.rows = int(self.shape[0]) if self.shape else 0
        self._first = 0
        self._block: Any = []  # the rows from self._first on that are here

    def read(self, start: int, stop: int) -> Column:
        """Return some rows: an N-D array, or a list of arrays where they differ in shape."""
        if not self._first <= start <= stop <= self._first + len(self._block):
            # Pages are read in turn: fetch ahead, so that short pages do not cost a request each.
            ahead = max(stop, min(self.rows, start + self._block_rows()))
            self._block = self._fetch(start, ahead)
            self._first = start
        return self._block[start - self._first : stop - self._first]  # type: ignore[no-any-return]

    def _block_rows(self) -> int:
        if self.ragged:
            size = int(self._node["attributes"]["structure"].get("size") or 0) // max(self.rows, 1)
        else:
            size = math.prod(self.shape[1:])
        return max(1, _BLOCK // max(1, size * self.dtype.itemsize))

    def _fetch(self, start: int, stop: int) -> Column:
        link = self._node["links"]["full"]
        params = {"slice": f"{start}:{stop}"}
        if self.ragged:
            return self._from_arrow(self._server.content(link, ARROW, params), stop - start)
        shape = (stop - start, *self.shape[1:])
        if 0 in shape:
            return np.empty(shape, self.dtype)
        if self.dtype.hasobject:
            raise NotFaithful(f"the array at {self._node['links']['self']} holds Python objects")
        content = self._server.content(link, OCTETS, params)
        block = np.frombuffer(content, self.dtype).reshape(shape)
        self._look_for_cut_text(block)
        return declare(block, self._data_key)

    def _look_for_cut_text(self, block: NDArray[Any]) -> None:
        """Tell of texts as long as the array allows: the writer cuts what is longer.

        The width is that of ``dtype_numpy``, or else of the first batch of events.
        """
        declared = str(self._data_key.get("dtype_numpy") or "").lstrip("<>|=")[:1] in ("U", "S")
        batches = len(self._node["attributes"]["structure"]["chunks"][0])
        if block.dtype.kind not in "US" or not (declared or batches > 1):
            return
        width = block.dtype.itemsize // (4 if block.dtype.kind == "U" else 1)
        if int(np.strings.str_len(block).max()) >= width:
            self._notice(
                f"field {self._node['id']}: Tiled keeps up to {width} characters of its texts; "
                "some are that long, and may have been cut when they were stored"
            )

    def _from_arrow(self, content: bytes, rows: int) -> list[Any]:
        table = pa.ipc.open_file(content).read_all()
        values = table.column(0).to_pylist()
        if len(values) != rows:
            raise NotFaithful(
                f"the array at {self._node['links']['self']} has {len(values)} rows in place of {rows}"
            )
        return [_row(value, self.dtype) for value in values]


def _row(value: Any, dtype: np.dtype[Any]) -> Any:
    try:
        return np.array(value, dtype)
    except ValueError:  # ragged within the row as well
        return value


def _dtype(data_type: Mapping[str, Any]) -> np.dtype[Any]:
    from tiled.structures.array import BuiltinDtype, StructDtype

    kind = StructDtype if "fields" in data_type else BuiltinDtype
    return kind.from_json(data_type).to_numpy_dtype()  # type: ignore[no-any-return]


def regular(values: Column) -> NDArray[Any] | list[Any]:
    """Return rows of one shape and dtype as one N-D array, others as they are."""
    if isinstance(values, list) and values and all(isinstance(row, np.ndarray) for row in values):
        shapes = {(row.shape, row.dtype) for row in values}
        return np.stack(values) if len(shapes) == 1 else values
    return values
