"""What parquet and arrow files have in common, by pyarrow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bluesky_export.formats import Written
from bluesky_export.testing import Made

from ..checks.streams import only
from .hdf5 import RULES as HDF5_RULES
from .hdf5 import declared, loads
from .metadata import plain
from .reading import Read, Table, each

__all__ = ["RULES", "declared", "metadata", "read_all", "refuses"]


def metadata(document: Any) -> Any:
    return plain(document)


def refuses(made: Made) -> str | None:
    return None if only(made.documents, "descriptor") else "has no streams"


def read_all(written: Written, open_file: Callable[[Path], pa.Table]) -> Read:
    tables, descriptors = {}, []
    for path in written.files:
        whole = open_file(path)
        said = {key.decode(): value.decode() for key, value in whole.schema.metadata.items()}
        stream = json.loads(said["bluesky.stream"])
        descriptors += loads(said["bluesky.descriptors"])
        stop = loads(said["bluesky.stop"]) if "bluesky.stop" in said else None
        tables[stream] = table_of(whole)
    return Read(tables, said["bluesky.status"], loads(said["bluesky.start"]), stop, descriptors)


def table_of(whole: pa.Table) -> Table:
    fields: dict[str, list[Any]] = {}
    dtypes: dict[str, np.dtype[Any]] = {}
    stamps: dict[str, list[Any]] = {}
    own: dict[str, list[Any]] = {}
    for described, column in zip(whole.schema, whole.columns, strict=True):
        said = {key.decode(): value.decode() for key, value in described.metadata.items()}
        values = values_of(column, said.get("encoding") == "json")
        if said["role"] == "field":
            name = json.loads(said["original_name"]) if "original_name" in said else described.name
            assert name not in fields
            fields[name], dtypes[name] = values, dtype_of(described.type)
        elif said["role"] == "timestamp":
            stamps[json.loads(said["field"])] = values
        else:
            own[said["role"]] = values
    assert whole.schema.names.index(order_of(whole, "event_time")[0]) <= len(fields)
    stamps = {field: stamps.get(field, []) for field in fields}
    return Table(fields, own["event_time"], own["seq_num"], own["uid"], stamps, dtypes)


def order_of(whole: pa.Table, role: str) -> list[str]:
    return [field.name for field in whole.schema if field.metadata[b"role"] == role.encode()]


def values_of(column: Any, encoded: bool) -> list[Any]:
    values = column.to_pylist()
    return [_decoded(value) for value in values] if encoded else [_undone(value) for value in values]


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return None if value is None else loads(value)


def _undone(value: Any) -> Any:
    if isinstance(value, dict):
        return complex(value["real"], value["imag"])
    return [_undone(item) for item in value] if isinstance(value, list) else value


def dtype_of(kind: pa.DataType) -> np.dtype[Any]:
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        return np.dtype(f"c{2 * dtype_of(kind.field('real').type).itemsize}")
    return np.dtype(kind.to_pandas_dtype())


_SAME = each(lambda value: value)
RULES = {**dict.fromkeys(("complex", "new-field"), _SAME), **HDF5_RULES, "new-field": _SAME}
