"""Deflated frames that are decompressed here: equal to what HDF5 reads, or left to HDF5."""

from __future__ import annotations

import sys
import threading
import types
import zlib
from contextlib import suppress

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bluesky_export.documents import _inflating
from bluesky_export.documents._inflating import read_parts
from bluesky_export.documents._sources import HDF5Rows
from bluesky_export.documents.external import ExternalColumn
from bluesky_export.documents.images import ImageColumn

DEFLATED = {"compression": "gzip", "shuffle": True}
DTYPES = ["u1", "i1", "<u2", ">u2", "<i4", ">i8", "<u8", "<f2", ">f4", "<f8"]


@pytest.fixture(autouse=True)
def two_processors(monkeypatch):
    monkeypatch.setattr(_inflating, "processors", lambda: 2)
    monkeypatch.setattr(_inflating, "_WORTH", 1)
    monkeypatch.setattr(_inflating, "_LARGE", 60)  # two of the frames below
    _inflating._inflate.cache_clear()
    yield
    _inflating._inflate.cache_clear()


def same(found, wanted):
    return (found.dtype, found.shape, found.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())


class Watched:
    """A dataset; ``asked`` says whether HDF5 was asked to decompress some of it."""

    def __init__(self, dataset):
        self.dataset, self.asked = dataset, False

    def __getattr__(self, name):
        return getattr(self.dataset, name)

    def __getitem__(self, which):
        self.asked = True
        return self.dataset[which]


def read_inflated(dataset, low, high, step=None):
    """Return entries, or None if HDF5 was asked for any of them."""
    watched = Watched(dataset)
    parts = list(read_parts(watched, low, high, step or high - low))
    assert [len(part) for part in parts[:-1]] == [step] * (len(parts) - 1)
    found = np.concatenate(parts, dtype=dataset.dtype)
    assert {part.dtype for part in parts} == {dataset.dtype}
    if watched.asked:
        assert same(found, dataset[low:high])
        return None
    return found


def rows_of(folder):
    rows = HDF5Rows(folder / "a.h5", "x", 0, 6, (3, 5))
    rows.layout()
    return rows


def frames(dtype="<u2", shape=(6, 3, 5)):
    return np.random.default_rng(1).integers(0, 100, shape).astype(dtype)


@given(st.data())
def test_it_is_what_hdf5_reads(tmp_path_factory, data):
    """Bit for bit, with chunks that were never written, and some that went round a filter."""
    draw = data.draw
    dtype, depth, shuffle = (
        np.dtype(draw(st.sampled_from(DTYPES))),
        draw(st.integers(1, 4)),
        draw(st.booleans()),
    )
    shape = (draw(st.integers(1, 9)), *draw(st.lists(st.integers(1, 4), max_size=3)))
    chunks = (min(depth, shape[0]), *shape[1:])
    size = dtype.itemsize * int(np.prod(chunks))
    starts = range(0, shape[0], chunks[0])
    written = draw(st.lists(st.sampled_from(["as usual", "never", *range(4)]), min_size=9, max_size=9))
    path = tmp_path_factory.mktemp("inflating") / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset(
            "x", shape, dtype, chunks=chunks, compression=1, shuffle=shuffle, fillvalue=7
        )
        for first, how in zip(starts, written, strict=False):
            values = draw(st.binary(min_size=size, max_size=size))
            if how == "as usual":
                cut = made[first : first + chunks[0]].shape
                whole = np.frombuffer(values, dtype).reshape(chunks)
                made[first : first + chunks[0]] = whole[: cut[0]]
            elif how != "never":
                deflate = 2 if shuffle else 1  # the bit that says that it was left out
                mask = how & (3 if shuffle else 1)
                text = values if mask & deflate else zlib.compress(values)
                made.id.write_direct_chunk((first, *[0] * (len(shape) - 1)), text, mask)
    low = draw(st.integers(0, shape[0] - 1))
    high = draw(st.integers(low + 1, shape[0]))
    step = draw(st.integers(1, high - low))
    touched = [how for first, how in zip(starts, written, strict=False) if low - chunks[0] < first < high]
    whole = chunks[0] <= step and high <= shape[0] // chunks[0] * chunks[0]
    with h5py.File(path) as file:
        found = read_inflated(file["x"], low, high, step)
        assert (found is not None) == (whole and "never" not in touched)
        assert found is None or same(found, file["x"][low:high])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (1, 3, 5)},
        {**DEFLATED, "chunks": (1, 2, 5)},
        {**DEFLATED, "chunks": (1, 3, 5), "fletcher32": True},
        {"compression": "gzip", "scaleoffset": 0, "chunks": (1, 3, 5)},
        {"compression": "lzf", "chunks": (1, 3, 5)},
        {"compression": "lzf", "shuffle": True, "chunks": (1, 3, 5)},
    ],
)
def test_other_layouts_are_left_to_hdf5(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=frames(), **options)
        assert read_inflated(made, 0, 6) is None
    assert same(rows_of(tmp_path).read(0, 6), frames())


