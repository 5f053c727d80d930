"""Event pages: made of single events, cut to size, and taken apart again.

The schema of the documents is event-model's (https://blueskyproject.io/event-model). Its own
``pack_event_page`` and ``unpack_event_page`` insist on columns of equal length and pad with
``{}`` where they are not; what is measured here is checked instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from ..errors import NotFaithful

Document = Mapping[str, Any]
Pair = tuple[str, Document]


def event_to_page(event: Document) -> dict[str, Any]:
    """Return an event page of one row."""
    return pack_events([event])


def same_fields(one: Document, other: Document) -> bool:
    """Say whether two events (or pages) can be rows of one page."""
    return all((one.get(part) or {}).keys() == (other.get(part) or {}).keys() for part in _PARTS)


_PARTS = ("data", "timestamps", "filled")


def pack_events(events: Sequence[Document]) -> dict[str, Any]:
    """Put events of one descriptor into one event page.

    Raises
    ------
    NotFaithful
        The events do not all have the same fields: a page has no way to say "not measured".
    """
    first = events[0]
    return {
        "descriptor": first["descriptor"],
        "uid": [event.get("uid") for event in events],
        "time": [event["time"] for event in events],
        "seq_num": [event["seq_num"] for event in events],
        "data": _columns(events, "data"),
        "timestamps": _columns(events, "timestamps"),
        "filled": _columns(events, "filled"),
    }


def _columns(events: Sequence[Document], part: str) -> dict[str, list[Any]]:
    keys = events[0].get(part) or {}
    for event in events:
        if (event.get(part) or {}).keys() != keys.keys():
            raise NotFaithful(
                f"event {event['seq_num']} of descriptor {event['descriptor']} has other {part} "
                "fields than the event before it"
            )
    return {key: [event[part][key] for event in events] for key in keys}


def page_length(page: Document) -> int:
    """Return the number of events in a page."""
    return len(page["seq_num"])


def check_columns(page: Document) -> None:
    """Refuse a page whose columns differ in length: nobody knows which value belongs to which event.

    Raises
    ------
    NotFaithful
        A column has more or fewer values than the page has events.
    """
    rows = page_length(page)
    for columns in ({"time": page["time"]}, page["data"], page.get("timestamps") or {}):
        for key, column in columns.items():
            if len(column) != rows:
                raise NotFaithful(f"field {key!r} has {len(column)} values in a page of {rows} events")


def slice_page(page: Document, start: int, stop: int) -> dict[str, Any]:
    """Return some consecutive rows of a page, as a page."""

    def cut(columns: Mapping[str, Any]) -> dict[str, Any]:
        return {key: column[start:stop] for key, column in columns.items()}

    return {
        **page,
        **{key: page[key][start:stop] for key in ("uid", "time", "seq_num") if key in page},
        **{key: cut(page[key]) for key in ("data", "timestamps", "filled") if key in page},
    }


def page_to_events(page: Document) -> Iterator[dict[str, Any]]:
    """Yield the events of a page, with Python numbers where the columns are arrays."""
    rows = page_length(page)

    def rowwise(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = [{} for _ in range(rows)]
        for key, column in columns.items():
            if len(column) != rows:
                raise NotFaithful(f"field {key!r} has {len(column)} values in a page of {rows} events")
            for event, value in zip(out, plain(column), strict=True):
                event[key] = value
        return out

    data, stamps = rowwise(page["data"]), rowwise(page["timestamps"])
    filled = rowwise(page.get("filled") or {})
    times, numbers = plain(page["time"]), plain(page["seq_num"])
    for row in range(rows):
        yield {
            "descriptor": page["descriptor"],
            "uid": page["uid"][row],
            "time": times[row],
            "seq_num": numbers[row],
            "data": data[row],
            "timestamps": stamps[row],
            "filled": filled[row],
        }


def plain(column: Any) -> Sequence[Any]:
    """Return a column's values: those of a 1-D number array as Python numbers, others as they are.

    float32 and narrower stay numpy scalars: as Python floats they would lose their dtype.
    """
    dtype = getattr(column, "dtype", None)
    if dtype is not None and column.ndim == 1 and dtype in _PLAIN:
        return column.tolist()  # type: ignore[no-any-return]
    return column  # type: ignore[no-any-return]


_PLAIN = ("float64", "int64", "bool", "object")


def paginate(documents: Iterable[Pair], page_size: int = 1000) -> Iterator[Pair]:
    """Yield the same documents with the events in pages of up to ``page_size`` rows.

    ``event`` becomes part of an ``event_page``, ``datum`` a ``datum_page`` of one row; longer
    pages are cut, shorter neighbours of one descriptor joined. The order of the events within a
    stream is kept. No page is held back past the stop document, and the first events of a stream not
    past those of another one: SPEC's rows wait for the baseline.
    """
    begun: set[str] = set()  # descriptors that something was given of
    waiting: dict[str, list[Document]] = {}
    alone: dict[str, Document] = {}  # a short page that nothing has followed yet
    streams: dict[str, str] = {}  # by descriptor uid

    def flush(descriptor: str) -> Iterator[Pair]:
        events = waiting.pop(descriptor, [])
        if descriptor in alone:
            yield "event_page", alone.pop(descriptor)
        elif events:
            yield "event_page", pack_events(events)

    def take(descriptor: str, events: Iterable[Document]) -> Iterator[Pair]:
        """Let events wait for a full page, or for one that has not their fields."""
        if descriptor in alone:
            events = chain(page_to_events(alone.pop(descriptor)), events)
        for event in events:
            queue = waiting.get(event["descriptor"])
            if queue and not same_fields(queue[0], event):
                yield from flush(event["descriptor"])
            waiting.setdefault(event["descriptor"], []).append(event)

    def flush_before(descriptor: str) -> Iterator[Pair]:
        """Flush what earlier descriptors of the stream left waiting, and other streams' first events."""
        stream = streams.get(descriptor)
        for other in [uid for uid in {**waiting, **alone} if uid != descriptor]:
            if other not in begun or streams.get(other) == stream:
                begun.add(other)
                yield from flush(other)

    for name, doc in documents:
        if name in ("event", "event_page"):
            yield from flush_before(doc["descriptor"])
        elif name == "descriptor":
            streams[doc["uid"]] = str(doc.get("name", "primary"))
            yield from flush_before(doc["uid"])
        if name == "event":
            yield from take(doc["descriptor"], [doc])
            if len(waiting[doc["descriptor"]]) >= page_size:
                yield from flush(doc["descriptor"])
        elif name == "event_page":
            rows = page_length(doc)
            if rows * 4 < page_size:  # short pages (databroker gives one row each) are joined
                if not waiting.get(doc["descriptor"]) and doc["descriptor"] not in alone:
                    alone[doc["descriptor"]] = doc
                    continue
                yield from take(doc["descriptor"], page_to_events(doc))
                if len(waiting.get(doc["descriptor"], ())) >= page_size:
                    yield from flush(doc["descriptor"])
                continue
            yield from flush(doc["descriptor"])
            for start in range(0, rows, page_size):
                yield name, doc if rows <= page_size else slice_page(doc, start, start + page_size)
        elif name == "datum":
            yield "datum_page", datum_to_page(doc)
        else:
            if name == "stop":
                for descriptor in list({**waiting, **alone}):
                    yield from flush(descriptor)
            yield name, doc
    for descriptor in list({**waiting, **alone}):
        yield from flush(descriptor)


def datum_to_page(datum: Document) -> dict[str, Any]:
    """Return a datum page of one row."""
    return {
        "resource": datum["resource"],
        "datum_id": [datum["datum_id"]],
        "datum_kwargs": {key: [value] for key, value in datum["datum_kwargs"].items()},
    }


def page_to_datums(page: Document) -> Iterator[dict[str, Any]]:
    """Yield the datum documents of a datum page."""
    for row, datum_id in enumerate(page["datum_id"]):
        yield {
            "resource": page["resource"],
            "datum_id": datum_id,
            "datum_kwargs": {key: column[row] for key, column in page["datum_kwargs"].items()},
        }
