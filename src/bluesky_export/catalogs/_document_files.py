"""Files of documents, one run each: suitcase-msgpack's and suitcase-jsonl's layouts.

Read here rather than by databroker's drivers, which parse a whole file to find its stop document,
lose every run of a folder to one bad file, and take 3 s to import. The layouts are a sequence of
``[name, document]`` (suitcase.msgpack.Serializer, suitcase.jsonl.Serializer); the last item of a
file that is still being written may be incomplete.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import IO, Any

import msgpack
import numpy as np
import orjson

from ..documents import msgpacked
from ..documents.exact import ext_hook
from ..documents.pages import Pair
from ..errors import RunUnreadable
from ._plain import one_line

_EVENTS = frozenset({"event", "event_page", "bulk_events"})


class Layout(ABC):
    """How one kind of file is read. Every method raises RunUnreadable for a damaged file."""

    def head(self, path: str) -> Mapping[str, Any] | None:
        """Return the start document; None if the file has no complete document yet.

        Raises
        ------
        RunUnreadable
            The file is damaged, or its first document is no start document.
        """
        for name, doc in self.documents(path, 2**14):
            if name != "start" or "uid" not in doc:
                raise RunUnreadable(f"{path} does not begin with a start document: it holds no Bluesky run")
            return doc
        return None

    def stop(self, path: str, uid: str) -> Mapping[str, Any] | None:
        """Return the stop document of a run, found from the end of the file; None if not there."""
        with _reading(path), open(path, "rb") as file:
            for offset in _from_the_end(file, self._stop_mark):
                doc = self._stop_at(file, offset)
                if doc is not None and doc.get("run_start") == uid:
                    return doc
        return None

    @abstractmethod
    def documents(self, path: str, read_size: int = 2**16) -> Iterator[Pair]:
        """Yield all documents, as far as the file is complete, reading so much at a time."""

    @abstractmethod
    def outline(self, path: str) -> Iterator[Pair]:
        """Yield the documents that are no events, without decoding the events."""

    _stop_mark: bytes

    @abstractmethod
    def _stop_at(self, file: IO[bytes], offset: int) -> Mapping[str, Any] | None: ...


class _reading:  # noqa: N801 - used as a function
    """Turn what a damaged, missing or forbidden file raises into RunUnreadable."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RunUnreadable) or not isinstance(error, Exception):
            return
        # A decoder fed with foreign bytes raises nearly anything (numpy's, pickle's errors …).
        reason = (error.strerror if isinstance(error, OSError) else None) or one_line(error)
        raise RunUnreadable(
            f"{self.path} cannot be read ({reason}); other runs are not affected"
        ) from error


def _from_the_end(file: IO[bytes], mark: bytes) -> Iterator[int]:
    """Yield the offsets of a mark, last one first, reading the file backwards in growing blocks.

    Not by mmap: a file cut short by another machine while it is mapped kills the process.
    """
    end = file.seek(0, os.SEEK_END)
    step = 2**14
    while end > 0:
        begin = max(0, end - step)
        file.seek(begin)
        block = file.read(end - begin + len(mark) - 1)
        at = block.rfind(mark)
        while at >= 0:
            yield begin + at
            at = block.rfind(mark, 0, at + len(mark) - 1)
        end, step = begin, min(step * 4, 2**24)


def _is_pair(item: Any) -> bool:
    return (
        isinstance(item, (list, tuple))
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], dict)
    )


def _checked(item: Any, path: str) -> Pair:
    if type(item) is list and len(item) == 2 and type(item[0]) is str and type(item[1]) is dict:
        return item[0], item[1]
    if _is_pair(item):
        return item[0], item[1]
    raise RunUnreadable(f"{path} holds something that is no Bluesky document; other runs are not affected")


class Msgpack(Layout):
    """msgpack as suitcase-msgpack writes it: :mod:`bluesky_export.documents.msgpacked`.

    Parameters
    ----------
    trusted : bool
        Whether to load Python objects. msgpack-numpy, and our journal where nothing else helps,
        keep them as pickles, which can run any code: not for a folder that somebody sent.
    """

    _stop_mark = b"\x92\xa4stop"  # an array of two, a string of four

    def __init__(self, trusted: bool = True) -> None:
        self._decode = msgpacked.decode if trusted else _decode_no_pickle
        self._extended = ext_hook(trusted)

    def _unpacker(
        self, file: IO[bytes] | _Watched, read_size: int = 2**16, arrays: bool = True
    ) -> msgpack.Unpacker:
        return msgpack.Unpacker(
            file,
            object_hook=self._decode if arrays else None,
            ext_hook=self._extended,
            raw=False,
            strict_map_key=False,
            read_size=read_size,
            max_buffer_size=0,  # no limit of its own
        )

    def documents(self, path: str, read_size: int = 2**16) -> Iterator[Pair]:
        with _reading(path), open(path, "rb") as file:
            # Looking into each dictionary for what it may stand for is slow, and few files need it.
            watched, done = _Watched(file), 0
            unpacker = self._unpacker(watched, read_size, arrays=False)
            for item in unpacker:
                if watched.found:
                    break
                yield _checked(item, path)
                done = unpacker.tell()
            if watched.found:
                file.seek(done)
                for item in self._unpacker(file, read_size):
                    yield _checked(item, path)

    def outline(self, path: str) -> Iterator[Pair]:
        with _reading(path), open(path, "rb") as file:
            unpacker = self._unpacker(file)
            while True:
                try:
                    if unpacker.read_array_header() != 2:
                        _checked(None, path)
                    name = unpacker.unpack()
                    if name in _EVENTS:
                        unpacker.skip()
                        continue
                    pair = _checked((name, unpacker.unpack()), path)
                except msgpack.OutOfData:
                    return
                yield pair

    def _stop_at(self, file: IO[bytes], offset: int) -> Mapping[str, Any] | None:
        file.seek(offset)
        try:
            item = self._unpacker(file, 2**14).unpack()
        except (msgpack.UnpackException, ValueError, TypeError):
            return None  # the mark was part of some other value, or the document is incomplete
        return item[1] if isinstance(item[1], dict) else None


