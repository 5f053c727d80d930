"""``python -m benchmarks``: measure, print, and keep the figures as JSON."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

MODULES = ("tabular", "packing", "images", "listing", "growth")
LIBRARIES = (
    "apstools", "bluesky", "bluesky-tiled-plugins", "databroker", "event-model", "h5py", "msgpack", "numpy",
    "orjson", "pandas", "pyarrow", "tifffile", "tiled", "xarray",
)  # fmt: skip


def suites() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in MODULES:
        found |= importlib.import_module(f"benchmarks.{module}").SUITES
    return found


def main() -> None:
    known = suites()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"some of: {', '.join(known)}; default: all"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="contests with this text in their name")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: to see that it works")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here as well")
    given = parser.parse_args()
    for name in given.names:
        if name not in known:
            parser.error(f"no benchmark {name!r}; there are: {', '.join(known)}")
    rounds = 1 if given.quick else given.rounds
    print(_versions())
    print("median wall and CPU time, peak memory above the start; then wall / CPU as multiples of ours")
    results: list[Any] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for name in given.names or known:
            with known[name](Path(folder) / name, given.quick) as contests:
                results += [contest.run(rounds) for contest in contests if given.only in contest.name]
                sys.stdout.flush()
            if given.json:
                given.json.write_text(
                    json.dumps({"versions": _versions(), "results": results}, indent=1) + "\n"
                )
    print(f"\n{time.monotonic() - begin:.0f} s")


def _versions() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"Python {platform.python_version()}, {os.cpu_count()} processors; {libraries}"


if __name__ == "__main__":
    main()
