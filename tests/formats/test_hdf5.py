"""The hdf5 format: what h5py and xarray read is what the documents say."""

from __future__ import annotations

import enum
import json
import math
import os
import shutil
import subprocess
import sys
import zlib

import event_model
import h5py
import numpy as np
import pytest
import xarray

from bluesky_export.documents.pages import pack_events, paginate
from bluesky_export.errors import NotFaithful, TargetExists
from bluesky_export.formats import check_options, writer_class
from bluesky_export.formats.hdf5 import HDF5Writer
from bluesky_export.outputs import Output, Target

from ..checks.hdf5 import (
    check_file,
    check_stream,
    check_xarray,
    plain,
    same,
    table_of,
    unjson,
)
from ..corpus import all_runs, real_data, simulated_runs
from ..replaying import replay, run_of

FRAMES = (np.arange(6 * 40 * 50) % 65521).astype("u2").reshape(6, 40, 50)


@pytest.fixture(autouse=True)
def no_file_stays_open():
    before = h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    yield
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) <= before


def export(run, folder, page_size=1000, **options):
    folder.mkdir(parents=True, exist_ok=True)
    target = Target(folder, template="run", if_exists="overwrite")
    writer = HDF5Writer(Output(target, run[0][1], ".h5"), **options)
    for name, doc in paginate(run, page_size) if page_size else run:
        writer(name, doc)
    written = writer.close()
    assert [path.name for path in folder.iterdir() if path.name.endswith(".part")] == []
    return written


@pytest.mark.parametrize("name", all_runs())
def test_every_run_reads_back_equal(tmp_path, name):
    run = all_runs()[name]
    written = export(run, tmp_path)
    (path,) = written.files
    assert path == tmp_path / "run.h5"
    assert not written.partial
    assert written.events == sum(n == "event" for n, _ in run) + sum(
        len(doc["seq_num"]) for n, doc in run if n == "event_page"
    )
    check_file(run, path)


@pytest.mark.parametrize("name", simulated_runs())
def test_pages_make_no_difference(tmp_path, name):
    run = all_runs()[name]
    files = [export(run, tmp_path / str(size), size).files[0] for size in (None, 1, 7, 10**6)]
    assert len({path.read_bytes() for path in files}) == 1


@pytest.mark.skipif(real_data() is None, reason="real documents not here")
@pytest.mark.parametrize("name", ["hklpy-26aac337", "btp-internal", "sim-scan"])
def test_pages_make_no_difference_to_real_runs(tmp_path, name):
    run = all_runs()[name]
    files = [export(run, tmp_path / str(size), size).files[0] for size in (None, 1, 7, 10**6)]
    assert len({path.read_bytes() for path in files}) == 1


# -- runs made for a purpose -------------------------------------------------------------------


def compose(columns, *, metadata=None, data_keys=None, stop=True, name="primary"):
    """Return a run with these columns of values, one event a row."""
    given = {"scan_id": 7, "plan_name": "test", **(metadata or {})}
    run = event_model.compose_run(metadata=given, validate=False)
    documents = [("start", run.start_doc)]
    keys = {
        field: {"source": "test", "dtype": "number", "shape": [], **((data_keys or {}).get(field) or {})}
        for field in columns
    }
    described = run.compose_descriptor(name=name, data_keys=keys, validate=False)
    documents.append(("descriptor", described.descriptor_doc))
    rows = len(next(iter(columns.values()))) if columns else 0
    for row in range(rows):
        data = {field: values[row] for field, values in columns.items()}
        stamps = dict.fromkeys(columns, 1700000000.0 + row + 0.1)
        event = described.compose_event(data=data, timestamps=stamps, time=1.7e9 + row / 3, validate=False)
        documents.append(("event", dict(event)))
    if stop:
        documents.append(("stop", run.compose_stop()))
    return documents


COLUMNS = {
    "floats": [0.1, math.nan, -math.inf],
    "integers": [2**53 + 1, -1, 0],
    "unsigned": [2**64 - 1, 0, 1],
    "too_big": [2**64, 0, 1],
    "booleans": [True, False, True],
    "float32": [np.float32(0.1), np.float32(1), np.float32(2)],
    "int8": [np.int8(-1), np.int8(1), np.int8(2)],
    "zero_d": [np.array(1.5), np.array(2.5), np.array(3.5)],
    "complex": [1 + 2j, 3j, complex(math.nan, 0)],
    "mixed_numbers": [1, 0.5, 2],
    "text_and_numbers": ["a", 1, None],
    "none": [None, None, None],
    "float_none": [1.0, None, math.nan],
    "int_none": [1, None, 2],
    "bool_none": [True, None, False],
    "text": ["", "a\nb\t\"'#=", "é" * 70_000],
    "text_none": ["a", None, ""],
    "hostile_text": ["a\x00b", "\ud800", '"quoted"'],
    "vectors": [[1, 2], [3, 4], [5, 6]],
    "matrix": [[[1.0, 2.0]], [[3.0, math.nan]], [[5.0, 6.0]]],
    "uint16": [np.full((2, 3), n, "u2") for n in range(3)],
    "big_endian": [np.full((2,), n, ">i4") for n in range(3)],
    "ragged": [[1], [], [1, 2, 3]],
    "ragged_2d": [np.ones((1, 2)), np.ones((2, 1)), np.zeros((0, 4))],
    "empty_lists": [[], [], []],
    "texts": [["a", "b"], ["c", "d"], ["", "é"]],
    "hostile_texts": [["a", "\x00"], ["c", "d"], ["e", "f"]],
    "ragged_texts": [["a"], [], ["b", "c"]],
    "dicts": [{"a": 1}, {"b": [math.nan, None]}, {}],
    "array_none": [[1.0, 2.0], None, [3.0, 4.0]],
    "int_array_none": [[1, 2], None, [3, 4]],
}


