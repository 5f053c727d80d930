"""JSON and JSON Lines: strictly valid, complete, and what databroker reads."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluesky_export.documents import jsontext
from bluesky_export.formats.jsonl import JSONLWriter
from bluesky_export.outputs import Output, Target
from bluesky_export.testing.kit import joined

from ..corpus import simulated_runs
from ..replaying import replay, run_of


def strict(path):
    return json.loads(path.read_bytes().decode("utf-8"), parse_constant=pytest.fail)


def test_the_object(tmp_path):
    start = {"motors": ["m1"], "hints": {"dimensions": [[["m1"], "primary"]]}, "remarks": None}
    documents = run_of(
        {"det": [3.0, math.nan], "m1": [-1.0, math.inf], "t": ["a", "b\n"], "a": [[1, 2], [3]]},
        start=start,
        keys={"m1": {"units": "mm"}},
    )
    (path,) = replay("json", documents, tmp_path).files
    whole = strict(path)
    assert whole["start"]["remarks"] is None
    stream = whole["streams"]["primary"]
    assert list(stream["data"]) == ["m1", "det", "t", "a"]
    assert stream["data"]["m1"] == [-1.0, "Infinity"]
    assert stream["data"]["det"] == [3.0, "NaN"]
    assert [float(v) for v in stream["data"]["m1"]] == [-1.0, math.inf]
    assert stream["data"]["a"] == [[1, 2], [3]]
    assert stream["fields"]["m1"]["units"] == "mm"
    assert stream["time"] == [1700000001.125, 1700000002.125]
    assert stream["timestamps"]["m1"] == [1700000001.0, 1700000002.0]
    assert whole["status"] == "success"


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_the_size_of_pages_does_not_matter(tmp_path, size):
    documents = simulated_runs()["sim-baseline"]
    (path,) = replay("json", documents, tmp_path, page_size=size).files
    whole = strict(path)
    events = [doc for name, doc in documents if name == "event"]
    descriptors = {doc["uid"]: doc["name"] for name, doc in documents if name == "descriptor"}
    for stream, found in whole["streams"].items():
        mine = [event for event in events if descriptors[event["descriptor"]] == stream]
        for field, column in found["data"].items():
            assert column == [event["data"][field] for event in mine]


texts = st.text(st.characters(codec=None)).map(joined)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_any_metadata_gives_strictly_valid_json(tmp_path_factory, value):
    documents = run_of({"x": [1.0]}, start={"odd": value})
    (path,) = replay("json", documents, tmp_path_factory.mktemp("json")).files
    found = strict(path)["start"]["odd"]
    if not isinstance(value, (float, list, dict)):
        assert found == value


cells = values | st.complex_numbers() | st.floats() | st.integers(-(2**70), 2**70)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats() | st.integers(), max_size=4) | st.lists(cells, max_size=4), st.sampled_from([1, 9])
)
def test_any_column_follows_the_rules_value_by_value(tmp_path_factory, column, size):
    documents = run_of({"x": column})
    (path,) = replay("json", documents, tmp_path_factory.mktemp("json"), page_size=size).files
    found = strict(path)["streams"]["primary"]["data"]["x"]
    expected = [jsontext.encode(value, numbers="named") for value in column]
    assert json.dumps(found) == json.dumps(expected)  # 1 is not 1.0, -0.0 is not 0.0


@settings(max_examples=200, deadline=None)
@given(values, values)
def test_json_lines_are_lossless(tmp_path_factory, metadata, value):
    documents = run_of({"x": [value]}, start={"odd": metadata})
    (path,) = replay("jsonl", documents, tmp_path_factory.mktemp("jsonl")).files
    read = [json.loads(line) for line in path.read_bytes().decode("utf-8").split("\n")[:-1]]
    as_text = lambda pairs: json.dumps(pairs, sort_keys=True)  # noqa: E731 (NaN equals NaN as text)
    assert as_text(read) == as_text(documents)


def test_json_lines_of_numpy_values(tmp_path):
    documents = run_of(
        {"n": [np.int32(4)], "f": [np.float32(0.5)], "a": [np.arange(3)], "b": [np.bool_(True)]}
    )
    written = replay("jsonl", documents, tmp_path)
    lines = [json.loads(line) for line in written.files[0].read_text().splitlines()]
    assert lines[2][1]["data"] == {"n": 4, "f": 0.5, "a": [0, 1, 2], "b": True}
    assert any("float32" in notice for notice in written.notices)


def test_databroker_opens_json_lines_as_a_catalog(tmp_path):
    from databroker._drivers.jsonl import BlueskyJSONLCatalog

    for documents in simulated_runs().values():
        replay("jsonl", documents, tmp_path)
    catalog = BlueskyJSONLCatalog(f"{tmp_path}/*.jsonl")
    assert len(catalog) == len(simulated_runs())
    for documents in simulated_runs().values():
        run = catalog[documents[0][1]["uid"]]
        assert run.metadata["start"].to_dict() == json.loads(json.dumps(documents[0][1]))
        for stream in run:
            read = run[stream].read()
            uids = {d["uid"] for n, d in documents if n == "descriptor" and d["name"] == stream}
            events = [doc for name, doc in documents if name == "event" and doc["descriptor"] in uids]
            for field in events[0]["data"]:
                assert read[field].values.tolist() == [event["data"][field] for event in events]


@pytest.mark.parametrize("letters", ["\u00b5", "\u03bc" * 2, "\u2028" * 3, "\U0001f600" * 5])
def test_databroker_finds_the_last_line_among_letters_of_several_bytes(tmp_path, letters):
    from databroker._drivers.jsonl import BlueskyJSONLCatalog

    for more in range(5):  # databroker looks from some byte on: once it is within a letter
        documents = run_of({"x": [1.0], "text": [letters * 4000]})
        documents[-1][1]["reason"] = letters * 4000 + " " * more
        (path,) = replay("jsonl", documents, tmp_path).files
        assert path.read_bytes().isascii()
        run = BlueskyJSONLCatalog(str(path))[documents[0][1]["uid"]]
        path.unlink()
        assert run.metadata["stop"]["reason"] == letters * 4000 + " " * more
        assert run.primary.read()["text"].values.tolist() == [letters * 4000]


def test_an_unfinished_run_says_so(tmp_path):
    (path,) = replay("json", run_of({"x": [1.0]}, stop=False), tmp_path).files
    assert strict(path)["status"] == "unfinished"
    assert strict(path)["stop"] is None


def test_a_run_without_events_keeps_its_metadata(tmp_path):
    (path,) = replay("json", run_of({"x": []}), tmp_path).files
    assert strict(path)["streams"]["primary"]["events"] == 0
    assert strict(path)["streams"]["primary"]["data"] == {"x": []}


def test_times_that_are_nan_or_numpy_numbers(tmp_path):
    documents = run_of({"x": [1.0, 2.0]})
    documents[2][1]["time"] = math.nan
    documents[3][1].update(time=np.float64(5), seq_num=np.int64(2))
    (path,) = replay("json", documents, tmp_path).files
    stream = json.loads(path.read_text(), parse_constant=pytest.fail)["streams"]["primary"]
    assert (stream["time"], stream["seq_num"]) == (["NaN", 5.0], [1, 2])


def test_a_field_that_no_descriptor_has_and_metadata_that_read_like_ours(tmp_path):
    documents = run_of({"x": [1.0, 2.0]}, start={"odd": {"$date": {"x": 1}}})
    documents[3][1]["data"]["extra"] = 5.0
    (path,) = replay("json", documents, tmp_path).files
    found = jsontext.loads(path.read_text())
    assert found["start"]["odd"] == {"$date": {"x": 1}}
    assert found["streams"]["primary"]["data"]["extra"] == [None, 5.0]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a file that is always full")
def test_a_full_disk_leaves_nothing(tmp_path):
    start = run_of({})[0][1]
    writer = JSONLWriter(Output(Target.parse(f"{tmp_path}/"), start, ".jsonl"))
    writer("start", start)
    writer._file.close()
    writer._file = open("/dev/full", "wb")  # noqa: SIM115 - the writer closes it
    writer("stop", {"uid": "s", "run_start": start["uid"], "time": 0.0, "exit_status": "success"})
    with pytest.raises(OSError, match="No space left"):
        writer.close()
    writer.abort()
    assert list(tmp_path.iterdir()) == []
