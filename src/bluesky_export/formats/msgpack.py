"""msgpack: the run's documents themselves, as suitcase-msgpack writes them.

A file is a sequence of ``[name, {document}]``, events and datums in pages: databroker's
``BlueskyMsgpackCatalog`` opens it, and a folder of such files is a catalog
(``%runs --catalog FOLDER/``). Numbers keep their dtype and arrays their shape, as msgpack-numpy has
them. Tuples become lists, arrays of Python objects too. What msgpack does not have (sets, dates,
integers beyond 64 bits, text with lone surrogates, dicts with other keys than text) is a dict with
one key in bytes, which bluesky-export reads back as what it was and databroker shows as it is:

- ``{b"$text": b"…"}``: UTF-8 with ``surrogatepass``; ``{b"$int": "123…"}``: decimal digits
- ``{b"$set": […]}``, ``{b"$frozenset": […]}``: in the order of their ``repr``
- ``{b"$datetime": "…"}``, ``{b"$date": "…"}``, ``{b"$time": "…"}``: ISO 8601;
  ``{b"$timedelta": […]}``: days, seconds, microseconds
- ``{b"$items": [[key, value], …]}``: a dict; ``{b"$repr": "…"}``: what Python prints of anything else

A notice says where that was needed. Data in detector files stay there: the documents name the files;
``pack`` takes the files along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from ..documents import msgpacked
from ..documents.pages import Document, page_length, plain, slice_page
from ._documents import DocumentsWriter
from ._fidelity import converted, fidelity, left_out

PAGE_BYTES = 64 * 2**20
"""Of arrays in one page; what reads a file holds a page of it in memory."""
DATABROKER_BYTES = 1_000_000_000
"""The longest document that databroker reads (``databroker._drivers.msgpack.UNPACK_OPTIONS``)."""

FORMS = {
    "surrogates": converted('`{b"$text": UTF-8}`, which bluesky-export reads back as the text'),
    "metadata-other": converted(
        "lists for tuples; what msgpack does not have is a dict with one key: see the rules of the format"
    ),
}
"""What the documents in msgpack hold by a rule."""


class MsgpackWriter(DocumentsWriter):
    """Write the documents, one behind the other."""

    name = "msgpack"
    suffix = ".msgpack"
    summary = "the documents themselves with their dtypes, as databroker and suitcase-msgpack keep them"
    how_to_open: ClassVar[tuple[str, ...]] = (
        "databroker's msgpack catalog, or in Python:",
        "list(msgpack.Unpacker(open('….msgpack', 'rb'), object_hook=msgpack_numpy.decode))",
    )
    fidelity = fidelity(
        {
            **FORMS,
            "external": left_out("pack, hdf5, nexus; the documents that name the files are kept"),
            "unreadable": left_out("the documents that name the files are kept"),
        }
    )

    def encoded(self, name: str, doc: Any) -> bytes:
        """Return a document as msgpack."""
        packed = msgpacked.pack(name, doc, self.notice)
        if len(packed) > DATABROKER_BYTES:
            self.notice(f"databroker does not read {name} documents beyond a gigabyte, as this one is")
        return packed

    def event_page(self, doc: Document) -> None:
        """Write a page of events, or several where it holds large arrays."""
        super().event_page(doc)
        for page in _short_pages(doc):
            self.put("event_page", _with_lists(page))


def _short_pages(page: Document) -> Iterator[Document]:
    rows = page_length(page)
    size = sum(_size(column) for column in page["data"].values())
    step = max(rows * PAGE_BYTES // size, 1) if size > PAGE_BYTES else rows
    for first in range(0, rows, step or 1):
        yield page if step >= rows else slice_page(page, first, first + step)


def _size(column: Any) -> int:
    if isinstance(column, np.ndarray) and not column.dtype.hasobject:
        return column.nbytes
    return sum(value.nbytes for value in column if isinstance(value, np.ndarray))


def _with_lists(page: Document) -> dict[str, Any]:
    """Return a page whose columns are lists, as event-model asks; rows of arrays stay arrays."""
    out = dict(page)
    for key in ("uid", "time", "seq_num"):
        out[key] = _list(page[key])
    for key in ("data", "timestamps", "filled"):
        if key in page:
            out[key] = {field: _list(column) for field, column in page[key].items()}
    return out


def _list(column: Any) -> list[Any]:
    return list(plain(column))