@pytest.mark.parametrize("field", COLUMNS)
@pytest.mark.parametrize("page_size", [None, 2, 1000])
def test_every_kind_of_value(tmp_path, field, page_size):
    run = compose({field: COLUMNS[field]})
    (path,) = export(run, tmp_path, page_size).files
    check_file(run, path)


@pytest.mark.parametrize(
    ("field", "dtype"),
    [
        ("floats", "float64"),
        ("unsigned", "uint64"),
        ("float32", "float32"),
        ("int8", "int8"),
        ("complex", "complex128"),
        ("uint16", "uint16"),
        ("int_none", "float64"),
        ("zero_d", "float64"),
        ("vectors", "int64"),
        ("ragged", "int64"),
        ("booleans", "bool"),
    ],
)
def test_dtypes(tmp_path, field, dtype):
    (path,) = export(compose({field: COLUMNS[field]}), tmp_path).files
    with h5py.File(path) as file:
        assert file["primary"][field].dtype == dtype
    with xarray.open_dataset(path, group="primary", engine="h5netcdf") as dataset:
        assert dataset[field].dtype == dtype


def test_all_at_once_and_all_conversions_are_said(tmp_path):
    run = compose(COLUMNS)
    written = export(run, tmp_path)
    check_file(run, written.files[0])
    said = {notice.split(": ")[1] for notice in written.notices}
    assert said >= {
        "text_and_numbers",
        "none",
        "int_none",
        "text_none",
        "hostile_text",
        "mixed_numbers",
        "dicts",
    }
    assert said.isdisjoint({"floats", "integers", "text", "vectors", "ragged", "texts", "uint16"})


HOSTILE_NAMES = [
    "time",
    "seq_num",
    "uid",
    "timestamps",
    "nulls",
    "external",
    "a/b",
    "a_b",
    ".",
    "..",
    "/",
    "a.b",
    "a b",
    " ",
    "é",
    "A",
    "a",
    "x\x00y",
    "\ud800",
    "descriptor_index",
    "v_dim_0",
    "r_count",
    "r_element",
]


def test_every_field_name(tmp_path):
    columns = {name: [number, number + 0.5] for number, name in enumerate(HOSTILE_NAMES)}
    columns |= {"v": [[1, 2], [3, 4]], "r": [[1], [2, 3]]}
    run = compose(columns)
    for _, doc in run:
        json.dumps(doc, default=str)
    written = export(run, tmp_path)
    with h5py.File(written.files[0]) as file:
        check_stream(file["primary"], *table_of(run, "primary"))
    check_xarray(written.files[0], "primary", *table_of(run, "primary"))
    assert "primary: field 'time' is called 'time_' in the file" in written.notices


@pytest.mark.parametrize("stream", ["start", "documents", "a/b", ".", "..", "x y", "é", "monitor.1"])
def test_every_stream_name(tmp_path, stream):
    run = compose({"x": [1, 2]}, name=stream)
    written = export(run, tmp_path)
    with h5py.File(written.files[0]) as file:
        (group,) = [g for n, g in file.items() if g.attrs.get("original_name", n) == stream and "x" in g]
        assert group["x"][()].tolist() == [1, 2]
        name = group.name
    with xarray.open_dataset(written.files[0], group=name, engine="h5netcdf") as dataset:
        assert dataset["x"].values.tolist() == [1, 2]


METADATA = {
    "none": None,
    "nested": {"a": {"b": {"c": [1, 2]}}},
    "empty": {},
    "lists": [[1, 2], [3]],
    "empty_list": [],
    "mixed": [1, "a", None],
    "array": np.arange(4, dtype="u1").reshape(2, 2),
    "tuple": (1.5, 2.5),
    "numbers": [math.nan, math.inf, 1.0],
    "nan": math.nan,
    "big": 2**100,
    "true": True,
    "a/b": 1,
    "a_b": 2,
    ".": 3,
    "": 4,
    "text\x00": "nul\x00",
    "surrogate": "\udc80",
    "lines": "a\nb\r\n",
    "long": "x" * 100_000,
    "dollar": {"$numberDouble": "NaN"},
    "np": np.float32(0.5),
    "strings": ["a", "é", ""],
    "dicts": [{"a": 1}, {"b": 2}],
}


