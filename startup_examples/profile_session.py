"""A start-up file as an IPython profile has it at NSLS-II: ``RE``, ``db``, ``bec``.

    ipython -i startup_examples/profile_session.py

or, for good, as a file of ``~/.ipython/profile_collection/startup/``. There ``db`` is
``databroker.Broker.named("csx")`` (with ``nslsii.configure_base(get_ipython().user_ns, "csx")``); here it
is a temporary one. Then type, for instance::

    RE(bp.scan([noisy], motor, -1, 1, 21))
    %runs
    %export -1 csv,spec /tmp/
"""

import databroker
from bluesky import RunEngine
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky.callbacks.best_effort import BestEffortCallback
from IPython import get_ipython
from ophyd.sim import det1, det2, motor, motor1, motor2
from ophyd.sim import noisy_det as noisy

db = databroker.temp()

RE = RunEngine({"beamline_id": "simulated", "owner": "nobody"})
bec = BestEffortCallback()
bec.disable_plots()
RE.subscribe(bec)
RE.subscribe(db.insert)

_ = bps, bp, det1, det2, motor, motor1, motor2, noisy

shell = get_ipython()
if shell is not None:
    shell.run_line_magic("load_ext", "bluesky_export")
