"""kill -9 of the session, of the writers' processes, of all, at any moment: what was acknowledged stays."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

from bluesky_export.attach import attach_writer, detach_writer
from bluesky_export.cli import main
from bluesky_export.live._place import is_locked
from bluesky_export.session import journal_folder

from ..sampling import SEED, all_or_drawn
from .session import Engine

FORMATS = ["csv", "json", "jsonl", "spec", "hdf5", "nexus"]
WHOM = ["session", "workers", "all"]
ROOT = Path(__file__).parents[2]


def events_of(name, path):
    """Return how many events of the motor a file holds, with readers that know nothing of ours."""
    if name == "csv":
        return len(list(csv.reader(path.read_text().splitlines()))) - 1 if path.suffix == ".csv" else None
    if name == "jsonl":
        kinds = [json.loads(line) for line in path.read_text().splitlines()]
        return sum(len(doc["seq_num"]) if kind == "event_page" else kind == "event" for kind, doc in kinds)
    if name == "json":
        streams = json.loads(path.read_text())["streams"]
        return len(streams["primary"]["seq_num"]) if "primary" in streams else 0
    with h5py.File(path) as file:
        found = []
        file.visititems(
            lambda key, item: (
                found.append(item)
                if re.search(r"(^|/)motor(/value)?$", key) and hasattr(item, "shape")
                else None
            )
        )
        return max((item.shape[0] for item in found), default=0)  # killed before the first event


def scans_of(path):
    """Return the rows of each scan of a SPEC file, by the run it says it is."""
    scans = {}
    for block in re.split(r"(?m)^#S ", path.read_text())[1:]:
        uid = re.search(r"uid = ([0-9a-f-]{36})|\"?uid\"?[ =:]+\"?([0-9a-f-]{36})", block)
        rows = [line for line in block.splitlines()[1:] if line and not line.startswith("#")]
        assert uid, block[:500]
        key = uid[1] or uid[2]
        assert key not in scans, "a run is in the file twice"
        scans[key] = len(rows)
    return scans


def written_events(name, folder):
    """Return the events of each run that a format's folder has a file of."""
    assert not list(folder.glob("*.part")), list(folder.iterdir())
    if name == "spec":
        return scans_of(folder / "scans.dat") if (folder / "scans.dat").exists() else {}
    found = {}
    for path in folder.iterdir():
        count = events_of(name, path) if path.suffix not in (".json",) or name == "json" else None
        if count is not None:
            found[path.name[:36]] = count
    return found


def killed_session(folder, formats, whom, seconds, events=40, pause=0.005):
    """Start a session, kill it or its processes, and return what it had acknowledged, run by run."""
    command = [sys.executable, "-m", "tests.live.session", str(folder), str(events), str(pause), *formats]
    session = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ.copy(),
    )
    seen, line = [], None
    until = None
    while True:
        line = session.stdout.readline()
        if not line:
            break
        seen.append(json.loads(line))
        until = time.monotonic() + seconds if until is None else until
        if time.monotonic() >= until:
            pids = [
                int(found[1])
                for state in seen[-1]["workers"].values()
                if (found := re.match(r"process (\d+)", state))
            ]
            if whom == "terminated":
                session.terminate()
            elif whom != "workers":
                session.kill()
            for pid in pids if whom in ("workers", "all") else ():
                with contextlib.suppress(ProcessLookupError):  # it has ended since
                    os.kill(pid, signal.SIGKILL)
            break
    if whom == "workers":  # the session goes on a little, and is then killed as well
        for _ in range(60):
            seen.append(json.loads(session.stdout.readline()))
        session.kill()
    rest = session.communicate()[0]
    seen += [json.loads(line) for line in rest.splitlines() if line.endswith("}")]
    acknowledged = {}
    for item in seen:
        acknowledged[item["run"]] = max(acknowledged.get(item["run"], 0), item["journaled"])
        if item["of"] == "stop":
            acknowledged[item["run"]] = max(acknowledged[item["run"]], 0)
    return acknowledged


