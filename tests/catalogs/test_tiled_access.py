"""A Tiled server that shows each user their own runs: a run that it refuses is not there.

Tiled's own policy by access tags, with users who log in with passwords. Where its tags come from is
ours: a file beside the server's configuration.
"""

from __future__ import annotations

import json
import sqlite3
import urllib.parse
import urllib.request

import pytest
from bluesky import RunEngine

from bluesky_export import export, runs
from bluesky_export.catalogs.tiled import TiledCatalog
from bluesky_export.errors import NoData, RunNotFound

from ..corpus import simulated_runs
from ..fixtures_tiled import store, tiled_server
from ..shell import new_shell

TAGS = """
FULL = {"read:metadata", "read:data", "write:metadata", "write:data", "create:node", "register"}
GRANTS = {
    ("everyone", "alice"): FULL,
    ("everyone", "bob"): FULL,
    ("everyone", "carol"): FULL,
    ("everyone", "dave"): FULL,
    ("user:carol", "alice"): {"read:metadata"},  # to be listed, and no more
    ("head", "alice"): {"read:metadata", "read:data"},
    ("head", "dave"): FULL,
}

class Tags:
    async def connect(self, database): pass
    async def get_enforced_scopes(self): return FULL
    async def is_tag_defined(self, name): return name in {tag for tag, _ in GRANTS}
    async def get_public_tags(self): return set()
    async def get_scopes_from_tag(self, tag, user): return GRANTS.get((tag, user), set())
    async def is_tag_owner(self, tag, user): return (tag, user) in GRANTS
    async def is_tag_public(self, name): return False
    async def get_tags_from_scope(self, scope, user):
        return {tag for (tag, who), scopes in GRANTS.items() if who == user and scope in scopes}
"""
SETTINGS = """
authentication:
  providers:
    - provider: toy
      authenticator: tiled.authenticators:DictionaryAuthenticator
      args: {{users_to_passwords: {{alice: of-alice, bob: of-bob, carol: of-carol, dave: of-dave}}}}
  secret_keys: [only-for-tests]
database: {{uri: "sqlite:///{folder}/users.db", init_if_not_exists: true}}
access_control:
  access_policy: tiled.access_control.access_policies:TagBasedAccessPolicy
  args:
    provider: toy
    access_tags_parser: tags_of_tests:Tags
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("access")
    (folder / "tags_of_tests.py").write_text(TAGS)
    with tiled_server("bluesky", folder, settings=SETTINGS.format(folder=folder)) as server:
        yield server


def key_of(server, name, *scopes):
    """Log in; return an API key of this user, for all that the user may do, or for these scopes."""
    form = urllib.parse.urlencode({"username": name, "password": f"of-{name}", "grant_type": "password"})
    with urllib.request.urlopen(f"{server.uri}/api/v1/auth/provider/toy/token", form.encode()) as answer:
        token = json.load(answer)["access_token"]
    request = urllib.request.Request(
        f"{server.uri}/api/v1/auth/apikey",
        json.dumps({"scopes": scopes or ["inherit"], "expires_in": 3600}).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["secret"]


def client_of(server, name):
    return server.client(api_key=key_of(server, name))


@pytest.fixture(scope="module")
def stored(server):
    """Alice's catalog, and by the user who stored it, the start document of each run."""
    clients = {name: client_of(server, name) for name in ("alice", "bob", "carol", "dave")}
    starts = {}
    for (name, client), run in zip(clients.items(), simulated_runs().values(), strict=False):
        assert store(client, run) is None
        starts[name] = run[0][1]
    with sqlite3.connect(server.folder / "catalog.db") as database:
        database.execute("INSERT INTO access_tags (name, is_public) VALUES ('head', 0)")
    database.close()
    clients["dave"][starts["dave"]["uid"]].replace_metadata(access_tags=["head"])
    catalog = TiledCatalog(clients["alice"])
    catalog.of_session = clients["alice"]
    return catalog, starts


def test_a_run_of_somebody_else_is_not_there(stored):
    catalog, starts = stored
    bob = starts["bob"]
    listed = {run.uid for run in runs(catalog=catalog)}
    assert listed == {start["uid"] for name, start in starts.items() if name != "bob"}
    assert bob["uid"] not in str(runs("-9:", catalog=catalog))
    for selector in (bob["uid"], bob["uid"][:7], bob["scan_id"]):
        for verb in (runs, lambda which, catalog: export(which, "json", catalog=catalog)):
            with pytest.raises(RunNotFound):
                verb(selector, catalog=catalog)


def test_a_run_that_may_only_be_listed_does_not_stop_the_others(stored, tmp_path):
    catalog, starts = stored
    said = []
    order = [starts[name]["uid"] for name in ("carol", "dave", "alice")]
    result = export(order, "json", f"{tmp_path}/", catalog=catalog, say=said.append)
    (failure,) = result.failed
    assert failure.run.uid == starts["carol"]["uid"]
    assert "does not allow to read" in str(failure.error)
    assert [item.uid for item in result.written] == order[1:]
    assert not any("catalog has gone" in line for line in said)
    # of the second run the streams are another user's: none of them is there, and that is said
    assert any("the stop document counts" in line for line in said)
    assert [item.partial for item in result.written] == [True, False]
    assert any(starts["dave"]["uid"][:7] in line and "0 events, PARTIAL" in line for line in said)
    with pytest.raises(NoData):
        export(starts["dave"]["uid"], "csv", f"{tmp_path}/", catalog=catalog)


def test_in_a_session(stored, tmp_path, monkeypatch):
    catalog, starts = stored
    monkeypatch.chdir(tmp_path)
    with new_shell() as shell:
        shell.run("%load_ext bluesky_export")
        shell.ns["cat"] = catalog.of_session
        shown = shell.run("%runs")
        assert starts["alice"]["uid"][:7] in shown
        assert starts["bob"]["uid"][:7] not in shown
        assert shell.fails(f"%export {starts['bob']['uid'][:7]} json").startswith("RunNotFound: ")
        assert shell.fails(f"%runs {starts['bob']['uid']}").startswith("RunNotFound: ")
    assert not list(tmp_path.iterdir())


def test_a_key_that_may_only_read_is_refused_when_attaching(stored, server, monkeypatch):
    """Not with the first run; and it is not in the way of the key that may."""
    with new_shell() as shell:
        shell.ns.update(RE=RunEngine({}), cat=stored[0].of_session)
        shell.run("%load_ext bluesky_export")
        reading = key_of(server, "dave", "read:metadata", "read:data")
        line = shell.fails(f"%attach_writer tiled {server.uri}/api/v1?api_key={reading}")
        assert "does not allow to write (401): set TILED_API_KEY to a key that may" in line
        assert reading not in line
        monkeypatch.setenv("TILED_API_KEY", reading)
        assert "does not allow to write" in shell.fails(f"%attach_writer tiled {server.uri}/api/v1")
        assert "no writer is attached" in shell.run("%attach_writer")
        monkeypatch.setenv("TILED_API_KEY", key_of(server, "dave"))
        before = list(server.client(api_key=key_of(server, "dave")))
        shell.run(f"%attach_writer tiled {server.uri}/api/v1")
        shell.run("%detach_writer")
        assert list(server.client(api_key=key_of(server, "dave"))) == before  # to ask left nothing there
