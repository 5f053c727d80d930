"""HDF5, by h5py; xarray opens each group."""

from __future__ import annotations

import json
import math
from typing import Any

import h5py
import numpy as np
import xarray

from bluesky_export.formats import Written

from .metadata import decode, plain
from .reading import Read, Table, each, number

__all__ = ["RULES", "declared", "metadata", "read", "read_layout", "rows_of"]

OURS = {"start", "stop", "descriptors", "documents"}


def metadata(document: Any) -> Any:
    return plain(document)


def original(item: Any, name: str) -> Any:
    """Return what an item was called in the documents."""
    if "original_name_json" in item.attrs:
        return json.loads(item.attrs["original_name_json"])
    return item.attrs.get("original_name", name)


def loads(text: str) -> Any:
    return decode(json.loads(text))


def rows_of(dataset: Any) -> list[Any]:
    """Return a dataset's rows: the documented rules turned round."""
    group, raw = dataset.parent, dataset[()]
    if "ragged" in dataset.attrs:
        lengths = group[dataset.attrs["ragged"]][()]
        shapes = lengths[:, None] if lengths.ndim == 1 else lengths
        rows, at = [], 0
        for shape in shapes.tolist():
            rows.append(raw[at : at + math.prod(shape)].reshape(shape))
            at += math.prod(shape)
        assert at == len(raw)
    elif h5py.check_string_dtype(dataset.dtype):
        rows = dataset.asstr()[()].tolist()
        if dataset.attrs.get("encoding") == "json":
            rows = _each_text(rows)
    else:
        rows = list(raw)
    nulls = group[dataset.attrs["nulls"]][()].tolist() if "nulls" in dataset.attrs else []
    return [None if row in nulls else value for row, value in enumerate(rows)]


def _each_text(value: Any) -> Any:
    return [_each_text(item) for item in value] if isinstance(value, list) else loads(value)


def read(written: Written) -> Read:
    (path,) = written.files
    return read_layout(path)


def read_layout(path: Any, root: str = "/") -> Read:
    """Read the layout, which other formats have in a group."""
    tables = {}
    with h5py.File(path) as whole:
        file = whole[root]
        documents = file["documents"]
        start = loads(documents["start"].asstr()[()])
        stop = loads(documents["stop"].asstr()[()]) if "stop" in documents else None
        descriptors = _each_text(documents["descriptors"].asstr()[()].tolist())
        status = file.attrs["exit_status"]
        groups = {name: original(group, name) for name, group in file.items() if name not in OURS}
        for name, stream in groups.items():
            fields = dict.fromkeys(
                key for doc in descriptors if doc["name"] == stream for key in doc["data_keys"]
            )
            tables[stream] = _table(file[name], list(fields))
    for name, stream in groups.items():
        with xarray.open_dataset(path, group=f"{root}/{name}", engine="h5netcdf") as dataset:
            assert dataset["time"].values.tolist() == tables[stream].time
    return Read(tables, status, start, stop, descriptors)


def _table(group: Any, fields: list[str]) -> Table:
    time = group["time"][()].tolist()
    events = "seq_num" in group and "original_name" not in group["seq_num"].attrs
    datasets = {name: item for name, item in group.items() if isinstance(item, h5py.Dataset)}
    for name, item in group["external"].items() if "external" in group else ():  # links
        if isinstance(item, h5py.Dataset):
            datasets.setdefault(name, item)
    values, dtypes = {}, {}
    own = {"time", "seq_num", "uid", "descriptor_index"}
    for field in fields:
        mine = [
            item
            for name, item in datasets.items()
            if original(item, name) == field and (name not in own or "original_name" in item.attrs)
        ]
        if mine:
            (dataset,) = mine
            values[field], dtypes[field] = rows_of(dataset), dataset.dtype
    stamps = {}
    for name, item in group.get("timestamps", {}).items():
        if isinstance(item, h5py.Dataset):  # beside them the rows that are null
            stamps[original(item, name)] = rows_of(item)
    stamps = {field: stamps.get(field, []) for field in fields}
    return Table(
        values,
        time,
        group["seq_num"][()].tolist() if events else [],
        group["uid"].asstr()[()].tolist() if "uid" in group and time else [],
        stamps,
        dtypes,
    )


def declared(values: list[Any], data_key: Any) -> list[Any]:
    """Numbers have the dtype that the data key declares, if it holds each of them."""
    dtype = data_key.get("dtype_numpy")
    if not isinstance(dtype, str) or np.dtype(dtype).kind not in "iufb":
        return values
    try:
        arrays = [np.array(value) for value in values]
    except ValueError:  # ragged in one event
        return values
    known = [array for array in arrays if array.size]
    if any(a.dtype.kind not in "iuf" or a.dtype.kind == "b" or not _holds(dtype, a) for a in known):
        return values
    return [array.astype(dtype)[()] for array in arrays]


def _holds(dtype: str, array: Any) -> bool:
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
        return bool(
            np.array_equal(cast, array, equal_nan=True)
            and np.array_equal(cast.astype(array.dtype), array, equal_nan=True)
        )


def _floats(values: list[Any]) -> list[Any]:
    """Integers beside floats or None are floats where that loses nothing, in the whole field."""
    values = [number(value) for value in values]
    numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(numbers) + sum(value is None for value in values) < len(values):
        return values
    if all(isinstance(v, int) for v in numbers) and None not in values:
        return values
    if any(isinstance(v, int) and int(float(v)) != v for v in numbers):
        return values
    return [None if value is None else float(value) for value in values]


def _same(values: list[Any]) -> list[Any]:
    return values


RULES = {
    "none": _floats,
    "integer": _same,
    "array": _same,
    "int-float": _floats,
    "mixed": _same,
    "surrogates": _same,
    "uint64": _same,
    "ragged": _same,
    "text-array": _same,
    "metadata-other": each(plain),
    "unreadable": _same,
    "external": _same,
    "new-field": _floats,
}
