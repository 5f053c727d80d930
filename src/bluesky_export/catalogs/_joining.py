"""Event pages of one row each, joined: what databroker and suitcase store of single events.

:func:`~bluesky_export.documents.pages.paginate` does it by way of events, which costs twice as
much; 10⁵ events are common here. Some rows are kept, and then joined column by column: as many as a
processor's cache holds, since all of them at once are slower than each by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..documents.pages import Document, Pair

_WHOLE = ("uid", "time", "seq_num")
_PARTS = ("data", "timestamps", "filled")
_NO_TIMESTAMPS = ("data", "filled")
_AT_ONCE = 32
_LISTS = {list}


def join_pages(documents: Iterable[Pair], page_size: int, *, timestamps: bool = True) -> Iterator[Pair]:
    """Yield the same documents, neighbouring pages of a descriptor joined up to ``page_size`` rows.

    Pages with other fields, with arrays as columns or with columns of unequal length are passed on
    as they are. The order of the events of a stream is kept; nothing is held back past the stop
    document, and the first events of a stream not past another one's: SPEC's rows wait for the baseline.
    Without ``timestamps`` the pages that are joined have none: they are half of the columns.
    """
    parts = _PARTS if timestamps else _NO_TIMESTAMPS
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
                    yield _given(waiting.pop(other))
            joined = waiting.get(descriptor)
            if joined is not None and joined.add(doc, page_size):
                continue
            if joined is not None:
                yield _given(waiting.pop(descriptor))
            joined = _Joined(doc, parts)
            if joined.add(doc, page_size - 1):  # a full page needs no joining
                waiting[descriptor] = joined
            else:
                yield name, doc
            continue
        if name == "event" and doc["descriptor"] in waiting:
            yield _given(waiting.pop(doc["descriptor"]))
        elif name == "stop":
            while waiting:
                yield _given(waiting.pop(next(iter(waiting))))
        yield name, doc
    for joined in waiting.values():
        yield _given(joined)


def _given(joined: _Joined) -> Pair:
    return "event_page", joined.page()


def _before(descriptor: str, waiting: dict[str, _Joined], streams: dict[str, Any]) -> Iterator[Pair]:
    """Yield and forget the pages that wait of other descriptors of the same stream."""
    stream = streams.get(descriptor)
    for uid in [uid for uid in waiting if uid != descriptor and streams.get(uid) == stream]:
        yield _given(waiting.pop(uid))


class _Joined:
    """Pages that become one, with the fields of the first."""

    def __init__(self, first: Document, parts: tuple[str, ...]) -> None:
        self.rows = 0
        self._descriptor = first["descriptor"]
        self._fields = [(part, list(first.get(part) or {})) for part in parts]
        number = len(_WHOLE) + sum(len(fields) for _, fields in self._fields)
        self._columns: list[list[Any]] = [[] for _ in range(number)]
        # Of pages of one row. The page is let go: its dictionaries and lists are used again for the next.
        self._single: list[list[Any]] = []

    def add(self, page: Document, most: int) -> bool:
        """Take a page and say True; say False if it does not fit."""
        rows = len(page["seq_num"])
        if self.rows + rows > most:
            return False
        columns = [page["uid"], page["time"], page["seq_num"]]
        for part, fields in self._fields:
            given = page.get(part) or {}
            if list(given) == fields:
                columns += given.values()
            elif given.keys() == set(fields):
                columns += [given[key] for key in fields]
            else:
                return False
        if set(map(type, columns)) != _LISTS:
            return False
        if rows == 1:
            try:
                self._single.append([value for (value,) in columns])
            except ValueError:  # more values than one, or none
                return False
            if len(self._single) >= _AT_ONCE:
                self._join()
        elif set(map(len, columns)) != {rows}:
            return False
        else:
            self._join()
            for column, more in zip(self._columns, columns, strict=True):
                column += more
        self.rows += rows
        return True

    def page(self) -> Document:
        """Return the pages as one."""
        self._join()
        values = iter(self._columns)
        page = {
            "descriptor": self._descriptor,
            **{name: next(values) for name in _WHOLE},
            **{part: {key: next(values) for key in fields} for part, fields in self._fields},
        }
        page.setdefault("timestamps", {})  # a page has them by its schema
        return page

    def _join(self) -> None:
        if self._single:
            for column, more in zip(self._columns, zip(*self._single, strict=True), strict=True):
                column += more
            self._single.clear()
