"""Tiled catalogs, on real servers over HTTP: one set up for Bluesky, one as it comes."""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from bluesky_export.catalogs._base import Query
from bluesky_export.catalogs._tiled_http import RefusedRequest, Server
from bluesky_export.catalogs.tiled import TiledCatalog

from ..corpus import all_runs
from ..fixtures_tiled import TiledServer, as_stored, store
from .odd_runs import key, make_run
from .reading_back import comparable, singles

RUNS = all_runs()


@contextlib.contextmanager
def requests_of(client: Any) -> Iterator[list[str]]:
    """Collect the requests that go through a client."""
    seen: list[str] = []
    hooks = client.context.http_client.event_hooks["request"]
    hook = lambda request: seen.append(f"{request.method} {request.url}")  # noqa: E731
    hooks.append(hook)
    client.context.http_client.event_hooks = {
        **client.context.http_client.event_hooks,
        "request": hooks,
    }
    try:
        yield seen
    finally:
        hooks.remove(hook)
        client.context.http_client.event_hooks = {
            **client.context.http_client.event_hooks,
            "request": hooks,
        }


def uids(runs: Any) -> list[str]:
    return [run.uid for run in runs]


def expected(choose: Any) -> list[str]:
    """Return the uids of the corpus' runs that fit, oldest first."""
    starts = [run[0][1] for run in RUNS.values() if choose(run[0][1])]
    return [start["uid"] for start in sorted(starts, key=lambda start: start["time"])]


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(RUNS))
def test_every_run_reads_back(tiled_filled: TiledServer, name: str) -> None:
    run = RUNS[name]
    uid = run[0][1]["uid"]
    assert uid not in tiled_filled.refused
    (found,) = tiled_filled.catalog().by_uid(uid)
    assert singles(found.documents(page_size=4)) == singles(as_stored(run))
    streams = {doc["uid"]: doc["name"] for name, doc in run if name == "descriptor"}
    counted = Counter(streams[doc["descriptor"]] for name, doc in run if name == "event")
    assert found.counts() == {name: counted[name] for name in streams.values()}


def test_documents_are_those_of_the_exporter(tiled_servers: dict[str, TiledServer]) -> None:
    server = tiled_servers["bluesky"]
    client = server.client()
    for name in {"sim-scan", "sim-baseline", "uid-3ab777ae", "btp-internal"} & set(RUNS):
        uid = RUNS[name][0][1]["uid"]
        theirs = singles((kind, dict(doc)) for kind, doc in client[uid].documents())
        (run,) = server.catalog().by_uid(uid)
        for ours in singles(run.documents()):
            if ours[0] == "event":  # theirs have no filled
                ours = (ours[0], {k: v for k, v in ours[1].items() if k != "filled"})
            assert ours in theirs
            theirs.remove(ours)
        assert not theirs


