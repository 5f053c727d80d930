"""Catalogs as they are in production: Tiled on PostgreSQL, over HTTP, with a key that nobody sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bluesky_export import export
from bluesky_export.catalogs import Query, open_catalog
from bluesky_export.catalogs._where import matches
from bluesky_export.cli import main
from bluesky_export.documents.msgpacked import pack
from bluesky_export.errors import NoCatalog

from ..corpus import simulated_runs
from ..fixtures_tiled import API_KEY, tiled_server
from ..memory_catalog import MemoryCatalog
from ..postgres import PASSWORD, postgres

PROGRAM = Path(sys.executable).with_name("bluesky-export")


class Truth(MemoryCatalog):
    def search(self, query):
        return [run for run in self._runs if matches(run.start, query)]


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """A server on PostgreSQL, and the truth about the runs in it."""
    folder = tmp_path_factory.mktemp("production")
    runs = list(simulated_runs().values())
    with postgres() as database, tiled_server("bluesky", folder, database=database) as server:
        server.fill(runs)
        assert not server.refused
        yield server, Truth(runs)


QUESTIONS = {
    "newest": lambda catalog: catalog.newest(3),
    "newest but two": lambda catalog: catalog.newest(2, skip=2),
    "scan_id": lambda catalog: catalog.by_scan_id(1),
    "range of scan_ids": lambda catalog: catalog.by_scan_id(2, 4),
    "no such scan_id": lambda catalog: catalog.by_scan_id(77),
    "uid": lambda catalog: catalog.by_uid(catalog.newest(1)[0].uid),
    "beginning of a uid": lambda catalog: catalog.by_uid(catalog.newest(1)[0].uid[:7]),
    "no such uid": lambda catalog: catalog.by_uid("%%%%%"),
    "plan": lambda catalog: catalog.search(Query(plan="scan")),
    "times": lambda catalog: catalog.search(
        Query(since=catalog.newest(3)[-1].start["time"], until=catalog.newest(1)[0].start["time"])
    ),
    "number": lambda catalog: catalog.search(Query(where={"num_points": "5"})),
    "nested": lambda catalog: catalog.search(Query(where={"sample.name": "Al"})),
    "in a list": lambda catalog: catalog.search(Query(where={"detectors": "det1"})),
    "nothing": lambda catalog: catalog.search(Query(plan="none of these")),
    "all": lambda catalog: catalog.search(Query()),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_postgresql_gives_the_runs_that_are_meant(production, question):
    server, truth = production
    catalog = server.catalog()
    found = [run.uid for run in QUESTIONS[question](catalog)]
    assert found == [run.uid for run in QUESTIONS[question](truth)]
    assert bool(found) is not (question.startswith("no such") or question == "nothing")
    assert len(catalog) == len(truth)


class Typed:
    """The shell command, typed by a user who keeps the key where Tiled looks for it."""

    def __init__(self, folder, monkeypatch, capfd):
        self.folder, self.monkeypatch, self.capfd = folder, monkeypatch, capfd
        self.said = ""
        (folder / "home").mkdir()
        for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, str(folder / "home"))
        monkeypatch.chdir(folder)

    def __call__(self, *words, key=API_KEY):
        """Return the exit status and what was said of it; both streams are kept."""
        self.monkeypatch.delenv("TILED_API_KEY", raising=False)
        if key is not None:
            self.monkeypatch.setenv("TILED_API_KEY", key)
        status = main(words)
        out, err = self.capfd.readouterr()
        self.said += out + err
        return status, out, err


def test_the_key_is_in_nothing_that_is_written_or_said(production, tmp_path, monkeypatch, capfd):
    uri = production[0].uri
    typed = Typed(tmp_path, monkeypatch, capfd)
    (tmp_path / "files").mkdir()
    files = f"{tmp_path}/files/"
    assert typed("runs", "--catalog", uri)[0] == 0
    assert typed("runs", "-1", "--json", "--catalog", uri)[0] == 0
    assert typed("export", "-3:", "csv,json,hdf5,nexus,spec", files, "--catalog", uri)[0] == 0
    assert typed("export", "-1", "json", files, "--catalog", uri)[0] == 1  # is there
    assert typed("runs", "--catalog", uri, key=f"{API_KEY}wrong")[0] == 1
    # the key in the address, where it should not be
    with_key = f"{uri}?api_key={API_KEY}"
    assert typed("export", "-2:", "jsonl", files, "--json", "--catalog", with_key, key=None)[0] == 0
    assert typed("runs", "--catalog", f"{uri}/nothing?api_key={API_KEY}", key=None)[0] == 1
    status, _, err = typed(
        "export", "-1", "jsonl", files, "--workers", "1", "--catalog", with_key, key=None
    )
    assert (status, "credentials" in err) == (1, True)
    # workers, who open a profile by its name and have the key from the environment
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "ours.yml").write_text(f"ours:\n  uri: {uri}\n")
    env = {**os.environ, "TILED_API_KEY": API_KEY, "TILED_PROFILES": str(tmp_path / "profiles")}
    words = ["export", "-2:", "json", files, "--name", "w-{uid}", "--workers", "1", "--json"]
    done = subprocess.run(
        [PROGRAM, *words, "--catalog", "ours"], capture_output=True, text=True, env=env, timeout=250
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["files"]) == 2
    said = typed.said + done.stdout + done.stderr
    assert uri in said
    for secret in (API_KEY, PASSWORD):
        assert secret not in said
        for path in (tmp_path / "files").rglob("*"):
            assert secret not in path.name
            assert secret.encode() not in path.read_bytes()


def test_a_key_of_the_session_is_not_sent_to_workers(production, tmp_path, monkeypatch):
    monkeypatch.delenv("TILED_API_KEY", raising=False)
    client = production[0].client()
    with pytest.raises(NoCatalog, match="given in this session") as refused:
        export("-2:", "json", f"{tmp_path}/", catalog=client, workers=1)
    assert API_KEY not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_an_address_with_a_key_does_not_keep_it(production):
    catalog = open_catalog(f"{production[0].uri}?api_key={API_KEY}")
    try:
        assert API_KEY not in repr(catalog)
        assert API_KEY not in catalog.name
        assert API_KEY not in str(catalog.address)
        assert catalog.newest(1)
    finally:
        catalog._context.http_client.close()


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_the_last_runs_of_many(count, tmp_path):
    """A beamline's year in one folder: the newest are listed, and one is found in the middle."""
    for number in range(count):
        uid = f"{number:08x}-0000-4000-8000-000000000000"
        start = {"uid": uid, "time": 1.7e9 + number, "scan_id": number, "plan_name": "count"}
        stop = {
            "uid": f"{uid[:-1]}f",
            "run_start": uid,
            "time": start["time"] + 1,
            "exit_status": "success",
        }
        data = b"".join(pack(name, doc) for name, doc in (("start", start), ("stop", stop)))
        (tmp_path / f"{uid}.msgpack").write_bytes(data)
    catalog = open_catalog(f"{tmp_path}/")
    assert len(catalog) == count
    assert [run.scan_id for run in catalog.newest(20)] == list(range(count - 1, count - 21, -1))
    assert [run.scan_id for run in catalog.by_scan_id(count // 2)] == [count // 2]
    assert [run.status for run in catalog.by_uid(f"{count - 5:08x}")] == ["success"]
    recent = catalog.search(Query(since=1.7e9 + count - 3))
    assert [run.scan_id for run in recent] == [count - 3, count - 2, count - 1]
