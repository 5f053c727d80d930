"""CSV, read back by pandas, pyarrow and Python's csv."""

from __future__ import annotations

import csv
import datetime
import json
import math
import struct

import numpy as np
import pandas as pd
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluesky_export.errors import NoData, TargetExists

from ..replaying import replay, run_of

# pandas 3 reads floats exactly by itself, and warns where it is asked to
EXACT = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


def table(written, stream="primary"):
    return next(path for path in written.files if path.name.endswith(f"-{stream}.csv"))


def cells(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


FLOATS = [0.1, -0.0, 1.0, 1e16, 1e22, 5e-324, 1.7976931348623157e308, math.pi, 1 / 3, 2.0**53]


def test_floats_read_back_bit_for_bit(tmp_path):
    written = replay("csv", run_of({"x": FLOATS}), tmp_path)
    frame = pd.read_csv(table(written), **EXACT)
    assert [bits(v) for v in frame["x"]] == [bits(v) for v in FLOATS]
    column = pyarrow.csv.read_csv(table(written)).column("x").to_pylist()
    assert [bits(v) for v in column] == [bits(v) for v in FLOATS]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30), st.booleans())
def test_any_float_reads_back(tmp_path_factory, values, as_array):
    folder = tmp_path_factory.mktemp("csv")
    documents = run_of({"x": [np.float64(v) for v in values] if as_array else values})
    path = table(replay("csv", documents, folder))
    read = [float(row[cells(path)[0].index("x")]) for row in cells(path)[1:]]
    assert [np.isnan(v) or bits(v) for v in read] == [np.isnan(v) or bits(v) for v in values]


def test_numbers_of_every_kind(tmp_path):
    columns = {
        "big": [2**63 - 1, -(2**63)],
        "unsigned": [np.uint64(2**64 - 1), np.uint64(0)],
        "huge": [10**30, 1],
        "single": [np.float32(0.1), np.float32(-1e-45)],
        "half": [np.float16(0.1), np.float16(2)],
        "yes": [True, False],
        "npyes": [np.True_, np.False_],
        "mixed": [1, 2.5],
        "nothing": [None, 1.5],
        "zero_d": [np.array(3), np.array(-7)],
    }
    rows = cells(table(replay("csv", run_of(columns), tmp_path)))
    first = dict(zip(rows[0], rows[1], strict=True))
    second = dict(zip(rows[0], rows[2], strict=True))
    assert (first["big"], second["big"]) == (str(2**63 - 1), str(-(2**63)))
    assert first["unsigned"] == str(2**64 - 1)
    assert first["huge"] == str(10**30)
    assert np.float32(first["single"]) == np.float32(0.1)
    assert np.float32(second["single"]) == np.float32(-1e-45)
    assert np.float16(first["half"]) == np.float16(0.1)
    assert (first["yes"], second["npyes"]) == ("true", "false")
    assert (first["mixed"], second["mixed"]) == ("1", "2.5")
    assert (first["nothing"], second["nothing"]) == ("", "1.5")
    assert (first["zero_d"], second["zero_d"]) == ("3", "-7")


TEXTS = [
    "plain",
    "",
    'say "hi"',
    "a,b",
    "two\nlines",
    "tab\there",
    "µm é 漢",
    "  blanks  ",
    "1.5",
    "nan",
    "None",
]


def test_text_is_quoted_and_reads_back(tmp_path):
    written = replay("csv", run_of({"t": TEXTS}), tmp_path)
    frame = pd.read_csv(table(written), keep_default_na=False, dtype={"t": str})
    assert frame["t"].tolist() == TEXTS
    for line in ('"plain",', '"1.5",', '"nan",', '"",'):
        assert (
            line in table(written).read_text().replace('"t"', "")
            or line.rstrip(",") in table(written).read_text()
        )
    assert (
        pyarrow.csv.read_csv(
            table(written), parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)
        )
        .column("t")
        .to_pylist()
        == TEXTS
    )


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_no_cell_is_a_formula_and_the_rule_can_be_undone(tmp_path_factory, text):
    path = table(replay("csv", run_of({"t": [text], "n": [-1.5]}), tmp_path_factory.mktemp("csv")))
    with path.open(newline="", encoding="utf-8") as file:
        header, row = list(csv.reader(file))
    cell = row[header.index("t")]
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cell.removeprefix("'") == text
    assert row[header.index("n")] == "-1.5"


def test_what_no_reader_takes_is_escaped_and_said(tmp_path):
    written = replay("csv", run_of({"t": ["a\0b", "x\ud800y"]}), tmp_path)
    rows = cells(table(written))
    assert [row[rows[0].index("t")] for row in rows[1:]] == ["a\\x00b", "x\\ud800y"]
    assert any("escaped" in notice for notice in written.notices)


