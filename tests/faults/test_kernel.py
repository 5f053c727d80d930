"""A Jupyter kernel that is restarted while a writer is attached and a run is open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jupyter_client.manager import start_new_kernel

from bluesky_export.cli import main

from ..live.conftest import wait_until

ROOT = Path(__file__).parents[2]
SESSION = """
from tests.live.session import Engine, documents
from tests.live.conftest import wait_until
from bluesky_export.live import live_writers
RE = Engine()
get_ipython().run_line_magic("load_ext", "bluesky_export")
get_ipython().run_line_magic("attach_writer", "jsonl FOLDER/ --name {uid}")
for name, doc in documents(30, 1):
    if name != "stop":
        RE.receive(name, doc)
wait_until(lambda: live_writers(RE).recorder.events == 30, 60)
"""


@pytest.mark.parametrize("now", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_kernel_that_is_restarted(tmp_path, now, monkeypatch):
    """With ``now`` it is killed, else it is asked to end, as by the button in JupyterLab."""
    folder = tmp_path / "data"
    folder.mkdir()
    manager, client = start_new_kernel(cwd=str(ROOT))
    try:
        reply = client.execute(SESSION.replace("FOLDER", str(folder)), reply=True, timeout=120)
        assert reply["content"]["status"] == "ok", reply["content"]
        manager.restart_kernel(now=now)
        client.wait_for_ready(timeout=120)
        reply = client.execute("RE", reply=True, timeout=60)
        assert reply["content"]["ename"] == "NameError"  # a new one
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    wait_until(lambda: main(["recover"]) == 0 and list(folder.glob("*.jsonl")), 60)
    (path,) = folder.iterdir()
    kinds = [json.loads(line)[0] for line in path.read_text().splitlines()]
    assert kinds == ["start", "descriptor"] + ["event"] * 30  # and no stop: it never looks complete
