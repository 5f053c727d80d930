"""Columns of a stream as an Arrow table; what ``parquet`` and ``arrow`` files have in common.

Columns are built from :class:`bluesky_export.documents.columns.Packed`; the types are Arrow's
(https://arrow.apache.org/docs/format/Columnar.html).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..documents import jsontext
from ..documents.columns import Packed
from ..documents.fields import is_external
from ..documents.layout import Order, OwnNames, file_names, tell_name
from ..documents.tables import Table
from ..errors import NoData
from ..outputs import Output, own_version
from ._base import Written
from ._fidelity import Fidelity, converted, left_out
from ._tables import TablesWriter, primary_first

Array = NDArray[Any]
Notice = Callable[[str], None]

ARROW_RULES: Mapping[str, Fidelity] = {
    "new-field": converted("null in the events that do not have it"),
    "integer": converted("int64, or the dtype that the data key declares if it holds every value"),
    "array": converted(
        "lists, as measured, or of the dtype that the data key declares if it holds every value"
    ),
    "int-float": converted("floats if each integer is one exactly, else JSON text"),
    "uint64": converted("uint64; beside negative ones JSON text"),
    "complex": converted("a struct of `real` and `imag`"),
    "surrogates": converted("NUL as it is; a column with lone surrogates is JSON text, marked `encoding`"),
    "mixed": converted("JSON text, marked `encoding = json`"),
    "ragged": converted("lists; JSON text where the number of dimensions differs"),
    "text-array": converted("lists of text"),
    "external": left_out("hdf5, nexus"),
    "unreadable": left_out("the documents that name the files: json, jsonl"),
    "field-name": converted(
        "lone surrogates become `_`, one more if that is taken; the metadata have the name"
    ),
    "own-name": converted("our column is called `event_time` (`event_uid` …), with a notice"),
    "metadata-other": converted("as in json"),
}
"""What both formats declare."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_INT32 = 2**31 - 1


class ArrowWriter(TablesWriter):
    """Base of the formats that hold an Arrow table a stream."""

    per_stream = True
    masked = True
    holds = frozenset({"text", "arrays", "streams", "metadata"})

    def __init__(self, output: Output, **common: Any) -> None:
        super().__init__(output, **common)
        self._finals: dict[str, Path | None] = {}

    @classmethod
    def planned(cls, output: Output, streams: Iterable[str]) -> list[Path]:
        """Return the files that a run with these streams will give."""
        return [output.path(stream) for stream in streams]

    def finish(self) -> None:
        """Write a file for each stream."""
        if not self._tables:
            raise NoData(
                f"{self.run_in_words} has no streams: "
                "nothing for a table; json, hdf5 or nexus keep its metadata"
            )
        for stream, table in self._tables.items():
            whole = self._table(table)
            part = self.output.part(stream)
            with part.open("wb") as file:  # ours: pyarrow's own files hide what a full disk says
                self.put(whole, file)
            self._finals[stream] = self.output.final(part)
            for field in table.fields:
                table.forget(field)

    @abstractmethod
    def put(self, table: Any, file: IO[bytes]) -> None:
        """Write one ``pyarrow.Table`` to an open file."""

    def written(self, files: Iterable[Path]) -> Written:
        """Return the report: the primary stream's table first."""
        return primary_first(self, files, self._finals)

    # -- one stream ------------------------------------------------------------------------

    def _table(self, table: Table) -> Any:
        import pyarrow as pa

        order = Order.of(self.start_doc, table)
        columns = _Columns(self.notice, table)
        names = OwnNames(table.name, columns.names.values(), self.notice)
        motors = [field for field in order.before if self._put_field(columns, table, field)]
        columns.own(names.event("time"), "event_time", table.time, {"units": "s"})
        rest = [field for field in order.after if self._put_field(columns, table, field)]
        columns.own(names.event("seq_num"), "seq_num", table.seq_num)
        if not table.rows or len(table.uid.nulls) < table.rows:
            columns.own(names.event("uid"), "uid", table.uid)
        if len(table.descriptors) > 1:
            index = Packed("array", table.descriptor_index)
            columns.own(names.event("descriptor"), "descriptor_index", index)
        for field in (*motors, *rest):
            if (stamps := table.timestamps(field)) is not None:
                role = {"units": "s", "field": _json(field)}
                columns.own(names.timestamp(columns.names[field]), "timestamp", stamps, role)
        return pa.table(columns.arrays, schema=pa.schema(columns.described, self._metadata(table)))

    def _put_field(self, columns: _Columns, table: Table, field: str) -> bool:
        """Add a field's column; say whether the table has it."""
        where = f"{table.name}.{field}"
        data_key = table.data_key(field)
        packed = table.values(field)
        if is_external(data_key) and (packed is None or packed.kind == "text" or not len(packed)):
            self.notice(f"left out {where}: detector files; hdf5, nexus and tiff hold them")
            return False
        if packed is None:
            self.notice(f"left out {where}: no event holds a value of it")
            return False
        columns.field(field, packed, data_key)
        return True

    def _metadata(self, table: Table) -> dict[str, str]:
        found = {
            "creator": f"bluesky-export {own_version()}",
            "bluesky.stream": _json(table.name),
            "bluesky.status": self.status,
            "bluesky.start": jsontext.dumps(self.start_doc, notice=self.notice),
            "bluesky.descriptors": jsontext.dumps(table.descriptors, notice=self.notice),
        }
        if self.stop_doc is not None:
            found["bluesky.stop"] = jsontext.dumps(self.stop_doc, notice=self.notice)
        return found


