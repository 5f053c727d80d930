"""A session with a Tiled server over HTTP on this machine, on simulated devices.

    pip install "tiled[server]" duckdb
    ipython -i startup_examples/tiled_session.py

The server is started here, on a free port of the loopback address, and ends with the session. At
a beamline it runs elsewhere, and the session has ``cat = tiled.client.from_profile(…)``.
"""

import atexit
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bluesky import RunEngine
from bluesky import plans as bp
from bluesky_tiled_plugins import TiledWriter
from IPython import get_ipython
from ophyd.sim import det1, det2, motor, motor1, motor2
from ophyd.sim import noisy_det as noisy
from tiled.client import from_uri

folder = Path(tempfile.mkdtemp(prefix="bluesky-tiled-"))
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
key = secrets.token_hex(16)

# The two settings that make a server good for Bluesky are the root's spec and the exporter.
(folder / "config.yml").write_text(f"""
authentication: {{allow_anonymous_access: false}}
trees:
  - path: /
    tree: catalog
    args:
      uri: "sqlite:///{folder}/catalog.db"
      init_if_not_exists: true
      specs: [{{name: CatalogOfBlueskyRuns, version: "3.0"}}]
      writable_storage:
        - "file://localhost{folder}/data"
        - "duckdb:///{folder}/tables.db"
media_types:
  BlueskyRun:
    application/json-seq: bluesky_tiled_plugins.exporters:json_seq_exporter
""")
log = (folder / "server.log").open("wb")
command = [sys.executable, "-m", "tiled", "serve", "config", "config.yml", "--host", "127.0.0.1"]
server = subprocess.Popen(
    [*command, "--port", str(port)],
    cwd=folder,
    env={**os.environ, "TILED_SINGLE_USER_API_KEY": key},
    stdout=log,
    stderr=log,
    start_new_session=True,  # Ctrl-C, typed to pause a plan, is not for the server
)
atexit.register(server.terminate)


def connect(seconds: float = 60.0):
    """Return a client of the server, once it answers."""
    for _attempt in range(int(seconds * 4)):
        if server.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return from_uri(f"http://127.0.0.1:{port}/api/v1", api_key=key)
        except OSError:
            time.sleep(0.25)
    raise RuntimeError(f"the Tiled server did not start; see {folder}/server.log")


cat = connect()
RE = RunEngine({"beamline_id": "simulated", "sample": {"name": "LaB6"}})
RE.subscribe(TiledWriter(cat))

_ = bp, det1, det2, motor, motor1, motor2, noisy

shell = get_ipython()
if shell is not None:
    shell.run_line_magic("load_ext", "bluesky_export")
    print(f"Tiled listens on port {port}; try RE(bp.scan([noisy], motor, -1, 1, 21)), then %runs")
