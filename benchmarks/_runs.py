"""Runs to measure with: a scan of one motor and nine detectors, with a baseline."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np

MOTOR = "m"
START = 1.7e9
Pair = tuple[str, dict[str, Any]]


def names(fields: int = 10) -> list[str]:
    """Return the names of the fields: the motor first."""
    return [MOTOR, *(f"d{number}" for number in range(fields - 1))]


def columns(events: int, fields: int = 10) -> dict[str, np.ndarray]:
    """Return what was measured: floats of full precision, the same in every process."""
    random = np.random.default_rng(events)
    found = {name: random.normal(size=events) * 1e3 for name in names(fields)}
    found[MOTOR] = np.linspace(-1, 1, events)
    return found


def uid_of(title: str) -> str:
    """Return the same uid for the same run in every process."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bluesky-export/{title}"))


def key(name: str, **more: Any) -> dict[str, Any]:
    """Return a data key of a float, as ophyd gives it."""
    return {
        "dtype": "number",
        "shape": [],
        "source": f"PV:{name}",
        "units": "mm",
        "precision": 4,
        "object_name": name,
        **more,
    }


def start_doc(uid: str, events: int, scan_id: int = 1, time: float = START) -> dict[str, Any]:
    detectors = ["d0", "d1"]
    return {
        "uid": uid,
        "time": time,
        "scan_id": scan_id,
        "plan_name": "scan",
        "plan_type": "generator",
        "plan_args": {"detectors": detectors, "num": events, "args": [MOTOR, -1, 1]},
        "detectors": detectors,
        "motors": [MOTOR],
        "num_points": events,
        "num_intervals": events - 1,
        "hints": {"dimensions": [[[MOTOR], "primary"]]},
        "sample": {"name": "silicon", "temperature": 295.5},
        "versions": {"bluesky": "1.15.1", "ophyd": "1.11.2"},
    }


def stop_doc(uid: str, start: str, counts: dict[str, int], time: float) -> dict[str, Any]:
    return {
        "uid": uid,
        "run_start": start,
        "time": time,
        "exit_status": "success",
        "reason": "",
        "num_events": counts,
    }


def descriptor(uid: str, run: str, stream: str, fields: list[str], time: float = START) -> dict[str, Any]:
    return {
        "uid": uid,
        "run_start": run,
        "time": time,
        "name": stream,
        "data_keys": {name: key(name) for name in fields},
        "object_keys": {name: [name] for name in fields},
        "hints": {name: {"fields": [name]} for name in fields},
        "configuration": {name: {"data": {}, "timestamps": {}, "data_keys": {}} for name in fields},
    }


def documents(events: int, fields: int = 10, rows: int = 1) -> Iterator[Pair]:
    """Yield a run's documents, with event pages of so many rows (1: as databroker keeps single events)."""
    uid = uid_of(f"{events}/{fields}/{rows}")
    primary, baseline = uid_of(f"{uid}/primary"), uid_of(f"{uid}/baseline")
    still = [f"still{number}" for number in range(5)]
    yield "start", start_doc(uid, events)
    yield "descriptor", descriptor(baseline, uid, "baseline", still)
    yield "event_page", _page(baseline, 0, {name: np.array([1.25]) for name in still})
    yield "descriptor", descriptor(primary, uid, "primary", names(fields))
    whole = columns(events, fields)
    for first in range(0, events, rows):
        yield (
            "event_page",
            _page(primary, first, {name: whole[name][first : first + rows] for name in whole}),
        )
    yield "event_page", _page(baseline, 1, {name: np.array([2.5]) for name in still})
    yield (
        "stop",
        stop_doc(uid_of(f"{uid}/stop"), uid, {"primary": events, "baseline": 2}, START + 1 + events * 0.1),
    )


def _page(descriptor: str, first: int, data: dict[str, np.ndarray]) -> dict[str, Any]:
    rows = len(next(iter(data.values())))
    times = (START + 1 + 0.1 * np.arange(first, first + rows)).tolist()
    return {
        "descriptor": descriptor,
        "uid": [f"{descriptor[:8]}-0000-4000-8000-{number:012d}" for number in range(first, first + rows)],
        "time": times,
        "seq_num": list(range(first + 1, first + rows + 1)),
        "data": {name: values.tolist() for name, values in data.items()},
        "timestamps": dict.fromkeys(data, times),
        "filled": {},
    }


def single_events(pairs: Iterator[Pair]) -> Iterator[Pair]:
    """Yield the same documents with ``event`` in place of pages, as a RunEngine emits them."""
    for name, doc in pairs:
        if name != "event_page":
            yield name, doc
            continue
        for row, number in enumerate(doc["seq_num"]):
            yield (
                "event",
                {
                    "descriptor": doc["descriptor"],
                    "uid": doc["uid"][row],
                    "time": doc["time"][row],
                    "seq_num": number,
                    "data": {key: column[row] for key, column in doc["data"].items()},
                    "timestamps": {key: column[row] for key, column in doc["timestamps"].items()},
                    "filled": {},
                },
            )
