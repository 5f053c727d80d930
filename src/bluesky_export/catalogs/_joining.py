"""Event pages of one row each, joined: what databroker and suitcase store of single events.

:func:`~bluesky_export.documents.pages.paginate` does it by way of events, which costs twice as
much; 10⁵ events are common here. Some pages are kept, and then joined column by column: as many as a
processor's cache holds, since all of them at once are slower than each by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from ..documents.pages import Document, Pair

_WHOLE = ("uid", "time", "seq_num")
_PARTS = ("data", "timestamps", "filled")
_AT_ONCE = 32


def join_pages(documents: Iterable[Pair], page_size: int) -> Iterator[Pair]:
    """Yield the same documents, neighbouring pages of a descriptor joined up to ``page_size`` rows.

    Pages with other fields, with arrays as columns or with columns of unequal length are passed on
    as they are. The order of the events of a stream is kept; nothing is held back past the stop
    document, and the first events of a stream not past another one's: SPEC's rows wait for the baseline.
    """
    waiting: dict[str, _Joined] = {}
    begun: set[str] = set()  # descriptors that something was given of
    streams: dict[str, Any] = {}  # by descriptor uid
    for name, doc in documents:
        if name == "descriptor":
            # What another descriptor of the stream left waiting was measured before this one's events.
            streams[doc["uid"]] = doc.get("name", "primary")
            yield from _before(doc["uid"], waiting, streams)
        if name == "event_page":
            descriptor = doc["descriptor"]
            if len(waiting) > (descriptor in waiting):
                yield from _before(descriptor, waiting, streams)
                for other in [uid for uid in waiting if uid != descriptor and uid not in begun]:
                    begun.add(other)
                    yield from _given(waiting.pop(other))
            joined = waiting.get(descriptor)
            if joined is not None and joined.add(doc, page_size):
                continue
            if joined is not None:
                yield from _given(waiting.pop(descriptor))
            joined = _Joined(doc)
            if joined.add(doc, page_size - 1):  # a full page needs no joining
                waiting[descriptor] = joined
            else:
                yield name, doc
            continue
        if name == "event" and doc["descriptor"] in waiting:
            yield from _given(waiting.pop(doc["descriptor"]))
        elif name == "stop":
            while waiting:
                yield from _given(waiting.pop(next(iter(waiting))))
        yield name, doc
    for joined in waiting.values():
        yield from _given(joined)


def _given(joined: _Joined) -> Iterator[Pair]:
    return (("event_page", page) for page in joined.pages())


def _before(descriptor: str, waiting: dict[str, _Joined], streams: dict[str, Any]) -> Iterator[Pair]:
    """Yield and forget the pages that wait of other descriptors of the same stream."""
    stream = streams.get(descriptor)
    for uid in [uid for uid in waiting if uid != descriptor and streams.get(uid) == stream]:
        yield from _given(waiting.pop(uid))


class _Joined:
    """Pages that become one, with the fields of the first."""

    def __init__(self, first: Document) -> None:
        self.rows = 0
        self._descriptor = first["descriptor"]
        self._fields = [list(first.get(part) or {}) for part in _PARTS]
        self._names = list(chain.from_iterable(self._fields))
        # Those of each page. The page itself is let go: its dictionaries are used again for the next one.
        self._columns: list[tuple[Any, ...]] = []
        self._ready: list[Document] = []
        self._whole: list[list[Any]] | None = None

    def add(self, page: Document, most: int) -> bool:
        """Take a page and say True; say False if it does not fit."""
        rows = len(page["seq_num"])
        if self.rows + rows > most:
            return False
        data, stamps, filled = parts = [page.get(part) or {} for part in _PARTS]
        if [*data, *stamps, *filled] != self._names or len(data) != len(self._fields[0]):
            if any(part.keys() != set(fields) for part, fields in zip(parts, self._fields, strict=True)):
                return False
            data, stamps, filled = (
                {key: part[key] for key in fields} for part, fields in zip(parts, self._fields, strict=True)
            )
        elif len(stamps) != len(self._fields[1]):
            return False
        self._columns.append(
            (page["uid"], page["time"], page["seq_num"], *data.values(), *stamps.values(), *filled.values())
        )
        self.rows += rows
        if len(self._columns) >= _AT_ONCE:
            self._join()
        return True

    def pages(self) -> list[Document]:
        """Return the pages as one; as they are, where a column is no list of the page's length."""
        self._join()
        self._put_ready()
        return self._ready

    def _join(self) -> None:
        columns, self._columns = self._columns, []
        rows = [len(numbers) for _, _, numbers, *_ in columns]
        joined = []
        for column in zip(*columns, strict=True):  # all in C: 25 columns, and a page for each event
            if set(map(type, column)) != {list} or list(map(len, column)) != rows:
                self._put_ready()
                self._ready += map(self._page, columns)
                return
            joined.append(list(chain.from_iterable(column)))
        if self._whole is None:
            self._whole = joined
        else:
            for grown, more in zip(self._whole, joined, strict=False):  # none of no pages
                grown += more

    def _put_ready(self) -> None:
        if self._whole:
            self._ready.append(self._page(self._whole))
        self._whole = None

    def _page(self, columns: Iterable[Any]) -> Document:
        values = iter(columns)
        return {
            "descriptor": self._descriptor,
            **{name: next(values) for name in _WHOLE},
            **{
                part: {key: next(values) for key in fields}
                for part, fields in zip(_PARTS, self._fields, strict=True)
            },
        }