class _Columns:
    """The columns of one table, in order."""

    def __init__(self, notice: Notice, table: Table) -> None:
        self._notice, self._table = notice, table
        self.names = file_names(table.fields, _utf8)
        """The names of the fields' columns."""
        self.arrays: list[Any] = []
        self.described: list[Any] = []

    def own(self, name: str, role: str, packed: Packed, metadata: Mapping[str, str] | None = None) -> None:
        """Add a column of ours."""
        self._add(name, packed, {"role": role, **(metadata or {})}, name)

    def field(self, field: str, packed: Packed, data_key: Mapping[str, Any]) -> None:
        """Add a field's column: its name, its values, its data key."""
        metadata = {"role": "field", "data_key": _json(data_key)}
        if isinstance(units := data_key.get("units"), str) and _utf8(units) == units:
            metadata["units"] = units
        if (name := self.names[field]) != field:
            metadata["original_name"] = _json(field)
            tell_name(self._table.name, field, name, self._notice)
        self._add(name, packed, metadata, field)

    def _add(self, name: str, packed: Packed, metadata: dict[str, str], what: str) -> None:
        import pyarrow as pa

        array, encoded = arrow_array(packed)
        if encoded:
            metadata["encoding"] = "json"
        if packed.rule or (encoded and packed.kind != "mixed"):
            rule = packed.rule or "UTF-8 has no lone surrogates: texts were written as JSON text"
            self._notice(f"{self._table.name}.{what}: {rule}")
        self.arrays.append(array)
        self.described.append(pa.field(name, array.type, metadata=metadata))


def arrow_array(packed: Packed) -> tuple[Any, bool]:
    """Return a column as an Arrow array, and whether its texts are JSON.

    Numbers keep their dtype (complex ones are structs of ``real`` and ``imag``), None is null. Rows
    that are arrays are lists: of a fixed size where all rows have one shape, nested by dimension.
    """
    mask = np.zeros(len(packed), bool)
    mask[packed.nulls] = True
    if packed.kind in ("text", "mixed"):
        return _texts(list(packed.values), packed.kind == "mixed", mask)
    values: Array = packed.values
    if packed.shapes is None and values.ndim == 1:
        return _leaves(values, mask if len(packed.nulls) else None), False
    encoded = False
    if values.dtype == object:
        leaves, encoded = _texts(values.reshape(-1).tolist(), False, None)
    else:
        leaves = _leaves(values.reshape(-1), None)
    if packed.shapes is None and not len(packed.nulls) and values.size:
        return _fixed(leaves, values.shape[1:]), encoded
    shapes = packed.shapes
    if shapes is None:
        shapes = np.tile(np.array(values.shape[1:], np.int64), (len(values), 1))
    if len(packed.nulls) and packed.shapes is None:  # an empty row under each null
        keep = np.repeat(~mask, int(np.prod(values.shape[1:])))
        leaves, shapes = leaves.filter(_plain(keep)), shapes * ~mask[:, None]
    return _lists(leaves, shapes, mask if len(packed.nulls) else None), encoded


def _plain(values: Array) -> Any:
    import pyarrow as pa

    return pa.array(values)


def _texts(texts: Sequence[str], encoded: bool, mask: Array | None) -> tuple[Any, bool]:
    """Return texts, all as JSON if one of them is nothing that UTF-8 has."""
    import pyarrow as pa

    if not encoded and any(map(_SURROGATE.search, texts)):
        texts, encoded = [_json(text) for text in texts], True
    large = sum(map(len, texts)) * 4 > _INT32  # bytes at most: 4 a character
    kind = pa.large_string() if large else pa.string()
    return pa.array(texts, kind, mask=mask if mask is not None and mask.any() else None), encoded


def _leaves(values: Array, mask: Array | None) -> Any:
    """Return numbers with the dtype that they have."""
    import pyarrow as pa

    if values.dtype.kind == "c":
        single = values.astype(np.complex128) if values.dtype.itemsize > 16 else values
        parts = [_leaves(np.ascontiguousarray(part), None) for part in (single.real, single.imag)]
        return pa.StructArray.from_arrays(
            parts, ["real", "imag"], mask=None if mask is None else pa.array(mask)
        )
    if values.dtype.kind == "f" and values.dtype.itemsize > 8:  # Arrow has no wider float: digits
        return pa.array([np.format_float_scientific(value) for value in values], pa.string(), mask=mask)
    return pa.array(values, mask=mask)


def _fixed(leaves: Any, shape: tuple[int, ...]) -> Any:
    import pyarrow as pa

    for size in reversed(shape):
        leaves = pa.FixedSizeListArray.from_arrays(leaves, size)
    return leaves


def _lists(leaves: Any, shapes: Array, mask: Array | None) -> Any:
    """Nest flat values as lists, row by row, by the shape of each row."""
    import pyarrow as pa

    for axis in reversed(range(shapes.shape[1])):
        lists = np.prod(shapes[:, :axis], axis=1, dtype=np.int64)  # how many of them each row has
        ends = np.cumsum(np.repeat(shapes[:, axis], lists))
        offsets = np.concatenate([np.zeros(1, np.int64), ends])
        kind, dtype = (pa.ListArray, np.int32) if offsets[-1] <= _INT32 else (pa.LargeListArray, np.int64)
        nulls = pa.array(mask) if mask is not None and axis == 0 else None
        leaves = kind.from_arrays(pa.array(offsets.astype(dtype)), leaves, mask=nulls)
    return leaves


def _utf8(name: str) -> str:
    return _SURROGATE.sub("_", name)


def _json(value: Any) -> str:
    return jsontext.dumps(value)
