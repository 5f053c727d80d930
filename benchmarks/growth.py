"""10⁴ to 10⁶ events in the formats that write as they go: is it linear, and what does it hold in memory?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import _stores
from ._compete import Contender, Contest
from .tabular import checked

FORMATS = ("csv", "jsonl", "spec", "hdf5", "nexus")


@contextmanager
def suite(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """databroker, pages of 1,000 rows."""
    contests = []
    for events in (500, 1000) if quick else (10_000, 100_000, 1_000_000):
        store = _stores.databroker(folder / str(events), events, rows=1000)
        for form in FORMATS:
            one = {**store, "format": form}
            contests.append(
                Contest(
                    f"growth-{form}-{events}",
                    f"databroker, pages, {events:,} events → {form}",
                    one,
                    [Contender("ours", f"%export {form}", "benchmarks.tabular:ours")],
                    checked(one),
                )
            )
    yield contests


SUITES = {"growth": suite}
