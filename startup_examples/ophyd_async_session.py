"""A session with an ophyd-async detector that writes HDF5 files by itself, simulated.

    pip install "ophyd-async"
    ipython -i startup_examples/ophyd_async_session.py

Then type, for instance::

    %attach_writer nexus
    RE(bp.scan([blob], x, 0, 1, 5))
    %export -1 hdf5 /tmp/
    %export -1 nexus /tmp/ --images link

The detector's frames are in a file of its own; the run refers to them by stream_resource and
stream_datum documents, from which the writers take them.
"""

import tempfile
from pathlib import Path

import intake
from bluesky import RunEngine
from bluesky import plans as bp
from IPython import get_ipython
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices
from ophyd_async.sim import PatternGenerator, SimBlobDetector, SimMotor

from bluesky_export import attach_writer

folder = Path(tempfile.mkdtemp(prefix="bluesky-ophyd-async-"))
(folder / "documents").mkdir()
(folder / "detector").mkdir()

# databroker's own writer of documents (cat.v1.insert) drops stream_resource and stream_datum, and with
# them where the frames are. Ours keeps them; a run is in the catalog a moment after it has ended.
cat = intake.open_bluesky_msgpack_catalog(f"{folder}/documents/*.msgpack")
RE = RunEngine({"beamline_id": "simulated", "sample": {"name": "blobs"}})
attach_writer("msgpack", f"{folder}/documents/", RE=RE)

pattern = PatternGenerator()
with init_devices():
    blob = SimBlobDetector(StaticPathProvider(UUIDFilenameProvider(), folder / "detector"), pattern)
    x = SimMotor(instant=True)
    y = SimMotor(instant=True)

_ = bp, y

shell = get_ipython()
if shell is not None:
    shell.run_line_magic("load_ext", "bluesky_export")
    print(f"frames go to {folder}/detector; try RE(bp.scan([blob], x, 0, 1, 5)), then %export -1 hdf5")
