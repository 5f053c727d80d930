"""HDF5, by h5py and xarray: the documented rules turned round, sharing no code with the writer."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path

import event_model
import h5py
import numpy as np
import pytest
import xarray

from ..corpus import Pairs
from ..fidelity.hdf5 import rows_of

OURS = {"start", "stop", "descriptors", "documents"}


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    check_file(documents, path)


def decode(text):
    return [decode(item) for item in text] if isinstance(text, list) else unjson(json.loads(text))


def unjson(value):
    if isinstance(value, list):
        return [unjson(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"$numberDouble"}:
            return float(value["$numberDouble"])
        return {key: unjson(item) for key, item in value.items()}
    return value


def plain(value):
    """Documents without numpy: what equality of metadata means."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def same(one, other):
    one, other = plain(one), plain(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, complex) and isinstance(other, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return one == other


def expected_dtype(values):
    """The dtype that a column of plain Python numbers must have; None if it is not one."""
    kinds = {type(value) for value in values}
    if kinds == {int} and max(values) >= 2**63:
        return "uint64" if min(values) >= 0 and max(values) < 2**64 else None
    return {
        frozenset({int}): "int64",
        frozenset({float}): "float64",
        frozenset({bool}): "bool",
        frozenset({int, float}): "float64",
    }.get(frozenset(kinds))


def table_of(run, stream):
    """Return descriptors and events of a stream: those of its first descriptor first."""
    descriptors = [d for n, d in run if n == "descriptor" and d["name"] == stream]
    events = []
    for descriptor in descriptors:
        for name, doc in run:
            if name == "event" and doc["descriptor"] == descriptor["uid"]:
                events.append(doc)
            elif name == "event_page" and doc["descriptor"] == descriptor["uid"]:
                events += list(event_model.unpack_event_page(doc))
    return descriptors, events


def original_name(item, name):
    if "original_name_json" in item.attrs:
        return json.loads(item.attrs["original_name_json"])
    return item.attrs.get("original_name", name)


def find(group, field):
    """Return the dataset of a field, by its original name where it was changed."""
    found = [
        item
        for name, item in group.items()
        if isinstance(item, h5py.Dataset) and original_name(item, name) == field
    ]
    if len(found) > 1:  # "time" is ours unless it says otherwise
        found = [item for item in found if "original_name" in item.attrs]
    (dataset,) = found
    return dataset


def check_file(run, path):
    """Compare a whole file with the documents, by h5py and by xarray."""
    start = run[0][1]
    stop = next((doc for name, doc in run if name == "stop"), None)
    streams = list(dict.fromkeys(doc["name"] for name, doc in run if name == "descriptor"))
    with h5py.File(path) as file:
        assert file.attrs["uid"] == start["uid"]
        assert file.attrs["exit_status"] == (stop["exit_status"] if stop else "unfinished")
        assert datetime.fromisoformat(file.attrs["start_time"]).timestamp() == pytest.approx(
            start["time"], abs=1e-6
        )
        stored = file["documents"]
        assert same(unjson(json.loads(stored["start"].asstr()[()])), start)
        assert ("stop" in stored) == ("stop" in file) == (stop is not None)
        if stop:
            assert same(unjson(json.loads(stored["stop"].asstr()[()])), stop)
        described = [doc for name, doc in run if name == "descriptor"]
        found = {doc["uid"]: doc for doc in decode(stored["descriptors"].asstr()[()].tolist())}
        assert same(found, {doc["uid"]: doc for doc in described})  # stores have an order of their own
        assert set(file) - OURS == set(streams)
        for stream in streams:
            check_stream(file[stream], *table_of(run, stream))
    for stream in streams:
        check_xarray(path, stream, *table_of(run, stream))


def check_stream(group, descriptors, events):
    np.testing.assert_array_equal(group["time"][()], [event["time"] for event in events])
    assert group["time"].dtype == "float64"
    if events:
        np.testing.assert_array_equal(group["seq_num"][()], [event["seq_num"] for event in events])
        assert group["uid"].asstr()[()].tolist() == [event["uid"] for event in events]
    for field in dict.fromkeys(key for d in descriptors for key in d["data_keys"]):
        dataset = find(group, field)
        values = [event["data"].get(field) for event in events]
        back = rows_of(dataset)
        assert len(back) == len(values), field
        for value, got in zip(values, back, strict=True):
            assert same(value, got), (field, value, got)
        wanted = expected_dtype(values)
        if wanted is not None and "dtype_numpy" not in descriptors[0]["data_keys"].get(field, {}):
            assert dataset.dtype == wanted, field
        data_key = next(d["data_keys"][field] for d in descriptors if field in d["data_keys"])
        for attribute in ("units", "source", "precision", "object_name"):
            if data_key.get(attribute) is not None and "since" not in str(data_key[attribute]):
                assert plain(dataset.attrs[attribute]) == data_key[attribute]
        if events:
            stamps = find(group["timestamps"], field)
            assert same(rows_of(stamps), [e["timestamps"].get(field) for e in events])


def check_xarray(path, stream, descriptors, events):
    """Open with nothing but what a user types; pytest turns every warning into a failure."""
    with xarray.open_dataset(path, group=stream, engine="h5netcdf") as dataset, h5py.File(path) as file:
        dataset.load()
        assert dataset["time"].dtype == "float64"
        assert dataset["time"].values.tolist() == [event["time"] for event in events]
        assert dataset.sizes["time"] == len(events)
        for name, item in file[stream].items():
            if not isinstance(item, h5py.Dataset) or name not in dataset:
                assert not isinstance(item, h5py.Dataset) or item.is_scale
                continue
            if h5py.check_string_dtype(item.dtype):
                np.testing.assert_array_equal(dataset[name].values.astype(object), item.asstr()[()])
            else:
                assert dataset[name].dtype == item.dtype.newbyteorder("=")
                np.testing.assert_array_equal(dataset[name].values, item[()])
