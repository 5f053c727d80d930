"""``%runs`` and look-ups in Tiled on PostgreSQL: ``python -m benchmarks.listing_postgresql 100000``.

The rows are put straight into the table, as for SQLite, after one run that is stored in full.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from . import _runs, _stores

ROUNDS = 5


async def fill(address: str, pattern: str, count: int) -> None:
    """Add so many short runs beside the one whose uid is given."""
    import asyncpg

    database = await asyncpg.connect(address.replace("+asyncpg", ""))
    parent, specs = await database.fetchrow("SELECT parent, specs FROM nodes WHERE key = $1", pattern)
    rows = [
        (parent, start["uid"], json.dumps({"start": start, "stop": stop}), specs)
        for start, stop in _stores.short_runs(count)
    ]
    await database.execute("CREATE TEMP TABLE short (parent int, key text, metadata text, specs text)")
    await database.copy_records_to_table("short", records=rows)
    await database.execute(
        "INSERT INTO nodes (parent, key, structure_family, metadata, specs) "
        "SELECT parent, key, 'container', metadata::jsonb, specs::jsonb FROM short"
    )
    await database.execute("ANALYZE nodes")
    await database.close()


def processes(server: int, port: str) -> list[psutil.Process]:
    """Return Tiled's server and PostgreSQL's first process."""
    found = [psutil.Process(server)]
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or [""]
        if port in words and words[0].endswith("/postgres"):
            found.append(process)
    return found


def processor_time(ours: list[psutil.Process]) -> float:
    """Return the processor time of this process and of those, their children included."""
    times = [one.cpu_times() for top in ours for one in (top, *top.children(recursive=True))]
    return time.process_time() + sum(one.user + one.system for one in times)


def measure(name: str, work: Callable[[], int], ours: list[psutil.Process]) -> None:
    """Print the processor time of all, and the middle of the times that the user waits."""
    work()
    before, waits = processor_time(ours), []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = work()
        waits.append(time.perf_counter() - began)
    spent = (processor_time(ours) - before) / ROUNDS
    wait = sorted(waits)[ROUNDS // 2]
    print(f"{name}: {found} found, processor time {spent * 1e3:.0f} ms, waited {wait * 1e3:.0f} ms")


def main(count: int) -> None:
    """Fill a server with so many runs, and print what was measured."""
    from bluesky_tiled_plugins.queries import PartialUID, ScanID
    from tests.fixtures_tiled import store, tiled_server
    from tests.postgres import postgres

    from bluesky_export.listing import runs

    with (
        tempfile.TemporaryDirectory() as folder,
        postgres() as address,
        tiled_server("bluesky", Path(folder), database=address) as server,
    ):
        run = list(_runs.single_events(_runs.documents(3)))
        client = server.client()
        if reason := store(client, run):
            raise RuntimeError(reason)
        asyncio.run(fill(address, run[0][1]["uid"], count))
        middle = [start for start, _ in _stores.short_runs(count // 2)][-1]
        ours = processes(server.process.pid, address.rsplit(":", 1)[1].split("/")[0])

        def listed(selector: str) -> Callable[[], int]:
            def work() -> int:
                table = runs(selector, columns="uid,scan_id,plan,time", catalog=client)
                str(table)
                return len(table.runs)

            return work

        def searched(query: object) -> Callable[[], int]:
            return lambda: len([one.metadata["start"]["uid"] for one in client.search(query).values()])

        measure("the 20 newest", listed("-20:"), ours)
        measure("the same, client.items().tail(20)", lambda: len(list(client.items().tail(20))), ours)
        measure("by scan_id", listed(str(middle["scan_id"])), ours)
        measure("the same, client.search", searched(ScanID(middle["scan_id"])), ours)
        measure("by the beginning of the uid", listed(middle["uid"][:8]), ours)
        measure("the same, client.search", searched(PartialUID(middle["uid"][:8])), ours)


if __name__ == "__main__":
    main(int(sys.argv[1]))
