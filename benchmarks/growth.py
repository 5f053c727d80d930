"""10⁴ to 10⁶ events, 10 to 1,000 fields: is it linear, and what is held in memory?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import _stores
from ._compete import Contender, Contest
from .tabular import checked

FORMATS = ("csv", "jsonl", "spec", "hdf5", "nexus")
PEERS = {
    "csv": ("cat.v1[uid].table().to_csv()", "table_to_csv", 100_000),
    "spec": ("replay into SpecWriterCallback2", "replay_spec", 10_000),
    "nexus": ("replay into NXWriter", "replay_nexus", 100_000),
}
"""What users do today, and up to how many events it is waited for."""


@contextmanager
def suite(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """databroker, pages of 1,000 rows."""
    contests = []
    for events in (500, 1000) if quick else (10_000, 100_000, 1_000_000):
        store = _stores.databroker(folder / f"events-{events}", events, rows=1000)
        contests += [
            _contest(f"growth-{form}-{events}", f"{events:,} events", {**store, "format": form})
            for form in FORMATS
        ]
    for fields in (10, 20) if quick else (10, 100, 1000):
        store = _stores.databroker(folder / f"fields-{fields}", 1000, rows=1000, fields=fields)
        contests += [
            _contest(
                f"fields-{form}-{fields}", f"1,000 events, {fields:,} fields", {**store, "format": form}
            )
            for form in ("csv", "hdf5")
        ]
    yield contests


def _contest(name: str, size: str, store: dict[str, Any]) -> Contest:
    form = store["format"]
    contenders = [Contender("ours", f"%export {form}", "benchmarks.tabular:ours")]
    title, function, most = PEERS.get(form, ("", "", 0))
    if store["events"] <= most:
        contenders.append(Contender("peer", title, f"benchmarks.tabular:{function}", rounds=2))
    return Contest(name, f"databroker, pages, {size} → {form}", store, contenders, checked(store))


SUITES = {"growth": suite}