def test_metadata_is_data(tmp_path):
    run = compose({"x": [1]}, metadata=METADATA)
    written = export(run, tmp_path)
    with h5py.File(written.files[0]) as file:
        text = file["documents/start"].asstr()[()]
        start = json.loads(text, parse_constant=lambda token: pytest.fail(token))
        assert start.pop("dollar") == {"$literal": {"$numberDouble": "NaN"}}
        wanted = {key: value for key, value in run[0][1].items() if key != "dollar"}
        assert same(unjson(start), wanted)
        browse = file["start"]
        assert browse["nested/a/b/c"][()].tolist() == [1, 2]
        assert browse["none"].asstr()[()] == "null"
        assert browse["tuple"][()].tolist() == [1.5, 2.5]
        assert browse["array"].dtype == "uint8"
        assert browse["strings"].asstr()[()].tolist() == METADATA["strings"]
        assert browse["lines"].asstr()[()] == METADATA["lines"]
        assert browse["np"].dtype == "float32"
        assert {g.attrs["original_name"] for g in browse.values() if "original_name" in g.attrs} >= {
            "a/b",
            ".",
            "",
        }


def test_configuration_can_be_found(tmp_path):
    run = simulated_runs()["sim-scan"]
    (path,) = export(run, tmp_path).files
    described = next(doc for name, doc in run if name == "descriptor")
    with h5py.File(path) as file:
        group = file["descriptors/primary/0/configuration"]
        for device, configuration in described["configuration"].items():
            for key, value in configuration["data"].items():
                got = group[device]["data"][key]
                assert plain(got.asstr()[()] if h5py.check_string_dtype(got.dtype) else got[()]) == value


def test_an_aborted_run_and_one_without_stop(tmp_path):
    assert export(simulated_runs()["sim-failed"], tmp_path).status == "fail"
    with h5py.File(tmp_path / "run.h5") as file:
        assert file.attrs["exit_status"] == "fail"
        assert file["stop/reason"].asstr()[()] == "on purpose"
    run = compose({"x": [1, 2]}, stop=False)
    assert export(run, tmp_path).status == "unfinished"
    check_file(run, tmp_path / "run.h5")


def test_no_events_and_no_streams(tmp_path):
    run = compose(
        {"x": [], "v": []}, data_keys={"v": {"dtype": "array", "shape": [3], "dtype_numpy": "<u2"}}
    )
    written = export(run, tmp_path / "a")
    assert "stream primary has no events" in written.notices
    check_file(run, written.files[0])
    with h5py.File(written.files[0]) as file:
        assert file["primary/v"].dtype == "uint16"
        assert file["primary/v"].shape == (0, 3)
    bare = [run[0], run[-1]]
    written = export(bare, tmp_path / "b")
    assert written.notices == ("the run has no streams; the file holds its metadata",)
    check_file(bare, written.files[0])


def test_two_descriptors_with_other_fields(tmp_path):
    run = event_model.compose_run()
    key = {"source": "test", "dtype": "number", "shape": []}
    documents = [("start", run.start_doc)]
    number = 0
    for fields in (["a", "b"], ["b", "c"]):
        described = run.compose_descriptor(
            name="primary", data_keys=dict.fromkeys(fields, key), validate=False
        )
        documents.append(("descriptor", described.descriptor_doc))
        for _ in range(2):
            number += 1
            data = {field: number if field == "b" else number / 4 for field in fields}
            stamps = dict.fromkeys(fields, 1.0 * number)
            event = described.compose_event(data=data, timestamps=stamps, seq_num=number, time=1.0 * number)
            documents.append(("event", dict(event)))
    documents.append(("stop", run.compose_stop()))
    written = export(documents, tmp_path)
    check_file(documents, written.files[0])
    with h5py.File(written.files[0]) as file:
        group = file["primary"]
        assert group["b"].dtype == "int64"
        assert group["descriptor_index"][()].tolist() == [0, 0, 1, 1]
        assert group["nulls/a"][()].tolist() == [2, 3]
        assert group["nulls/c"][()].tolist() == [0, 1]


@pytest.mark.parametrize(
    "units",
    [
        "s",
        "seconds",
        "days",
        "ms",
        "seconds since 1970-01-01",
        "days since the last bake",
        "°C",
        "",
        "a\x00b",
    ],
)
def test_units_turn_no_number_into_a_date(tmp_path, units):
    run = compose({"x": [0.5, math.nan]}, data_keys={"x": {"units": units}})
    (path,) = export(run, tmp_path).files
    with xarray.open_dataset(path, group="primary", engine="h5netcdf") as dataset:
        assert dataset["x"].dtype == "float64"
        np.testing.assert_array_equal(dataset["x"].values, [0.5, math.nan])
    with h5py.File(path) as file:
        attributes = file["primary/x"].attrs
        stored = attributes.get("declared_units" if "since" in units else "units")
        if stored is None:
            stored = json.loads(attributes["units_json"])
        assert stored == units


