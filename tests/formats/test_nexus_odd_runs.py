"""NeXus: runs without events, without an end, with several descriptors of a stream."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import silx.io.nxdata
from nexusformat.nexus import nxload

from bluesky_export.documents import jsontext
from bluesky_export.errors import NoData
from bluesky_export.formats.nexus import NeXusWriter
from bluesky_export.outputs import Output, Target
from bluesky_export.testing import RUNS, RunMaker
from bluesky_export.testing._kinds import key

from ..replaying import replay
from .nexus_files import (
    BLUESKY,
    STREAMS,
    make_run,
    make_stop,
    original_name,
    plot_of,
    second_descriptor,
    write,
)


def test_stream_without_events(tmp_path):
    run = make_run({"x": [], "n": [], "t": []}, keys={"n": {"dtype": "integer"}, "t": {"dtype": "string"}})
    written = write(run, tmp_path)
    assert "stream primary has no events" in written.notices
    with h5py.File(written.files[0]) as file:
        group = file[f"{STREAMS}/primary"]
        assert {key: group[key]["value"].shape for key in "xnt"} == {"x": (0,), "n": (0,), "t": (0,)}
        assert group["n/value"].dtype == np.int64
        assert group["x/value"].attrs["units"] == "mm"
        assert silx.io.nxdata.get_default(file) is None
    nxload(written.files[0])


def test_limits_beyond_64_bits(tmp_path):
    limits = {"lower_ctrl_limit": -(2**70), "upper_ctrl_limit": 2**64 - 1, "precision": np.float32(3)}
    (path,) = write(make_run({"x": [1.0]}, keys={"x": limits}), tmp_path).files
    with h5py.File(path) as file:
        attributes = file[f"{STREAMS}/primary/x/value"].attrs
        assert attributes["lower_ctrl_limit_json"] == str(-(2**70))
        assert attributes["upper_ctrl_limit"] == 2**64 - 1
        assert attributes["precision"] == 3


def test_no_streams_at_all(tmp_path):
    begin = make_run({"x": [1.0]})[0]
    (path,) = write(
        [begin, ("stop", make_stop(begin[1], exit_status="abort", reason="user"))], tmp_path
    ).files
    with h5py.File(path) as file:
        assert file[f"{BLUESKY}/exit_status"].asstr()[()] == "abort"
        assert file[f"{BLUESKY}/reason"].asstr()[()] == "user"
        assert list(file[STREAMS]) == []
        assert silx.io.nxdata.get_default(file) is None
    nxload(path)


def test_only_a_baseline_has_no_default_plot(tmp_path):
    run = make_run({"x": [1.5, 2.5]}, stream="baseline")
    (path,) = write(run, tmp_path).files
    with h5py.File(path) as file:
        assert file[f"{STREAMS}/baseline/x/value_start"][()] == 1.5
        assert file[f"{STREAMS}/baseline/x/value_end"][()] == 2.5
        assert "default" not in file["entry"].attrs
        assert silx.io.nxdata.get_default(file) is None


def test_unfinished_run_has_no_end(tmp_path):
    written = write(make_run({"x": [1.0, 2.0]}, stop=False), tmp_path)
    assert written.status == "unfinished"
    with h5py.File(written.files[0]) as file:
        assert file[f"{BLUESKY}/exit_status"].asstr()[()] == "unfinished"
        assert not {"end_time", "duration"} & set(file["entry"])
        assert "stop" not in file[f"{BLUESKY}/documents"]
        assert file[f"{STREAMS}/primary/x/value"][()].tolist() == [1, 2]


def test_no_start_document(tmp_path):
    output = Output(Target(folder=tmp_path), {"uid": "u", "time": 0.0}, ".hdf")
    with pytest.raises(NoData):
        NeXusWriter(output).close()
    assert list(tmp_path.iterdir()) == []


def two_descriptors(interleaved=False, **changes):
    run = make_run({"x": [1.0, 2.0, 3.0, 4.0], "y": [1, 2, 3, 4]}, keys={"y": {"dtype": "integer"}})
    again = second_descriptor(run[1][1], **changes)
    for place, (_, event) in enumerate(run[2:6]):
        if place % 2 if interleaved else place >= 2:
            event["descriptor"] = again["uid"]
    return [*run[:2], ("descriptor", again), *run[2:]], again


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("pages", [None, 1, 1000])
def test_two_descriptors_of_a_stream_are_joined_in_order(interleaved, pages, tmp_path):
    run, again = two_descriptors(interleaved)
    (path,) = write(run, tmp_path, pages=pages).files
    with h5py.File(path) as file:
        group = file[f"{STREAMS}/primary"]
        assert sorted(group) == ["x", "y"]
        assert group["x/value"][()].tolist() == [1, 2, 3, 4]
        assert group["y/value"][()].tolist() == [1, 2, 3, 4]
        assert group.attrs["descriptors"].tolist() == [run[1][1]["uid"], again["uid"]]
        events = file[f"{BLUESKY}/events/primary"]
        assert events["descriptor"][()].tolist() == ([0, 1, 0, 1] if interleaved else [0, 0, 1, 1])
        assert events["descriptors"].asstr()[()].tolist() == [run[1][1]["uid"], again["uid"]]
        recorded = jsontext.loads(file[f"{BLUESKY}/documents/descriptors/data"].asstr()[()])
        assert [doc["configuration"] for doc in recorded] == [{}, again["configuration"]]


def test_fields_that_changed_their_meaning_are_not_joined(tmp_path):
    run, _ = two_descriptors(x={"units": "inch"}, y={"precision": 5})
    (path,) = write(run, tmp_path).files
    with h5py.File(path) as file:
        group = file[f"{STREAMS}/primary"]
        assert [original_name(group[n], n) for n in group] == ["x", "y", "x"]
        first, second = (group[n] for n in group if original_name(group[n], n) == "x")
        assert (first["value"].attrs["units"], second["value"].attrs["units"]) == ("mm", "inch")
        assert (first["value"][()].tolist(), second["value"][()].tolist()) == ([1, 2], [3, 4])
        assert (first["seq_num"][()].tolist(), second["seq_num"][()].tolist()) == ([1, 2], [3, 4])
        assert group["y/value"][()].tolist() == [1, 2, 3, 4]
        assert silx.io.nxdata.get_default(file) is not None


def test_pieces_of_data_keys_that_are_none(tmp_path):
    run = make_run(
        {"x": [1.0], "y": [2.0]}, keys={"x": {"units": None, "precision": None, "lower_ctrl_limit": None}}
    )
    run[1][1]["data_keys"]["y"].update(precision=3, upper_ctrl_limit=1.5)
    (path,) = write(run, tmp_path).files
    with h5py.File(path) as file:
        x, y = (file[f"{STREAMS}/primary/{key}/value"].attrs for key in "xy")
        assert x["units"] == ""
        assert "precision" not in x
        assert "lower_ctrl_limit" not in x
        assert (y["precision"], y["upper_ctrl_limit"]) == (3, 1.5)


def test_fields_that_only_some_events_have(tmp_path):
    """A later descriptor brings a field, and a page one that no descriptor names."""
    run = make_run({"x": [1.0, 2.0, 3.0]})
    again = second_descriptor(run[1][1])
    again["data_keys"] = {
        **again["data_keys"],
        "new": {"source": "SIM:new", "dtype": "integer", "shape": []},
    }
    for _, event in run[3:5]:
        event["descriptor"] = again["uid"]
        event["data"]["new"] = event["seq_num"] * 10
        event["timestamps"]["new"] = event["time"]
    run[4][1]["data"]["ghost"] = "boo"
    written = write([*run[:2], ("descriptor", again), *run[2:]], tmp_path)
    assert any("primary.ghost: not in the descriptor" in notice for notice in written.notices)
    assert any("primary.ghost: 1 of 1 events have no timestamp" in notice for notice in written.notices)
    with h5py.File(written.files[0]) as file:
        group = file[f"{STREAMS}/primary"]
        assert group["x/value"][()].tolist() == [1, 2, 3]
        assert "seq_num" not in group["x"]
        assert (group["new/value"][()].tolist(), group["new/seq_num"][()].tolist()) == ([20, 30], [2, 3])
        assert (group["ghost/value"].asstr()[()].tolist(), group["ghost/seq_num"][()].tolist()) == (
            ["boo"],
            [3],
        )
        assert group["ghost/EPOCH"].attrs["nulls"] == "nulls/EPOCH"


def test_odd_hints_lose_nothing(tmp_path):
    run = make_run({"x": [1.0], "errors": ["a"]}, hints={"x": None, "y": "odd", "z": {"fields": None}})
    run[1][1]["object_keys"] = None
    run[0][1].update(detectors=["x", {"odd": 1}], hints={"dimensions": [None]})
    assert plot_of(run, tmp_path)[0] == "x"


def test_names_that_hdf5_cannot_hold_are_changed_and_said(tmp_path):
    run = RunMaker("names", tmp_path)
    run.start()
    run.table({"a/b": (key("number"), [0.5])})
    run.table({"x": (key("number"), [0.5])}, "side/view")
    run.stop()
    written = replay("nexus", run.made.documents, tmp_path)
    assert any("'a/b' is called 'a_b' in the file" in notice for notice in written.notices)
    assert any("stream 'side/view' is called 'side_view'" in notice for notice in written.notices)
    plain = replay("nexus", RUNS["plain"].documents(tmp_path), tmp_path)
    assert not any("is called" in notice for notice in plain.notices)
