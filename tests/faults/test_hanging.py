"""A share that hangs, for real: whoever touches it waits in the kernel until its server is back."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from ophyd.sim import det1, motor1

from bluesky_export import attach, session
from bluesky_export.attach import attach_writer, detach_writer, status
from bluesky_export.cli import main
from bluesky_export.errors import OutputError, WriterAttachError
from bluesky_export.live import _answer, _attached, _client, _watch, live_writers

from ..live.conftest import wait_until


@pytest.fixture
def impatient(monkeypatch):
    """Bounds of a second, where users have more."""
    monkeypatch.setattr(_answer, "FIRST_LOOK", 1.0)
    for module in (_client, _attached):
        monkeypatch.setattr(module, "SILENT", 2.0)


def took(call):
    begin = time.monotonic()
    found = call()
    return time.monotonic() - begin, found


@pytest.mark.parametrize("name", ["csv", pytest.param("spec", marks=pytest.mark.long)])
def test_attaching_does_not_wait_for_it(engine, share, said, impatient, name):
    share.hang()
    path = share.folder / ("a.dat" if name == "spec" else "")
    with pytest.raises(OutputError, match=r"does not answer.*a share that hangs.*another folder") as raised:
        attach_writer(name, path, RE=engine, say=said)
    assert "\n" not in str(raised.value)
    assert not live_writers(engine).attached
    share.go_on()
    attach_writer(name, path, RE=engine, say=said)
    engine(bp.count([det1]))
    (first, *_) = detach_writer(RE=engine, say=said)
    assert first.parent == share.folder


def test_the_space_of_other_disks_is_watched_meanwhile(
    engine, share, small_disk, said, impatient, monkeypatch
):
    monkeypatch.setattr(session, "_settings", [session.BlueskyExport(min_free=4, warn_free=8)])
    monkeypatch.setattr(_watch, "EVERY", 0.05)
    attach_writer("csv", share.folder, RE=engine, say=said)
    attach_writer("jsonl", small_disk, RE=engine, say=said)
    share.hang()
    time.sleep(0.2)  # the watch looks at the share first, which does not answer
    (small_disk / "filler").write_bytes(b"x" * 22_000_000)
    wait_until(lambda: said.having("free space now"))
    stuck = [thread for thread in threading.enumerate() if str(share.folder) in thread.name]
    assert len(stuck) == 1  # and is not asked again
    share.go_on()
    wait_until(lambda: not stuck[0].is_alive())
    detach_writer(RE=engine, say=said)


def hangs_between(share, seconds):
    """A run in whose middle the share begins to hang, then a second one."""
    yield from bps.open_run()
    for point in range(20):
        if point == 10:
            yield from bps.sleep(1.0)  # some of it is written by then
            share.hang()
        yield from bps.mv(motor1, point)
        yield from bps.trigger_and_read([det1, motor1])
    yield from bps.close_run()
    yield from bps.sleep(seconds)
    yield from bp.scan([det1], motor1, 0, 1, 5)


def test_a_hang_in_the_middle_of_a_run(engine, documents, share, tmp_path, said, impatient):
    hang(engine, documents, share, tmp_path, said, 0.0, ["csv"])


@pytest.mark.long
def test_a_hang_of_a_minute(engine, documents, share, tmp_path, said, monkeypatch):
    hang(engine, documents, share, tmp_path, said, 60.0, ["csv", "hdf5", "spec"])


def hang(engine, documents, share, tmp_path, said, seconds, formats):
    (tmp_path / "local").mkdir()
    for name in formats:
        path = share.folder / "a.dat" if name == "spec" else share.folder
        attach_writer(name, path, RE=engine, name=None if name == "spec" else "{uid}", say=said)
    attach_writer("jsonl", tmp_path / "local", RE=engine, say=said)
    wait_until(lambda: all(one.client._ready for one in live_writers(engine).attached), 60)
    engine(hangs_between(share, seconds))
    assert [doc["exit_status"] for name, doc in documents if name == "stop"] == ["success"] * 2
    assert len([name for name, _ in documents if name == "event"]) == 25
    wait_until(lambda: status(engine).rows[-1].runs == 2, 60)  # the other writer is not held up
    wait_until(lambda: "NOT ANSWERING" in [row.state for row in status(engine)], 60)
    seconds, table = took(lambda: status(engine))
    assert seconds < 1.0
    (row, *_) = (row for row in table if row.state == "NOT ANSWERING")
    assert re.search(r"process \d+, silent for \d+ s", row.process)
    wait_until(lambda: said.having("no sign of its process"))
    with pytest.raises(WriterAttachError, match="goes on in the background"):
        detach_writer(row.name, RE=engine, timeout=1.0, say=said)
    share.go_on()
    result = detach_writer(RE=engine, say=said)
    wait_until(lambda: said.having("its process goes on"))
    assert not result.failed, said
    assert all(one.runs == 2 for one in result.writers)
    assert {item.events for item in result.written} == {20, 5}
    assert not list(share.backing.glob("*.part"))
    if "spec" in formats:
        assert (share.folder / "a.dat").read_text().count("#S ") == 2


SESSION = """
    from bluesky import RunEngine, plans as bp
    from ophyd.sim import det1
    from bluesky_export import attach_writer
    from bluesky_export.live import _leaving, live_writers
    import time
    _leaving.EXIT_TIMEOUT = 2.0
    RE = RunEngine({}, call_returns_result=False)
    attach_writer("jsonl", "FOLDER/", RE=RE)
    while not live_writers(RE).attached[0].client._ready:
        time.sleep(0.05)
    print("attached", flush=True)
    input()
    RE(bp.count([det1], 50))
    print("measured", flush=True)
