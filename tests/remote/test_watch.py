"""Files written by a process that follows bluesky's 0MQ proxy, through restarts of everything."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import zmq
from bluesky import RunEngine
from bluesky import plans as bp
from bluesky.callbacks.zmq import Publisher
from bluesky.run_engine import Dispatcher
from event_model import DocumentNames
from ophyd.sim import det1, motor1

from bluesky_export import watching
from bluesky_export.remote import dumps
from bluesky_export.watching import Once, watch

from ..corpus import simulated_runs
from ..waiting import free_port, until

BIN = Path(sys.executable).parent


class Proxy:
    """The program bluesky-0MQ-proxy, which can be killed and started again on the same ports."""

    def __init__(self):
        self.inward, self.outward = free_port(), free_port()
        self.start()

    def start(self):
        words = ["--in-address", f"127.0.0.1:{self.inward}", "--out-address", f"127.0.0.1:{self.outward}"]
        self.process = subprocess.Popen(
            [BIN / "bluesky-0MQ-proxy", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for port in (self.inward, self.outward):
            until(lambda port=port: _answers(port))

    def kill(self):
        self.process.kill()
        self.process.wait()


def _answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Watch:
    """The program ``bluesky-export watch``; ``said`` is what it has told so far."""

    def __init__(self, folder, port, *words):
        self.log = folder.with_suffix(".log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [BIN / "bluesky-export", "watch", *words, "-o", f"{folder}/", "--zmq", f"127.0.0.1:{port}"],
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip

    @property
    def said(self):
        return self.log.read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, out.split()


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.kill()


@contextlib.contextmanager
def session(proxy, **options):
    """A RunEngine that publishes; once its connection stands, and the watch's."""
    publisher = Publisher(f"127.0.0.1:{proxy.inward}", **options)
    engine = RunEngine({})
    engine.subscribe(publisher)
    try:
        yield engine, publisher
    finally:
        publisher.close()


def heard(publisher, watching, mark):
    """Publish something foreign until the watch has told of it: then nothing more gets lost."""

    def told():
        publisher._socket.send(b" foreign-" + mark + b" {}")
        return f"foreign-{mark.decode()}" in watching.said

    until(told)


def test_runs_are_written_through_restarts_of_proxy_and_session(proxy, tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    with Watch(folder, proxy.outward, "nexus,csv") as watching:
        follow(watching, proxy, folder)


def test_who_reads_its_log_may_go(proxy, tmp_path):
    words = ["watch", "json", "-o", f"{tmp_path}/", "--zmq", f"127.0.0.1:{proxy.outward}"]
    process = subprocess.Popen(
        [BIN / "bluesky-export", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            while "connected to" not in process.stderr.readline():
                assert process.poll() is None
            process.stderr.close()
            with session(proxy, serializer=dumps) as (engine, publisher):

                def written():
                    publisher._socket.send(b" foreign {}")  # which it tells, to nobody
                    engine(bp.count([det1]))
                    return list(tmp_path.glob("*.json"))

                until(written)
            process.send_signal(signal.SIGTERM)
            assert process.stdout.read().split()
            assert process.wait() == 0
        finally:
            process.kill()


def follow(watching, proxy, folder):
    with session(proxy, serializer=dumps) as (engine, publisher):
        heard(publisher, watching, b"one")
        engine(bp.scan([det1], motor1, -1, 1, 5), plan_name="first")
        until(lambda: len(list(folder.glob("*.hdf"))) == 1)
        # A session that dies in the middle of a run: its stop document never comes.
        documents = simulated_runs()["sim-count"]
        for name, doc in documents[:-1]:
            publisher(name, doc)
        heard(publisher, watching, b"half")  # messages arrive in their order
    proxy.kill()
    until(lambda: "has gone" in watching.said)
    proxy.start()
    with session(proxy, serializer=dumps) as (engine, publisher):
        heard(publisher, watching, b"two")
        engine(bp.scan([det1], motor1, -1, 1, 7), plan_name="second")
        until(lambda: len(list(folder.glob("*.hdf"))) == 2)
    status, files = watching.end()
    assert status == 0, watching.said
    assert sorted(map(Path, files)) == sorted(folder.iterdir())
    assert "finished" in watching.said
    lengths = {}
    for path in folder.glob("*.hdf"):
        with h5py.File(path) as file:
            lengths[path] = file["entry/instrument/bluesky/streams/primary/det1/value"].shape
    assert sorted(lengths.values()) == [(3,), (5,), (7,)]
    (unfinished,) = [path for path, shape in lengths.items() if shape == (3,)]
    with h5py.File(unfinished) as file:
        assert documents[0][1]["uid"] in str(file["entry/entry_identifier"][()])


def test_what_is_foreign_or_pickled_is_refused(proxy, tmp_path):
    class Deadly:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was here"),)

    for allow in (False, True):
        folder = tmp_path / f"files-{allow}"
        folder.mkdir()
        allowed = ["--allow-pickle"] * allow
        with (
            Watch(folder, proxy.outward, "csv", *allowed) as watching,
            session(proxy) as (engine, publisher),  # bluesky's own serializer is pickle
        ):
            heard(publisher, watching, b"one")
            for message in (
                b"hello", b" start " + pickle.dumps(Deadly()), b" start " + pickle.dumps({"uid": Deadly()}),
                b"\x1b[2J\xff \xff \xff", b" start {}", b" event " + pickle.dumps({"descriptor": "x"}), b"",
            ):  # fmt: skip
                publisher._socket.send(message)
            engine(bp.count([det1], 3))
            publisher._socket.send(b" last {}")
            until(lambda watching=watching: "'last'" in watching.said)
            status, files = watching.end(signal.SIGINT)
        assert status == 0, watching.said
        assert bool(files) is allow
        assert "messages were refused" in watching.said
        assert "\x1b[2J" not in watching.said
        assert not (tmp_path / "was here").exists()
    assert Path(files[0]).read_text().count("\n") == 4


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["nexus"], "--zmq are needed"),
        (["nope", "--zmq", "localhost:1"], "unknown format"),
        (["csv", "--zmq", "localhost:1", "-o", "/nowhere/"], "/nowhere"),
        (["csv", "--zmq", "no address"], "HOST:PORT"),
        (["csv", "--zmq", "localhost:1", "--patience", "long"], "--patience long"),
    ],
)
def test_what_is_wrong_is_one_line(words, line, capsys, tmp_path, monkeypatch):
    from bluesky_export.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["watch", *words]) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert line in lines[-1]
    assert "no writer is attached" not in lines


