"""The documents of one open run on their way to its sinks: events gathered into pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..documents.pages import Document, datum_to_page, pack_events
from ._handoff import COMMENT, own
from ._sink import Sink

PAGE_ROWS = 1000
"""Events of one descriptor in one page, at most."""


class OpenRun:
    """One run that is being taken, and its sinks.

    Parameters
    ----------
    sinks : sequence of Sink
        Each gets documents of its own: what one writer does to them, no other one sees.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = list(sinks)
        self.stop: Mapping[str, Any] | None = None
        self._gathered: dict[str, list[Document]] = {}  # descriptor uid -> events

    @property
    def waiting(self) -> int:
        """Events gathered and not yet given to a sink."""
        return sum(len(events) for events in list(self._gathered.values()))

    def take(self, name: str, doc: Document) -> None:
        """Take a document of this run."""
        self._give(name, doc, pages=False)
        if not any(sink.pages for sink in self.sinks):
            return
        if name == "event":
            self._gather(doc)
        elif name == "datum":
            self._give("datum_page", datum_to_page(doc), pages=True)
        else:
            if name == "event_page":
                self._flush_one(doc["descriptor"])
            elif name == "stop":
                self.flush()
            self._give(name, doc, pages=True)

    def comment(self, doc: Document) -> None:
        """Give the writers a comment that was typed, behind the events that came before it."""
        self.flush()
        self._give(COMMENT, doc, pages=True)

    def fail(self, error: BaseException) -> None:
        """Have every sink give the run up: a document was lost on the way."""
        self._gathered.clear()
        for sink in self.sinks:
            sink.fail(error)

    def flush(self) -> None:
        """Give the sinks all that was gathered."""
        for descriptor in list(self._gathered):
            self._flush_one(descriptor)

    def _gather(self, event: Document) -> None:
        descriptor = event["descriptor"]
        events = self._gathered.setdefault(descriptor, [])
        if events and (len(events) >= PAGE_ROWS or not _alike(events[0], event)):
            self._flush_one(descriptor)
            events = self._gathered.setdefault(descriptor, [])
        events.append(event)

    def _flush_one(self, descriptor: str) -> None:
        events = self._gathered.pop(descriptor, None)
        if events:
            self._give("event_page", pack_events(events), pages=True)

    def _give(self, name: str, doc: Document, *, pages: bool) -> None:
        takers = [sink for sink in self.sinks if sink.pages is pages]
        needed_after = not pages and len(takers) < len(self.sinks)
        for left, sink in zip(range(len(takers) - 1, -1, -1), takers, strict=True):
            # The last to use the document needs no copy of it; all others do.
            sink.take(name, own(doc) if left or needed_after else doc)


def _alike(one: Document, other: Document) -> bool:
    """Say whether two events fit into one page: it has no way to say "not measured"."""
    return all(
        (one.get(part) or {}).keys() == (other.get(part) or {}).keys()
        for part in ("data", "timestamps", "filled")
    )
