"""databroker's catalogs, of every kind, give the runs that were put in."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bluesky_export.catalogs import Catalog, Query, open_catalog, wrap_catalog, wrap_run, wrap_runs
from bluesky_export.catalogs._where import alternatives, matches
from bluesky_export.documents.pages import page_to_events
from bluesky_export.errors import CatalogUnavailable, NoCatalog, NotFaithful, RunUnreadable, UsageError
from tests.corpus import Pairs, all_runs
from tests.fixtures_databroker import FACTORIES, REFUSED, files_of, mongo_catalog, mongo_server, quiet


def listed(value: Any, kind: str = "msgpack") -> Any:
    """Return a document as a store keeps it: tuples as lists; JSON and BSON know no numpy.

    msgpack takes numpy.float64 for the Python float that it is a subclass of.
    """
    if isinstance(value, dict):
        return {key: listed(item, kind) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [listed(item, kind) for item in value]
    if isinstance(value, np.float64):
        return float(value)
    if isinstance(value, (np.generic, np.ndarray)) and kind in ("jsonl", "mongo"):
        return value.tolist()
    return value


def same(one: Any, two: Any) -> bool:
    """Compare values and their types, NaN equal to NaN."""
    if isinstance(two, np.ndarray) or isinstance(one, np.ndarray):
        return (
            type(one) is type(two) and one.dtype == two.dtype and np.array_equal(one, two, equal_nan=True)
        )
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two or (one != one and two != two))


def events_by_stream(documents: Any, kind: str = "msgpack") -> dict[str, list[Any]]:
    """Return the events of each descriptor, in order."""
    out: dict[str, list[Any]] = {}
    for name, doc in documents:
        if name == "event":
            out.setdefault(doc["descriptor"], []).append(listed(doc, kind))
        elif name == "event_page":
            out.setdefault(doc["descriptor"], []).extend(page_to_events(doc))
    return out


def make_run(
    at: float = 1_700_000_000.0, uid: str | None = None, rows: int = 3, stop: bool = True, **metadata: Any
) -> Pairs:
    """Return the documents of a small run."""
    uid, descriptor = uid or str(uuid.uuid4()), str(uuid.uuid4())
    pairs: Pairs = [("start", {"uid": uid, "time": at, **metadata})]
    pairs.append(
        (
            "descriptor",
            {
                "uid": descriptor,
                "run_start": uid,
                "time": at + 0.1,
                "name": "primary",
                "data_keys": {
                    "x": {"source": "sim", "dtype": "number", "shape": []},
                    "n": {"source": "sim", "dtype": "integer", "shape": []},
                },
                "configuration": {},
                "hints": {},
                "object_keys": {},
            },
        )
    )
    for row in range(1, rows + 1):
        data = {"x": row / 3, "n": 2**40 + row}
        event = {"uid": str(uuid.uuid4()), "descriptor": descriptor, "time": at + row, "seq_num": row}
        pairs.append(
            ("event", {**event, "data": data, "timestamps": dict.fromkeys(data, at), "filled": {}})
        )
    if stop:
        counts = {"primary": rows}
        pairs.append(
            (
                "stop",
                {
                    "uid": str(uuid.uuid4()),
                    "run_start": uid,
                    "time": at + 99,
                    "exit_status": "success",
                    "reason": "",
                    "num_events": counts,
                },
            )
        )
    return pairs


@pytest.fixture(params=sorted(FACTORIES))
def store(request):
    return request.param


# ------------------------------------------------------------------- the corpus, in each catalog


def expected(catalog: Catalog) -> list[Pairs]:
    refused = REFUSED[catalog.kind]
    return [run for run in all_runs().values() if run[0][1]["uid"] not in refused]


def test_no_store_refuses_a_run_of_the_corpus(databroker_catalog):
    assert REFUSED[databroker_catalog.kind] == {}


def test_len(databroker_catalog):
    assert len(databroker_catalog) == len(expected(databroker_catalog))


def test_documents_are_equal(databroker_catalog):
    kind = databroker_catalog.kind
    for pairs in expected(databroker_catalog):
        start = pairs[0][1]
        (run,) = databroker_catalog.by_uid(start["uid"])
        read = list(run.documents(page_size=7))
        assert read[0][0] == "start"
        assert same(read[0][1], listed(start, kind))
        assert same(run.start, listed(start, kind))
        stops = [doc for name, doc in pairs if name == "stop"]
        assert [name for name, _ in read].count("stop") == len(stops)
        if stops:
            assert read[-1][0] == "stop"
            assert same(read[-1][1], listed(stops[0], kind))
            assert same(run.stop, listed(stops[0], kind))
        else:
            assert run.stop is None
            assert run.status == "unfinished"
        descriptors = {doc["uid"]: listed(doc, kind) for name, doc in pairs if name == "descriptor"}
        assert same({doc["uid"]: doc for name, doc in read if name == "descriptor"}, descriptors)
        assert same({doc["uid"]: doc for doc in run.descriptors()}, descriptors)
        events = events_by_stream(pairs, kind)
        found = events_by_stream(read)
        for key in events:
            for event in events[key]:
                event.setdefault("filled", {})
            for one, two in zip(found[key], events[key], strict=True):
                assert same(one, two), (one, two)
        assert found.keys() == events.keys()
        assert all(len(doc["seq_num"]) <= 7 for name, doc in read if name == "event_page")


def test_resources_and_datums_are_equal(databroker_catalog):
    seen = 0
    for pairs in expected(databroker_catalog):
        resources = [listed(doc) for name, doc in pairs if name == "resource"]
        datums = sorted(doc["datum_id"] for name, doc in pairs if name == "datum")
        seen += len(resources)
        (run,) = databroker_catalog.by_uid(pairs[0][1]["uid"])
        read = list(run.documents())
        got = [doc for name, doc in read if name == "resource"]
        if databroker_catalog.kind == "packed":  # databroker-pack puts a hash in place of the root
            got = [{**doc, "root": original["root"]} for doc, original in zip(got, resources, strict=True)]
        assert same(got, resources)
        assert sorted(i for name, doc in read if name == "datum_page" for i in doc["datum_id"]) == datums
    assert seen or not any(name == "resource" for run in all_runs().values() for name, _ in run)


def test_counts(databroker_catalog):
    for pairs in expected(databroker_catalog):
        (run,) = databroker_catalog.by_uid(pairs[0][1]["uid"])
        streams = {doc["uid"]: doc.get("name", "primary") for name, doc in pairs if name == "descriptor"}
        wanted = dict.fromkeys(streams.values(), 0)
        for name, doc in pairs:
            if name == "event":
                wanted[streams[doc["descriptor"]]] += 1
        counts = run.counts()
        assert {key: counts.get(key, 0) for key in wanted} == wanted


def test_newest(databroker_catalog):
    times = sorted((run[0][1]["time"] for run in expected(databroker_catalog)), reverse=True)
    assert [run.start["time"] for run in databroker_catalog.newest(20)] == times[:20]
    assert [run.start["time"] for run in databroker_catalog.newest(5, skip=3)] == times[3:8]
    assert databroker_catalog.newest(0) == []
    assert databroker_catalog.newest(5, skip=10_000) == []
    assert len(databroker_catalog.newest(10_000)) == len(times)


def test_by_scan_id_gives_all_duplicates_oldest_first(databroker_catalog):
    runs = sorted((run[0][1] for run in expected(databroker_catalog)), key=lambda start: start["time"])
    ids = [start["scan_id"] for start in runs if isinstance(start.get("scan_id"), int)]
    for scan_id in sorted(set(ids))[:20]:
        wanted = [start["uid"] for start in runs if start.get("scan_id") == scan_id]
        assert [run.uid for run in databroker_catalog.by_scan_id(scan_id)] == wanted
    low, high = sorted(set(ids))[1], sorted(set(ids))[4]
    wanted = [start["uid"] for start in runs if low <= start.get("scan_id", -1) <= high]
    assert [run.uid for run in databroker_catalog.by_scan_id(low, high)] == wanted
    assert databroker_catalog.by_scan_id(10**30) == []


def test_by_uid_prefix_is_literal(databroker_catalog):
    start = expected(databroker_catalog)[0][0][1]
    assert [run.uid for run in databroker_catalog.by_uid(start["uid"][:7])] == [start["uid"]]
    for pattern in (".......", "c6b.", "[0-9a-f]", "^", "(", start["uid"][:6] + ".", "*"):
        assert databroker_catalog.by_uid(pattern) == []
    assert len(databroker_catalog.by_uid("", limit=3)) == 3


def test_search_by_time(databroker_catalog):
    times = sorted(run[0][1]["time"] for run in expected(databroker_catalog))
    found = databroker_catalog.search(Query(since=times[1], until=times[5]))
    assert [run.start["time"] for run in found] == times[1:5]


def test_search_by_plan(databroker_catalog):
    wanted = {r[0][1]["uid"] for r in expected(databroker_catalog) if r[0][1].get("plan_name") == "count"}
    assert wanted
    assert {run.uid for run in databroker_catalog.search(Query(plan="count"))} == wanted
    assert databroker_catalog.search(Query(plan="no such plan")) == []


def test_search_by_nested_metadata(databroker_catalog):
    (run,) = databroker_catalog.search(Query(where={"sample.name": "Al"}))
    assert run.start["plan_name"] == "two_streams"
    assert databroker_catalog.search(Query(where={"sample.name": "A."})) == []


def test_search_without_conditions_gives_all_oldest_first(databroker_catalog):
    times = sorted(run[0][1]["time"] for run in expected(databroker_catalog))
    assert [run.start["time"] for run in databroker_catalog.search(Query())] == times


# ----------------------------------------------------------------------- made runs, in each store


@pytest.fixture(scope="module")
def odd_runs() -> list[Pairs]:
    """Runs with look-alike uids, scan_ids and metadata; none is longer than a few events."""
    uids = ["12345678-aaaa", "12345699-bbbb", "c6bx1-cccc", "c6b.1-dddd", "C6BX1-eeee", "no-scan-id"]
    extra: list[dict[str, Any]] = [
        {"scan_id": 5, "sample": "5", "good": True},
        {"scan_id": 5, "sample": 5, "good": False},
        {"scan_id": "5", "sample": 5.0, "good": 1},
        {"scan_id": 6, "sample": ["a", 5], "good": "True"},
        {"scan_id": 2**40, "sample": None},
        {},
    ]
    return [make_run(1e9 + n // 2, uid, **md) for n, (uid, md) in enumerate(zip(uids, extra, strict=True))]


@pytest.fixture(scope="module", params=sorted(FACTORIES))
def odd_catalog(request, odd_runs):
    with FACTORIES[request.param](odd_runs) as catalog:
        assert not REFUSED[request.param]
        yield catalog


def uids_of(runs: list[Any]) -> list[str]:
    return [run.uid for run in runs]


def test_odd_uids(odd_catalog):
    assert uids_of(odd_catalog.by_uid("12345678")) == ["12345678-aaaa"]
    assert sorted(uids_of(odd_catalog.by_uid("123456"))) == ["12345678-aaaa", "12345699-bbbb"]
    assert len(odd_catalog.by_uid("123456", limit=1)) == 1
    assert uids_of(odd_catalog.by_uid("c6b.")) == ["c6b.1-dddd"]
    assert uids_of(odd_catalog.by_uid("c6bx")) == ["c6bx1-cccc"]


def test_odd_scan_ids(odd_catalog):
    assert sorted(uids_of(odd_catalog.by_scan_id(5))) == ["12345678-aaaa", "12345699-bbbb"]
    assert uids_of(odd_catalog.by_scan_id(2**40)) == ["C6BX1-eeee"]
    (bare,) = odd_catalog.by_uid("no-scan-id")
    assert bare.scan_id is None


def test_text_of_the_command_line_matches_the_number_as_well(odd_catalog):
    def found(**where):
        return sorted(uids_of(odd_catalog.search(Query(where=where))))

    assert found(sample="5") == ["12345678-aaaa", "12345699-bbbb", "c6b.1-dddd", "c6bx1-cccc"]
    assert found(sample=5) == ["12345699-bbbb", "c6b.1-dddd", "c6bx1-cccc"]
    assert found(scan_id="5") == ["12345678-aaaa", "12345699-bbbb", "c6bx1-cccc"]
    assert found(sample="a") == ["c6b.1-dddd"]
    assert "12345699-bbbb" not in found(good="True")
    assert {"12345678-aaaa", "c6b.1-dddd"} <= set(found(good="True"))
    assert found(sample="5", good="no") == []


@pytest.mark.parametrize("key", ["$where", "", "a.$ne", "a..b", "."])
def test_a_key_that_is_none_is_refused(odd_catalog, key):
    with pytest.raises(UsageError, match="no key of a start document"):
        odd_catalog.search(Query(where={key: "1"}))


def test_int_stays_int_and_float_float(odd_catalog):
    (run,) = odd_catalog.by_uid("12345678")
    (page,) = [doc for name, doc in run.documents() if name == "event_page"]
    for event in page_to_events(page):
        assert type(event["data"]["n"]) is int
        assert type(event["data"]["x"]) is float
    json.dumps([run.start, run.stop])


def test_plain_documents_can_be_changed(odd_catalog):
    run = odd_catalog.newest(1)[0]
    start = copy.deepcopy(run.start)
    start["new"] = 1
    assert "new" not in odd_catalog.newest(1)[0].start


def test_alternatives():
    assert alternatives("554") == ["554", 554]
    assert alternatives("-1.5e3") == ["-1.5e3", -1500.0]
    assert alternatives("false") == ["false", False]
    for text in ("007", "1_000", "nan", "inf", "1e999", "", "e", ".", "٣", "0x10", " 5"):
        assert alternatives(text) == [text]
    assert alternatives(554) == [554]


def test_matching_copes_with_arrays_and_missing_keys():
    start = {"uid": "u", "time": 1.0, "a": np.array([1, 2]), "b": {"c": [{"d": 3}]}, "e.f": 4}
    assert matches(start, Query(where={"a": "2"}))
    assert matches(start, Query(where={"b.c.d": 3}))
    assert matches(start, Query(where={"b.c.0.d": 3}))
    assert matches(start, Query(where={"e.f": "4"}))
    assert not matches(start, Query(where={"a.b": 1}))
    assert not matches({"uid": "u"}, Query(since=0))


# ----------------------------------------------------------- unfinished runs, and while it grows


def test_a_run_without_stop(store):
    pairs = make_run(stop=False)
    with FACTORIES[store]([pairs]) as catalog:
        (run,) = catalog.newest(1)
        assert run.stop is None
        assert run.status == "unfinished"
        names = [name for name, _ in run.documents()]
        assert "stop" not in names
        assert run.counts() == {"primary": 3}


def test_a_run_is_appended_to_while_the_session_looks(tmp_path):
    with quiet():
        from databroker._drivers.msgpack import BlueskyMsgpackCatalog
        from suitcase.msgpack import Serializer

        native = BlueskyMsgpackCatalog(f"{tmp_path}/*.msgpack", name="live")
    catalog = wrap_catalog(native)
    assert catalog.newest(5) == []
    pairs = make_run(rows=4)
    held = None
    with Serializer(tmp_path, flush=True) as suitcase:
        for number, (name, doc) in enumerate(pairs):
            suitcase(name, doc)
            (run,) = catalog.newest(5)
            held = held or run
            assert (run.stop is not None) is (number == len(pairs) - 1)
            rows = sum(len(d["seq_num"]) for n, d in run.documents() if n == "event_page")
            assert rows == min(max(0, number - 1), 4)
    assert held.status == "success"  # an object held since the start knows by now
    (again,) = wrap_catalog(native).newest(1)
    assert again.stop == pairs[-1][1]


@pytest.mark.parametrize("kind", ["msgpack", "jsonl"])
def test_a_file_cut_anywhere_is_read_as_far_as_it_goes(tmp_path, kind):
    pairs = make_run(rows=3)
    with quiet(), FACTORIES[kind]([pairs]) as whole:
        (path,) = files_of(whole)
        content = Path(path).read_bytes()
        layout = whole._files[0][1]
        all_documents = list(layout.documents(path))
        assert len(all_documents) == len(pairs)
    (tmp_path / "runs").mkdir()
    file = tmp_path / "runs" / f"x.{kind}"
    complete = []
    for size in range(0, len(content), 13):
        file.write_bytes(content[:size])
        runs = open_catalog(str(tmp_path / "runs")).newest(5)
        if not runs:
            complete.append(0)
            continue
        documents = list(layout.documents(str(file)))
        complete.append(len(documents))
        assert documents == all_documents[: len(documents)]
        assert [name for name, _ in runs[0].documents()][-1] != "stop"
        assert runs[0].stop is None
    assert complete == sorted(complete)
    assert set(complete) == set(range(len(pairs)))


# ------------------------------------------------------------------------------------ what breaks


@pytest.mark.parametrize(("kind", "damage"), [("msgpack", b"\xc1\xc1\xc1"), ("jsonl", b"{nonsense}\n")])
def test_one_damaged_file_is_one_bad_run(tmp_path, kind, damage):
    good, bad, worse = make_run(1e9), make_run(1e9 + 1), make_run(1e9 + 2)
    with FACTORIES[kind]([good, bad, worse]) as catalog:
        paths = {Path(path).stem: Path(path) for path in files_of(catalog)}
        middle = paths[bad[0][1]["uid"]]
        content = middle.read_bytes()
        stop = content.rindex(b'["stop"' if kind == "jsonl" else b"\x92\xa4stop")
        middle.write_bytes(content[:stop] + damage + content[stop:])
        worst = paths[worse[0][1]["uid"]]
        worst.write_bytes(damage)
        runs = {run.uid: run for run in catalog.newest(10)}
        assert len(runs) == 3
        assert list(runs[good[0][1]["uid"]].documents())[-1][0] == "stop"
        with pytest.raises(RunUnreadable, match="other runs are not affected"):
            list(runs[bad[0][1]["uid"]].documents())
        unreadable = runs[worse[0][1]["uid"]]
        assert unreadable.status == "unreadable"
        assert str(worst) in unreadable.notes[0]
        for ask in (unreadable.descriptors, unreadable.documents, unreadable.counts):
            with pytest.raises(RunUnreadable, match=str(worst)):
                ask()
        assert uids_of(catalog.by_uid(worse[0][1]["uid"])) == [worse[0][1]["uid"]]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_forbidden_file_is_one_bad_run(tmp_path):
    with FACTORIES["msgpack"]([make_run(1e9), make_run(1e9 + 1)]) as catalog:
        Path(files_of(catalog)[0]).chmod(0)
        assert sorted(run.status for run in catalog.newest(5)) == ["success", "unreadable"]


def test_two_runs_in_one_file_are_not_mixed(tmp_path):
    lines = [json.dumps(pair) for pair in make_run() + make_run()]
    (tmp_path / "two.jsonl").write_text("\n".join(lines) + "\n")
    (run,) = open_catalog(str(tmp_path)).newest(5)
    with pytest.raises(NotFaithful, match="hold two"):
        list(run.documents())


def test_a_share_that_is_gone_is_not_an_empty_catalog(tmp_path):
    with FACTORIES["msgpack"]([make_run()]) as catalog:
        assert len(catalog) == 1
        folder = Path(files_of(catalog)[0]).parent
        away = folder.with_name(folder.name + "-away")
        folder.rename(away)
        try:
            with pytest.raises(CatalogUnavailable, match="not there any more"):
                catalog.newest(3)
        finally:
            away.rename(folder)
        assert len(catalog) == 1


def test_mongo_gone_is_said_in_one_line(odd_runs):
    with mongo_server() as server, mongo_catalog(server) as native:
        insert = native._get_serializer()
        for name, doc in odd_runs[0]:
            insert(name, doc)
        catalog = wrap_catalog(native)
        (run,) = catalog.newest(1)
        server.stop()
        for ask in (
            lambda: catalog.newest(3),
            lambda: len(catalog),
            lambda: catalog.by_uid("abc"),
            lambda: catalog.by_scan_id(3),
            lambda: catalog.search(Query(plan="scan")),
            lambda: list(run.documents()),
            run.descriptors,
        ):
            with pytest.raises(CatalogUnavailable) as caught:
                ask()
            assert f"127.0.0.1:{server.port}/runs" in str(caught.value)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 250


def test_mongo_password_is_not_told():
    with quiet():
        import pymongo
        from databroker._drivers.mongo_normalized import BlueskyMongoCatalog

        uri = "mongodb://me:s3cret@127.0.0.1:1/runs?serverSelectionTimeoutMS=100"
        with pymongo.MongoClient(uri) as client:
            catalog = wrap_catalog(BlueskyMongoCatalog(client.get_database(), client.get_database()))
            with pytest.raises(CatalogUnavailable) as caught:
                catalog.newest(1)
    assert "s3cret" not in str(caught.value) + catalog.name
    assert "127.0.0.1:1" in str(caught.value)


# --------------------------------------------------------------- what only one kind of store does


def test_mongo_keeps_the_order_of_storing(odd_runs):
    """A clock that was set back: by time the events would come in another order."""
    pairs = make_run(rows=5)
    for (name, doc), at in zip(pairs[2:7], [10.0, 11.0, 9.0, 8.0, 12.0], strict=True):
        assert name == "event"
        doc["time"] = at
    with FACTORIES["mongo"]([pairs]) as catalog:
        (run,) = catalog.newest(1)
        pages = [doc for name, doc in run.documents(2) if name == "event_page"]
        assert [n for page in pages for n in page["seq_num"]] == [1, 2, 3, 4, 5]
        assert [len(page["seq_num"]) for page in pages] == [2, 2, 1]


def test_mongo_finds_resources_that_do_not_name_their_run():
    """As stored by bluesky before resources had a run_start."""
    pairs = make_run(rows=3)
    pairs[1][1]["data_keys"]["image"] = {
        "source": "sim",
        "dtype": "array",
        "shape": [2],
        "external": "FILESTORE:",
    }
    resource = {
        "uid": "old",
        "spec": "NPY_SEQ",
        "root": "/r",
        "resource_path": "p",
        "resource_kwargs": {},
        "path_semantics": "posix",
    }
    datums = []
    for number in range(3):
        event = pairs[2 + number][1]
        event["data"]["image"] = f"old/{number}" if number else "lost/0"
        event["timestamps"]["image"] = 1.0
        event["filled"] = {"image": False}
        datums.append(
            ("datum", {"datum_id": f"old/{number}", "resource": "old", "datum_kwargs": {"index": number}})
        )
    with FACTORIES["mongo"]([[*pairs[:2], ("resource", resource), *datums, *pairs[2:]]]) as catalog:
        assert not REFUSED["mongo"]
        (run,) = catalog.newest(1)
        read = list(run.documents(page_size=2))
        assert [doc for name, doc in read if name == "resource"] == [resource]
        pages = [doc for name, doc in read if name == "datum_page"]
        assert [i for page in pages for i in page["datum_id"]] == ["old/0", "old/1", "old/2"]
        assert [name for name, _ in read].index("resource") < [name for name, _ in read].index("event_page")
        assert events_by_stream(read) == events_by_stream(pairs)


def test_mongo_costs_few_queries(odd_runs):
    import pymongo.monitoring

    commands: list[str] = []

    class Count(pymongo.monitoring.CommandListener):
        def started(self, event):
            commands.append(event.command_name)

        def succeeded(self, event): ...

        def failed(self, event): ...

    with mongo_server() as server, quiet():
        from databroker._drivers.mongo_normalized import BlueskyMongoCatalog

        with pymongo.MongoClient("127.0.0.1", server.port, event_listeners=[Count()]) as client:
            native = BlueskyMongoCatalog(client["runs"], client["runs"])
            insert = native._get_serializer()
            for number in range(30):
                for name, doc in make_run(1e9 + number, scan_id=number):
                    insert(name, doc)
            catalog = wrap_catalog(native)
            commands.clear()
            runs = catalog.newest(20)
            assert [run.scan_id for run in runs] == list(range(29, 9, -1))
            assert all(run.counts() == {"primary": 3} and run.status == "success" for run in runs)
            assert len([name for name in commands if name in ("find", "aggregate")]) == 2


def test_stream_resources_that_were_dropped_are_said(store):
    pairs = make_run()
    pairs[1][1]["data_keys"]["image"] = {
        "source": "sim",
        "dtype": "array",
        "shape": [1, 2, 2],
        "external": "STREAM:",
    }
    uid, descriptor = pairs[0][1]["uid"], pairs[1][1]["uid"]
    resource = {
        "uid": str(uuid.uuid4()),
        "run_start": uid,
        "data_key": "image",
        "mimetype": "application/x-hdf5",
        "uri": "file://localhost/nowhere.h5",
        "parameters": {},
    }
    pairs.insert(2, ("stream_resource", resource))
    if store in ("mongo", "packed"):
        pytest.importorskip("databroker")
    with FACTORIES[store]([pairs]) as catalog:
        if REFUSED[store]:
            assert "stream_resource" in next(iter(REFUSED[store].values()))
            return
        (run,) = catalog.newest(1)
        kept = any(name == "stream_resource" for name, _ in run.documents())
        assert bool(run.notes) is not kept
        assert kept or "image" in run.notes[0]
        assert descriptor


def test_transforms_of_the_catalog_apply(tmp_path):
    with quiet():
        from databroker._drivers.msgpack import BlueskyMsgpackCatalog
        from suitcase.msgpack import Serializer

        with Serializer(tmp_path) as suitcase:
            for name, doc in make_run(scan_id=3):
                suitcase(name, doc)
        native = BlueskyMsgpackCatalog(
            f"{tmp_path}/*.msgpack",
            name="patched",
            root_map={"/old": "/new"},
            transforms={
                "start": lambda doc: {**doc, "patched": True},
                "stop": lambda doc: {**doc, "reason": "p"},
            },
        )
    (run,) = wrap_catalog(native).by_scan_id(3)
    assert run.start["patched"] is True
    assert run.stop["reason"] == "p"
    assert run.root_map == {"/old": "/new"}
    documents = list(run.documents())
    assert documents[0][1]["patched"] is True
    assert documents[-1][1]["reason"] == "p"


def test_a_catalog_in_memory():
    with quiet():
        from databroker.in_memory import BlueskyInMemoryCatalog

        native = BlueskyInMemoryCatalog(name="memory")
        for number in range(3):
            pairs = make_run(1e9 + number, scan_id=number)
            native.upsert(pairs[0][1], None, lambda pairs=pairs: iter(pairs), (), {})
    catalog = wrap_catalog(native)
    assert [run.scan_id for run in catalog.newest(2)] == [2, 1]
    (run,) = catalog.by_scan_id(1)
    assert run.status == "success"
    assert run.counts() == {"primary": 3}
    assert [name for name, _ in run.documents()] == ["start", "descriptor", "event_page", "stop"]


def test_a_databroker_catalog_of_an_unknown_kind():
    """Another driver (mongo_embedded, an instrument's own): only what all of them have is used."""
    runs = [make_run(1e9 + number, scan_id=number, plan_name=f"plan{number % 2}") for number in range(4)]
    with quiet():
        from databroker.in_memory import BlueskyInMemoryCatalog
        from databroker.v2 import Broker

        class Other(Broker):
            name = "other"

            def __init__(self, inner, **kwargs):
                self.inner = inner
                super().__init__(**kwargs)

            def __iter__(self):
                return iter(self.inner)

            def __len__(self):
                return len(self.inner)

            def __getitem__(self, name):
                return self.inner[name]

            def search(self, query):
                import mongoquery

                return Other(in_memory(lambda start: mongoquery.Query(query).match(start)))

        def in_memory(accept):
            catalog = BlueskyInMemoryCatalog(name="inner")
            for pairs in runs:
                if accept(pairs[0][1]):
                    catalog.upsert(pairs[0][1], None, lambda pairs=pairs: iter(pairs), (), {})
            return catalog

        catalog = wrap_catalog(Other(in_memory(lambda start: True)))
        assert type(catalog).__name__ == "AnyBrokerCatalog"
        assert len(catalog) == 4
        assert [run.scan_id for run in catalog.newest(2)] == [3, 2]
        assert [run.scan_id for run in catalog.search(Query(plan="plan1", since=1e9 + 2))] == [3]
        (run,) = catalog.by_scan_id(1)
        assert same(run.stop, runs[1][-1][1])
        assert run.root_map == {}
        assert events_by_stream(run.documents()) == events_by_stream(runs[1])
        assert [name for name, _ in run.documents()] == ["start", "descriptor", "event_page", "stop"]


# -------------------------------------------------------------------- objects of the user's session


@pytest.mark.parametrize("kind", ["msgpack", "mongo"])
def test_session_objects(tmp_path, kind, odd_runs):
    runs = [make_run(1e9 + number, scan_id=number, plan_name="scan") for number in range(4)]
    with quiet(), mongo_server() as server, mongo_catalog(server) as in_mongo:
        from databroker._drivers.msgpack import BlueskyMsgpackCatalog
        from suitcase.msgpack import Serializer

        for pairs in runs:
            with Serializer(tmp_path) as suitcase:
                for name, doc in pairs:
                    suitcase(name, doc)
                    if kind == "mongo":
                        in_mongo._get_serializer()(name, doc)
        native = BlueskyMsgpackCatalog(f"{tmp_path}/*.msgpack") if kind == "msgpack" else in_mongo
        two = native[runs[2][0][1]["uid"]]
        header = native.v1[runs[1][0][1]["uid"]]
        for obj, number in ((two, 2), (header, 1)):
            run = wrap_run(obj)
            assert run.scan_id == number
            assert wrap_runs(obj)[0].uid == run.uid
            assert events_by_stream(run.documents()) == events_by_stream(runs[number])
            assert run.status == "success"
        assert [run.scan_id for run in wrap_runs([two, header])] == [2, 1]
        assert [run.scan_id for run in wrap_runs(run for run in wrap_runs([two])) or []] == []
        found = native.search({"scan_id": {"$gte": 2}})
        assert [run.scan_id for run in wrap_runs(found)] == [2, 3]
        assert len(wrap_catalog(found)) == 2
        assert [run.scan_id for run in wrap_catalog(found).newest(1)] == [3]
        assert wrap_catalog(found).by_scan_id(1) == []
        assert [run.scan_id for run in wrap_runs(native.v1(scan_id=3))] == [3]
        assert [run.scan_id for run in wrap_runs(native.v1(data_key="x", scan_id=3))] == [3]
        assert wrap_runs(native.v1(data_key="nothing")) in (None, [])
        if kind == "mongo":
            assert len(wrap_runs(native.search({}, limit=3))) == 3
        assert wrap_catalog(native.v1).name == wrap_catalog(native).name


def test_what_is_no_catalog_and_no_run():
    for obj in (None, 1, "c6b461f", ["c6b461f"], [], {}, object(), open_catalog, np.zeros(3), {"uid": "x"}):
        assert wrap_catalog(obj) is None
        assert wrap_run(obj) is None
        assert wrap_runs(obj) is None


def test_our_own_objects_pass():
    with FACTORIES["msgpack"]([make_run()]) as catalog:
        assert wrap_catalog(catalog) is catalog
        (run,) = catalog.newest(1)
        assert wrap_run(run) is run
        assert wrap_runs([run]) == [run]


# ------------------------------------------------------------------------------------- by its name


def test_open_catalog_by_name(tmp_path, monkeypatch):
    with FACTORIES["msgpack"]([make_run(scan_id=11)]) as source:
        folder = Path(files_of(source)[0]).parent
        (tmp_path / "mine.yml").write_text(
            "sources:\n  my_beamline:\n    driver: bluesky-msgpack-catalog\n"
            f"    args: {{paths: ['{folder}/*.msgpack']}}\n"
        )
        code = (
            "import warnings; warnings.simplefilter('ignore')\n"
            "from bluesky_export.catalogs import open_catalog\n"
            "from bluesky_export.errors import NoCatalog\n"
            "catalog = open_catalog('my_beamline')\n"
            "print(catalog.name, [run.scan_id for run in catalog.newest(3)])\n"
            "try: open_catalog('nonsense')\n"
            "except NoCatalog as error: print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "INTAKE_PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "my_beamline [11]"
    assert "'nonsense'" in second
    assert "my_beamline" in second


def test_a_folder_that_is_not_there():
    with pytest.raises(NoCatalog, match="no folder"):
        open_catalog("/no/such/folder")


def test_a_tiled_server_that_is_not_there():
    with quiet(), pytest.raises(CatalogUnavailable, match=r"http://127\.0\.0\.1:9/api"):
        open_catalog("http://127.0.0.1:9/api")


def test_importing_and_looking_at_objects_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from bluesky_export.catalogs import wrap_catalog, wrap_run, wrap_runs\n"
        "assert wrap_catalog(object()) is None and wrap_runs([1]) is None\n"
        "heavy = {'databroker', 'tiled', 'pandas', 'numpy', 'h5py', 'msgpack', 'intake'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------------------------------- its cost


def test_listing_costs_little(tmp_path):
    """20 of 300 runs: each further look reads no file that it has read before."""
    with FACTORIES["msgpack"]([make_run(1e9 + number) for number in range(300)]) as catalog:
        catalog.newest(20)
        begun = time.perf_counter()
        assert len([run.stop for run in catalog.newest(20)]) == 20
        assert time.perf_counter() - begun < 0.5
