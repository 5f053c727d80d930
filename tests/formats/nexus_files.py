"""Runs to write as NeXus, and how their files are read: what the tests of the format share."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import h5py
import numpy as np
import silx.io.nxdata
import yaml

from bluesky_export.documents.pages import paginate
from bluesky_export.formats.nexus import NeXusWriter
from bluesky_export.outputs import Output, Target

BLUESKY = "/entry/instrument/bluesky"
STREAMS = f"{BLUESKY}/streams"


# -- making runs and files -----------------------------------------------------------------


def make_run(
    columns,
    *,
    keys=None,
    start=None,
    stop=True,
    stream="primary",
    hints=None,
    stamps=None,
    configuration=None,
):
    """Return the documents of a run of one stream, as a list of pairs."""
    rows = len(next(iter(columns.values()))) if columns else 0
    begin = {"uid": str(uuid.uuid4()), "time": 1_700_000_000.25, "scan_id": 7, "plan_name": "scan"}
    begin.update(start or {})
    begin = {key: value for key, value in begin.items() if value is not ...}
    data_keys = {
        key: {
            "source": f"SIM:{key}",
            "dtype": "number",
            "shape": [],
            "units": "mm",
            **(keys or {}).get(key, {}),
        }
        for key in columns
    }
    descriptor = {
        "uid": str(uuid.uuid4()),
        "run_start": begin["uid"],
        "time": begin["time"] + 1,
        "name": stream,
        "data_keys": data_keys,
        "object_keys": {key: [key] for key in columns},
        "hints": hints if hints is not None else {},
        "configuration": configuration or {},
    }
    pairs = [("start", begin), ("descriptor", descriptor)]
    for row in range(rows):
        pairs.append(
            (
                "event",
                {
                    "uid": str(uuid.uuid4()),
                    "descriptor": descriptor["uid"],
                    "seq_num": row + 1,
                    "time": begin["time"] + 2 + row,
                    "data": {key: values[row] for key, values in columns.items()},
                    "timestamps": dict.fromkeys(columns, begin["time"] + 1.5 + row),
                    "filled": {},
                },
            )
        )
    if stop:
        pairs.append(("stop", make_stop(begin)))
    return pairs


def make_stop(start, **more):
    return {
        "uid": str(uuid.uuid4()),
        "run_start": start["uid"],
        "time": start["time"] + 100.5,
        "exit_status": "success",
        "reason": "",
        **more,
    }


def write(run, folder: Path, *, pages=None, target=None, **options):
    output = Output(target or Target(folder=folder), run[0][1], NeXusWriter.suffix)
    writer = NeXusWriter(output, **options)
    try:
        for name, doc in paginate(run, pages) if pages else run:
            writer(name, doc)
        return writer.close()
    except BaseException:
        writer.abort()
        raise


def original_name(item, name):
    """Return what an item was called before its name was made one that HDF5 holds."""
    if "original_name_json" in item.attrs:
        return json.loads(item.attrs["original_name_json"])
    return item.attrs.get("original_name", name)


def field_group(file, stream, key):
    """Find a field as a reader would: by its name, else by ``@original_name``."""
    (group,) = [g for name, g in file[f"{STREAMS}/{stream}"].items() if original_name(g, name) == key]
    return group


def documents(run, kind):
    return [doc for name, doc in run if name == kind]


def check_values(dataset, values, declared=None):
    """Compare a dataset with the values of the documents, dtype and all.

    A declared ``dtype_numpy`` that holds every value is as right as the one measured.
    """
    found = dataset.asstr()[()] if h5py.check_string_dtype(dataset.dtype) else dataset[()]
    if "ragged" in dataset.attrs:
        lengths = dataset.parent[dataset.attrs["ragged"]][()]
        assert lengths.tolist() == [len(row) for row in values]
        values = [item for row in values for item in row]
    expected = np.array(values)
    assert np.shape(found) == expected.shape
    np.testing.assert_array_equal(found, expected)
    if expected.size and expected.dtype.kind in "biuf":
        assert dataset.dtype in (expected.dtype, np.dtype(declared or expected.dtype))


def read_metadatum(dataset):
    if h5py.check_string_dtype(dataset.dtype) is None:
        return dataset[()].tolist()
    text = dataset.asstr()[()]
    return yaml.safe_load(text) if dataset.attrs.get("text_format") == "yaml" else text


def plain(value):
    """Return a document as JSON gives it back: tuples are lists, numpy's numbers Python's."""
    return json.loads(json.dumps(value, default=lambda item: item.tolist()))


def second_descriptor(first, **changes):
    keys = {key: {**value, **changes.get(key, {})} for key, value in first["data_keys"].items()}
    return {
        **first,
        "uid": str(uuid.uuid4()),
        "data_keys": keys,
        "configuration": {"x": {"data": {"gain": 2}}},
    }


def plot_of(run, folder, **options):
    (path,) = write(run, folder, **options).files
    with h5py.File(path) as file:
        plot = silx.io.nxdata.get_default(file)
        assert plot.group.name == "/entry/data"
        return plot.signal_dataset_name, plot.axes_dataset_names, dict(plot.group.attrs)
