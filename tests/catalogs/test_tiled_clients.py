"""Tiled clients as sessions have them, and servers in trouble."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
import time
from typing import Any

import pytest

from bluesky_export.catalogs import wrap_catalog
from bluesky_export.catalogs._base import Query, Run
from bluesky_export.catalogs.tiled import TiledCatalog, is_tiled, is_tiled_run, open_tiled, wrap_run
from bluesky_export.errors import BlueskyExportError, CatalogUnavailable, NoCatalog

from ..corpus import all_runs
from ..fixtures_tiled import API_KEY, FACTORIES, TiledServer, as_stored, store, tiled_server
from .odd_runs import key, make_run
from .reading_back import singles

RUNS = all_runs()


def uids(runs: Any) -> list[str]:
    return [run.uid for run in runs]


def expected(choose: Any) -> list[str]:
    """Return the uids of the corpus' runs that fit, oldest first."""
    starts = [run[0][1] for run in RUNS.values() if choose(run[0][1])]
    return [start["uid"] for start in sorted(starts, key=lambda start: start["time"])]


# -- clients -----------------------------------------------------------------------------------


def test_a_search_result_is_a_catalog(tiled_filled: TiledServer) -> None:
    from tiled.queries import Eq

    client = tiled_filled.client().search(Eq("start.plan_name", "scan"))
    catalog = TiledCatalog(client)
    inside = expected(lambda start: start.get("plan_name") == "scan")
    outside = expected(lambda start: start.get("plan_name") != "scan")
    assert len(catalog) == len(inside)
    assert uids(catalog.search(Query())) == inside
    assert uids(catalog.newest(100)) == inside[::-1]
    assert uids(catalog.by_uid(inside[0])) == [inside[0]]
    assert catalog.by_uid(outside[0]) == []
    assert uids(catalog.by_scan_id(1)) == expected(
        lambda start: start.get("plan_name") == "scan" and start.get("scan_id") == 1
    )


def test_other_nodes_are_passed_over(tiled_scratch: dict[str, TiledServer]) -> None:
    for server in tiled_scratch.values():
        root = server.client()
        folder = root.create_container(
            f"folder-{server.kind}", metadata={"start": {"uid": "no run", "time": 1}}
        )
        folder.write_array([1, 2, 3], key="array")
        folder.create_container("empty")
        runs = [make_run({"x": (key("number"), [1.0])}, start={"scan_id": 70_000 + n}) for n in range(3)]
        for run in runs:
            assert store(folder, run) is None
        for number in range(30):
            folder.create_container(f"later-{number}")
        for catalog in (TiledCatalog(server.client(uri=folder.uri)), TiledCatalog(folder)):
            mine = [run[0][1]["uid"] for run in runs]
            assert uids(catalog.newest(20)) == mine[::-1]
            assert uids(catalog.search(Query())) == mine
            assert len(catalog) == 3
            assert uids(catalog.by_uid(mine[1])) == [mine[1]]
            assert uids(catalog.by_scan_id(70_001)) == [mine[1]]
            assert folder.item["id"] in catalog.name
        assert "no run" not in uids(TiledCatalog(root).newest(100))
        assert TiledCatalog(root).by_uid("no run") == []
        assert TiledCatalog(root).by_uid(folder.item["id"]) == []


def test_dask_clients_give_the_same(tiled_filled: TiledServer) -> None:
    client = tiled_filled.client("dask")
    for name in {"sim-grid", "btp-internal"} & set(RUNS):
        run = RUNS[name]
        (found,) = TiledCatalog(client).by_uid(run[0][1]["uid"])
        assert singles(found.documents()) == singles(as_stored(run))


def test_the_users_client_is_left_as_it_was(tiled_filled: TiledServer) -> None:
    client = tiled_filled.client()
    uid = RUNS["sim-scan"][0][1]["uid"]
    before = (copy.deepcopy(client.item), type(client[uid]), dict(client.context.http_client.headers))
    catalog = TiledCatalog(client)
    for run in catalog.newest(2):
        run.start["uid"] = "changed by us"
    for run in catalog.search(Query(plan="scan")):
        list(run.documents())
    assert (client.item, type(client[uid]), dict(client.context.http_client.headers)) == before
    run = client[uid]
    item = copy.deepcopy(run.item)
    wrap_run(run).start["uid"] = "changed by us"  # type: ignore[union-attr, index]
    assert run.item == item


def test_what_a_session_has(tiled_filled: TiledServer) -> None:
    client = tiled_filled.client()
    uid = RUNS["sim-scan"][0][1]["uid"]
    assert is_tiled(client)
    assert not is_tiled(client[uid])
    assert is_tiled_run(client[uid])
    assert not is_tiled_run(client)
    for other in (None, "text", {}, [1], object(), client[uid]["primary"], TiledCatalog(client)):
        assert not is_tiled_run(other)
        assert wrap_run(other) is None
    for other in (None, "text", {}, [1], object(), TiledCatalog(client)):
        assert not is_tiled(other)
    assert isinstance(wrap_catalog(client), TiledCatalog)
    run = TiledCatalog(client).wrap(client[uid])
    assert run is not None
    assert singles(run.documents()) == singles(as_stored(RUNS["sim-scan"]))
    assert API_KEY not in repr(run) + repr(TiledCatalog(client)) + TiledCatalog(client).name