"""


def test_leaving_while_it_hangs(share, tmp_path, capsys):
    script = textwrap.dedent(SESSION).replace("FOLDER", str(share.folder))
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "attached\n"
    share.hang()
    out, err = child.communicate("\n", timeout=100)  # it ends although the share hangs
    assert "measured" in out
    assert child.returncode == 0
    assert "NOT finished: 1 run" in err
    share.go_on()
    # Its process may be at it still, which `recover` says, and leaves the run to it.
    wait_until(lambda: main(["recover"]) == 0, 60)
    (path,) = share.folder.glob("*.jsonl")
    lines = path.read_text().splitlines()
    assert sum(line.startswith('["event"') for line in lines) == 50
    assert lines[-1].startswith('["stop"')
    assert not list(share.folder.glob("*.part"))


def test_a_detach_is_given_up_at_a_share_that_hangs(engine, share, said, impatient, monkeypatch):
    attach_writer("json", share.folder, RE=engine, say=said)
    wait_until(lambda: live_writers(engine).attached[0].client._ready, 60)
    share.hang()
    engine(bp.count([det1]))
    with monkeypatch.context() as patch:
        patch.setattr(attach, "SILENT_TIMEOUT", 2.0)
        with pytest.raises(WriterAttachError, match=r"no sign of its process.*journal keeps the 1 run"):
            detach_writer(RE=engine, say=said)
    share.go_on()
    assert len(detach_writer(RE=engine, say=said)) == 1


def test_a_journal_on_a_share(engine, share, said, impatient, monkeypatch, tmp_path):
    """It is used, and said; if it does not answer, the journal is in memory."""
    journal = share.folder / "journal"
    monkeypatch.setattr(session, "_settings", [session.BlueskyExport(journal=str(journal))])
    attach_writer("jsonl", tmp_path / "", RE=engine, say=said)
    assert said.having("on a network share (fuse.bluesky-export-test)")
    engine(bp.count([det1]))
    assert len(detach_writer(RE=engine, say=said)) == 1
    wait_until(lambda: live_writers(engine).receive is None)
    share.hang()
    monkeypatch.setattr(session, "_settings", [session.BlueskyExport(journal=str(journal / "other"))])
    attach_writer("jsonl", tmp_path / "", RE=engine, say=said)
    assert said.having("does not answer")
    assert said.having("a restart of the machine empties")
    engine(bp.count([det1]))
    assert len(detach_writer(RE=engine, say=said)) == 1
    share.go_on()
