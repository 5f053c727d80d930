"""What lies beneath the HDF5 files: it never fails, and never hides that it did."""

from __future__ import annotations

import errno
import gc
import os
from io import FileIO

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluesky_export.formats import _h5_file
from bluesky_export.formats._h5_file import SafeFile, check

from ..replaying import replay, run_of


def failing(monkeypatch, method, error):
    """Have a call of the system fail for each file that is opened from now on."""

    def fail(file, *_):
        if method == "close":
            FileIO.close(file)
        raise error

    monkeypatch.setattr(_h5_file, "FileIO", type("Failing", (FileIO,), {method: fail}))


def test_h5py_reads_what_was_written(tmp_path):
    values = np.random.default_rng(1).random((50, 1000))
    safe = SafeFile(tmp_path / "é.h5", track_order=True)
    group = safe.file.create_group("a/b")
    dataset = group.create_dataset("x", data=values, chunks=(1, 1000), compression="gzip")
    dataset.attrs["text"] = "µ"
    check(dataset)
    assert np.array_equal(dataset[3], values[3])
    safe.close()
    safe.close()
    safe.abandon()
    with h5py.File(tmp_path / "é.h5") as file:
        assert np.array_equal(file["a/b/x"][()], values)
        assert file["a/b/x"].attrs["text"] == "µ"
    assert os.stat(tmp_path / "é.h5").st_mode & 0o111 == 0


def test_an_error_is_raised_where_it_can_be(tmp_path, monkeypatch):
    other = SafeFile(tmp_path / "b.h5")
    wrong = OSError(errno.EIO, "Input/output error")
    failing(monkeypatch, "write", wrong)
    safe = SafeFile(tmp_path / "a.h5")
    dataset = safe.file.create_dataset("x", data=np.zeros(2_000_000))
    with pytest.raises(OSError, match="Input/output error") as raised:
        check(dataset)
    assert raised.value is wrong
    check(other.file)  # it is the other file's
    safe.file["more"] = "x" * 100_000
    with pytest.raises(OSError, match="Input/output error"):
        safe.close()
    other.file["y"] = 1
    other.close()
    del dataset
    gc.collect()
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["y"][()] == 1


@pytest.mark.parametrize("name", ["hdf5", "nexus", "dx"])
@pytest.mark.parametrize("method", ["write", "truncate", "close"])
def test_an_error_of_any_call_leaves_no_file(tmp_path, monkeypatch, name, method):
    frames = [[[1, 2], [3, 4]]] * 3
    keys = {"image": {"dtype": "array", "shape": [2, 2], "dtype_numpy": "<u2"}}
    run = run_of({"m": [0.0, 1.0, 2.0], "image": frames}, keys=keys)
    options = {"theta": "m", "data": "image"} if name == "dx" else {}
    failing(monkeypatch, method, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(OSError, match="No space left"):
        replay(name, run, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_hdf5_writes_is_ctrl_c(tmp_path, monkeypatch):
    failing(monkeypatch, "write", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        replay("hdf5", run_of({"x": [1.0]}), tmp_path)
    assert list(tmp_path.iterdir()) == []


@given(
    st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=30)), max_size=12),
    st.integers(0, 12),
    st.integers(0, 90),
    st.integers(1, 40),
)
def test_hdf5_reads_what_it_wrote_whether_it_is_there_or_not(tmp_path_factory, writes, fails, at, size):
    """Before an error and after it."""
    safe = SafeFile(tmp_path_factory.mktemp("safe") / "a.h5")
    safe.truncate(0)
    expected = bytearray(200)
    for number, (place, text) in enumerate(writes):
        if number == fails:
            safe.error = OSError(errno.ENOSPC, "")
        safe.seek(place)
        assert safe.write(text) == len(text)
        expected[place : place + len(text)] = text
    safe.seek(at)
    assert safe.read(size) == bytes(expected[at : at + size])
    safe.error = safe.error or OSError(errno.ECANCELED, "")
    safe.abandon()
