"""Some streams, some fields: what ``--stream`` and ``--fields`` leave of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .pages import Document, Pair


class Subset:
    """Take documents one by one; give those, and those parts, that were asked for.

    Parameters
    ----------
    streams : iterable of str or None
        Stream names; None is all of them.
    fields : iterable of str or None
        Field names, in any stream; None is all of them.
    """

    def __init__(self, streams: Iterable[str] | None = None, fields: Iterable[str] | None = None) -> None:
        self.streams = None if streams is None else set(streams)
        self.fields = None if fields is None else set(fields)
        self.seen_streams: set[str] = set()
        self.seen_fields: set[str] = set()
        self._left_out: set[str] = set()  # descriptor uids

    def __call__(self, documents: Iterable[Pair]) -> Iterator[Pair]:
        """Filter a run's documents."""
        for name, doc in documents:
            yield from self.one(name, doc)

    def one(self, name: str, doc: Document) -> Iterator[Pair]:
        """Yield the document, as much of it as was asked for, or nothing."""
        if name == "descriptor":
            stream = doc.get("name", "primary")
            self.seen_streams.add(stream)
            self.seen_fields.update(doc["data_keys"])
            keys = doc["data_keys"].keys()
            wanted = keys if self.fields is None else keys & self.fields
            none_of_it = self.fields is not None and not wanted
            if (self.streams is not None and stream not in self.streams) or none_of_it:
                self._left_out.add(doc["uid"])
                return
            yield name, doc if len(wanted) == len(keys) else _some_keys(doc, wanted)
        elif name in ("event", "event_page", "stream_datum"):
            if doc["descriptor"] in self._left_out:
                return
            if self.fields is None or name == "stream_datum":
                yield name, doc
            else:
                yield name, {**doc, **{part: self._some(doc.get(part)) for part in _PARTS}}
        elif name == "stream_resource" and self.fields is not None:
            if doc.get("data_key") in self.fields:
                yield name, doc
        else:
            yield name, doc

    def _some(self, columns: Any) -> dict[str, Any]:
        return {key: value for key, value in (columns or {}).items() if key in (self.fields or ())}

    def missing(self) -> list[str]:
        """Return what was asked for and is nowhere in the run, as ``"stream x"``, ``"field y"``."""
        streams = (self.streams or set()) - self.seen_streams
        fields = (self.fields or set()) - self.seen_fields
        return [f"stream {s}" for s in sorted(streams)] + [f"field {f}" for f in sorted(fields)]


_PARTS = ("data", "timestamps", "filled")


def _some_keys(descriptor: Document, wanted: Iterable[str]) -> dict[str, Any]:
    wanted = set(wanted)
    out = dict(descriptor)
    out["data_keys"] = {k: v for k, v in descriptor["data_keys"].items() if k in wanted}
    if "object_keys" in descriptor:
        devices = {d: [k for k in keys if k in wanted] for d, keys in descriptor["object_keys"].items()}
        out["object_keys"] = {device: keys for device, keys in devices.items() if keys}
    if "hints" in descriptor:
        out["hints"] = {
            device: {**hint, "fields": [k for k in hint.get("fields") or [] if k in wanted]}
            for device, hint in descriptor["hints"].items()
        }
    return out
