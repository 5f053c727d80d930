"""The floor: a store's own bytes into columns, by the shortest way there is."""

from __future__ import annotations

import gc
import glob
import io
from typing import Any

import numpy as np

TIMESTAMP = "ts_"
"""What a field's timestamps are called in Tiled's tables, and so here."""


def read(store: dict[str, Any], run: str, *, timestamps: bool = False) -> dict[str, Any]:
    """Return the columns of the primary stream of a run: time, and each field."""
    if store["kind"] == "tiled":
        return _from_tiled(store, run, timestamps)
    return _from_msgpack(store, run, timestamps)


def _from_msgpack(store: dict[str, Any], run: str, timestamps: bool) -> dict[str, Any]:
    import msgpack

    (path,) = glob.glob(store["path"].replace("*", run))
    found: dict[str, list[float]] = {}
    primary = None
    gc.disable()  # many small objects, none of them in a cycle
    try:
        with open(path, "rb") as file:
            for name, doc in msgpack.Unpacker(file, raw=False, read_size=2**20, max_buffer_size=0):
                if name == "descriptor" and doc["name"] == "primary":
                    primary = doc["uid"]
                    found = {key: [] for key in ("time", *doc["data_keys"])}
                    stamps: dict[str, list[float]] = {key: [] for key in doc["data_keys"]}
                elif name == "event_page" and doc["descriptor"] == primary:
                    found["time"] += doc["time"]
                    for key, values in doc["data"].items():
                        found[key] += values
                    if timestamps:
                        for key, values in doc["timestamps"].items():
                            stamps[key] += values
    finally:
        gc.enable()
    if timestamps:
        found.update((TIMESTAMP + key, values) for key, values in stamps.items())
    return {key: np.array(values) for key, values in found.items()}


_clients: dict[str, Any] = {}


def _from_tiled(store: dict[str, Any], run: str, timestamps: bool) -> dict[str, Any]:
    table = arrow(store, run)
    return {
        name: table.column(name).to_numpy()
        for name in table.column_names
        if timestamps or not name.startswith(TIMESTAMP)
    }


def arrow(store: dict[str, Any], run: str) -> Any:
    """Return the table of a run's primary stream: one request, in Arrow's own format."""
    import pyarrow as pa

    content = _http(store).get(f"{store['uri']}/api/v1/table/full/{run}/primary/internal")
    content.raise_for_status()
    return pa.ipc.open_file(io.BytesIO(content.content)).read_all()


def _http(store: dict[str, Any]) -> Any:
    import httpx

    if store["uri"] not in _clients:
        _clients[store["uri"]] = httpx.Client(
            headers={
                "Authorization": f"Apikey {store['api_key']}",
                "Accept": "application/vnd.apache.arrow.file",
            },
            timeout=600,
        )
    return _clients[store["uri"]]
