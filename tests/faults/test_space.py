"""The space on the disk: looked at when a writer is attached, and while it is."""

from __future__ import annotations

import pytest
from bluesky import plans as bp
from ophyd.sim import det1

from bluesky_export import session
from bluesky_export.attach import attach_writer, detach_writer, status
from bluesky_export.errors import OutputError
from bluesky_export.live import _watch

from ..live.conftest import wait_until


@pytest.fixture
def settings(monkeypatch):
    """Thresholds for a disk of 24 MB, looked at often."""
    found = session.BlueskyExport(min_free=4, warn_free=16)
    monkeypatch.setattr(session, "_settings", [found])
    monkeypatch.setattr(_watch, "EVERY", 0.02)
    return found


def take(folder, megabytes):
    """Take so many MB of the disk's 25, with what was taken before."""
    with (folder / "filler").open("ab") as file:
        file.write(b"x" * (megabytes * 1_000_000 - file.tell()))


def test_a_disk_that_is_nearly_full_is_refused(engine, small_disk, said, settings):
    take(small_disk, 22)
    with pytest.raises(OutputError, match=r"less than 4 MB.*%config BlueskyExport.min_free") as raised:
        attach_writer("csv", small_disk, RE=engine, say=said)
    assert "\n" not in str(raised.value)
    assert not list(status(engine))
    settings.min_free = 1
    attach_writer("csv", small_disk, RE=engine, say=said)
    assert said.having("only 3 MB free")


def test_each_crossing_is_said_once(engine, small_disk, said, settings):
    attach_writer("csv", small_disk, RE=engine, say=said)
    attach_writer("jsonl", small_disk, RE=engine, say=said)
    assert not said.having("free")
    take(small_disk, 12)
    wait_until(lambda: said.having("free"))
    take(small_disk, 22)
    wait_until(lambda: said.having("free space now"))
    engine(bp.count([det1]))  # and runs are written all the same
    wait_until(lambda: [row.runs for row in status(engine)] == [1, 1], 60)
    (small_disk / "filler").unlink()
    wait_until(lambda: said.having("free again"))
    detach_writer(RE=engine, say=said)
    lines = said.having("free")
    assert len(lines) == 3, lines
    assert all(str(small_disk) in line and "\n" not in line for line in lines)


def test_what_was_said_when_attaching_is_not_said_again(engine, small_disk, said, settings):
    take(small_disk, 12)
    attach_writer("csv", small_disk, RE=engine, say=said)
    (watch,) = [thread for thread in _threads() if thread.name == "bluesky-export space"]
    assert len(said.having("free")) == 1
    take(small_disk, 22)
    wait_until(lambda: len(said.having("free")) == 2)
    detach_writer(RE=engine, say=said)
    wait_until(lambda: not watch.is_alive())


def test_a_disk_that_cannot_be_looked_at_is_no_news(engine, small_disk, said, settings):
    folder = small_disk / "data"
    folder.mkdir()
    attach_writer("csv", folder, RE=engine, say=said)
    folder.rmdir()
    take(small_disk, 22)
    folder.mkdir()
    wait_until(lambda: said.having("free space now"))
    detach_writer(RE=engine, say=said)


def _threads():
    import threading

    return threading.enumerate()