class Queue(Dispatcher):
    """A dispatcher that ends by itself, as one over a file or a message bus may."""

    def __init__(self, documents):
        super().__init__()
        self.documents = documents

    def start(self):
        for name, doc in self.documents:
            self.process(DocumentNames[name], doc)


class Plain:
    """The least that a dispatcher can be."""

    def __init__(self, documents):
        self.documents, self.functions = documents, []

    def subscribe(self, function):
        self.functions.append(function)

    def start(self):
        for name, doc in self.documents:
            for function in self.functions:
                function(name, doc)


@pytest.mark.parametrize("kind", [Queue, Plain])
def test_any_dispatcher_is_followed(kind, tmp_path):
    documents = [pair for run in simulated_runs().values() for pair in run]
    before = signal.getsignal(signal.SIGINT)
    lines = []
    detached = watch(kind(documents), "json", f"{tmp_path}/", say=lines.append)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(detached.files) == len(simulated_runs()) == len(list(tmp_path.iterdir()))
    assert not detached.failed


def test_documents_that_come_again_are_rows_once(tmp_path):
    """As from a publisher that was subscribed twice, or a bus that promises "at least once"."""

    class Stutter(Plain):
        def start(self):
            self.documents = [pair for pair in self.documents for _ in range(2)]
            super().start()

    lines = []
    for name, run in simulated_runs().items():
        folders = [tmp_path / name / kind for kind in ("once", "twice")]
        for folder, kind in zip(folders, (Plain, Stutter), strict=True):
            folder.mkdir(parents=True)
            assert not watch(kind(run), "jsonl", f"{folder}/", say=lines.append).failed
        once, twice = ([path.read_text() for path in folder.iterdir()] for folder in folders)
        assert once == twice
    assert sum("a start document came again" in line for line in lines) == len(simulated_runs())


def test_a_document_without_a_uid_goes_through():
    """Of what has no name of its own, nothing can be said; odd documents end no dispatcher."""
    got = []
    once = Once(lambda name, doc: got.append(doc), say=got.append)
    odd = [("start", {}), ("event", {"descriptor": ["a"]}), ("stop", {"uid": 1}), ("event", {"uid": [1]})]
    for name, doc in odd * 2:
        once.receive(name, doc)
    assert got == [doc for _name, doc in odd] * 2


def test_what_is_remembered_of_a_run_has_a_bound(monkeypatch):
    monkeypatch.setattr(watching, "REMEMBERED", 5)
    got = []
    once = Once(lambda name, doc: got.append(doc), say=str)
    once.receive("start", {"uid": "r"})
    once.receive("descriptor", {"uid": "d", "run_start": "r"})
    for number in range(20):
        for _ in range(2):
            once.receive("event", {"uid": f"e{number}", "descriptor": "d"})
    assert [doc["uid"] for doc in got[2:]] == [f"e{number}" for number in range(20)]
    assert len(once._seen["r"]) == 5


def test_a_run_whose_start_never_came_is_told(tmp_path):
    """It cannot be written; a proxy that is restarted at the wrong moment takes a start document along."""
    lines, documents = [], simulated_runs()["sim-count"]
    uid = documents[0][1]["uid"]
    detached = watch(Plain(documents[1:]), "jsonl", f"{tmp_path}/", say=lines.append)
    assert not detached.files
    (line,) = [line for line in lines if "is not written" in line]
    assert line.startswith(f"run {uid[:7]} is not written: it began before this watch, or its start")
    lines.clear()
    assert (
        len(watch(Plain([*documents, documents[-1]]), "jsonl", f"{tmp_path}/", say=lines.append).files) == 1
    )
    assert not [line for line in lines if "is not written" in line]


def test_silence_ends_a_run_whose_session_has_died(tmp_path):
    class Silent(Plain):
        def start(self):
            super().start()
            until(lambda: list(tmp_path.glob("*.json")))

    detached = watch(
        Silent(simulated_runs()["sim-count"][:-1]), "json", f"{tmp_path}/", patience=0.5, say=str
    )
    assert [one.status for one in detached.written] == ["unfinished"]


def test_the_wire_of_the_proxy_is_what_we_take_it_for():
    """A publisher's message in bluesky's own words, so that a change of theirs is noticed."""
    context = zmq.Context()
    with context, context.socket(zmq.SUB) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        publisher = Publisher(f"127.0.0.1:{port}", prefix=b"45id", serializer=lambda doc: b"DOC")
        try:
            until(lambda: publisher("start", {}) or socket.poll(100))
            assert socket.recv() == b"45id start DOC"
        finally:
            publisher.close()