@pytest.mark.parametrize("shuffle", [True, False])
def test_rows_are_read_so(tmp_path, monkeypatch, shuffle):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=frames(), chunks=(2, 3, 5), compression="gzip", shuffle=shuffle)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("HDF5 was asked"))
    assert same(rows_of(tmp_path).read(0, 6), frames())
    assert same(rows_of(tmp_path).read(1, 5), frames()[1:5])


@pytest.mark.parametrize("dtype", ["?", "c8"])
def test_other_kinds_are_left_to_hdf5(tmp_path, dtype):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=frames(dtype), chunks=(1, 3, 5), **DEFLATED)
        assert read_inflated(made, 0, 6) is None


def test_bits_that_mean_nothing_are_left_to_hdf5(tmp_path):
    """Of an integer of twelve bits in two bytes, HDF5 clears the other four."""
    kind = h5py.h5t.STD_U16LE.copy()
    kind.set_precision(12)
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk((1, 3, 5))
    settings.set_deflate(1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = h5py.h5d.create(file.id, b"x", kind, h5py.h5s.create_simple((6, 3, 5)), settings)
        for number in range(6):
            made.write_direct_chunk((number, 0, 0), zlib.compress(b"\xff" * 30))
        assert read_inflated(file["x"], 0, 6) is None
        assert file["x"][0, 0, 0] == 0xFFF


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        (b"no deflate", 0),
        (zlib.compress(bytes(30))[:-1] + b"!", 0),  # the sum over all bytes is wrong
        (zlib.compress(bytes(29)), 0),
        (zlib.compress(bytes(31)), 0),
        (bytes(29), 2),
        (bytes(30), 4),  # a filter that the dataset does not have
    ],
)
def test_a_damaged_chunk_is_left_to_hdf5(tmp_path, text, mask):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=frames(), chunks=(1, 3, 5), **DEFLATED)
        assert same(read_inflated(made, 0, 6), frames())
        made.id.write_direct_chunk((3, 0, 0), text, mask)
        with suppress(OSError):  # HDF5's own
            assert read_inflated(made, 0, 6) is None
        assert same(read_inflated(made, 0, 3), frames()[:3])


@pytest.mark.parametrize("step", [1, 2, 4, 6])
def test_a_lost_row_is_named_and_the_others_are_read(tmp_path, step):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=frames(), chunks=(1, 3, 5), **DEFLATED)
        made.id.write_direct_chunk((3, 0, 0), b"no deflate")
    column = ExternalColumn(
        "image", [HDF5Rows(tmp_path / "a.h5", "x", 0, 6, (3, 5))], np.dtype("u2"), (3, 5)
    )
    found = list(column.parts(0, 6, step))
    wanted = frames()
    wanted[3] = 0
    assert [len(part) for part in found] == [
        len(wanted[first : first + step]) for first in range(0, 6, step)
    ]
    assert same(np.concatenate(found), wanted)
    assert column.missing_rows.tolist() == [3]
    assert [len(part) for part in column.parts(2, 5, 2)] == [2, 1]  # no row beyond those asked for


