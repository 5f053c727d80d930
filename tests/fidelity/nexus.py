"""NeXus, by h5py; silx and nexusformat open the file."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import silx.io.nxdata
from nexusformat.nexus import nxload

from bluesky_export.formats import Written

from .hdf5 import RULES, declared, loads, metadata, original, rows_of
from .reading import Read, Table

__all__ = ["RULES", "declared", "metadata", "ordered", "read"]

BLUESKY = "/entry/instrument/bluesky"


def ordered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events of several descriptors are in the order of their seq_num, others as they came."""
    several = len({row["descriptor"] for row in rows}) > 1
    return sorted(rows, key=lambda row: int(row["seq_num"])) if several else rows


def read(written: Written) -> Read:
    (path,) = written.files
    tables = {}
    with h5py.File(path) as file:
        group = file[f"{BLUESKY}/documents"]
        documents = {name: loads(group[name]["data"].asstr()[()]) for name in group}
        status = file[f"{BLUESKY}/exit_status"].asstr()[()]
        for name, item in file[f"{BLUESKY}/streams"].items():
            tables[original(item, name)] = _table(item, file[f"{BLUESKY}/events/{name}"])
        plot = silx.io.nxdata.get_default(file)
        assert plot is None or plot.is_valid
    assert nxload(path).entry.nxclass == "NXentry"
    return Read(tables, status, documents["start"], documents.get("stop"), documents["descriptors"])


def _table(group: Any, events: Any) -> Table:
    numbers = events["seq_num"][()].tolist()
    values: dict[str, list[Any]] = {}
    stamps: dict[str, list[Any]] = {}
    dtypes = {}
    for name, item in group.items():
        field = original(item, name)
        if name.endswith("_image") is False and f"{name}_image" in group and item == group[f"{name}_image"]:
            continue  # the detector's other name
        measured = item["seq_num"][()].tolist() if "seq_num" in item else numbers
        if "EPOCH" in item:
            stamped = item["EPOCH"][()].tolist()
            mine = dict(zip(measured, stamped, strict=bool(stamped)))
            known = stamps.setdefault(field, [None] * len(numbers))
            stamps[field] = [mine.get(n, old) for n, old in zip(numbers, known, strict=True)]
        if "value" in item:
            found = dict(zip(measured, rows_of(item["value"]), strict=True))
            known = values.setdefault(field, [None] * len(numbers))
            values[field] = [found.get(n, old) for n, old in zip(numbers, known, strict=True)]
            dtypes[field] = item["value"].dtype
    times = events["time"][()].tolist()
    uids = events["uid"].asstr()[()].tolist() if "uid" in events and times else []
    return Table(values, times, numbers, uids, stamps, {f: np.dtype(d) for f, d in dtypes.items()})