def test_a_run_that_ended_after_its_client_was_made(tiled_scratch: dict[str, TiledServer]) -> None:
    from bluesky_tiled_plugins import TiledWriter

    for server in tiled_scratch.values():
        client = server.client()
        documents = make_run({"x": (key("number"), [1.0, 2.0])})
        writer = TiledWriter(client, batch_size=1)
        for name, doc in documents[:3]:
            writer(name, doc)
        running = client[documents[0][1]["uid"]]
        unfinished = wrap_run(running)
        assert unfinished is not None
        assert unfinished.status == "unfinished"
        assert unfinished.stop is None
        assert unfinished.counts() == {"primary": 1}
        assert [name for name, _ in singles(unfinished.documents())] == ["start", "descriptor", "event"]
        assert "no stop document" in " ".join(unfinished.notes)
        for name, doc in documents[3:]:
            writer(name, doc)
        finished = wrap_run(running)
        assert finished is not None
        assert finished.status == "success"
        assert singles(finished.documents()) == singles(as_stored(documents))


def test_importing_and_asking_stays_light() -> None:
    code = (
        "import sys\n"
        "from bluesky_export.catalogs import tiled\n"
        "assert not tiled.is_tiled(object()) and not tiled.is_tiled_run(object())\n"
        "heavy = {'tiled', 'httpx', 'pyarrow', 'pandas', 'bluesky_tiled_plugins'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- trouble -----------------------------------------------------------------------------------


def test_a_server_that_has_gone(tmp_path: Any) -> None:
    with tiled_server("bluesky", tmp_path) as server:
        client = server.client()
        run = make_run({"x": (key("number"), [1.0])})
        assert store(client, run) is None
        catalog = TiledCatalog(client)
        (found,) = catalog.by_uid(run[0][1]["uid"])
        server.process.kill()
        server.process.wait()
        check_that_it_says_so(server, catalog, found)
    with pytest.raises(CatalogUnavailable, match="was closed"):
        catalog.newest(1)


def check_that_it_says_so(server: TiledServer, catalog: TiledCatalog, found: Run) -> None:
    tries = [
        lambda: catalog.newest(1),
        lambda: catalog.by_scan_id(1),
        lambda: catalog.by_uid("abcdef"),
        lambda: catalog.search(Query(plan="count")),
        lambda: len(catalog),
        lambda: list(found.documents()),
        lambda: open_tiled(f"{server.uri}?api_key={API_KEY}"),
    ]
    for attempt in tries:
        begin = time.monotonic()
        with pytest.raises(CatalogUnavailable) as caught:
            attempt()
        assert time.monotonic() - begin < 5
        message = str(caught.value)
        assert server.uri in message
        assert "cannot be reached" in message
        assert "\n" not in message
        assert API_KEY not in message


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Tiled's own client, unclosed
def test_wrong_credentials(tiled_filled: TiledServer, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tiled_filled.client()
    catalog = TiledCatalog(client)
    client.context.api_key = "wrong-and-secret"
    with pytest.raises(CatalogUnavailable, match="log in") as caught:
        catalog.newest(1)
    assert "wrong-and-secret" not in str(caught.value)
    for query in ("", "?api_key=wrong-and-secret"):
        with pytest.raises(CatalogUnavailable) as caught:
            open_tiled(tiled_filled.uri + query)
        assert "wrong-and-secret" not in str(caught.value)
    monkeypatch.setenv("TILED_API_KEY", API_KEY)
    assert uids(open_tiled(tiled_filled.uri).newest(1))
    gc.collect()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # Tiled's own client, unclosed
def test_opening(
    tiled_filled: TiledServer,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    from tiled import profiles

    profiles.load_profiles()  # which keeps what it has read: the profile below is new
    request.addfinalizer(profiles.load_profiles.cache_clear)
    (tmp_path / "profiles.yml").write_text(f"here:\n  uri: {tiled_filled.uri}\n")
    monkeypatch.setattr(profiles, "paths", [tmp_path])
    monkeypatch.setenv("TILED_API_KEY", API_KEY)
    assert len(open_tiled("here")) == len(RUNS)
    assert len(open_tiled(f"{tiled_filled.uri}")) == len(RUNS)
    with pytest.raises(NoCatalog, match="here"):
        open_tiled("nowhere")
    uid = RUNS["sim-scan"][0][1]["uid"]
    with pytest.raises(NoCatalog):
        open_tiled(f"{tiled_filled.uri}/api/v1/metadata/no/such/place")
    with pytest.raises(NoCatalog):
        open_tiled(f"{tiled_filled.uri}/api/v1/metadata/{uid}/primary/internal")
    gc.collect()


def test_one_unreadable_run_leaves_the_others(tiled_scratch: dict[str, TiledServer]) -> None:
    server = tiled_scratch["stock"]
    client = server.client()
    bad = make_run({"x": (key("number"), [1.0])}, start={"scan_id": 80_000})
    good = make_run({"x": (key("number"), [1.0])}, start={"scan_id": 80_001})
    for run in (bad, good):
        assert store(client, run) is None
    catalog = TiledCatalog(client)
    broken, whole = catalog.by_scan_id(80_000, 80_001)
    client[bad[0][1]["uid"]].delete_contents(recursive=True, external_only=False)
    client.delete_contents([bad[0][1]["uid"]], recursive=True, external_only=False)
    with pytest.raises(BlueskyExportError, match="404"):
        list(broken.documents())
    assert singles(whole.documents()) == singles(as_stored(good))


@pytest.mark.parametrize("name", FACTORIES)
def test_the_factories_for_the_matrix(name: str) -> None:
    good = make_run({"x": (key("number"), [1.0])})
    bad = make_run({"a/b": (key("number"), [1.0])})
    with FACTORIES[name]([good, bad]) as catalog:
        assert list(catalog.refused) == [bad[0][1]["uid"]]
        assert uids(catalog.search(Query())) == [good[0][1]["uid"], bad[0][1]["uid"]]