def scan(**extra):
    start = {
        "motors": ["m1"],
        "detectors": ["det"],
        "hints": {"dimensions": [[["m1"], "primary"]]},
        **extra,
    }
    return run_of({"det": [3.0, 4.0], "temp": [20.5, 20.6], "m1": [-1.0, 1.0]}, start=start)


def test_motor_first_then_time_detectors_last(tmp_path):
    rows = cells(table(replay("csv", scan(), tmp_path)))
    assert rows[0] == ["m1", "time", "temp", "det"]
    assert rows[1] == ["-1.0", "1700000001.125", "20.5", "3.0"]


def test_timestamps_on_request(tmp_path):
    rows = cells(table(replay("csv", scan(), tmp_path, timestamps=True)))
    assert rows[0] == [
        "seq_num",
        "m1",
        "time",
        "temp",
        "det",
        "m1_timestamp",
        "temp_timestamp",
        "det_timestamp",
    ]
    assert rows[2] == ["2", "1.0", "1700000002.125", "20.6", "4.0"] + ["1700000002.0"] * 3


def test_arrays_are_left_out_and_said(tmp_path):
    documents = run_of({"x": [1.0, 2.0], "spectrum": [[1, 2, 3], [4, 5, 6]], "none": [[], []]})
    written = replay("csv", documents, tmp_path)
    assert cells(table(written))[0] == ["time", "x"]
    for field in ("spectrum", "none"):
        (notice,) = [n for n in written.notices if f"primary.{field}" in n]
        assert "hdf5" in notice
    sidecar = json.loads(written.files[-1].read_text())
    assert set(sidecar["tables"]["primary"]["left_out"]) == {"spectrum", "none"}


def test_declared_shapes_are_not_trusted(tmp_path):
    documents = run_of(
        {"x": [1.5, 2.5], "y": [[1.0, 2.0], [3.0, 4.0]]}, keys={"x": {"dtype": "array", "shape": [1]}}
    )
    assert cells(table(replay("csv", documents, tmp_path)))[0] == ["time", "x"]


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_the_size_of_pages_does_not_matter(tmp_path, size):
    documents = run_of({"x": [1, 2.5, 3], "late": [1.0, [1, 2], 2.0], "t": ["a", None, "=b"]})
    written = replay("csv", documents, tmp_path, page_size=size)
    assert table(written).read_text() == (
        '"time","x","late","t"\n'
        '1700000001.125,1,1.0,"a"\n'
        "1700000002.125,2.5,,\n"
        '1700000003.125,3,2.0,"\'=b"\n'
    )
    assert any("primary.late" in notice for notice in written.notices)


def test_a_field_named_like_our_column(tmp_path):
    written = replay("csv", run_of({"time": [1.0], "seq_num": [5.0]}), tmp_path, timestamps=True)
    header = cells(table(written))[0]
    assert header[:4] == ["event_seq_num", "event_time", "time", "seq_num"]
    assert len(written.notices) == 2


def test_the_metadata_beside(tmp_path):
    start = {"sample": {"name": "Al", "mass": None}, "ratio": math.nan, "key/odd": [1, "b"]}
    written = replay("csv", run_of({"x": [1.0]}, start=start), tmp_path)
    sidecar = json.loads(written.files[-1].read_text(), parse_constant=pytest.fail)
    assert written.files[-1].name.endswith("-metadata.json")
    assert sidecar["start"]["sample"] == {"name": "Al", "mass": None}
    assert sidecar["start"]["key/odd"] == [1, "b"]
    assert sidecar["stop"]["exit_status"] == "success"
    assert sidecar["tables"]["primary"]["file"] == table(written).name
    assert replay("csv", run_of({"x": [1.0]}, uid="other00"), tmp_path, metadata=False).files == (
        next(tmp_path.glob("*other00-primary.csv")),
    )


@pytest.mark.parametrize(("stop", "status"), [(False, "unfinished"), ({"exit_status": "abort"}, "abort")])
def test_runs_that_did_not_end_well_are_marked(tmp_path, stop, status):
    written = replay("csv", run_of({"x": [1.0]}, stop=stop), tmp_path)
    assert written.status == status
    assert json.loads(written.files[-1].read_text())["status"] == status


def test_a_run_without_data_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(NoData, match=r"run 7 .*has no data"):
        replay("csv", run_of({"x": []}), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["csv", "dx", "tiff", "png", "xdi"])
def test_a_run_without_a_scan_id_is_called_so(name, tmp_path):
    documents = run_of({"x": []})
    del documents[0][1]["scan_id"]
    with pytest.raises(NoData, match=r"run without a scan_id \(5eed000, success\)"):
        replay(name, documents, tmp_path)


