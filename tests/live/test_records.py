"""Writers that live in the session: a session that is killed leaves word of the runs they had in hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bluesky_export.attach import attach_writer, detach_writer, failed_runs, forget_failed
from bluesky_export.cli import main
from bluesky_export.live._cleaning import clean
from bluesky_export.live._intents import intents
from bluesky_export.session import journal_folder

from .conftest import wait_until
from .session import Engine, documents

ROOT = Path(__file__).parents[2]


class ToJSON:
    """A user's callback class: collects a run, and writes it at its end."""

    def __init__(self):
        self.documents = []

    def __call__(self, name, doc):
        self.documents.append(name)
        if name == "start":
            self.path = Path(os.environ["TO_JSON"]) / f"{doc['uid']}.json"
        if name == "stop":
            self.path.write_text(json.dumps(self.documents))


def killed(folder):
    """Be a session: one run is finished, a second one is open, and then it is killed from outside."""
    engine = Engine()
    got = []
    attach_writer(lambda name, doc: got.append(name), RE=engine, say=print)
    attach_writer(f"{__name__}:ToJSON", RE=engine, variables={}, say=print)
    attach_writer(
        "tests.live.writers:LinesWriter", folder, RE=engine, name="{uid}", variables={}, say=print
    )
    attach_writer("jsonl", folder, RE=engine, name="{uid}", say=print)
    from bluesky_export.live import live_writers

    live = live_writers(engine)
    for scan_id in (1, 2):
        for name, doc in documents(50, scan_id):
            if scan_id == 2 and name == "stop":
                break
            engine.receive(name, doc)
            if name == "start":
                print("UID", doc["uid"], flush=True)
        if scan_id == 1:
            wait_until(lambda: [one.runs for one in live.attached] == [1] * 4, 100)
    wait_until(lambda: live.recorder.events == 100 and live.recorder.relay.waiting == 0, 60)
    print("READY", flush=True)
    sys.stdin.read()


@pytest.fixture
def left(tmp_path, monkeypatch):
    """The two runs of a session that was killed with its processes."""
    monkeypatch.setenv("TO_JSON", str(tmp_path))
    (tmp_path / "lines").mkdir()
    code = f"from tests.live.test_records import killed; killed({str(tmp_path / 'lines')!r})"
    session = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    uids = []
    for line in session.stdout:
        if line.startswith("UID"):
            uids.append(line.split()[1])
        if line == "READY\n":
            break
    session.kill()
    session.communicate()
    assert len(uids) == 2
    return uids


def states(name):
    found = {}
    for path in journal_folder().glob("writers/*/*.json"):
        if json.loads(path.read_text())["name"] == name:
            found.update({one.uid: one.state for one in intents(path.with_suffix(""))})
    return found


def test_what_an_object_did_not_finish_is_told_once(left, tmp_path, capsys):
    first, second = left
    assert states("<lambda>") == {first: "written", second: "pending"}
    until = time.monotonic() + 60
    while "to recover" not in capsys.readouterr().err:  # a writer's process may still be at its run
        assert time.monotonic() < until
        if states("<lambda>")[second] == "pending":
            assert main(["recover", "--dry-run"]) == 0
            assert "<lambda>: run 2" in capsys.readouterr().err
            assert main(["recover"]) == 0
            said = capsys.readouterr().err
            (line,) = [line for line in said.splitlines() if line.startswith("<lambda>")]
            assert f"run 2 ({second[:7]})" in line
            assert f"{second[:7]} FORMAT --catalog journal" in line or "uid:" in line
        main(["recover"])
    assert states("<lambda>") == {first: "written", second: "failed"}
    clean(journal_folder(), 0, 0)  # however old: it is not written
    assert list(journal_folder().glob(f"{second}.msgpack"))


def test_a_class_by_its_path_is_given_the_run_again(left, tmp_path, capsys):
    _, second = left
    assert not (tmp_path / f"{second}.json").exists()
    while main(["recover"]):
        time.sleep(0.1)
    assert states("ToJSON")[second] == "written"
    assert states("lines")[second] == "written"
    # The run that was open has no stop document: it is never made to look complete.
    assert not (tmp_path / f"{second}.json").exists()
    lines = [json.loads(line) for line in (tmp_path / "lines" / f"{second}.lines").read_text().splitlines()]
    events = sum(len(doc["seq_num"]) for name, doc in lines if name == "event_page")
    assert events == 50
    assert not list((tmp_path / "lines").glob("*.part"))


def test_the_next_attach_tells_of_it(left, tmp_path, said):
    _, second = left
    engine = Engine()
    engine.state = "idle"
    (tmp_path / "new").mkdir()
    attach_writer("jsonl", tmp_path / "new", RE=engine, say=said)
    wait_until(lambda: said.having("only that session had the object"), 60)
    wait_until(lambda: states("ToJSON")[second] == "written", 60)
    detach_writer(RE=engine, say=said)
    assert len(said.having("only that session had the object")) == 1


def test_a_living_session_keeps_the_record(engine, tmp_path, said):
    """A run that fails is failed in the record as well, until it is written by other means."""
    from bluesky import plans as bp
    from ophyd.sim import det1

    def callback(name, doc):
        if name == "event" and doc["seq_num"] == 2:
            raise ValueError("no")

    attach_writer(callback, RE=engine, say=said)
    engine(bp.count([det1], 1))
    engine(bp.count([det1], 3))
    detach_writer(RE=engine, say=said)
    assert sorted(states("callback").values()) == ["failed", "written"]
    forget_failed(failed_runs(engine), engine)
    assert sorted(states("callback").values()) == ["skipped", "written"]