def wait_for_orphans(timeout=120.0):
    """Wait for the writers' processes to finish what they have in hand."""
    until = time.monotonic() + timeout
    while any(is_locked(lock) for lock in journal_folder().glob("writers/*/*lock")):
        assert time.monotonic() < until, "a process goes on for ever"
        time.sleep(0.05)


def recovered():
    """Recover; a process that was just being started when its session was killed may be at it first."""
    for _ in range(5):
        wait_for_orphans()
        if main(["recover"]) == 0:
            return True
    return False


def check(folder, formats, acknowledged):
    for name in formats:
        found = written_events(name, folder / name)
        for uid, count in acknowledged.items():
            assert found.get(uid, 0) >= count, (name, uid, count, found)


@pytest.mark.parametrize("whom", all_or_drawn("kill", WHOM, 1))
def test_nothing_acknowledged_is_lost(tmp_path, whom, capsys):
    seconds = random.Random(f"{SEED} {whom}").uniform(0.0, 8.0)
    acknowledged = killed_session(tmp_path, FORMATS, whom, seconds)
    print(f"{whom} killed after {seconds:.3f} s; runs: {len(acknowledged)}")
    assert recovered()
    check(tmp_path, FORMATS, acknowledged)
    capsys.readouterr()
    assert main(["recover"]) == 0  # and there is nothing left to do
    assert "nothing to recover" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("share", range(4))  # several test processes may have one each
@pytest.mark.parametrize("whom", WHOM)
@pytest.mark.timeout(7200)
def test_nothing_acknowledged_is_lost_at_many_points(tmp_path, whom, share):
    """All formats are attached, so that each sees every kill: 204 of them."""
    draw = random.Random(f"{SEED} {share} {whom}")
    for number in range(int(os.environ.get("BLUESKY_EXPORT_KILLS", "17"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        seconds = draw.uniform(0.0, 8.0)
        acknowledged = killed_session(folder, FORMATS, whom, seconds, pause=0.002)
        assert recovered(), (whom, share, number, seconds)
        check(folder, FORMATS, acknowledged)


def test_sigterm_is_no_way_to_lose_an_event(tmp_path):
    acknowledged = killed_session(tmp_path, ["jsonl"], "terminated", 2.0)
    assert recovered()
    check(tmp_path, ["jsonl"], acknowledged)


def test_two_recover_at_once(tmp_path):
    acknowledged = killed_session(tmp_path, ["jsonl", "csv"], "all", 2.0)
    command = [sys.executable, "-m", "bluesky_export.cli", "recover"]
    both = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=200)[1].splitlines() for process in both]
    assert recovered()
    check(tmp_path, ["jsonl", "csv"], acknowledged)
    files = [line.split(" (")[0] for lines in said for line in lines if line.startswith("recovered")]
    assert files
    assert len(files) == len(set(files)), "a run was written twice"


def test_the_next_attach_finishes_what_was_left(tmp_path, said):
    """An open run is marked as unfinished, and none is written twice."""
    acknowledged = killed_session(tmp_path, ["jsonl"], "all", 3.0)
    engine = Engine()
    engine.state = "idle"
    (tmp_path / "new").mkdir()
    attach_writer("jsonl", tmp_path / "new", RE=engine, say=said)
    until = time.monotonic() + 60
    while not [line for line in said if line.startswith("recovered")]:
        assert time.monotonic() < until, said
        time.sleep(0.05)
    wait_until_housekept()
    detach_writer(RE=engine, say=said)
    check(tmp_path, ["jsonl"], acknowledged)
    unfinished = [line for line in said if "run unfinished" in line]
    assert len(unfinished) <= 1
    assert said.having("of a session that has ended are not written")


def wait_until_housekept():
    import threading

    for thread in threading.enumerate():
        if thread.name == "bluesky-export housekeeping":
            thread.join(60)
