"""Runs to test on, as lists of ``(name, document)``: real ones and simulated ones."""

from __future__ import annotations

import functools
import gzip
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from .sampling import drawn, is_whole

Pairs = list[tuple[str, dict[str, Any]]]


def real_data() -> Path | None:
    """Return the folder of real documents, if the machine has it."""
    folder = os.environ.get("BLUESKY_EXPORT_REAL_DATA")
    return Path(folder) if folder and Path(folder).is_dir() else None


needs_real_data = pytest.mark.skipif(
    real_data() is None, reason="real documents not here: set BLUESKY_EXPORT_REAL_DATA to their folder"
)


def split_runs(pairs: Any) -> list[Pairs]:
    """Cut a flat list of documents into runs."""
    runs: list[Pairs] = []
    for name, doc in pairs:
        if name == "start":
            runs.append([])
        runs[-1].append((name, doc))
    return runs


@functools.cache
def real_runs() -> dict[str, Pairs]:
    """Return every real run by a readable id; empty without the data."""
    folder = real_data()
    if folder is None:
        return {}
    runs: dict[str, Pairs] = {}
    with gzip.open(folder / "apstools.json.gz", "rt") as file:
        for number, run in enumerate(split_runs(json.load(file))):
            runs[f"apstools-{number:02d}-{run[0][1]['plan_name']}"] = run
    for path in sorted(folder.glob("*.json")):
        if not path.name.startswith("btp_"):
            (run,) = split_runs(json.loads(path.read_text()))
            runs[path.stem] = run
    lines = (folder / "suitcase_specfile_scan.jsonl").read_text().splitlines()
    (runs["suitcase-specfile"],) = split_runs(json.loads(line) for line in lines)
    template = (folder / "btp_internal_events.json").read_text()
    fixed = str(uuid.UUID(int=0x5EED))
    runs["btp-internal"] = [
        (item["name"], item["doc"]) for item in json.loads(template.replace("{{ uuid }}", fixed[:23]))
    ]
    return runs


@functools.cache
def simulated_runs() -> dict[str, Pairs]:
    """Return runs of a real RunEngine on simulated devices."""
    from bluesky import RunEngine
    from bluesky import plan_stubs as bps
    from bluesky import plans as bp
    from bluesky import preprocessors as bpp
    from ophyd.sim import det1, det2, motor1, motor2, motor3

    engine = RunEngine({}, call_returns_result=False)
    documents: Pairs = []
    engine.subscribe(lambda name, doc: documents.append((name, doc)))

    def two_streams():
        @bpp.run_decorator(md={"plan_name": "two_streams", "sample": {"name": "Al", "mass": None}})
        def inner():
            yield from bps.trigger_and_read([det1, motor1])
            yield from bps.trigger_and_read([motor2], name="side")
            yield from bps.trigger_and_read([det1, motor1])

        yield from inner()

    def fails():
        yield from bps.open_run(md={"plan_name": "fails"})
        yield from bps.trigger_and_read([det1])
        yield from bps.close_run(exit_status="fail", reason="on purpose")

    plans = {
        "count": bp.count([det1], 3),
        "scan": bp.scan([det1, det2], motor1, -1, 1, 5),
        "grid": bp.grid_scan([det1], motor1, -1, 1, 3, motor2, -2, 2, 4),
        "baseline": bpp.baseline_wrapper(bp.scan([det1], motor1, 0, 1, 3), [motor2, motor3]),
        "two-streams": two_streams(),
        "failed": fails(),
    }
    runs: dict[str, Pairs] = {}

    def measure(name, plan):
        documents.clear()
        engine(plan)
        runs[f"sim-{name}"] = list(documents)

    for name, plan in plans.items():
        measure(name, plan)
    engine.md["scan_id"] = 0  # as after a new session: scan_ids begin again
    measure("scan-again", bp.scan([det1], motor1, 0, 1, 4))
    measure("list-scan", bp.list_scan([det2], motor3, [3, 1, 2]))
    return runs


ALIKE = "apstools-"
"""Real runs of one instrument, of two plans: dozens that differ little."""
FEW = 6
"""How many of these a sample has."""


@functools.cache
def all_runs() -> dict[str, Pairs]:
    """Return the simulated runs and, where the data are here, the real ones; few that are alike."""
    runs = {**simulated_runs(), **real_runs()}
    if is_whole():
        return runs
    few = drawn("alike", [name for name in runs if name.startswith(ALIKE)], FEW)
    return {name: run for name, run in runs.items() if name in few or not name.startswith(ALIKE)}
