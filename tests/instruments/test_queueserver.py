"""A real start-re-manager on a real Redis runs plans, and the files are there: the example as it is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import zmq

from ..waiting import free_port, until

BIN = Path(sys.executable).parent
EXAMPLE = Path(__file__).parents[2] / "startup_examples" / "queueserver"
WORKERS = {"python": "OFF", "ipython": "ON"}


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server here: apt-get install redis-server (.ci/services)")
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(
        [program, *words], cwd=tmp_path_factory.mktemp("redis"), stdout=subprocess.DEVNULL
    )

    def answers():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers, 30)
        yield port
    finally:
        process.terminate()
        process.wait(20)


class Manager:
    """The program start-re-manager, asked over its 0MQ connection."""

    def __init__(self, folder, redis, kernel):
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.log = folder / "manager.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    BIN / "start-re-manager", "--keep-re",
                    "--startup-script", EXAMPLE / "startup.py",
                    "--user-group-permissions", EXAMPLE / "user_group_permissions.yaml",
                    "--existing-plans-devices", folder / "existing.yaml",
                    "--update-existing-plans-devices", "ENVIRONMENT_OPEN",
                    "--use-ipython-kernel", kernel,
                    "--zmq-control-addr", self.address,
                    "--zmq-info-addr", f"tcp://127.0.0.1:{free_port()}",
                    "--redis-addr", f"127.0.0.1:{redis}",
                    "--redis-name-prefix", f"tests-{kernel}",
                ],
                cwd=folder, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "DATA_FOLDER": str(folder), "IPYTHONDIR": str(folder / "ipython")},
            )  # fmt: skip

    def ask(self, method, **params):
        with zmq.Context() as context, context.socket(zmq.REQ) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(self.address)
            socket.send_json({"method": method, "params": params})
            return socket.recv_json() if socket.poll(5000) else {}

    def do(self, method, **params):
        answer = self.ask(method, **params)
        assert answer.get("success"), (answer, self.log.read_text()[-3000:])
        return answer

    def idle(self):
        return self.ask("status").get("manager_state") == "idle"

    def stop(self):
        self.ask("manager_stop", option="safe_off")
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.mark.parametrize("worker", WORKERS)
def test_the_queue_runs_plans_and_the_files_are_there(redis, tmp_path, worker):
    manager = Manager(tmp_path, redis, WORKERS[worker])
    who = {"user": "tests", "user_group": "primary"}
    try:
        until(manager.idle)
        manager.do("environment_open")
        until(lambda: manager.ask("status").get("worker_environment_exists") and manager.idle())
        for number in (3, 5):
            item = {"item_type": "plan", "name": "count", "args": [["det1"]], "kwargs": {"num": number}}
            manager.do("queue_item_add", item=item, **who)
        manager.do("queue_start")
        files = tmp_path / "files"
        until(lambda: len(list(files.glob("*.hdf"))) == 2)
        until(manager.idle)
        item = {"item_type": "function", "name": "export_runs", "args": ["-2:", "csv"]}
        task = manager.do("function_execute", item=item, **who)["task_uid"]
        done = until(
            lambda: manager.ask("task_result", task_uid=task).get("result", {}).get("return_value")
        )
        assert [Path(path).suffix for path in done].count(".csv") == 2
        until(lambda: (files / "queue.dat").exists())
        until(lambda: (files / "queue.dat").read_text().count("\n#S ") == 2)
        manager.do("environment_close")
        until(lambda: not manager.ask("status").get("worker_environment_exists"))
    finally:
        manager.stop()
    lengths = set()
    for path in files.glob("*.hdf"):
        with h5py.File(path) as file:
            lengths.add(file["entry/instrument/bluesky/streams/primary/det1/value"].shape)
    assert lengths == {(3,), (5,)}
    assert not list(files.glob("*.part"))
