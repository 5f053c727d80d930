"""Read a journal while it grows, and go on in memory where it does."""

from __future__ import annotations

import glob
import json
import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack

from ..documents.exact import ext_hook
from ..documents.msgpacked import decode
from ..documents.pages import Pair
from ._handoff import COMMENT
from ._journal import comments_of
from ._place import memory_path

CHUNK = 2**18
"""Bytes read at a time."""


class Tail:
    """The documents of one journal, as far as it goes at each look.

    Parameters
    ----------
    path : Path
        The journal's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._name = path.name.removesuffix(".msgpack")
        self._spill: tuple[int, int] | None = None  # file, offset in the journal
        self._offset = 0
        self._unpacked = 0  # where the next document begins
        self._comments: deque[dict[str, Any]] = deque()
        self._comments_read = 0
        self._unpacker = msgpack.Unpacker(
            object_hook=decode,
            ext_hook=ext_hook(trusted=True),
            raw=False,
            strict_map_key=False,
            max_buffer_size=0,
        )

    def read(self) -> tuple[list[Pair], bool]:
        """Return some documents, comments at their place among them, and whether there may be more."""
        data = self._read_file() or self._read_spill()
        self._read_comments()  # after the documents: those behind a comment come after it
        if not data:
            return self._comments_until(self._unpacked), False
        self._offset += len(data)
        self._unpacker.feed(data)
        pairs: list[Pair] = []
        for name, doc in self._unpacker:
            pairs += [*self._comments_until(self._unpacked), (str(name), doc)]
            self._unpacked = self._unpacker.tell()
        return pairs, len(data) == CHUNK

    def _comments_until(self, offset: int) -> list[Pair]:
        """Return what was typed before the document at an offset."""
        found: list[Pair] = []
        while self._comments and self._comments[0]["at"] <= offset:
            found.append((COMMENT, self._comments.popleft()["doc"]))
        return found

    def _read_comments(self) -> None:
        with suppress(FileNotFoundError), open(comments_of(self._path), "rb") as file:
            file.seek(self._comments_read)
            for line in file:
                if line.endswith(b"\n"):
                    self._comments_read += len(line)
                    self._comments.append(json.loads(line))

    def _read_file(self) -> bytes:
        if self._fd < 0:
            with suppress(FileNotFoundError):  # a run that began in memory
                self._fd = os.open(self._path, os.O_RDONLY)
        return os.pread(self._fd, CHUNK, self._offset) if self._fd >= 0 else b""

    def _read_spill(self) -> bytes:
        """Read on in memory; a spill that has gone came back to the file."""
        if self._spill is not None and self._offset < self._spill[1]:
            self._close_spill()
        if self._spill is None:
            for path in memory_path().glob(f"{glob.escape(self._name)}.*.spill"):
                base = int(path.name.split(".")[-2])
                if base <= self._offset:
                    with suppress(FileNotFoundError):
                        self._spill = os.open(path, os.O_RDONLY), base
                        break
        if self._spill is None:
            return b""
        fd, base = self._spill
        data = os.pread(fd, CHUNK, self._offset - base)
        if not data:
            self._close_spill()  # looked for again the next time: there may be a second one
        return data

    def _close_spill(self) -> None:
        if self._spill is not None:
            os.close(self._spill[0])
            self._spill = None

    def close(self) -> None:
        """Close the files."""
        self._close_spill()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