def test_data_keys_cannot_make_xarray_decode(tmp_path):
    hostile = {"_FillValue": 1, "scale_factor": 2.0, "add_offset": 1.0, "missing_value": 1, "calendar": "x"}
    run = compose({"x": [1, 2]}, data_keys={"x": {**hostile, "dtype": "integer"}})
    (path,) = export(run, tmp_path).files
    with xarray.open_dataset(path, group="primary", engine="h5netcdf") as dataset:
        assert dataset["x"].dtype == "int64"
        assert dataset["x"].values.tolist() == [1, 2]


def test_declared_dimensions(tmp_path):
    keys = {
        "a": {"dtype": "array", "shape": [2, 3], "dims": ["y", "x"]},
        "b": {"dtype": "array", "shape": [3], "dims": ["x"]},
        "c": {"dtype": "array", "shape": [4], "dims": ["x"]},  # another size: it cannot be the same
        "d": {"dtype": "array", "shape": [2, 2], "dims": ["y", "y"]},
        "e": {"dtype": "array", "shape": [2], "dims": ["time"]},
        "f": {"dtype": "array", "shape": [2], "dims": ["a"]},
        "g": {"dtype": "array", "shape": [2]},
    }
    shapes = {"a": (2, 3), "b": (3,), "c": (4,), "d": (2, 2), "e": (2,), "f": (2,), "g": (2,)}
    run = compose({name: [np.ones(shape)] * 2 for name, shape in shapes.items()}, data_keys=keys)
    (path,) = export(run, tmp_path).files
    with xarray.open_dataset(path, group="primary", engine="h5netcdf") as dataset:
        assert {name: dataset[name].dims for name in shapes} == {
            "a": ("time", "y", "x"),
            "b": ("time", "x"),
            "c": ("time", "c_dim_0"),
            "d": ("time", "d_dim_0", "d_dim_1"),
            "e": ("time", "e_dim_0"),
            "f": ("time", "f_dim_0"),
            "g": ("time", "g_dim_0"),
        }


def test_timestamps_open_in_xarray_too(tmp_path):
    run = simulated_runs()["sim-scan"]
    (path,) = export(run, tmp_path).files
    _, events = table_of(run, "primary")
    with xarray.open_dataset(path, group="primary/timestamps", engine="h5netcdf") as dataset:
        assert dataset["motor1"].dims == ("time",)
        assert dataset["motor1"].values.tolist() == [event["timestamps"]["motor1"] for event in events]


# -- images ------------------------------------------------------------------------------------


