"""Real databroker catalogs filled with runs: one factory for each kind of store.

``FACTORIES[name](runs)`` is a context manager that gives our wrapped catalog with all the runs in
it; ``REFUSED[name]`` then maps the uid of each run that the store would not take to the reason.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bluesky_export.catalogs import Catalog, open_catalog, wrap_catalog

from .corpus import Pairs, all_runs

REFUSED: dict[str, dict[str, str]] = {}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Ignore the warnings of databroker and what it imports: they are about themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def files_of(catalog: Any) -> list[str]:
    """Return the paths of a catalog's document files."""
    return [path for pattern, _ in catalog._files for path in sorted(glob.glob(pattern))]


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bluesky-export-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def insert_all(name: str, runs: list[Pairs], insert: Callable[[str, dict[str, Any]], Any]) -> None:
    """Insert run by run; a run that the store refuses is noted and the others go on."""
    refused = REFUSED[name] = {}
    for run in runs:
        try:
            for kind, doc in run:
                insert(kind, doc)
        except Exception as error:
            refused[run[0][1]["uid"]] = f"{type(error).__name__}: {error}"


def write_files(name: str, runs: list[Pairs], serializer: Callable[[], Any]) -> None:
    """Write run by run with a suitcase; the file of a refused run is removed."""
    refused = REFUSED[name] = {}
    for run in runs:
        with serializer() as suitcase:
            try:
                for kind, doc in run:
                    suitcase(kind, doc)
            except Exception as error:
                refused[run[0][1]["uid"]] = f"{type(error).__name__}: {error}"
                for files in suitcase.artifacts.values():
                    for file in files:
                        os.unlink(file)


def _wrapped(catalog: Any) -> Catalog:
    ours = wrap_catalog(catalog)
    assert ours is not None
    return ours


@contextlib.contextmanager
def _temp(name: str, runs: list[Pairs], wanted: Callable[[Any], Any]) -> Iterator[Catalog]:
    with quiet():
        import databroker

        broker = databroker.temp()
        insert_all(name, runs, broker.insert)  # what RE.subscribe(db.insert) does
        for suitcases in broker._serializer._factory_cbs_by_start.values():
            for suitcase in suitcases:  # of runs without stop; the end of a session closes them
                suitcase.close()
    try:
        yield _wrapped(wanted(broker))
    finally:
        for pattern in broker.v2.paths:
            shutil.rmtree(Path(pattern).parents[1], ignore_errors=True)


def temp_v1(runs: list[Pairs]) -> contextlib.AbstractContextManager[Catalog]:
    return _temp("temp_v1", runs, lambda broker: broker)


def temp_v2(runs: list[Pairs]) -> contextlib.AbstractContextManager[Catalog]:
    return _temp("temp_v2", runs, lambda broker: broker.v2)


@contextlib.contextmanager
def msgpack(runs: list[Pairs]) -> Iterator[Catalog]:
    with _folder() as folder, quiet():
        from databroker._drivers.msgpack import BlueskyMsgpackCatalog
        from suitcase.msgpack import Serializer

        write_files("msgpack", runs, lambda: Serializer(folder))
        catalog = BlueskyMsgpackCatalog(f"{folder}/*.msgpack", name="msgpack-runs")
        yield _wrapped(catalog)


@contextlib.contextmanager
def jsonl(runs: list[Pairs]) -> Iterator[Catalog]:
    with _folder() as folder, quiet():
        from databroker._drivers.jsonl import BlueskyJSONLCatalog
        from suitcase.jsonl import Serializer

        write_files("jsonl", runs, lambda: Serializer(folder))
        catalog = BlueskyJSONLCatalog(f"{folder}/*.jsonl", name="jsonl-runs")
        yield _wrapped(catalog)


class MongoServer:
    """A server of MongoDB's protocol on a port of its own, its data in memory."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        program = Path(sys.executable).with_name("nx-27017")
        self.process = subprocess.Popen(
            # Two servers with one pid file: the second one ends at once.
            [program, *f"--data-dir memory -p {self.port} --log-file log --pid-file pid".split()],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(0.05)

    def database(self, name: str = "runs") -> Any:
        import pymongo

        uri = f"mongodb://127.0.0.1:{self.port}/{name}?serverSelectionTimeoutMS=500&connectTimeoutMS=500"
        return pymongo.MongoClient(uri).get_database()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:  # it may wait for a client for ever
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def mongo_server() -> Iterator[MongoServer]:
    with _folder() as folder:
        server = MongoServer(folder)
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def mongo_catalog(server: MongoServer, **options: Any) -> Iterator[Any]:
    """Give a databroker catalog on a server, and close its connection."""
    with quiet():
        from databroker._drivers.mongo_normalized import BlueskyMongoCatalog

        database = server.database()
        try:
            yield BlueskyMongoCatalog(database, database, name="mongo-runs", **options)
        finally:
            database.client.close()


@contextlib.contextmanager
def mongo(runs: list[Pairs]) -> Iterator[Catalog]:
    with mongo_server() as server, mongo_catalog(server) as catalog:
        insert_all("mongo", runs, catalog._get_serializer())
        yield _wrapped(catalog)


@contextlib.contextmanager
def packed(runs: list[Pairs]) -> Iterator[Catalog]:
    """A folder made by databroker-pack, then moved: the paths in its catalog.yml lead nowhere."""
    with _folder() as folder, msgpack(runs) as source:
        REFUSED["packed"] = dict(REFUSED["msgpack"])
        pack(folder / "packed", source, [run[0][1]["uid"] for run in runs])
        (folder / "packed").rename(folder / "moved")
        yield open_catalog(str(folder / "moved"))


def pack(folder: Path, source: Any, uids: list[str]) -> None:
    """Do what the command ``databroker-pack --uids`` does, external files ignored."""
    with quiet():
        import databroker_pack
        from databroker._drivers.msgpack import BlueskyMsgpackCatalog
        from suitcase.utils import MultiFileManager

        catalog = BlueskyMsgpackCatalog([pattern for pattern, _ in source._files])
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # progress bars
            artifacts, _, failures, _ = databroker_pack.export_uids(
                catalog, [uid for uid in uids if uid in catalog], folder, external="ignore"
            )
        REFUSED["packed"].update(dict.fromkeys(failures, "databroker-pack failed on it"))
        manager = MultiFileManager(folder)
        databroker_pack.write_documents_manifest(manager, folder, sorted(artifacts.get("all", [])))
        databroker_pack.write_msgpack_catalog_file(manager, folder, ["./documents/*.msgpack"], {})
        manager.close()


FACTORIES: dict[str, Callable[[list[Pairs]], contextlib.AbstractContextManager[Catalog]]] = {
    "temp_v1": temp_v1,
    "temp_v2": temp_v2,
    "msgpack": msgpack,
    "jsonl": jsonl,
    "mongo": mongo,
    "packed": packed,
}


@pytest.fixture(scope="session", params=sorted(FACTORIES))
def databroker_catalog(request: pytest.FixtureRequest) -> Iterator[Catalog]:
    """Each kind of databroker catalog in turn, with all runs of the corpus."""
    with FACTORIES[request.param](list(all_runs().values())) as catalog:
        catalog.kind = request.param  # type: ignore[attr-defined]
        yield catalog
