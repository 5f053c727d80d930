"""Real Tiled servers on the loopback, filled with runs by bluesky-tiled-plugins' own writer.

Two kinds: ``bluesky`` is set up as bluesky-tiled-plugins asks (the root's spec, the exporter of
documents), ``stock`` is what ``tiled serve catalog --temp`` starts. Both keep tables in DuckDB.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from .corpus import Pairs, all_runs
from .tiled_stored import as_stored
from .waiting import free_port

__all__ = ["API_KEY", "FACTORIES", "TiledServer", "as_stored", "store", "tiled_server"]

API_KEY = "asecretofthetests"
_ENTRY = "from tiled.commandline.main import main; main()"


# -- servers -----------------------------------------------------------------------------------


@dataclass
class TiledServer:
    """A server that runs, and what it was asked to store."""

    kind: str
    uri: str
    folder: Path
    process: subprocess.Popen[bytes]
    refused: dict[str, str] = field(default_factory=dict)
    """By run uid: why TiledWriter could not store it whole."""
    _clients: list[Any] = field(default_factory=list)

    def client(self, structure_clients: str = "numpy", uri: str = "", **options: Any) -> Any:
        from tiled.client import from_uri

        client = from_uri(uri or self.uri, structure_clients, **{"api_key": API_KEY, **options})
        self._clients.append(client)  # to be closed: Tiled leaves that to the garbage collector
        return client

    def catalog(self) -> Any:
        from bluesky_export.catalogs.tiled import TiledCatalog

        catalog = TiledCatalog(self.client())
        catalog.refused = self.refused  # type: ignore[attr-defined]
        return catalog

    def fill(self, runs: Iterable[Pairs]) -> None:
        """Store runs, in their order. One that is refused is recorded, and the others go on."""
        with _impatient():
            self._fill(runs)

    def _fill(self, runs: Iterable[Pairs]) -> None:
        client = self.client()
        for run in runs:
            reason = store(client, run)
            if reason is not None:
                self.refused[run[0][1]["uid"]] = reason

    def stop(self) -> None:
        for client in self._clients:
            client.context.http_client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def store(client: Any, run: Pairs, **options: Any) -> str | None:
    """Store one run; return None, or why it was refused."""
    import warnings

    from bluesky_tiled_plugins import TiledWriter

    writer = TiledWriter(client, **{"batch_size": 1_000_000, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the writer warns of is not ours to mend
        try:
            for name, doc in run:
                writer(name, copy.deepcopy(doc))
        except Exception as error:  # TiledWriter raises whatever the server or pyarrow say
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """Let Tiled's client take a refusal (500) for an answer, rather than ask again for 45 s."""
    import tiled.client.utils

    with mock.patch.object(tiled.client.utils, "TILED_RETRY_ATTEMPTS", 2):
        yield


def _command(kind: str, port: int, folder: Path, settings: str, database: str) -> list[str]:
    tiled = [sys.executable, "-c", _ENTRY, "serve"]
    where = ["--host", "127.0.0.1", "--port", str(port)]
    if kind == "stock":
        return [*tiled, "catalog", "--temp", "--api-key", API_KEY, "--read", str(folder), *where]
    config = folder / "config.yml"
    alone = "" if "authentication:" in settings else f"authentication: {{single_user_api_key: {API_KEY}}}"
    config.write_text(
        f"""\
{alone}
trees:
  - path: /
    tree: catalog
    args:
      uri: {database or f"sqlite:///{folder}/catalog.db"}
      init_if_not_exists: true
      writable_storage: ["file://localhost{folder}/data", "duckdb:///{folder}/tables.duckdb"]
      readable_storage: ["{folder}"]
      specs: [{{name: CatalogOfBlueskyRuns, version: "3.0"}}]
      top_level_access_tags: {"null" if alone else "[everyone]"}
media_types:
  BlueskyRun:
    application/json-seq: bluesky_tiled_plugins.exporters:json_seq_exporter
{settings}
"""
    )
    return [*tiled, "config", str(config), *where]


@contextlib.contextmanager
def tiled_server(
    kind: str, folder: Path | None = None, settings: str = "", database: str = ""
) -> Iterator[TiledServer]:
    """Run an empty server in a process of its own.

    Parameters
    ----------
    kind : {"bluesky", "stock"}
        How it is set up.
    folder : Path, optional
        Where it keeps its files and may read those of detectors.
    settings : str
        Further lines of the configuration of a ``bluesky`` server. If they tell how users are
        known, there is no API key, and the catalog itself has the access tag ``everyone``.
    database : str
        Where a ``bluesky`` server keeps its catalog; left out: in a file of SQLite.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiled-")))
        port = free_port()
        temporary = folder / "tmp"
        temporary.mkdir()
        log = stack.enter_context((folder / "server.log").open("wb"))
        process = subprocess.Popen(
            _command(kind, port, folder, settings, database),
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        server = TiledServer(kind, f"http://127.0.0.1:{port}", folder, process)
        stack.callback(server.stop)
        _wait(server)
        yield server


def _wait(server: TiledServer, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while server.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.uri}/api/v1/", timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError(
        f"the {server.kind} server did not start:\n{(server.folder / 'server.log').read_text()}"
    )


def _factory(kind: str) -> Any:
    @contextlib.contextmanager
    def factory(runs: Iterable[Pairs], folder: Path | None = None) -> Iterator[Any]:
        """Give a catalog that holds these runs; its ``refused`` says which are not whole."""
        with tiled_server(kind, folder) as server:
            server.fill(runs)
            yield server.catalog()

    return factory


FACTORIES = {f"tiled-{kind}": _factory(kind) for kind in ("bluesky", "stock")}


# -- fixtures ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiled_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, TiledServer]]:
    """Both servers, each filled with every run of the corpus at the same time, in the order of time."""
    runs = sorted(all_runs().values(), key=lambda run: run[0][1]["time"])
    logging.getLogger("bluesky_tiled_plugins").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        folders = {kind: tmp_path_factory.mktemp(f"tiled-{kind}") for kind in ("bluesky", "stock")}
        servers = {
            kind: stack.enter_context(tiled_server(kind, folder)) for kind, folder in folders.items()
        }
        with _impatient(), ThreadPoolExecutor() as pool:
            list(pool.map(lambda server: server._fill(runs), servers.values()))
        yield servers


@pytest.fixture(scope="session", params=["bluesky", "stock"])
def tiled_filled(request: pytest.FixtureRequest, tiled_servers: dict[str, TiledServer]) -> TiledServer:
    """One of the two servers, with every run of the corpus. Only to be read."""
    return tiled_servers[request.param]


@pytest.fixture(scope="session")
def tiled_scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, TiledServer]]:
    """Both servers, without runs at first, for what tests put in themselves."""
    with contextlib.ExitStack() as stack:
        yield {
            kind: stack.enter_context(tiled_server(kind, tmp_path_factory.mktemp(f"scratch-{kind}")))
            for kind in ("bluesky", "stock")
        }
