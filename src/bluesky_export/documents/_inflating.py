"""Frames of an HDF5 dataset that is compressed by deflate, read on several processors.

HDF5 decompresses a chunk after the other, and nobody else gets at a file in the meantime. Here it gives the
chunks as they are in the file. What is not plainly chunks of whole entries, shuffled and deflated or
only deflated, is left to HDF5, as is every chunk that is missing or damaged.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import mmap
import os
import zlib
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_DEFLATE, _SHUFFLE = 1, 2  # HDF5's numbers of these filters
_WORTH = 2**20
"""Bytes: less is read as fast by HDF5."""
_LARGE = 2**20
"""Bytes of an array that gets memory of its own from the system."""
_LARGEST = 2**24
"""Bytes of a chunk: of larger ones too many would be in memory at a time."""
_AHEAD = 2**24
"""Bytes: chunks that are decompressed at a time; half of it, parts that are ready."""
_MOST = 4
"""Processors that are used at most: others work here too."""


class _Other(Exception):
    """It is for HDF5 to read this."""


def read_parts(dataset: Any, low: int, high: int, step: int) -> Generator[Array]:
    """Yield ``dataset[low:high]`` in parts, while the next ones are decompressed.

    Close it if not all of it is wanted: its threads end with it.

    Parameters
    ----------
    dataset : h5py.Dataset
        Of a file that is open to read.
    low, high, step : int
        The first entry, the one after the last, and how many are in a part.
    """
    filters = _filters(dataset, low, high, step)
    chunk = dataset.dtype.itemsize * math.prod(dataset.chunks or ())
    workers = min(processors(), max(2, _AHEAD // max(1, chunk)))
    if filters is None or workers < 2:
        for first in range(low, high, step):
            yield np.asarray(dataset[first : min(first + step, high)])
        return
    _inflate()  # found out here, not by several threads at a time
    part = max(1, step * dataset.dtype.itemsize * math.prod(dataset.shape[1:]))
    waiting: deque[_Part] = deque()
    pool = ThreadPoolExecutor(workers, "bluesky-export-inflate")
    try:
        for first in range(low, high, step):
            waiting.append(_Part(dataset, first, min(first + step, high), filters, pool))
            if len(waiting) > max(workers, _AHEAD // 2 // part):
                yield waiting.popleft().values()
        while waiting:
            yield waiting.popleft().values()
    finally:
        pool.shutdown(cancel_futures=True)  # it waits


class _Part:
    """Entries that are being decompressed."""

    def __init__(
        self, dataset: Any, low: int, high: int, filters: tuple[int, ...], pool: ThreadPoolExecutor
    ) -> None:
        self._dataset, self._low, self._high = dataset, low, high
        self._out = _room((high - low, *dataset.shape[1:]), dataset.dtype)
        self._tasks: list[Future[None]] = []
        depth, rest = dataset.chunks[0], (0,) * (dataset.ndim - 1)
        for first in range(low - low % depth, high, depth):
            try:
                mask, raw = dataset.id.read_direct_chunk((first, *rest))
            except Exception:  # HDF5 says what is wrong with it, or fills what was never written
                self._tasks.append(pool.submit(_refuse))
                return
            begin, end = max(first, low), min(first + depth, high)
            out = self._out[begin - low : end - low]
            self._tasks.append(pool.submit(_put, raw, mask, filters, out, begin - first, depth))
            del raw
            if len(self._tasks) > 2 * _MOST:  # no more chunks in memory than that
                wait(self._tasks[-2 * _MOST :], return_when=FIRST_COMPLETED)

    def values(self) -> Array:
        """Return them when they are there; what was none of ours HDF5 reads."""
        try:
            for task in self._tasks:
                task.result()
        except Exception:
            return np.asarray(self._dataset[self._low : self._high])
        return self._out


def _room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array; a large one takes no memory until it is written to, and gives it back at once.

    What threads leave to malloc stays with the process: a fifth more for large frames.
    """
    if dtype.itemsize * math.prod(shape) < _LARGE:
        return np.empty(shape, dtype)
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    return np.frombuffer(mmap.mmap(-1, dtype.itemsize * math.prod(shape), **private), dtype).reshape(shape)


def _refuse() -> None:
    raise _Other


def processors() -> int:
    """Say how many processors decompress at the same time."""
    return min(
        _MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )


def _filters(dataset: Any, low: int, high: int, step: int) -> tuple[int, ...] | None:
    """Return the numbers of the filters, in the order of writing; None if these entries are for HDF5."""
    import h5py

    chunks, shape, dtype = dataset.chunks, dataset.shape, dataset.dtype
    if chunks is None or chunks[1:] != shape[1:] or dtype.kind not in "iuf":
        return None
    depth, entry = chunks[0], dtype.itemsize * math.prod(shape[1:])
    if (
        (high - low) * entry < _WORTH
        or depth * entry > _LARGEST
        or not (
            depth <= min(step, high - low) and high <= shape[0] // depth * depth
        )  # a chunk cut off at the end
        or dataset.id.get_type() != h5py.h5t.py_create(dtype)  # with bits that mean nothing, say
    ):
        return None
    settings = dataset.id.get_create_plist()
    found = [settings.get_filter(number) for number in range(settings.get_nfilters())]
    codes = tuple(code for code, *_ in found)
    if codes == (_DEFLATE,) or (codes == (_SHUFFLE, _DEFLATE) and found[0][2] == (dtype.itemsize,)):
        return codes
    return None


def _put(raw: bytes, mask: int, filters: tuple[int, ...], out: Array, first: int, depth: int) -> None:
    """Decode a chunk of so many entries, of which those from the first are wanted."""
    if mask >> len(filters):
        raise _Other
    entry = out[:1].nbytes
    done = {code for number, code in enumerate(filters) if not mask >> number & 1}
    text = _inflate()(raw, depth * entry) if _DEFLATE in done else raw
    if len(text) != depth * entry:
        raise _Other
    size = out.itemsize
    wanted = slice(first * entry // size, first * entry // size + out.size)
    if _SHUFFLE not in done or size == 1:
        out.reshape(-1).view(np.uint8)[:] = np.frombuffer(text, np.uint8)[
            wanted.start * size : wanted.stop * size
        ]
        return
    planes = np.frombuffer(text, np.uint8).reshape(size, -1)[:, wanted]
    if size == 2:  # three times as fast as byte by byte
        pixels = out.reshape(-1).view("<u2")
        np.left_shift(planes[1], 8, out=pixels, dtype="<u2")
        pixels |= planes[0]
        return
    bytewise = out.reshape(-1).view(np.uint8).reshape(-1, size)
    for number, plane in enumerate(planes):
        bytewise[:, number] = plane


@functools.cache
def _inflate() -> Callable[[bytes, int], bytes]:
    """Return what decompresses: isal takes half of zlib's time, where it is installed."""
    decompress: Any = zlib.decompress
    with contextlib.suppress(Exception):  # not there, or not made for this machine
        found = importlib.import_module("isal.isal_zlib").decompress
        decompress = found if found(zlib.compress(b"x"), bufsize=1) == b"x" else decompress
    return lambda raw, size: bytes(decompress(raw, bufsize=size))
