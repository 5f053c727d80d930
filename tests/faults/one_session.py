"""``python -m tests.faults.one_session FOLDER NAME OTHER``: a session that writes while another one does.

It takes one number more for each run than the other session does not: both have the scan_ids 1, 2, 3 …,
and file names that are made of nothing else. What came of it is printed as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import databroker
from bluesky import RunEngine
from bluesky import plans as bp
from ophyd.sim import det1, motor1

from bluesky_export.again import export_failed
from bluesky_export.attach import attach_writer, detach_writer, failed_runs

FORMATS = ["csv", "json", "hdf5"]
RUNS = 3


def main(folder: Path, name: str, other: str) -> None:
    """Write runs as the other session does, at the same time."""
    said: list[str] = []
    engine = RunEngine({}, call_returns_result=False)
    catalog = databroker.temp()
    engine.subscribe(catalog.v1.insert)
    for one in FORMATS:
        attach_writer(one, folder, RE=engine, name=f"{one}-{{scan_id}}", say=said.append)
    attach_writer("spec", folder / "both.dat", RE=engine, say=said.append)
    (folder / f"{name}.ready").touch()
    while not (folder / f"{other}.ready").exists():
        time.sleep(0.01)
    uids: list[str] = []
    for number in range(RUNS):
        uids += engine(bp.scan([det1], motor1, number, number + 1, 20, md={"session": name}))
    result = detach_writer(RE=engine, say=said.append)
    failed = [(run.uid, run.format, str(run.error)) for run in failed_runs(engine)]
    (folder / f"{name}.done").touch()
    while not (folder / f"{other}.done").exists():
        time.sleep(0.01)
    again = export_failed(catalog=catalog.v2, variables={"RE": engine}, say=said.append) if failed else None
    found = {
        "uids": uids,
        "written": [(item.uid, item.format, [str(path) for path in item.files]) for item in result.written],
        "failed": failed,
        "again": [item.format for item in again.written] if again is not None else [],
        "said": said,
    }
    print("RESULT " + json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
