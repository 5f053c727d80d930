"""The documents of a run on the disk until it has ended: for formats that need the whole run at once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import msgpack

from ..documents.exact import ExactPacker, ext_hook
from ..documents.msgpacked import decode
from ..documents.pages import Pair, page_to_datums, page_to_events


class Spool:
    """Documents in a temporary file that has no name: nothing is left of it when the process ends.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._file: Any = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._packer = ExactPacker()

    def put(self, name: str, doc: Any) -> None:
        """Add a document.

        Raises
        ------
        NotFaithful
            A value cannot be kept in any way.
        OSError
            The disk of temporary files is full.
        """
        self._file.write(self._packer.pack(name, doc))

    def pages(self) -> Iterator[Pair]:
        """Yield the documents as they were put, from the first one on."""
        self._file.flush()
        self._file.seek(0)
        unpacker = msgpack.Unpacker(
            self._file,
            object_hook=decode,
            ext_hook=ext_hook(trusted=True),  # written by this process, readable by nobody else
            raw=False,
            strict_map_key=False,
            max_buffer_size=0,
        )
        for name, doc in unpacker:
            yield str(name), doc

    def singles(self) -> Iterator[Pair]:
        """Yield the documents with single events and datums, as a RunEngine emits them."""
        for name, doc in self.pages():
            if name == "event_page":
                yield from (("event", event) for event in page_to_events(doc))
            elif name == "datum_page":
                yield from (("datum", datum) for datum in page_to_datums(doc))
            else:
                yield name, doc

    def close(self) -> None:
        """Remove it. Safe to call twice."""
        self._file.close()
