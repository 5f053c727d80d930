"""A start-up script for bluesky-queueserver: files are written for every plan that the queue runs.

    pip install bluesky-queueserver
    redis-server &
    start-re-manager --keep-re --startup-script startup_examples/queueserver/startup.py \
        --user-group-permissions startup_examples/queueserver/user_group_permissions.yaml \
        --existing-plans-devices /tmp/existing.yaml --update-existing-plans-devices ENVIRONMENT_OPEN
    qserver environment open
    qserver queue add plan '{"name": "count", "args": [["det1"]], "kwargs": {"num": 5}}'
    qserver queue start
    qserver function execute '{"name": "export_runs", "args": ["-1", "csv"]}'

It is the same for the plain-Python worker and for the IPython kernel (``--use-ipython-kernel ON``).
``--keep-re`` is needed: without it the manager makes a RunEngine of its own, and none of what is
subscribed here is subscribed there.
"""

import os
from pathlib import Path

import intake
from bluesky import RunEngine
from bluesky.plans import count, scan
from ophyd.sim import det1, det2, motor1

from bluesky_export import attach_writer, export

folder = Path(os.environ.get("DATA_FOLDER", ".")).resolve()
(folder / "documents").mkdir(exist_ok=True)
(folder / "files").mkdir(exist_ok=True)

cat = intake.open_bluesky_msgpack_catalog(f"{folder}/documents/*.msgpack")
RE = RunEngine({"beamline_id": "simulated"})
RE.subscribe(cat.v1.insert)

attach_writer("nexus", f"{folder}/files/", RE=RE)
attach_writer("spec", folder / "files" / "queue.dat", RE=RE)


def export_runs(selectors: str = "-1", formats: str = "csv"):
    """Write runs that are in the catalog already; returns the paths."""
    return [str(path) for path in export(selectors, formats, f"{folder}/files/", catalog=cat)]


_ = count, scan, det1, det2, motor1