class _Watched:
    """A file in which the keys that stand for an array, or for what msgpack has not, are noticed."""

    # Bytes of that length: of the length's own kind, or the last of more bytes of it.
    _keys = re.compile(
        rb"[\xc4\x00](?:" + b"|".join(re.escape(bytes([len(key)]) + key) for key in msgpacked.KEYS) + b")"
    )
    _first = frozenset(key[0] for key in msgpacked.KEYS)
    _kinds, _lengths = np.zeros(256, bool), np.zeros(256, bool)
    _kinds[[0xC4, 0]] = True
    _lengths[[len(key) for key in msgpacked.KEYS]] = True

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._before = b""
        self.found = False

    def read(self, size: int) -> bytes:
        """Read so many bytes."""
        block = self._file.read(size)
        seen = self._before + block
        if self._may_hold(seen) and self._keys.search(seen):
            self.found = True
        self._before = seen[-16:]
        return block

    def _may_hold(self, seen: bytes) -> bool:
        """Say whether the regular expression, which takes five times as long, might find a key."""
        octets = np.frombuffer(seen, np.uint8)
        for first in self._first:
            before = np.flatnonzero(octets[2:] == first)
            if (self._kinds[octets[before]] & self._lengths[octets[before + 1]]).any():
                return True
        return False


def _decode_no_pickle(obj: dict[Any, Any]) -> Any:
    if obj.get(b"kind") == b"O":
        raise RunUnreadable(
            "the run holds an array of Python objects, stored as a pickle: not opened from a folder, "
            "since a pickle can run any code (open it as a databroker catalog if you trust its source)"
        )
    return msgpacked.decode(obj)


class Jsonl(Layout):
    """One JSON list ``[name, document]`` a line."""

    _stop_mark = b'"stop"'
    _name = re.compile(rb'\s*\[\s*"(\w+)"')
    _opening = re.compile(rb"(?:^|\n)\s*\[\s*$")

    def head(self, path: str) -> Mapping[str, Any] | None:
        """Return the start document; None if there is none yet, or the lines are about other things."""
        with _reading(path), open(path, "rb") as file:
            first = next(self._lines(file), b"")
            if not first.endswith(b"\n") or not _is_pair(load_json(first)):
                return None
        return super().head(path)

    def _lines(self, file: IO[bytes]) -> Iterator[bytes]:
        for line in file:
            if line.strip():
                yield line

    def _parse(self, line: bytes, path: str) -> Pair | None:
        try:
            return _checked(load_json(line), path)
        except ValueError:
            if line.endswith(b"\n"):
                raise
            return None  # the last line, still being written

    def documents(self, path: str, read_size: int = 2**16) -> Iterator[Pair]:
        with _reading(path), open(path, "rb", buffering=read_size) as file:
            for line in self._lines(file):
                pair = self._parse(line, path)
                if pair is not None:
                    yield pair

    def outline(self, path: str) -> Iterator[Pair]:
        with _reading(path), open(path, "rb") as file:
            for line in self._lines(file):
                name = self._name.match(line)
                if name is not None and name[1].decode() in _EVENTS:
                    continue
                pair = self._parse(line, path)
                if pair is not None:
                    yield pair

    def _stop_at(self, file: IO[bytes], offset: int) -> Mapping[str, Any] | None:
        begin = max(0, offset - 64)
        file.seek(begin)
        before = self._opening.search(file.read(offset - begin))
        if before is None or (begin > 0 and not before[0].startswith(b"\n")):
            return None  # not at the beginning of a line
        file.seek(begin + before.start())
        if before[0].startswith(b"\n"):
            file.read(1)
        try:
            item = load_json(file.readline())
        except ValueError:
            return None
        return item[1] if isinstance(item, list) and len(item) == 2 and isinstance(item[1], dict) else None


_LONG_NUMBER = re.compile(rb"\d{19}")


def load_json(text: bytes) -> Any:
    """Parse JSON as Python does: NaN and infinities, integers of any size, lone surrogates.

    orjson is several times faster and agrees on the rest; integers beyond 64 bits it would
    silently return as floats.
    """
    if not _LONG_NUMBER.search(text):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # json knows more; what it does not know either, it says
    return json.loads(text)
