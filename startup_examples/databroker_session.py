"""A session with a databroker catalog, on simulated devices.

    ipython -i startup_examples/databroker_session.py

Then type, for instance::

    %attach_writer nexus
    RE(bp.scan([noisy], motor, -1, 1, 21))
    %runs
    %export -1 spec /tmp/out.dat

At a beamline the catalog is ``databroker.catalog["45id"]`` or ``databroker.Broker.named(…)``, and
``RE`` is the one of the instrument; ``%load_ext bluesky_export`` is all that is added.
"""

import tempfile
from pathlib import Path

import intake
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from IPython import get_ipython
from ophyd.sim import det1, det2, motor, motor1, motor2, noisy_det

# A catalog of msgpack files. The folder outlives the session; look for it with --catalog FOLDER.
documents = Path(tempfile.mkdtemp(prefix="bluesky-documents-"))
cat = intake.open_bluesky_msgpack_catalog(f"{documents}/*.msgpack")

RE = RunEngine({"beamline_id": "simulated", "sample": {"name": "LaB6"}})
RE.subscribe(cat.v1.insert)

# Names for the prompt, not used here.
_ = bps, bpp, bp, det1, det2, motor, motor1, motor2
noisy = noisy_det

shell = get_ipython()
if shell is not None:
    shell.run_line_magic("load_ext", "bluesky_export")
    print(f"documents go to {documents}; try RE(bp.scan([noisy], motor, -1, 1, 21)), then %runs")
