"""A large HDF5 file that goes to the disk while it is written: no error is lost, no thread is left."""

from __future__ import annotations

import errno
import os
import threading

import h5py
import numpy as np
import pytest

from bluesky_export.formats import _h5_behind
from bluesky_export.formats._h5_file import SafeFile, check

from ..replaying import replay, run_of

REALLY = os.fdatasync
WRONG = OSError(errno.EIO, os.strerror(errno.EIO))
FRAMES = np.random.default_rng(1).random((10, 100))


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "bluesky-export-sync"]


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(_h5_behind, "STEP", 1000)
    yield
    assert not threads()


@pytest.fixture
def syncs(monkeypatch):
    """What is to be done for a sync, and which were."""
    done = []

    def sync(descriptor):
        done.append(descriptor)
        sync.does(descriptor)

    sync.does = REALLY
    sync.done = done
    monkeypatch.setattr(os, "fdatasync", sync)
    return sync


def failing(_):
    raise WRONG


def written(path, how="close"):
    safe = SafeFile(path)
    safe.file.create_dataset("x", data=FRAMES)
    getattr(safe, how)()
    return safe


def test_a_large_file_is_synced_meanwhile(tmp_path, syncs):
    safe = written(tmp_path / "a.h5")
    assert syncs.done
    assert safe.error is None
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["x"][()], FRAMES)


def test_a_small_one_is_not(tmp_path, syncs, monkeypatch):
    monkeypatch.setattr(_h5_behind, "STEP", 100_000)
    written(tmp_path / "a.h5")
    assert not syncs.done


def test_its_error_is_the_first_one(tmp_path, syncs):
    """The kernel tells of it once."""
    syncs.does = failing
    safe = SafeFile(tmp_path / "a.h5")
    dataset = safe.file.create_dataset("x", data=FRAMES)
    for thread in threads():
        thread.join()
    with pytest.raises(OSError, match="Input/output") as raised:
        check(dataset)
    assert raised.value is WRONG
    with pytest.raises(OSError, match="Input/output"):
        safe.close()


def test_an_error_that_comes_while_the_file_is_closed(tmp_path, syncs):
    waits = threading.Event()
    syncs.does = lambda descriptor: waits.wait(10) and failing(descriptor)
    safe = SafeFile(tmp_path / "a.h5")
    safe.file.create_dataset("x", data=FRAMES)
    safe.file.create_dataset("y", data=FRAMES)
    assert len(syncs.done) == len(threads()) == 1  # one at a time
    assert safe.error is None
    later = threading.Timer(0.2, waits.set)
    later.start()
    with pytest.raises(OSError, match="Input/output"):
        safe.close()
    later.join()


@pytest.mark.parametrize("name", ["hdf5", "nexus", "dx"])
def test_a_run_is_refused_with_that_error(tmp_path, syncs, name):
    syncs.does = failing
    keys = {"image": {"dtype": "array", "shape": [100, 100], "dtype_numpy": "<u2"}}
    run = run_of({"m": [0.0, 1.0, 2.0], "image": [np.ones((100, 100), int).tolist()] * 3}, keys=keys)
    options = {"theta": "m", "data": "image"} if name == "dx" else {}
    with pytest.raises(OSError, match="Input/output"):
        replay(name, run, tmp_path, **options)
    assert syncs.done
    assert list(tmp_path.iterdir()) == []


def test_what_is_thrown_away_is_waited_for(tmp_path, syncs):
    """Its descriptor is not to be that of another file while a sync of it begins."""
    seen = []

    def look(descriptor):
        threading.Event().wait(0.1)
        seen.append(os.fstat(descriptor).st_ino)

    syncs.does = look
    written(tmp_path / "a.h5", "abandon")
    assert seen == [os.stat(tmp_path / "a.h5").st_ino]


def test_ctrl_c_while_it_is_waited_for(tmp_path, syncs, monkeypatch):
    really = threading.Thread.join
    presses = [KeyboardInterrupt(), KeyboardInterrupt()]

    def join(thread, *given):
        if presses and thread.name == "bluesky-export-sync":
            raise presses.pop()
        really(thread, *given)

    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "a.h5")
    assert not presses
    assert syncs.done


def test_where_no_thread_can_be_had(tmp_path, syncs, monkeypatch):
    def start(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert written(tmp_path / "a.h5").error is None
    assert not syncs.done
