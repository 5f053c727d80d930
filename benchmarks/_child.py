"""One measurement, in a process of its own."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import resource
import time
import traceback
import warnings
from pathlib import Path
from typing import Any


def server_cpu(pid: int | None) -> float:
    """Return the CPU seconds that a server has used, its children included."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def own_cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def run(prepare: str, store: dict[str, Any], folder: str, answer: Any) -> None:
    """Do the work of one contender, and send what it took (or how it failed) through a pipe."""
    try:
        answer.send(_measured(prepare, store, Path(folder)))
    except BaseException:
        answer.send(traceback.format_exc())
    answer.close()
    os._exit(0)  # what the libraries do at their end was not measured, and may take its time


def _measured(prepare: str, store: dict[str, Any], out: Path) -> dict[str, Any]:
    module, _, function = prepare.partition(":")
    logging.disable(logging.WARNING)
    os.chdir(out)
    with (
        warnings.catch_warnings(),
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
    ):
        warnings.simplefilter("ignore")
        work = getattr(importlib.import_module(module), function)(store)
        if store.get("small"):
            small = out / "small"
            small.mkdir()
            work(store["small"], small)
        gc.collect()
        pid = store.get("server_pid")
        # The peak so far is that of the imports: forget it (Linux: man 5 proc, clear_refs).
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        cpu, server, wall = own_cpu(), server_cpu(pid), time.perf_counter()
        said = work(store["run"], out)
        wall = time.perf_counter() - wall
        cpu = own_cpu() - cpu + server_cpu(pid) - server
        peak = max(_status("VmHWM") - before, 0)
    return {"wall": wall, "cpu": cpu, "peak": peak, "said": said if isinstance(said, dict) else {}}
