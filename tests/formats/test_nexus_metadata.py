"""NeXus: metadata of every kind is found again."""

from __future__ import annotations

import ast
import datetime
import enum
import math
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nexusformat.nexus import nxload

from bluesky_export.documents import jsontext
from bluesky_export.formats._nxentry import to_yaml
from bluesky_export.outputs import Target

from ..replaying import replay, run_of
from .nexus_files import (
    BLUESKY,
    make_run,
    original_name,
    read_metadatum,
    write,
)

HOSTILE = {
    "none": None,
    "a/b": 1,
    "a_b": 2,
    "a": {"b": 3},
    ".": "dot",
    "..": "dots",
    "": "empty",
    " ": "blank",
    "nul\0key": "nul",
    "ünï ✓": "ü",
    "A": "case",
    "run_start_uid": "the user's own",
    "list": [1, None, [2.5, "x"], {"y": math.inf}],
    "date": datetime.datetime(2026, 11, 23, 11, 42, 1, 250, tzinfo=datetime.UTC),
    "set": {"p", "q"},
    "long": 2**70,
    "big": 2**64 - 1,
    "bool": True,
    "inf": -math.inf,
    "complex": 1 + 2j,
    "empty list": [],
    "lines": "one\n two:\n\t- three",
    "bytes": b"\0\xff",
    "k" * 3000: "long key",
    "text": "t" * 100_000,
}


def test_hostile_metadata_is_found_again(tmp_path):
    run = make_run({"x": [1.0]}, start={**HOSTILE, "array": np.arange(3, dtype="i2"), "tuple": (1, "a")})
    run[-1][1]["reason"] = "line\nbreak"
    (path,) = write(run, tmp_path).files
    with h5py.File(path) as file:
        group = file[f"{BLUESKY}/metadata"]
        assert len(group) == len(HOSTILE) + 4  # plan_name, array, tuple, and run_start_uid which is ours
        found = [read_metadatum(item) for item in group.values()]
        for value in [*HOSTILE.values(), [0, 1, 2], [1, "a"]]:
            assert value in found
        for key, value in HOSTILE.items():
            named = [item for name, item in group.items() if original_name(item, name) == key]
            assert value in [read_metadatum(item) for item in named]
        assert group["array"].dtype == np.int16
        recorded = jsontext.loads(file[f"{BLUESKY}/documents/start/data"].asstr()[()])
        assert recorded.keys() == run[0][1].keys()
        assert file[f"{BLUESKY}/reason"].asstr()[()] == "line\nbreak"
    nxload(path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metadata=st.dictionaries(st.text(st.characters(exclude_categories=()), max_size=8), VALUES, max_size=4)
)
def test_any_metadata_is_found_again(metadata, tmp_path):
    run = make_run({"x": [1.0]}, start={f"md {key}": value for key, value in metadata.items()})
    target = Target(folder=tmp_path, file="any.hdf", if_exists="overwrite")
    (path,) = write(run, tmp_path, target=target).files
    with h5py.File(path) as file:
        group = file[f"{BLUESKY}/metadata"]
        found = {original_name(item, name): read_metadatum(item) for name, item in group.items()}
        start = jsontext.loads(file[f"{BLUESKY}/documents/start/data"].asstr()[()])
    assert start == run[0][1]
    assert {f"md {key}": value for key, value in metadata.items()}.items() <= found.items()


@pytest.mark.parametrize("scan_id", [..., 0, "A-17", None, 12345678])
def test_any_scan_id(scan_id, tmp_path):
    run = make_run({"x": [1.0]}, start={"scan_id": scan_id})
    (path,) = write(run, tmp_path).files
    with h5py.File(path) as file:
        assert file["entry/title"].asstr()[()].endswith("-scan-" + run[0][1]["uid"][:7])
        start = jsontext.loads(file[f"{BLUESKY}/documents/start/data"].asstr()[()])
        assert start == run[0][1]


def test_without_plan_name(tmp_path):
    run = make_run({"x": [1.0]}, start={"plan_name": ..., "detectors": None, "motors": [["odd"], "x"]})
    (path,) = write(run, tmp_path).files
    with h5py.File(path) as file:
        assert "plan_name" not in file["entry"]
        assert file["entry/entry_identifier"].asstr()[()] == run[0][1]["uid"]


def test_title_of_the_run_is_the_entrys(tmp_path):
    for title, expected in (("my sample", "my sample"), ({"a": 1}, "S0007-scan-"), (None, "S0007-scan-")):
        run = make_run({"x": [1.0]}, start={"title": title})
        (path,) = write(run, tmp_path).files
        with h5py.File(path) as file:
            assert file["entry/title"].asstr()[()].startswith(expected)


def test_times_are_local_with_their_offset(tmp_path):
    run = make_run({"x": [1.0]})
    (path,) = write(run, tmp_path).files
    with h5py.File(path) as file:
        begin = datetime.datetime.fromisoformat(file["entry/start_time"].asstr()[()])
        end = datetime.datetime.fromisoformat(file["entry/end_time"].asstr()[()])
        assert begin.tzinfo is not None
        assert begin.timestamp() == run[0][1]["time"]
        assert end.timestamp() == run[-1][1]["time"]
        assert file["entry/duration"][()] == 100.5


class Gain(enum.IntEnum):
    LOW = 3


class Color(str, enum.Enum):  # noqa: UP042 - what ophyd-async has; str() of it is its name
    RED = "red"


def test_enumerations_in_metadata_and_a_scan_id_that_is_no_integer(tmp_path):
    start = {"gain": Gain.LOW, "color": Color.RED, "colors": [Color.RED], "scan_id": 1.5}
    (path,) = replay("nexus", run_of({"x": [1.0]}, start=start), tmp_path).files
    with h5py.File(path) as file:
        group = file["entry/instrument/bluesky/metadata"]
        assert group["gain"][()] == 3
        assert group["color"].asstr()[()] == "red"
        assert yaml.safe_load(group["colors"].asstr()[()]) == ["red"]


@pytest.mark.parametrize("text", ["plain", "\\ud800"])
def test_a_set_is_written_alike_by_every_process(text):
    value = {chr(97 + n) * 3 for n in range(20)} | {ast.literal_eval(f"'{text}'")}
    assert yaml.safe_load(to_yaml({"set": value})) == {"set": value}
    code = (
        "from bluesky_export.formats._nxentry import to_yaml\n"
        f"print(ascii(to_yaml({{'set': {{chr(97 + n) * 3 for n in range(20)}} | {{'{text}'}}}})))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
