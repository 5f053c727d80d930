"""XDI, by a reader made from the specification, and by numpy."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from bluesky_export.formats import Written
from bluesky_export.testing import Made

from ..checks.streams import only, start_of
from ..checks.xdi import Spectrum, read_xdi
from ..comparing import same
from .metadata import decode, plain
from .reading import Read, Table, each

__all__ = ["RULES", "read", "refuses", "times"]


def refuses(made: Made) -> str | None:
    """Only runs with an energy and an element have a spectrum."""
    start = start_of(made.documents)
    known = "XDI" in start or {"element", "edge"} <= start.keys()
    units = {
        str(key.get("units")).lower()
        for doc in only(made.documents, "descriptor")
        for field, key in doc["data_keys"].items()
        if field in (start.get("motors") or ())
    }
    return None if known and units & {"ev", "kev"} else "xdi needs"


def read(written: Written) -> Read:
    (path,) = written.files
    found = read_xdi(path)
    table = np.loadtxt(path, comments="#", ndmin=2)
    assert table.shape == (len(found.columns["energy"]), len(found.columns))
    for column, values in zip(table.T, found.columns.values(), strict=True):
        assert column.tolist() == [float(value) for value in values]
    fields = dict(found.columns)
    energy = next(iter(json.loads(found.fields["bluesky.motors"])))
    fields[energy] = fields.pop("energy")
    time = fields.pop("elapsed_time")
    return Read({"primary": Table(fields, [float(value) for value in time])}, entries(found)["exit_status"])


def entries(found: Spectrum) -> dict[str, Any]:
    ours = {name: value for name, value in found.fields.items() if name.startswith("bluesky.")}
    return {name.partition(".")[2]: decode(json.loads(value)) for name, value in ours.items()}


def times(rows: list[dict[str, Any]], start: dict[str, Any]) -> list[float]:
    return [row["time"] - start["time"] for row in rows]


def hold_start(written: Written, start: dict[str, Any]) -> None:
    found = entries(read_xdi(written.files[0]))
    for key, value in start.items():
        tag = re.sub(r"[^a-z0-9_-]", "_", key.lower())
        assert same(found[tag], plain(value)), key


def hold_stop(written: Written, stop: dict[str, Any] | None) -> None:
    assert same(entries(read_xdi(written.files[0])).get("stop"), plain(stop))


def hold_configuration(written: Written, documents: Any) -> None:
    assert "configuration" not in entries(read_xdi(written.files[0]))


RULES = {"narrow": each(lambda value: value)}