def image_run(folder, points, *, frame_per_point=1, shape=None, files=("a.h5",), **options):
    """Return a run of an area detector; its files, one after the other, hold ``points`` in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = [40, 50] if shape is None else shape
    keys = {"img": {"dtype": "array", "shape": shape, "external": "FILESTORE:"}}
    run = compose({"x": list(range(points)), "img": [None] * points}, data_keys=keys)
    per_file = points // len(files)
    documents = [run[0], run[1]]
    events = [doc for name, doc in run if name == "event"]
    for number, name in enumerate(files):
        frames = FRAMES[number * per_file * frame_per_point : (number + 1) * per_file * frame_per_point]
        with h5py.File(folder / name, "w") as file:
            file.create_dataset("/entry/data/data", data=frames, **options)
        kwargs = {"frame_per_point": frame_per_point}
        resource = {"uid": name, "spec": "AD_HDF5", "root": str(folder), "resource_path": name}
        documents.append(("resource", {**resource, "resource_kwargs": kwargs}))
        for row in range(per_file):
            datum = {"resource": name, "datum_id": f"{name}/{row}", "datum_kwargs": {"point_number": row}}
            documents.append(("datum", datum))
            event = events[number * per_file + row]
            event["data"]["img"] = f"{name}/{row}"
            event["filled"] = {"img": False}
            documents.append(("event", event))
    return [*documents, run[-1]]


CHUNKED = {"chunks": (1, 40, 50), "maxshape": (None, 40, 50)}


@pytest.mark.parametrize(
    "options",
    [
        {},
        CHUNKED,
        {**CHUNKED, "compression": "gzip", "compression_opts": 7, "shuffle": True},
        {**CHUNKED, "compression": "lzf", "fletcher32": True},
        {"chunks": (4, 16, 16), "compression": "gzip"},
        {"chunks": (2, 40, 50), "compression": "gzip"},
    ],
)
@pytest.mark.parametrize("frame_per_point", [1, 2, 3])
def test_copied_images(tmp_path, options, frame_per_point):
    shape = [40, 50] if frame_per_point == 1 else [frame_per_point, 40, 50]
    points = 6 // frame_per_point
    run = image_run(tmp_path / "ioc", points, frame_per_point=frame_per_point, shape=shape, **options)
    written = export(run, tmp_path / "out")
    assert (written.partial, written.notices) == (False, ())
    shutil.rmtree(tmp_path / "ioc")
    expected = FRAMES if frame_per_point == 1 else FRAMES.reshape(points, *shape)
    with h5py.File(written.files[0]) as file:
        dataset = file["primary/img"]
        np.testing.assert_array_equal(dataset[()], expected)
        assert dataset.dtype == "uint16"
        assert dataset.compression == options.get("compression")
        assert dataset.shuffle == options.get("shuffle", False)
        assert dataset.fletcher32 == options.get("fletcher32", False)
        if "chunks" in options:
            assert dataset.chunks[-2:] == options["chunks"][-2:]
    with xarray.open_dataset(written.files[0], group="primary", engine="h5netcdf") as dataset:
        assert dataset["img"].dtype == "uint16"
        np.testing.assert_array_equal(dataset["img"].values, expected)


@pytest.mark.parametrize("options", [{}, CHUNKED, {"chunks": (2, 40, 50), "compression": "gzip"}])
@pytest.mark.parametrize("images", ["copy", "link"])
def test_images_of_several_files(tmp_path, options, images):
    run = image_run(tmp_path / "ioc", 6, files=("a.h5", "b.h5", "c.h5"), **options)
    written = export(run, tmp_path / "out", images=images)
    with h5py.File(written.files[0]) as file:
        group = file["primary"] if images == "copy" else file["primary/external"]
        np.testing.assert_array_equal(group["img"][()], FRAMES)
        assert group["img"].dtype == "uint16"


def test_chunks_are_moved_without_decoding(tmp_path, monkeypatch):
    """The bytes of the chunks are those of the detector's file."""
    options = {**CHUNKED, "compression": "gzip", "compression_opts": 1}
    run = image_run(tmp_path / "ioc", 3, frame_per_point=2, shape=[2, 40, 50], **options)
    from bluesky_export.documents.external import ExternalColumn
    from bluesky_export.formats import _h5_external

    monkeypatch.setattr(ExternalColumn, "read", lambda *a: pytest.fail("frames were decoded"))
    # It takes a time that grows with the chunks: for each of them, with their square.
    monkeypatch.setattr(_h5_external, "_never_written", lambda *a: pytest.fail("a chunk was looked for"))
    written = export(run, tmp_path / "out")
    with h5py.File(written.files[0]) as file, h5py.File(tmp_path / "ioc" / "a.h5") as source:
        for number in range(6):
            here = file["primary/img"].id.read_direct_chunk((number // 2, number % 2, 0, 0))
            assert here == source["entry/data/data"].id.read_direct_chunk((number, 0, 0))


def test_chunks_that_a_filter_made_larger_are_moved(tmp_path, monkeypatch):
    run = image_run(tmp_path / "ioc", 6, **CHUNKED, compression="gzip")
    with h5py.File(tmp_path / "ioc" / "a.h5", "r+") as file:
        for number in (1, 4):
            stored = zlib.compress(FRAMES[number].tobytes(), 0)
            assert len(stored) > FRAMES[number].nbytes
            file["entry/data/data"].id.write_direct_chunk((number, 0, 0), stored)
    from bluesky_export.documents.external import ExternalColumn

    monkeypatch.setattr(ExternalColumn, "read", lambda *a: pytest.fail("frames were decoded"))
    written = export(run, tmp_path / "out")
    with h5py.File(written.files[0]) as file, h5py.File(tmp_path / "ioc" / "a.h5") as source:
        np.testing.assert_array_equal(file["primary/img"][()].reshape(FRAMES.shape), FRAMES)
        for number in range(6):
            here = file["primary/img"].id.get_chunk_info(number).size
            assert here == source["entry/data/data"].id.get_chunk_info(number).size


def test_chunks_that_were_never_written(tmp_path):
    """They are left out in the copy too, and read as the detector's fill value."""
    run = image_run(tmp_path / "ioc", 6)
    with h5py.File(tmp_path / "ioc" / "a.h5", "w") as file:
        options = {"chunks": (1, 40, 50), "fillvalue": 7, "compression": "gzip"}
        dataset = file.create_dataset("/entry/data/data", FRAMES.shape, FRAMES.dtype, **options)
        for number in (1, 4):
            dataset[number] = FRAMES[number]
    written = export(run, tmp_path / "out")
    assert (written.partial, written.notices) == (False, ())
    with h5py.File(written.files[0]) as file:
        dataset = file["primary/img"]
        expected = np.full_like(FRAMES, 7)
        expected[[1, 4]] = FRAMES[[1, 4]]
        np.testing.assert_array_equal(dataset[()], expected)
        assert dataset.id.get_num_chunks() == 2


PLUGIN_SOURCE = """
import sys, h5py, hdf5plugin, numpy
frames = (numpy.arange(12000) % 65521).astype("u2").reshape(6, 40, 50)
with h5py.File(sys.argv[1], "w") as file:
    file.create_dataset("/entry/data/data", data=frames, chunks=(1, 40, 50), **hdf5plugin.Bitshuffle())
"""
WITHOUT_PLUGIN = """
import pickle, sys
sys.modules["hdf5plugin"] = None  # as if it were not installed
from pathlib import Path
from bluesky_export.formats.hdf5 import HDF5Writer
from bluesky_export.outputs import Output, Target
run, folder = pickle.load(sys.stdin.buffer)
writer = HDF5Writer(Output(Target(Path(folder), template="run"), run[0][1], ".h5"))
for name, doc in run:
    writer(name, doc)
written = writer.close()
assert not written.partial, written.notices
"""


def test_a_filter_that_is_not_installed(tmp_path):
    import pickle

    run = image_run(tmp_path / "ioc", 6)
    subprocess.run([sys.executable, "-c", PLUGIN_SOURCE, tmp_path / "ioc" / "a.h5"], check=True)
    (tmp_path / "out").mkdir()
    given = pickle.dumps(([(name, dict(doc)) for name, doc in run], str(tmp_path / "out")))
    environment = {key: value for key, value in os.environ.items() if key != "HDF5_PLUGIN_PATH"}
    subprocess.run([sys.executable, "-c", WITHOUT_PLUGIN], input=given, check=True, env=environment)
    reader = (
        "import h5py, hdf5plugin, numpy, sys\n"
        "frames = (numpy.arange(12000) % 65521).astype('u2').reshape(6, 40, 50)\n"
        "with h5py.File(sys.argv[1]) as file:\n"
        "    assert (file['primary/img'][()] == frames).all()\n"
        "    assert '32008' in file['primary/img']._filters\n"
    )
    subprocess.run([sys.executable, "-c", reader, tmp_path / "out" / "run.h5"], check=True)


def test_a_tiff_cannot_be_linked_and_is_listed(tmp_path):
    import tifffile

    run = stream_run(tmp_path, 3, 3)
    for number in range(3):
        tifffile.imwrite(tmp_path / f"i{number}.tif", FRAMES[number])
    resource = run[2][1]
    resource |= {"uri": f"file://localhost{tmp_path}/", "mimetype": "multipart/related;type=image/tiff"}
    resource["parameters"] = {"template": "i{:d}.tif"}
    written = export(run, tmp_path / "out", images="link")
    assert not written.partial
    with h5py.File(written.files[0]) as file:
        listed = file["primary/external/img"].asstr()[()].tolist()
    assert listed == ["../i0.tif", "../i1.tif", "../i2.tif"]
    assert any("HDF5 cannot link files of this kind" in notice for notice in written.notices)
    copied = export(run, tmp_path / "out")
    with h5py.File(copied.files[0]) as file:
        np.testing.assert_array_equal(file["primary/img"][()], FRAMES[:3, None])


def test_a_linked_image_moves_with_its_folder(tmp_path):
    run = image_run(tmp_path / "beamtime" / "ioc", 6, **CHUNKED)
    written = export(run, tmp_path / "beamtime" / "out", images="link")
    assert any("linked to a.h5" in notice for notice in written.notices)
    os.rename(tmp_path / "beamtime", tmp_path / "elsewhere")
    path = tmp_path / "elsewhere" / "out" / "run.h5"
    with h5py.File(path) as file:
        link = file["primary/external"].get("img", getlink=True)
        assert (link.filename, link.path) == ("../ioc/a.h5", "/entry/data/data")
        np.testing.assert_array_equal(file["primary/external/img"][()], FRAMES)
    with xarray.open_dataset(path, group="primary", engine="h5netcdf") as dataset:
        assert dataset["x"].values.tolist() == list(range(6))
    os.remove(tmp_path / "elsewhere" / "ioc" / "a.h5")
    with h5py.File(path) as file, pytest.raises(KeyError):
        file["primary/external/img"]


def test_linked_frames_of_points(tmp_path):
    run = image_run(tmp_path / "ioc", 3, frame_per_point=2, shape=[2, 40, 50], **CHUNKED)
    written = export(run, tmp_path / "out", images="link")
    with h5py.File(written.files[0]) as file:
        dataset = file["primary/external/img"]
        assert dataset.is_virtual
        np.testing.assert_array_equal(dataset[()], FRAMES.reshape(3, 2, 40, 50))
    os.remove(tmp_path / "ioc" / "a.h5")
    with h5py.File(written.files[0]) as file:  # no zeros that look like dark frames
        assert (file["primary/external/img"][()] == 65535).all()


def test_skipped_images(tmp_path):
    run = image_run(tmp_path / "ioc", 6)
    written = export(run, tmp_path / "out", images="skip")
    assert not written.partial
    assert written.notices == ("primary: img is kept in files of its own and was left out (images: skip)",)
    with h5py.File(written.files[0]) as file:
        assert "img" not in file["primary"]
        ids = file["primary/external/img_datum_id"].asstr()[()].tolist()
        assert ids == [doc["data"]["img"] for name, doc in run if name == "event"]
        assets = [json.loads(text) for text in file["documents/assets"].asstr()[()]]
        assert [name for name, _ in assets] == ["resource", *["datum_page"] * 6]


def test_links_to_files_with_hostile_names(tmp_path):
    files = ("50%b é.h5", "%%.h5", "a b.h5")
    run = image_run(tmp_path / "ioc 100%", 6, files=files, **CHUNKED)
    written = export(run, tmp_path / "out", images="link")
    with h5py.File(written.files[0]) as file:
        np.testing.assert_array_equal(file["primary/external/img"][()], FRAMES)


def test_linked_files_of_which_one_is_missing(tmp_path):
    run = image_run(tmp_path / "ioc", 6, files=("a.h5", "b.h5", "c.h5"), **CHUNKED)
    os.remove(tmp_path / "ioc" / "b.h5")
    written = export(run, tmp_path / "out", images="link")
    assert written.partial
    with h5py.File(written.files[0]) as file:
        group = file["primary/external"]
        assert group["nulls/img"][()].tolist() == [2, 3]
        np.testing.assert_array_equal(group["img"][[0, 1, 4, 5]], FRAMES[[0, 1, 4, 5]])
        assert (group["img"][2:4] == 65535).all()


def test_frames_of_floats_that_are_missing_are_nan(tmp_path):
    run = image_run(tmp_path / "ioc", 6, files=("a.h5", "b.h5", "c.h5"))
    for name, number in (("a.h5", 0), ("c.h5", 4)):
        with h5py.File(tmp_path / "ioc" / name, "w") as file:
            frames = FRAMES[number : number + 2].astype("f4")
            file.create_dataset("/entry/data/data", data=frames, chunks=(1, 40, 50), compression="gzip")
    os.remove(tmp_path / "ioc" / "b.h5")
    written = export(run, tmp_path / "out")
    with h5py.File(written.files[0]) as file:
        dataset = file["primary/img"]
        assert dataset.dtype == "float32"
        assert np.isnan(dataset[2:4]).all()
        np.testing.assert_array_equal(dataset[[0, 1, 4, 5]], FRAMES[[0, 1, 4, 5]].astype("f4"))


@pytest.mark.parametrize("options", [{}, CHUNKED])
def test_a_missing_file_makes_the_result_partial(tmp_path, options):
    run = image_run(tmp_path / "ioc", 6, files=("a.h5", "b.h5", "c.h5"), **options)
    os.remove(tmp_path / "ioc" / "b.h5")
    written = export(run, tmp_path / "out")
    assert written.partial
    assert written.notices == (
        f"primary: img, rows 2 to 3: not read: {tmp_path / 'ioc' / 'b.h5'}: no such file",
    )
    with h5py.File(written.files[0]) as file:
        group = file["primary"]
        assert group["nulls/img"][()].tolist() == [2, 3]
        np.testing.assert_array_equal(group["img"][[0, 1, 4, 5]], FRAMES[[0, 1, 4, 5]])
        assert not group["img"][2:4].any()
        assert group["x"][()].tolist() == list(range(6))
        assert len(group["timestamps/img"]) == 6


def test_a_damaged_chunk_loses_its_own_rows_only(tmp_path):
    options = {"chunks": (2, 40, 50), "compression": "gzip"}
    run = image_run(tmp_path / "ioc", 2, frame_per_point=3, shape=[3, 40, 50], **options)
    with h5py.File(tmp_path / "ioc" / "a.h5", "r+") as file:
        file["entry/data/data"].id.write_direct_chunk((4, 0, 0), b"no deflate stream")
    written = export(run, tmp_path / "out")
    assert written.partial
    with h5py.File(written.files[0]) as file:
        assert file["primary/nulls/img"][()].tolist() == [1]
        np.testing.assert_array_equal(file["primary/img"][0], FRAMES[:3])


def test_a_dataset_without_numbers_is_said(tmp_path):
    run = image_run(tmp_path / "ioc", 2)
    with h5py.File(tmp_path / "ioc" / "a.h5", "w") as file:
        file["entry/data/data"] = ["a", "b"]
    written = export(run, tmp_path / "out")
    assert written.partial
    assert "does not hold numbers" in " ".join(written.notices)


def test_all_files_are_missing(tmp_path):
    run = image_run(tmp_path / "ioc", 6)
    shutil.rmtree(tmp_path / "ioc")
    for images in ("copy", "link"):
        written = export(run, tmp_path / "out", images=images)
        assert written.partial
        assert written.events == 6
        with h5py.File(written.files[0]) as file:
            assert "img" not in file["primary"]
            assert len(file["primary/external/img_datum_id"]) == 6
        with xarray.open_dataset(written.files[0], group="primary", engine="h5netcdf") as dataset:
            assert "x" in dataset


def test_images_that_are_filled_in_already(tmp_path):
    keys = {"img": {"dtype": "array", "shape": [40, 50], "external": "FILESTORE:"}}
    run = compose({"img": list(FRAMES)}, data_keys=keys)
    for name, doc in run:
        if name == "event":
            doc["filled"] = {"img": True}
    written = export(run, tmp_path)
    assert not written.partial
    check_file(run, written.files[0])


def stream_run(folder, events, frames):
    """Return a run whose images come by stream datums; the stream may have fewer events."""
    keys = {"img": {"dtype": "array", "shape": [1, 40, 50], "dtype_numpy": "<u2", "external": "STREAM:"}}
    run = compose({"img": [None] * events}, data_keys=keys)
    described = run[1][1]
    for name, doc in run:
        if name == "event":
            doc["data"], doc["timestamps"] = {}, {}
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("/d", data=FRAMES[:frames], chunks=(1, 40, 50))
    resource = {"uid": "s", "data_key": "img", "uri": f"file://localhost{folder}/a.h5"}
    resource |= {"mimetype": "application/x-hdf5", "parameters": {"dataset": "/d"}}
    ranges = {"indices": {"start": 0, "stop": frames}, "seq_nums": {"start": 1, "stop": frames + 1}}
    datum = {"uid": "s/0", "stream_resource": "s", "descriptor": described["uid"], **ranges}
    return [*run[:2], ("stream_resource", resource), ("stream_datum", datum), *run[2:]]


@pytest.mark.parametrize("events", [0, 4, 6])
def test_stream_datums_with_and_without_events(tmp_path, events):
    run = stream_run(tmp_path, events, 6)
    written = export(run, tmp_path / "out")
    assert not written.partial
    with xarray.open_dataset(written.files[0], group="primary", engine="h5netcdf") as dataset:
        np.testing.assert_array_equal(dataset["img"].values, FRAMES[:, None])
        assert dataset["seq_num"].values.tolist() == [1, 2, 3, 4, 5, 6]
        times = [doc["time"] for name, doc in run if name == "event"]
        np.testing.assert_array_equal(dataset["time"].values, times + [math.nan] * (6 - events))
    lacking = f"primary: {6 - events} points have external data and no event; their time is NaN"
    assert (lacking in written.notices) == (events < 6)


@pytest.mark.skipif(real_data() is None, reason="real documents not here")
def test_a_packed_run_with_its_image(tmp_path):
    import msgpack
    import msgpack_numpy

    folder = real_data() / "packed-simple"
    root = "f8483b80395561ac779a5425da6646ca"
    path = folder / "documents" / "4e22852d-33b1-49d2-bf73-2b1478a8f0b4.msgpack"
    with open(path, "rb") as file:
        run = [tuple(pair) for pair in msgpack.Unpacker(file, object_hook=msgpack_numpy.decode)]
    expected = np.load(folder / "external_files" / root / "4d0d22_0.npy")
    written = export(run, tmp_path, root_map={root: str(folder / "external_files" / root)})
    assert not written.partial
    with xarray.open_dataset(written.files[0], group="primary", engine="h5netcdf") as dataset:
        np.testing.assert_array_equal(dataset["img"].values, expected[None])
        assert dataset["img"].dtype == expected.dtype
    lost = export(run, tmp_path)
    assert lost.partial
    assert "no such file" in " ".join(lost.notices).lower()


# -- the writer as such --------------------------------------------------------------------------


def test_registered_and_without_options():
    assert writer_class("h5") is HDF5Writer
    assert check_options("hdf5", {}) == {}


def test_an_existing_file_is_refused_at_the_start(tmp_path):
    (tmp_path / "run.h5").write_text("precious")
    run = simulated_runs()["sim-count"]
    writer = HDF5Writer(Output(Target(tmp_path, template="run"), run[0][1], ".h5"))
    with pytest.raises(TargetExists):
        writer(*run[0])
    assert (tmp_path / "run.h5").read_text() == "precious"


def test_abort_leaves_nothing(tmp_path):
    run = simulated_runs()["sim-count"]
    writer = HDF5Writer(Output(Target(tmp_path, template="run"), run[0][1], ".h5"))
    for name, doc in run[:-1]:
        writer(name, doc)
    writer.abort()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    run = simulated_runs()["sim-count"]
    writer = HDF5Writer(Output(Target(tmp_path, template="run"), run[0][1], ".h5"))
    for name, doc in run:
        writer(name, doc)

    def fail(*args, **kwargs):
        raise NotFaithful("no")

    monkeypatch.setattr("bluesky_export.formats.hdf5.put_mapping", fail)
    with pytest.raises(NotFaithful):
        writer.close()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


class Color(str, enum.Enum):  # noqa: UP042 - what ophyd-async has; str() of it is its name
    RED = "red"


def test_enumerations_are_their_values(tmp_path):
    run = run_of({"x": [Color.RED]}, start={"color": Color.RED}, keys={"x": {"dtype": "string"}})
    (path,) = replay("hdf5", run, tmp_path).files
    with h5py.File(path) as file:
        assert file["primary/x"].asstr()[:].tolist() == ["red"]
        assert file["start/color"].asstr()[()] == "red"


def test_columns_of_unequal_length_are_refused(tmp_path):
    run = run_of({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    page = pack_events([doc for kind, doc in run if kind == "event"])
    page["data"]["y"] = [1.0]
    with pytest.raises(NotFaithful, match="'y' has 1 values"):
        replay("hdf5", [*run[:2], ("event_page", page), run[-1]], tmp_path)
    assert list(tmp_path.iterdir()) == []
