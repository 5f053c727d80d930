"""Stores filled with runs: databroker's msgpack files, Tiled servers."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import _runs

SMALL = 20
"""Events of the run that each contender does first, unmeasured."""

ROOT = Path(__file__).resolve().parents[1]


def _tiled_server(folder: Path, kind: str) -> Any:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from tests.fixtures_tiled import tiled_server

    return tiled_server(kind, folder)


def write_msgpack(folder: Path, documents: Iterator[_runs.Pair]) -> str:
    """Write a file as suitcase-msgpack does; return the run's uid."""
    import msgpack

    name, start = next(documents)
    with (folder / f"{start['uid']}.msgpack").open("wb") as file:
        file.write(msgpack.packb((name, start), use_bin_type=True))
        for pair in documents:
            file.write(msgpack.packb(pair, use_bin_type=True))
    return str(start["uid"])


def databroker(folder: Path, events: int, rows: int = 1, fields: int = 10) -> dict[str, Any]:
    """Return a folder that databroker's msgpack driver reads, with a small run and the run."""
    folder.mkdir(parents=True)
    return {
        "kind": "databroker",
        "path": f"{folder}/*.msgpack",
        "small": write_msgpack(folder, _runs.documents(SMALL, fields, rows)),
        "run": write_msgpack(folder, _runs.documents(events, fields, rows)),
        "events": events,
        "fields": fields,
    }


def open_databroker(store: dict[str, Any]) -> Any:
    """Return databroker's catalog of a store."""
    from databroker._drivers.msgpack import BlueskyMsgpackCatalog

    return BlueskyMsgpackCatalog(store["path"], name="benchmark")


@contextlib.contextmanager
def tiled(folder: Path, events: int, fields: int = 10, kind: str = "bluesky") -> Iterator[dict[str, Any]]:
    """Run a Tiled server with the same runs."""
    from tests.fixtures_tiled import API_KEY, store

    folder.mkdir(parents=True)
    with _tiled_server(folder, kind) as server:
        client = server.client()
        uids = []
        for number in (SMALL, events):
            run = list(_runs.single_events(_runs.documents(number, fields, 1)))
            if reason := store(client, run):
                raise RuntimeError(reason)
            uids.append(run[0][1]["uid"])
        yield {
            "kind": "tiled",
            "uri": server.uri,
            "api_key": API_KEY,
            "server_pid": server.process.pid,
            "small": uids[0],
            "run": uids[1],
            "events": events,
            "fields": fields,
        }


def open_tiled(store: dict[str, Any]) -> Any:
    """Return Tiled's own client."""
    from tiled.client import from_uri

    return from_uri(store["uri"], api_key=store["api_key"])


def open_store(store: dict[str, Any]) -> Any:
    return {"databroker": open_databroker, "tiled": open_tiled}[store["kind"]](store)


# -- many runs ---------------------------------------------------------------------------------


def short_runs(count: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield start and stop documents of so many runs, a minute apart."""
    for number in range(count):
        uid = _runs.uid_of(f"short {number}")
        start = _runs.start_doc(uid, 3, scan_id=number + 1, time=_runs.START + 60 * number)
        yield start, _runs.stop_doc(_runs.uid_of(f"{uid}/stop"), uid, {"primary": 3}, start["time"] + 5)


def databroker_runs(folder: Path, count: int) -> dict[str, Any]:
    """Return a folder with so many runs of three events."""
    folder.mkdir(parents=True)
    for start, stop in short_runs(count):
        descriptor = _runs.uid_of(f"{start['uid']}/primary")
        data = _runs.columns(3)
        pairs: list[_runs.Pair] = [("start", start)]
        pairs.append(("descriptor", _runs.descriptor(descriptor, start["uid"], "primary", list(data))))
        pairs += [
            ("event_page", _runs._page(descriptor, row, {key: data[key][row : row + 1] for key in data}))
            for row in range(3)
        ]
        write_msgpack(folder, iter([*pairs, ("stop", stop)]))
    return {"kind": "databroker", "path": f"{folder}/*.msgpack", "small": None, "run": count}


@contextlib.contextmanager
def tiled_runs(folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """Run a Tiled server with so many runs, put straight into its database (SQLite), without data."""
    from tests.fixtures_tiled import API_KEY, store

    folder.mkdir(parents=True)
    with _tiled_server(folder, "bluesky") as server:
        run = list(_runs.single_events(_runs.documents(3)))
        if reason := store(server.client(), run):  # one in full, as a pattern for the rows
            raise RuntimeError(reason)
        with contextlib.closing(sqlite3.connect(folder / "catalog.db", timeout=60)) as database, database:
            parent, specs = database.execute(
                "SELECT parent, specs FROM nodes WHERE key = ?", (run[0][1]["uid"],)
            ).fetchone()
            database.executemany(
                "INSERT INTO nodes (parent, key, structure_family, metadata, specs) "
                "VALUES (?, ?, 'container', ?, ?)",
                (
                    (parent, start["uid"], json.dumps({"start": start, "stop": stop}), specs)
                    for start, stop in short_runs(count)
                ),
            )
        yield {
            "kind": "tiled",
            "uri": server.uri,
            "api_key": API_KEY,
            "server_pid": server.process.pid,
            "small": None,
            "run": count,
        }
