"""Parquet and Arrow files: types, nulls, lists, names, and what goes wrong on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bluesky_export.errors import NoData, OutputError
from bluesky_export.testing import RUNS

from ..replaying import replay, run_of

READ = {"parquet": pq.read_table, "arrow": lambda path: pa.ipc.open_file(path).read_all()}
FORMATS = pytest.mark.parametrize("name", READ)


@FORMATS
def test_columns_in_the_order_people_read_them(name, tmp_path):
    documents = run_of(
        {"det": [1.0, 2.0], "temperature": [295.0, 296.0], "m": [0.5, 1.5]},
        start={"motors": ["m"], "detectors": ["det"], "hints": {"dimensions": [[["m"], "primary"]]}},
    )
    (path,) = replay(name, documents, tmp_path).files
    names = READ[name](path).column_names
    assert names[:4] == ["m", "time", "temperature", "det"]
    assert names[4:6] == ["seq_num", "uid"]
    assert names[6:] == ["m_timestamp", "temperature_timestamp", "det_timestamp"]


@FORMATS
def test_nulls_do_not_turn_integers_into_floats(name, tmp_path):
    documents = run_of(
        {"n": [2**53 + 1, None, 3], "flag": [True, None, False], "label": ["", None, "x"]},
        keys={"n": {"dtype": "integer"}, "flag": {"dtype": "boolean"}},
    )
    written = replay(name, documents, tmp_path)
    table = READ[name](written.files[0])
    assert table.schema.field("n").type == pa.int64()
    assert table["n"].to_pylist() == [2**53 + 1, None, 3]
    assert table.schema.field("flag").type == pa.bool_()
    assert table["flag"].to_pylist() == [True, None, False]
    assert table["label"].to_pylist() == ["", None, "x"]
    assert written.notices == ()


@FORMATS
def test_arrays_have_a_fixed_size_where_they_can(name, tmp_path):
    images = [np.arange(6, dtype=np.uint16).reshape(2, 3) + row for row in range(3)]
    data: dict[str, list[Any]] = {
        "image": images,
        "ragged": [[1.0], [], [2.0, 3.0]],
        "holes": [np.array([1, 2], np.int8), None, np.array([3, 4], np.int8)],
        "ragged_2d": [np.zeros((1, 2)), np.ones((3, 1)), np.zeros((0, 4))],
        "none_in_it": [np.zeros((0,), np.int32)] * 3,
    }
    keys = {field: {"dtype": "array", "shape": [None]} for field in data}
    (path,) = replay(name, run_of(data, keys=keys), tmp_path).files
    table = READ[name](path)
    assert table.schema.field("image").type == pa.list_(pa.list_(pa.uint16(), 3), 2)
    assert table["image"].to_pylist() == [image.tolist() for image in images]
    assert table["ragged"].to_pylist() == [[1.0], [], [2.0, 3.0]]
    assert table["holes"].to_pylist() == [[1, 2], None, [3, 4]]
    assert table.schema.field("holes").type.value_type == pa.int8()
    assert table["ragged_2d"].to_pylist() == [[[0.0, 0.0]], [[1.0]] * 3, []]
    assert table["none_in_it"].to_pylist() == [[], [], []]
    frame = pd.read_parquet(path) if name == "parquet" else pd.read_feather(path)
    assert frame["image"][1][0].tolist() == [1, 2, 3]


def test_three_dimensions_in_duckdb_and_polars(tmp_path):
    cubes = [np.arange(24, dtype=np.float32).reshape(2, 3, 4) * row for row in range(2)]
    documents = run_of({"cube": cubes}, keys={"cube": {"dtype": "array", "shape": [2, 3, 4]}})
    (path,) = replay("parquet", documents, tmp_path).files
    ((found,), _) = duckdb.sql(f"select cube from '{path}' order by seq_num desc").fetchall()
    assert found == cubes[1].tolist()
    assert polars.read_parquet(path)["cube"].to_list() == [cube.tolist() for cube in cubes]


@FORMATS
@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8", "c16"]
)
def test_dtypes_are_kept(name, dtype, tmp_path):
    values = list(np.array([0, 1, 1], dtype))
    (path,) = replay(name, run_of({"x": values}), tmp_path).files
    kind = READ[name](path).schema.field("x").type
    kind = kind.field("real").type if dtype.startswith("c") else kind
    half = {"c8": "f4", "c16": "f8"}
    assert np.dtype(kind.to_pandas_dtype()) == np.dtype(half.get(dtype, dtype))


def test_floats_that_arrow_does_not_have_are_digits(tmp_path):
    values = [np.longdouble(1) / 3, np.longdouble(2)]
    (path,) = replay("parquet", run_of({"wide": values}), tmp_path).files
    found = READ["parquet"](path)["wide"].to_pylist()
    assert [np.longdouble(text) for text in found] == values


@FORMATS
def test_units_and_metadata_are_inside(name, tmp_path):
    documents = run_of(
        {"m": [1.0]}, keys={"m": {"units": "Å⁻¹", "precision": 4}}, start={"sample": {"name": "LaB₆"}}
    )
    (path,) = replay(name, documents, tmp_path).files
    schema = READ[name](path).schema
    said = schema.field("m").metadata
    assert said[b"units"].decode() == "Å⁻¹"
    assert json.loads(said[b"data_key"])["precision"] == 4
    assert json.loads(schema.metadata[b"bluesky.start"])["sample"] == {"name": "LaB₆"}
    assert schema.field("time").metadata[b"units"] == b"s"


@FORMATS
def test_fields_with_the_names_of_our_columns_keep_them(name, tmp_path):
    data = {"time": [5.0], "seq_num": [7], "uid": ["u"], "time_timestamp": [9.0]}
    written = replay(name, run_of(data), tmp_path)
    table = READ[name](written.files[0])
    assert {field: table[field].to_pylist() for field in data} == data
    assert table["event_time"].to_pylist() == [1700000001.125]
    assert len(set(table.column_names)) == len(table.column_names)
    assert sum("has a field named" in notice for notice in written.notices) == 4


@FORMATS
def test_detector_files_are_left_out_and_said(name, tmp_path):
    kinds = [kind for kind in RUNS.values() if kind.features & {"external"} and kind.name != "filled"]
    made = kinds[0].make(tmp_path / "d")
    (tmp_path / "out").mkdir()
    written = replay(name, made.documents, tmp_path / "out")
    assert any("left out" in notice and "hdf5" in notice for notice in written.notices)


@FORMATS
def test_a_run_without_streams_leaves_no_file(name, tmp_path):
    documents = [pair for pair in run_of({"m": [1.0]}) if pair[0] in ("start", "stop")]
    with pytest.raises(NoData, match="no streams"):
        replay(name, documents, tmp_path)
    assert list(tmp_path.iterdir()) == []


@FORMATS
def test_a_full_disk_leaves_no_file(name, tmp_path, monkeypatch):
    real = Path.open

    class Full:
        """A file on a disk with room for 100 bytes."""

        def __init__(self, file: Any) -> None:
            self._file, self._room, self.closed = file, 100, False

        def write(self, data: Any) -> int:
            self._room -= len(memoryview(data).cast("B"))
            if self._room < 0:
                raise OSError(28, "No space left on device")
            return int(self._file.write(data))

        def __getattr__(self, attribute: str) -> Any:
            return getattr(self._file, attribute)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

    def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        file = real(path, mode, *args, **kwargs)
        return Full(file) if path.name.endswith(".part") else file

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OSError, match="No space left") as raised:
        replay(name, run_of({"m": [1.0, 2.0]}), tmp_path)
    assert raised.value.errno == 28 or isinstance(raised.value, OutputError)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "codec"),
    [("parquet", "zstd"), ("parquet", "none"), ("arrow", "lz4"), ("arrow", "zstd"), ("arrow", "none")],
)
def test_codecs(name, codec, tmp_path):
    documents = run_of({"m": [float(n % 7) for n in range(2000)]})
    (path,) = replay(name, documents, tmp_path, compression=codec).files
    assert READ[name](path)["m"].to_pylist() == [float(n % 7) for n in range(2000)]
    if name == "parquet":
        used = pq.read_metadata(path).row_group(0).column(0).compression
        assert used == {"zstd": "ZSTD", "none": "UNCOMPRESSED"}[codec]
