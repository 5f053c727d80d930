"""Values, layouts and losses of runs in Tiled, on real servers over HTTP."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bluesky_export.catalogs import _tiled_arrays
from bluesky_export.catalogs._tiled_descriptors import descriptors_of
from bluesky_export.catalogs.tiled import TiledCatalog

from ..corpus import Pairs
from ..fixtures_tiled import TiledServer, as_stored, tiled_server
from .odd_runs import key, make_run, odd_runs, refused_runs
from .reading_back import comparable, singles
from .tiled_runs import columns, put

ODD = odd_runs()


@pytest.mark.parametrize("name", ODD)
def test_values_read_back(client: Any, name: str) -> None:
    run = put(client, ODD[name])
    for page_size in (2, 1000):
        assert singles(run.documents(page_size)) == singles(as_stored(ODD[name]))


def test_columns_are_arrays_with_the_dtype_declared_where_that_is_exact(client: Any) -> None:
    wanted = {
        "narrow": {"f4": "<f4", "not_f4": "<f8", "i2": "<i2", "u1": "|u1", "not_u1": "<i8"},
        "floats": {
            "x": "<f8",
            "nan": "<f8",
            "all_nan": "<f8",
            "missing": "<f8",
            "mixed": "<f8",
            "never": "|O",
        },
        "integers": {"n": "<i8", "missing": "|O", "as_number": "<i8"},
        "booleans": {"b": "|b1", "missing": "|O"},
        "large-arrays": {"a": "<f8", "n": "<i8", "u1": "|u1"},
        "text-arrays": {"t": "<U4"},
    }
    for name, dtypes in wanted.items():
        documents = [(kind, {**doc}) for kind, doc in ODD[name]]
        found = columns(put(client, _renewed(documents)))
        assert {field: column.dtype.str for field, column in found.items()} == dtypes
    found = columns(put(client, _renewed(ODD["small-arrays"])))
    assert found["a"].shape == (3, 6)
    assert found["empty"].shape == (3, 0)
    assert [row.shape for row in found["unequal"]] == [(1,), (3,), (2,)]
    assert columns(put(client, _renewed(ODD["matrices"])))["m"].shape == (3, 2, 3)


def _renewed(documents: Pairs) -> Pairs:
    """Return the same run under other uids."""
    text = json.dumps(documents)
    for uid in {doc["uid"] for name, doc in documents if name in ("start", "descriptor", "stop")}:
        text = text.replace(uid, str(uuid.uuid4()))
    return [(name, doc) for name, doc in json.loads(text)]


def test_integers_that_tiled_rounds_are_not_guessed(client: Any) -> None:
    values = [2**53 + 1, None, 7, -(2**60)]
    run = put(client, make_run({"n": (key("integer"), values), "x": (key("number"), [0.5] * 4)}))
    assert columns(run)["n"].tolist() == [None, None, 7, None]
    assert any("field n: 2 integers beyond 2**53" in note for note in run.notes)


@pytest.mark.parametrize("name", refused_runs())
def test_refused_runs_are_there_as_far_as_they_went(client: Any, server: TiledServer, name: str) -> None:
    documents = refused_runs()[name]
    before = dict(server.refused)
    server.fill([documents])
    new = {uid: why for uid, why in server.refused.items() if uid not in before}
    (run,) = TiledCatalog(client).by_uid(documents[0][1]["uid"])
    if name in ("blank", "unequal-long"):  # findings differ by version: these are stored
        assert not new
        assert singles(run.documents()) == singles(as_stored(documents))
        if name == "unequal-long":
            assert any("padded with NaNs" in note for note in run.notes)
        return
    assert list(new) == [documents[0][1]["uid"]]
    assert run.status == "unfinished"
    assert any("no stop document" in note for note in run.notes)
    names = [kind for kind, _ in run.documents()]
    assert names[0] == "start"
    assert "stop" not in names
    assert run.counts() == dict.fromkeys((doc["name"] for doc in run.descriptors()), 0)


def test_timestamps_in_the_place_of_values_are_not_taken_for_these(client: Any) -> None:
    run = put(client, make_run({"x": (key("number"), [1.0, 2.0]), "ts_x": (key("number"), [10.0, 20.0])}))
    assert columns(run).keys() == {"x"}
    assert any("field ts_x: its values were lost" in note for note in run.notes)
    (again,) = TiledCatalog(client).by_uid(run.uid)
    pages = [doc for name, doc in again.documents(timestamps=False) if name == "event_page"]
    assert [(list(page["data"]["x"]), page["timestamps"]) for page in pages] == [([1.0, 2.0], {})]
    assert pages[0]["data"].keys() == {"x"}
    assert any("field ts_x: its values were lost" in note for note in again.notes)
    documents = make_run({"ts_y": (key("number"), [10.0, 20.0])})  # alone, it is a field like any other
    assert singles(put(client, documents).documents()) == singles(as_stored(documents))


def test_two_descriptors(client: Any) -> None:
    from bluesky_tiled_plugins.exporters import build_descriptor_docs

    documents = make_run({"x": (key("number"), [1.0, 2.0, 3.0, 4.0])}, descriptors=(0, 1, 3))
    run = put(client, documents)
    found = singles(run.documents())
    assert found == singles(as_stored(documents))
    owners = [doc["descriptor"] for name, doc in documents if name == "event"]
    assert [doc["descriptor"] for name, doc in found if name == "event"] == owners
    gains = [doc["configuration"]["dev"]["data"]["dev_gain"] for doc in run.descriptors()]
    assert gains == [0, 1, 3]
    assert any("descriptors an event belongs to is told by its time" in note for note in run.notes)
    stream = client[run.uid]["primary"]
    theirs = build_descriptor_docs(dict(stream.metadata), "primary", run.uid)
    assert comparable(descriptors_of(stream.item, run.uid)) == comparable(theirs)


def test_a_later_descriptor_with_a_new_device(client: Any) -> None:
    documents = make_run({"x": (key("number"), [1.0, 2.0])}, descriptors=(0, 1))
    configured = {"data": {"b_k": 5}, "timestamps": {"b_k": 1.0}, "data_keys": {"b_k": key("integer")}}
    later = [doc for name, doc in documents if name == "descriptor"][1]
    later["configuration"] = {**later["configuration"], "b": configured}
    run = put(client, documents)
    first, second = run.descriptors()
    assert "b" not in first["configuration"]
    assert second["configuration"]["b"]["data"] == {"b_k": 5}
    assert comparable(singles(run.documents())) == comparable(singles(as_stored(documents)))


def test_wide_tables_are_read_whole(client: Any) -> None:
    fields = {f"f{n:04d}": (key("number"), [n + 0.5, n + 0.25]) for n in range(600)}
    documents = make_run(fields)
    run = put(client, documents)
    parts = set(client[run.uid]["primary"].base)
    assert parts == {"internal_0", "internal_1"}
    assert singles(run.documents()) == singles(as_stored(documents))
    assert run.counts() == {"primary": 2}


def test_short_and_long_runs(client: Any) -> None:
    documents = make_run({"x": (key("number"), [])})
    run = put(client, documents)
    assert [name for name, _ in run.documents()] == ["start", "descriptor", "stop"]
    assert run.counts() == {"primary": 0}
    only_start = make_run({"x": (key("number"), [1.0])}, stop=False)[:1]
    run = put(client, only_start)
    assert (run.stop, run.status, run.counts(), run.descriptors()) == (None, "unfinished", {}, [])
    assert [name for name, _ in run.documents()] == ["start"]
    rows = 3000
    rng = np.random.default_rng(2)
    documents = make_run({f"x{n}": (key("number"), rng.normal(size=rows).tolist()) for n in range(3)})
    del documents[-1][1]["num_events"]
    run = put(client, documents, batch_size=700)
    assert run.counts() == {"primary": rows}
    assert singles(run.documents(1024)) == singles(as_stored(documents))


def test_arrays_are_read_block_by_block(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(10 * 30.0).reshape(10, 30)
    ragged = [[float(n)] * (n + 1) for n in range(10)]
    fields = {
        "a": (key("array", [30]), values.tolist()),
        "r": (key("array", [None], dtype_numpy="<f8"), ragged),
    }
    documents = make_run(fields)
    run = put(client, documents, batch_size=4)
    for block in (1, 3 * 30 * 8, 2**20):
        monkeypatch.setattr(_tiled_arrays, "_BLOCK", block)
        for page_size in (1, 4, 1000):
            assert singles(run.documents(page_size)) == singles(as_stored(documents))


def test_text_that_may_have_been_cut_is_named(client: Any) -> None:
    texts = [["a", "b"], ["c", "d"], ["long text", "e"]]
    documents = make_run({"t": (key("array", [2], dtype_numpy="<U1"), texts)})
    run = put(client, documents)
    assert columns(run)["t"].tolist() == [["a", "b"], ["c", "d"], ["l", "e"]]  # so it is in Tiled
    assert singles(run.documents()) == singles(as_stored(documents))
    assert any("field t: Tiled keeps up to 1 characters" in note for note in run.notes)
    run = put(client, _renewed(ODD["text-arrays"]))
    list(run.documents())
    assert not any("characters" in note for note in run.notes)


def test_metadata_that_may_have_been_cut_is_named(client: Any) -> None:
    start = {"big": 2**60, "deep": {"list": [1, -(2**70)]}, "fine": 2**53 - 2}
    run = put(client, make_run({"x": (key("number"), [1.0])}, start=start))
    list(run.documents())
    (note,) = (note for note in run.notes if note.startswith("start:"))
    assert "big, deep.list[1]:" in note
    assert "fine" not in note


def test_events_that_are_missing_are_counted(client: Any) -> None:
    documents = make_run({"x": (key("number"), [1.0, 2.0])}, stop={"num_events": {"primary": 5, "side": 2}})
    run = put(client, documents)
    list(run.documents())
    assert "stream primary: the stop document counts 5 events, Tiled has 2" in run.notes
    assert "stream side: the stop document counts 2 events, Tiled has 0 that you may read" in run.notes


def test_the_layout_of_2025(client: Any) -> None:
    """Streams in a container of their own, as the first SQL-backed servers had them."""
    from tiled.structures.core import Spec

    documents = make_run({"x": (key("number"), [1.0, 2.0])})
    new = put(client, documents)
    old = _renewed(documents)
    (start, stop) = (doc for name, doc in old if name in ("start", "stop"))
    run = client.create_container(
        start["uid"], metadata={"start": start, "stop": stop}, specs=[Spec("BlueskyRun", "3.0")]
    )
    stream = client[new.uid]["primary"]
    descriptor = {
        **dict(stream.metadata),
        "uid": next(doc["uid"] for name, doc in old if name == "descriptor"),
    }
    streams = run.base.create_container("streams")
    specs = [Spec("BlueskyEventStream", version="3.0"), Spec("composite")]
    copied = streams.create_container("primary", metadata=descriptor, specs=specs).base
    table = stream.base["internal"].read()
    copied.write_table(table, key="internal")
    (found,) = TiledCatalog(client).by_uid(start["uid"])
    assert singles(found.documents()) == singles(as_stored(old))


@pytest.mark.sample(3)
def test_answers_larger_than_the_server_gives(tmp_path: Path) -> None:
    rows = 500
    rng = np.random.default_rng(3)
    fields = {f"x{n}": (key("number"), rng.normal(size=rows).tolist()) for n in range(6)}
    documents = make_run(fields)
    with tiled_server("bluesky", tmp_path, settings="response_bytesize_limit: 20000") as small:
        client = small.client()
        run = put(client, documents)
        with pytest.raises(httpx.HTTPError):
            client[run.uid]["primary"].base["internal"].read()
        assert singles(run.documents()) == singles(as_stored(documents))
