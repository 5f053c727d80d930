"""Which run a document belongs to: runs may interleave, nest, and be seen from their middle."""

from __future__ import annotations

from typing import Any

from ..documents.pages import Document, page_length


class Router:
    """Follow the references between documents back to the start document of their run.

    Only runs that were seen from their start are known; a document of any other belongs to None.
    It also keeps count of each stream's events, so that a document which never arrived (a
    callback before ours failed on it) is noticed.
    """

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}  # by uid, in order of start
        self._descriptors: dict[str, str] = {}
        self._resources: dict[str, str] = {}

    @property
    def open(self) -> list[str]:
        """The uids of the runs that have no stop document yet, oldest first."""
        return list(self._runs)

    def route(self, name: str, doc: Document) -> str | None:
        """Return the uid of the run that a document belongs to; None if that run is not known."""
        if name == "start":
            self._runs[doc["uid"]] = _Run()
            return str(doc["uid"])
        uid: str | None
        if name in ("descriptor", "stop"):
            uid = doc.get("run_start")
        elif name in ("event", "event_page", "stream_datum"):
            uid = self._descriptors.get(doc["descriptor"])
        elif name in ("resource", "stream_resource"):
            # Resources of before 2020 do not say: the newest open run is the one that asked.
            uid = doc.get("run_start") or next(reversed(self._runs), None)
        elif name in ("datum", "datum_page"):
            uid = self._resources.get(doc["resource"])
        else:
            uid = next(reversed(self._runs), None)
        if uid is None or uid not in self._runs:
            return None
        self._note(self._runs[uid], uid, name, doc)
        return uid

    def _note(self, run: _Run, uid: str, name: str, doc: Document) -> None:
        if name == "descriptor":
            self._descriptors[doc["uid"]] = uid
            run.streams[doc["uid"]] = stream = doc.get("name", "primary")
            run.last.setdefault(stream, 0)
        elif name in ("resource", "stream_resource"):
            self._resources[doc["uid"]] = uid
        elif name == "stream_datum":
            run.external.add(run.streams[doc["descriptor"]])
        elif name in ("event", "event_page"):
            numbers = [doc["seq_num"]] if name == "event" else doc["seq_num"]
            if name == "event" or page_length(doc):
                run.count(run.streams[doc["descriptor"]], numbers)

    def missing(self, uid: str, stop: Document | None) -> dict[str, int]:
        """Return, by stream, how many events of a run were counted by the RunEngine and not seen."""
        run = self._runs[uid]
        lost = dict(run.lost)
        for stream, counted in ((stop or {}).get("num_events") or {}).items():
            # Events of a stream of detector files need not exist as documents.
            after = counted - run.last.get(stream, 0)
            if after > 0 and stream not in run.external:
                lost[stream] = lost.get(stream, 0) + after
        return lost

    def forget(self, uid: str) -> None:
        """Drop all that is known of a run that has ended."""
        del self._runs[uid]
        for known in (self._descriptors, self._resources):
            for key in [key for key, run in known.items() if run == uid]:
                del known[key]


class _Run:
    """What is counted of one run."""

    def __init__(self) -> None:
        self.streams: dict[str, str] = {}  # descriptor uid -> stream
        self.last: dict[str, int] = {}  # stream -> the last seq_num
        self.lost: dict[str, int] = {}
        self.external: set[str] = set()

    def count(self, stream: str, numbers: Any) -> None:
        first, last = int(numbers[0]), int(numbers[-1])
        # A smaller number is no loss: a resumed plan measures the points since its checkpoint again.
        gap = first - self.last[stream] - 1
        if gap > 0:
            self.lost[stream] = self.lost.get(stream, 0) + gap
        self.last[stream] = last