@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_pages(tiled_filled: TiledServer, page_size: int) -> None:
    documents = RUNS["sim-grid"]
    (run,) = tiled_filled.catalog().by_uid(documents[0][1]["uid"])
    names = [name for name, _ in run.documents(page_size)]
    sizes = [len(doc["seq_num"]) for name, doc in run.documents(page_size) if name == "event_page"]
    assert sizes == [page_size] * (12 // page_size) + ([12 % page_size] if 12 % page_size else [])
    assert names == ["start", "descriptor", *["event_page"] * len(sizes), "stop"]
    for name, page in run.documents(page_size):
        if name == "event_page":
            assert all(len(column) == len(page["seq_num"]) for column in page["data"].values())


def test_reading_costs_few_requests(tiled_filled: TiledServer) -> None:
    client = tiled_filled.client()
    (run,) = TiledCatalog(client).by_uid(RUNS["sim-grid"][0][1]["uid"])
    with requests_of(client) as seen:
        list(run.documents(1))
    assert len(seen) == 2, seen  # streams and what is in them, a table
    with requests_of(client) as seen:
        run.descriptors()
        run.counts()
    assert not seen


@pytest.mark.parametrize(
    "fault", ["none", "no link", "refused", "a part is missing", "a stream is missing", "no structures"]
)
def test_where_both_levels_of_a_run_do_not_come_at_once(
    tiled_filled: TiledServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Each stream is asked for its parts: nothing is left out for a server that cannot search in depth."""
    documents = RUNS["sim-baseline"]
    (run,) = tiled_filled.catalog().by_uid(documents[0][1]["uid"])
    real, asked = Server.json, []

    def answer(self: Server, url: str, params: Any = None) -> Any:
        asked.append(url)
        if "/search-deep/" not in url:
            return real(self, url, params)
        if fault == "refused":
            raise RefusedRequest("the tree is mounted", 400)
        found = real(self, url, params)
        if fault.endswith("missing"):
            family = "table" if fault == "a part is missing" else "container"
            gone = next(n for n in found["data"] if n["attributes"]["structure_family"] == family)
            found["data"].remove(gone)
        if fault == "no structures":
            for node in found["data"]:
                node["attributes"]["structure"] = None
        return found

    if fault == "no link":
        del run._node["links"]["search_deep"]
    monkeypatch.setattr(Server, "json", answer)
    assert singles(run.documents()) == singles(as_stored(documents))
    deep = ["/search-deep/" in url for url in asked]
    assert any(deep) is (fault != "no link")
    assert all(deep) is (fault == "none")


def test_the_servers_are_what_they_are_called(tiled_servers: dict[str, TiledServer]) -> None:
    """What the two kinds differ in, and what the catalog has to cope with."""
    from bluesky_tiled_plugins.queries import ScanID
    from tiled.client.utils import ClientError

    bluesky, stock = (tiled_servers[kind].client() for kind in ("bluesky", "stock"))
    assert type(bluesky).__name__ == "CatalogOfBlueskyRuns"
    assert type(stock).__name__ == "Container"
    uid = RUNS["sim-count"][0][1]["uid"]
    assert next(iter(bluesky[uid].documents()))[0] == "start"
    with pytest.raises(ClientError, match="406"):
        list(stock[uid].documents())
    assert len(stock.search(ScanID(1))) == len(RUNS) > len(bluesky.search(ScanID(1)))


# -- finding -----------------------------------------------------------------------------------


def test_newest(tiled_filled: TiledServer) -> None:
    client = tiled_filled.client()
    catalog = TiledCatalog(client)
    everything = expected(lambda start: True)
    with requests_of(client) as seen:
        found = catalog.newest(20)
    assert len(seen) == 1
    assert "/search/" in seen[0]
    assert [run.start["time"] for run in found] == sorted(
        (run.start["time"] for run in found), reverse=True
    )
    assert len(catalog) == len(everything)
    assert uids(catalog.newest(1000)) == everything[::-1]
    assert uids(catalog.newest(1000, skip=60)) == everything[::-1][60:]
    assert catalog.newest(0) == []
    assert catalog.newest(3, skip=1000) == []
    with requests_of(client) as seen:
        assert all(run.stop is None or run.status for run in found)
    assert not seen  # start and stop came with the list


def test_newest_pages_go_on_where_the_last_one_ended(tiled_filled: TiledServer) -> None:
    catalog = tiled_filled.catalog()
    assert uids(catalog.newest(4)) + uids(catalog.newest(4, skip=4)) == uids(catalog.newest(8))


def test_scan_ids(tiled_filled: TiledServer) -> None:
    client = tiled_filled.client()
    catalog = TiledCatalog(client)
    with requests_of(client) as seen:
        assert uids(catalog.by_scan_id(1)) == expected(lambda start: start.get("scan_id") == 1)
    assert len(seen) == 1
    assert len(catalog.by_scan_id(1)) > 1
    with requests_of(client) as seen:
        found = uids(catalog.by_scan_id(2, 5))
    assert found == expected(lambda start: 2 <= (start.get("scan_id") or 0) <= 5)
    assert len(seen) == 1
    assert catalog.by_scan_id(123_456_789) == []
    assert catalog.by_scan_id(-5, -1) == []


def test_uids(tiled_filled: TiledServer) -> None:
    client = tiled_filled.client()
    catalog = TiledCatalog(client)
    for run in RUNS.values():
        uid = run[0][1]["uid"]
        same = expected(lambda start, uid=uid: start["uid"].startswith(uid[:5]))
        assert uids(catalog.by_uid(uid[:5])) == same
    with requests_of(client) as seen:
        assert uids(catalog.by_uid(uid)) == [uid]
    assert len(seen) == 1
    assert "/metadata/" in seen[0]
    assert catalog.by_uid(str(uuid.uuid4())) == []
    assert catalog.by_uid("no-such") == []
    assert catalog.by_uid(uid[:5].upper() + "X") == []
    assert catalog.by_uid("%") == catalog.by_uid("_" * 5) == catalog.by_uid("%" * 36) == []
    assert len(catalog.by_uid("", limit=3)) == 3
    letter = uid[0]
    assert set(uids(catalog.by_uid(letter, limit=1000))) == set(expected(lambda s: s["uid"][0] == letter))


def test_searches(tiled_filled: TiledServer) -> None:
    catalog = tiled_filled.catalog()
    times = sorted(run[0][1]["time"] for run in RUNS.values())
    since, until = times[len(times) // 5], times[-len(times) // 5]
    two_streams = lambda start: start.get("plan_name") == "two_streams"  # noqa: E731
    for query, choose in (
        (Query(since=since), lambda start: start["time"] >= since),
        (Query(until=until), lambda start: start["time"] < until),
        (Query(since=since, until=until), lambda start: since <= start["time"] < until),
        (Query(plan="scan"), lambda start: start.get("plan_name") == "scan"),
        (Query(plan="sca"), lambda start: False),
        (Query(where={"scan_id": "1"}), lambda start: start.get("scan_id") == 1),
        (Query(where={"scan_id": 1}), lambda start: start.get("scan_id") == 1),
        (Query(where={"sample.name": "Al"}), two_streams),
        (Query(plan="two_streams", where={"sample.name": "Al"}), two_streams),
        (Query(plan="count", where={"plan_name": "scan"}), lambda start: False),
        (Query(where={"detectors": "det2"}), lambda start: "det2" in start.get("detectors", ())),
        (Query(where={"nothing.like.this": "5"}), lambda start: False),
    ):  # fmt: skip
        assert uids(catalog.search(query)) == expected(choose), query
    assert uids(catalog.search(Query())) == expected(lambda start: True)
    assert len(uids(catalog.search(Query(plan="scan")))) > 1
    assert uids(catalog.search(Query(where={"detectors": "det2"})))


@pytest.mark.sample(2)
def test_hostile_texts_find_what_they_say(tiled_scratch: dict[str, TiledServer]) -> None:
    values = [
        'a"b',
        "a%b",
        "a_b",
        "axb",
        "a\\b",
        "ä b",
        "5",
        "5.0",
        "true",
        "a'; DROP TABLE nodes; --",
        "",
        "a.b",
    ]
    for server in tiled_scratch.values():
        client = server.client()
        for value in values:
            run = make_run({"x": (key("number"), [1.0])}, start={"label": value, "hostile": True})
            assert store(client, run) is None
        for number in (5, 5.0, True):
            run = make_run({"x": (key("number"), [1.0])}, start={"label": number, "hostile": True})
            assert store(client, run) is None
        catalog = TiledCatalog(client)
        for value in values:
            found = [run.start["label"] for run in catalog.search(Query(where={"label": value}))]
            numbers: list[Any] = [5, 5.0] if value in ("5", "5.0") else []
            assert comparable(found) == comparable([value, *numbers, *([True] if value == "true" else [])])


def test_uids_are_taken_literally(tiled_scratch: dict[str, TiledServer]) -> None:
    for server in tiled_scratch.values():
        client = server.client()
        # no uid of another test begins so
        mine = ["xyz_ef-1", "xyzdef-1", "XYZDEF-1"]
        for uid in mine:
            run = make_run({"x": (key("number"), [1.0])}, start={"uid": uid})
            for name, doc in run:
                if name in ("descriptor", "stop"):
                    doc["run_start"] = uid
            assert store(client, run) is None
        catalog = TiledCatalog(client)
        for uid in mine:
            assert uids(catalog.by_uid(uid[:6])) == [uid]
            assert uids(catalog.by_uid(uid)) == [uid]
        assert sorted(uids(catalog.by_uid("xyz"))) == sorted(mine[:2])
        assert catalog.by_uid("xyz%") == catalog.by_uid("xyz%ef-1") == catalog.by_uid("xyz\\") == []


def test_scan_ids_that_are_no_numbers(tiled_scratch: dict[str, TiledServer]) -> None:
    for server in tiled_scratch.values():
        client = server.client()
        numbers = [90_001, "90001", "90001abc", True, None, 90_001.0, 90_002]
        for scan_id in numbers:
            run = make_run({"x": (key("number"), [1.0])}, start={"scan_id": scan_id})
            if scan_id is None:
                del run[0][1]["scan_id"]
            reason = store(client, run)
            assert (reason is None) == (type(scan_id) in (int, type(None), float)), reason
        catalog = TiledCatalog(client)
        assert [run.scan_id for run in catalog.by_scan_id(90_001)] == [90_001, 90_001]
        assert [run.scan_id for run in catalog.by_scan_id(90_001, 90_002)] == [90_001, 90_001, 90_002]
