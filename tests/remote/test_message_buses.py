"""The dispatchers of bluesky-nats and bluesky-kafka followed, each over its own publisher's messages.

NATS by its real server; Kafka by the broker that librdkafka brings for tests, over TCP, since a real
one is a Java program.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..corpus import simulated_runs

SERVER = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
FOLLOW = {
    "nats": """
import asyncio, sys
from bluesky_nats.nats_dispatcher import NATSDispatcher
from bluesky_export.watching import watch

asyncio.set_event_loop(loop := asyncio.new_event_loop())
watch(NATSDispatcher("events.>", sys.argv[1], loop=loop), "json,hdf5", sys.argv[2])
""",
    "kafka": """
import sys
from bluesky_kafka import RemoteDispatcher
from bluesky_export.watching import watch

earliest = {"auto.offset.reset": "earliest"}
dispatcher = RemoteDispatcher(["bluesky.documents"], sys.argv[1], "group", consumer_config=earliest)
watch(dispatcher, "json,hdf5", sys.argv[2])
""",
}


@contextlib.contextmanager
def nats_server(folder: Path) -> Iterator[str]:
    """Run a server with one stream, and publish the runs to it."""
    if SERVER is None:
        pytest.skip("no nats-server here: apt-get install nats-server")
    import nats
    from bluesky_nats.nats_publisher import NATSPublisher
    from bluesky_nats.nats_runtime import NatsRuntime
    from bluesky_nats.outbox import Delivery, Outbox

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("wb") as log:
        words = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "store")]
        server = subprocess.Popen([SERVER, *words], stdout=log, stderr=log)
    address = f"nats://127.0.0.1:{port}"
    try:
        with NatsRuntime() as runtime:
            client = runtime.connect(nats.connect(address, max_reconnect_attempts=100))
            stream = client.jetstream()
            runtime.setup(stream.add_stream(name="bluesky", subjects=["events.>"]))
            publisher = NATSPublisher(Outbox(runtime, client, delivery=Delivery.CRITICAL), stream)
            publish(publisher)
            assert publisher.close()
        yield address
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def kafka_broker(folder: Path) -> Iterator[str]:
    """Run librdkafka's broker in this process, and publish the runs to it."""
    from bluesky_kafka import Publisher
    from confluent_kafka import Producer

    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = owner.list_topics(timeout=30).brokers.values()
    address = f"{broker.host}:{broker.port}"
    publish(Publisher("bluesky.documents", address, key="key", flush_on_stop_doc=True))
    yield address
    del owner


def publish(publisher) -> None:
    for run in simulated_runs().values():
        for name, doc in run:
            publisher(name, doc)


@pytest.mark.parametrize("kind", [nats_server, kafka_broker])
def test_documents_of_a_message_bus_become_files(kind, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    runs = list(simulated_runs().values())
    said = tmp_path / "said"
    with kind(tmp_path) as address, said.open("w") as stream:
        code = FOLLOW[kind.__name__.partition("_")[0]]
        watcher = subprocess.Popen([sys.executable, "-c", code, address, f"{folder}/"], stderr=stream)
        try:
            deadline = time.monotonic() + 200
            while len(files(folder)) < 2 * len(runs):  # both keep what was published before
                assert watcher.poll() is None, said.read_text()
                assert time.monotonic() < deadline, said.read_text()
                time.sleep(0.1)
            watcher.send_signal(signal.SIGTERM)
            assert watcher.wait(60) == 0, said.read_text()
        finally:
            watcher.kill()
            watcher.wait()
    found = {}
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        found[content["start"]["uid"]] = content
    for run in runs:
        start, stop = run[0][1], run[-1][1]
        assert found[start["uid"]]["stop"]["num_events"] == stop["num_events"]
        assert found[start["uid"]]["start"]["scan_id"] == start["scan_id"]


def files(folder: Path) -> list[Path]:
    return [*folder.glob("*.json"), *folder.glob("*.h5")]