def test_a_second_descriptor(tmp_path):
    documents = run_of({"x": [1.0, 2.0]})
    second = {
        **documents[1][1],
        "uid": "d2",
        "data_keys": {
            **documents[1][1]["data_keys"],
            "new": {"dtype": "number", "shape": [], "source": "t"},
        },
    }
    event = {
        **documents[3][1],
        "descriptor": "d2",
        "data": {"x": 9.0, "new": 1.0},
        "timestamps": {"x": 0.0, "new": 0.0},
    }
    written = replay(
        "csv", [*documents[:3], ("descriptor", second), ("event", event), documents[-1]], tmp_path
    )
    rows = cells(table(written))
    assert [row[rows[0].index("x")] for row in rows[1:]] == ["1.0", "9.0"]
    assert any("primary.new" in notice for notice in written.notices)


def test_an_existing_file_is_untouched(tmp_path):
    documents = scan()
    there = table(replay("csv", documents, tmp_path))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(TargetExists, match=there.name):
        replay("csv", documents, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


ARRAY = {"x": {"dtype": "array", "shape": [2]}}


def test_no_column_is_named_after_one_that_was_left_out(tmp_path):
    data = {"x": [[1.0, 2.0]], "x_timestamp": [7.0], "event_time": [8.0], "time": [9.0]}
    written = replay("csv", run_of(data, keys=ARRAY), tmp_path)
    header, row = cells(table(written))
    assert len(set(header)) == len(header)
    found = dict(zip(header, row, strict=True))
    assert found == {
        "x_timestamp": "7.0",
        "event_time": "8.0",
        "time": "9.0",
        "event_time_": "1700000001.125",
    }


def test_timestamps_that_are_none_or_have_the_name_of_a_field(tmp_path):
    documents = run_of({"x": [1.0, 2.0], "x_timestamp": [7.0, 8.0]})
    documents[3][1]["timestamps"] = {"x": None, "x_timestamp": math.nan}
    header, _, row = cells(table(replay("csv", documents, tmp_path, timestamps=True)))
    found = dict(zip(header, row, strict=True))
    assert (found["x_timestamp"], found["x_timestamp_"]) == ("8.0", "")
    assert found["x_timestamp_timestamp"] == "nan"


def test_rows_that_are_ragged_within(tmp_path):
    written = replay("csv", run_of({"x": [[[1], [2, 3]]], "y": [1.0]}), tmp_path)
    assert cells(table(written))[0] == ["time", "y"]


def test_the_first_event_is_of_the_second_descriptor(tmp_path):
    documents = run_of({"y": [1.0]})
    key = {"dtype": "number", "shape": [], "source": "t"}
    first = {**documents[1][1], "uid": "d0", "data_keys": {"x": key}}
    written = replay("csv", [documents[0], ("descriptor", first), *documents[1:]], tmp_path)
    assert cells(table(written)) == [["time", "x"], ["1700000001.125", ""]]
    assert any("primary.y" in notice for notice in written.notices)


@pytest.mark.parametrize("size", [1, 1000])
def test_a_field_that_no_descriptor_has_is_said(tmp_path, size):
    documents = run_of({"x": [1.0, 2.0]})
    documents[3][1]["data"]["extra"] = 5.0
    written = replay("csv", documents, tmp_path, page_size=size)
    assert [row[1] for row in cells(table(written))] == ["x", "1.0", "2.0"]
    assert any("primary.extra" in notice for notice in written.notices)


def test_the_metadata_name_the_right_one_of_two_files(tmp_path):
    one, two = run_of({"x": [1.0]}, stream="a/b"), run_of({"x": [2.0]}, stream="a:b")
    other = [(name, {**doc, "uid": "d2"}) for name, doc in two if name == "descriptor"]
    event = {**two[2][1], "descriptor": "d2"}
    written = replay("csv", [*one[:3], *other, ("event", event)], tmp_path)
    tables = json.loads(written.files[-1].read_text())["tables"]
    found = {name: cells(tmp_path / part["file"])[1][1] for name, part in tables.items()}
    assert found == {"a/b": "1.0", "a:b": "2.0"}


def test_events_that_the_store_has_lost_are_said(tmp_path):
    documents = run_of({"x": [1.0, 2.0]})
    del documents[2]
    written = replay("csv", documents, tmp_path)
    assert "stream primary: the stop document counts 2 events, there are 1" in written.notices


def test_values_that_csv_has_no_form_for_are_text_and_said(tmp_path):
    values = {
        "days": [datetime.date(2026, 5, 1), datetime.date(2026, 5, 2)],
        "sets": [{1}, {2}],
        "raw": [b"ab", b"c"],
    }
    written = replay("csv", run_of(values), tmp_path)
    table = pd.read_csv(written.files[0])
    assert table["days"].tolist() == ["2026-05-01", "2026-05-02"]
    assert table["sets"].tolist() == ["{1}", "{2}"]
    assert table["raw"].tolist() == ["ab", "c"]
    assert any("primary.days: values of type date are written as text" in n for n in written.notices)
    assert any("primary.sets: values of type set are written as text" in n for n in written.notices)
    assert any("primary.raw: bytes are written as text" in n for n in written.notices)