@pytest.mark.parametrize(
    ("depth", "parts"), [(1, [2] * 3 + [1]), (5, [5, 2]), (7, [7]), (None, [2] * 3 + [1])]
)
def test_what_is_compressed_together_is_read_together(tmp_path, depth, parts):
    """Else HDF5 decompresses a chunk as often as some of it is asked for."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        chunks = {"chunks": (depth, 512, 512), **DEFLATED} if depth else {}
        file.create_dataset("x", (7, 512, 512), "u2", **chunks)
    rows = HDF5Rows(tmp_path / "a.h5", "x", 0, 7, (512, 512))
    column = ImageColumn("primary", "x", {}, ExternalColumn("x", [rows], np.dtype("u2"), (512, 512)))
    assert [len(part) for part in column.pieces()] == parts


def test_little_is_left_to_hdf5_and_so_are_large_chunks(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=frames(), chunks=(1, 3, 5), **DEFLATED)
        monkeypatch.setattr(_inflating, "_LARGEST", 29)
        assert read_inflated(made, 0, 6) is None
        monkeypatch.setattr(_inflating, "_LARGEST", 30)
        monkeypatch.setattr(_inflating, "_WORTH", 91)
        assert read_inflated(made, 0, 3) is None
        assert read_inflated(made, 0, 4) is not None
        monkeypatch.setattr(_inflating, "processors", lambda: 1)
        assert read_inflated(made, 0, 4) is None


@pytest.mark.parametrize("step", [1, 6])
def test_ctrl_c_leaves_no_thread(tmp_path, step):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=frames(), chunks=(1, 3, 5), **DEFLATED)

    class Interrupted(Watched):
        """In whose fourth chunk Ctrl-C comes."""

        chunks_read = 0

        @property
        def id(self):
            return self

        def read_direct_chunk(self, offset):
            self.chunks_read += 1
            if self.chunks_read == 4:
                raise KeyboardInterrupt
            return self.dataset.id.read_direct_chunk(offset)

        def get_type(self):
            return self.dataset.id.get_type()

        def get_create_plist(self):
            return self.dataset.id.get_create_plist()

    with h5py.File(tmp_path / "a.h5") as file:
        before = threading.active_count()
        with pytest.raises(KeyboardInterrupt):
            list(read_parts(Interrupted(file["x"]), 0, 6, step))
        assert threading.active_count() == before
        parts = read_parts(file["x"], 0, 6, step)
        next(parts)
        parts.close()
        assert threading.active_count() == before


@pytest.mark.parametrize("works", [True, False])
def test_isal_decompresses_where_it_is_installed_and_works(tmp_path, monkeypatch, works):
    asked = []

    def decompress(raw, bufsize):
        asked.append(bufsize)
        return zlib.decompress(raw) if works else b"?"

    monkeypatch.setitem(sys.modules, "isal.isal_zlib", types.SimpleNamespace(decompress=decompress))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=frames(), chunks=(1, 3, 5), **DEFLATED)
        assert same(read_inflated(made, 0, 6), frames())
    assert asked == ([1] + [30] * 6 if works else [1])


def test_zlib_decompresses_where_isal_is_not(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=frames(), chunks=(1, 3, 5), **DEFLATED)
        assert same(read_inflated(made, 0, 6), frames())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.integers(0, 9), st.data())
def test_isal_takes_what_zlib_takes_and_nothing_else(values, level, data):
    isal_zlib = pytest.importorskip("isal.isal_zlib", reason="isal is not made for this processor")
    raw = bytearray(zlib.compress(values, level))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(0, 255))
    raw = bytes(raw[: data.draw(st.sampled_from([at, len(raw)]))])

    def answer(decompress):
        try:
            return decompress(raw, bufsize=max(1, len(values)))
        except Exception:
            return None

    assert answer(isal_zlib.decompress) == answer(zlib.decompress)
