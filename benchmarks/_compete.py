"""Contenders, measured in turns."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _child


@dataclass
class Contender:
    """One way to do the work.

    ``prepare`` (``module:function``) takes the store and returns ``work(run, out)``, which is
    called once for the small run and then, measured, for the run itself.
    """

    role: str
    title: str
    prepare: str
    rounds: int | None = None
    """Fewer rounds than the others take, for one that needs a minute or more each time."""
    check: Callable[[Path], None] | None = None
    """Compares what was written with what was measured; in place of the contest's."""


@dataclass
class Measured:
    wall: float
    cpu: float
    peak: int
    """Bytes above what the process had before the work."""
    said: dict[str, Any] = field(default_factory=dict)


@dataclass
class Contest:
    """The same work, done by several contenders in turn."""

    name: str
    title: str
    store: dict[str, Any]
    contenders: list[Contender]
    check: Callable[[Path], None]
    targets: dict[str, float] = field(default_factory=dict)
    """By title of another contender: how much faster ours shall be (floors: how much slower it may be)."""

    def run(self, rounds: int, say: Callable[[str], None] = print) -> dict[str, Any]:
        """Measure; return the figures, as they are written to the results file."""
        taken: dict[str, list[Measured]] = {one.title: [] for one in self.contenders}
        for number in range(rounds):
            turn = number % len(self.contenders)  # nobody is always the first
            for one in self.contenders[turn:] + self.contenders[:turn]:
                if one.rounds is None or number < one.rounds:
                    taken[one.title].append(self._once(one))
        say(f"\n{self.title}   [{self.name}]")
        ours = next(one.title for one in self.contenders if one.role == "ours")
        rows = []
        for one in self.contenders:
            row = self._row(one, taken[one.title], taken[ours])
            rows.append(row)
            say(_line(row))
        return {"name": self.name, "title": self.title, "rows": rows}

    def _once(self, one: Contender) -> Measured:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            out = Path(folder)
            measured = measure(one.prepare, self.store, out)
            (one.check or self.check)(out)
        return measured

    def _row(self, one: Contender, mine: list[Measured], ours: list[Measured]) -> dict[str, Any]:
        pairs = list(zip(mine, ours, strict=False))
        return {
            "role": one.role,
            "contender": one.title,
            "rounds": len(mine),
            "wall_s": statistics.median(m.wall for m in mine),
            "cpu_s": statistics.median(m.cpu for m in mine),
            "peak_mb": statistics.median(m.peak for m in mine) / 1e6,
            "wall_over_ours": statistics.median(m.wall / o.wall for m, o in pairs),
            "cpu_over_ours": statistics.median(m.cpu / max(o.cpu, 1e-6) for m, o in pairs),
            "target": self.targets.get(one.title),
            "said": mine[0].said,
        }


PRELOAD = (
    "apstools.callbacks", "bluesky_tiled_plugins", "databroker._drivers.msgpack", "databroker.v1",
    "h5netcdf", "h5py", "httpx", "msgpack_numpy", "orjson", "pandas", "pyarrow.csv", "pyarrow.ipc",
    "tifffile", "tiled.client", "xarray", "bluesky_export.exporting", "bluesky_export.listing",
)  # fmt: skip
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(list(PRELOAD))


def measure(prepare: str, store: dict[str, Any], out: Path) -> Measured:
    """Do the work once, in a new process: a fork of one that has imported everybody's libraries."""
    answer, end = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_child.run, args=(prepare, store, str(out), end))
    process.start()
    end.close()
    try:
        found = answer.recv()
    except EOFError:
        found = "its process has died"
    process.join()
    if isinstance(found, str):
        raise RuntimeError(f"{prepare} failed:\n{found}")
    return Measured(**found)


def _line(row: dict[str, Any]) -> str:
    ratio = (
        "" if row["role"] == "ours" else f"{_ratio(row['wall_over_ours'])} / {_ratio(row['cpu_over_ours'])}"
    )
    return (
        f"  {row['role']:<6} {row['contender']:<52} {_time(row['wall_s']):>9} wall "
        f"{_time(row['cpu_s']):>9} cpu {row['peak_mb']:>8.0f} MB  {ratio:<17} ({row['rounds']} rounds)"
    )


def _ratio(value: float) -> str:
    """Return a contender's cost as a multiple of ours."""
    return f"{value:.3g} ×"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"
