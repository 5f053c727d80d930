"""Where motors stood when a scan began: ``#O`` and ``#P``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..documents.fields import is_external
from ..documents.pages import Document, slice_page
from ._spec_text import MAX_MOTORS, cell_text, is_nan, label_texts

Notice = Callable[[str], None]

LABEL_STREAM = "label_start_motor"


class Positions:
    """The motor positions of one run, from the first event of a stream.

    Parameters
    ----------
    streams : tuple of str
        Where to look, best first.
    missing : {"1e999", "nan"}
        The text of a position that is NaN.
    tell : callable
        Is told what is left out.
    """

    def __init__(self, streams: tuple[str, ...], missing: str, tell: Notice) -> None:
        self.streams = streams
        self.missing = missing
        self.source: str | None = None
        """The stream that the positions are from."""
        self._tell = tell
        self._described: set[str] = set()
        self._first: dict[str, tuple[Document, Document]] = {}

    def descriptor(self, doc: Document) -> None:
        """Take note of a stream."""
        self._described.add(doc.get("name", "primary"))

    def event_page(self, descriptor: Document, page: Document) -> None:
        """Keep the first event of a stream."""
        stream = descriptor.get("name", "primary")
        if stream in self.streams and stream not in self._first:
            self._first[stream] = descriptor, slice_page(page, 0, 1)

    def awaited(self) -> bool:
        """Say whether the stream that is to give the positions is known, but has no event yet.

        Pages may come later than the events in them did; the rows wait for these positions.
        """
        for stream in self.streams:
            if stream in self._first:
                return False
            if stream in self._described:
                return True
        return False

    def texts(self, first_time: float | None) -> dict[str, str]:
        """Return labels and positions that were read before the first row, whenever they came in."""
        for stream in self.streams:
            if stream not in self._first:
                continue
            descriptor, page = self._first[stream]
            if first_time is None or page["time"][0] <= first_time:
                self.source = stream
                return self._texts(stream, descriptor, page["data"])
        return {}

    def _texts(self, stream: str, descriptor: Document, data: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for name, field in position_fields(descriptor, every=stream != LABEL_STREAM).items():
            value = data[field][0] if field in data else None
            text = cell_text(value) or (self.missing if is_nan(value) else "")
            if text:
                found[name] = text
                if is_nan(value):
                    self._tell(f"the position of {name!r} is NaN: written as {text}")
            elif stream == LABEL_STREAM:
                self._tell(f"motor {name!r} is left out of #O and #P: its position is no number")
        if len(found) > MAX_MOTORS:
            rest = len(found) - MAX_MOTORS
            self._tell(f"{rest} motor positions are left out: SPEC's readers take {MAX_MOTORS}")
            found = dict(list(found.items())[:MAX_MOTORS])
        labels = label_texts(found)
        for name, label in zip(found, labels, strict=True):
            if name != label:
                self._tell(f"motor {name!r} is labelled {label!r}")
        return dict(zip(labels, found.values(), strict=True))


def position_fields(descriptor: Document, every: bool) -> dict[str, str]:
    """Return the names of positioners and the field that holds the position of each.

    Parameters
    ----------
    descriptor : Mapping
        Of the stream ``label_start_motor``, or of ``baseline``.
    every : bool
        False: a name per device, its field of that name, else its first one, as apstools has
        it. True: each device's hinted fields, else all its fields, by their own names.
    """
    keys, hints = descriptor["data_keys"], descriptor.get("hints") or {}
    devices: Mapping[str, Any] = descriptor.get("object_keys") or {}
    found: dict[str, str] = {}
    for device in sorted(set(descriptor.get("configuration") or ()) | set(devices)):
        fields = [name for name in devices.get(device) or [device] if name in keys]
        if not every:
            if fields:
                found[device] = device if device in fields else fields[0]
            continue
        hinted = [name for name in (hints.get(device) or {}).get("fields") or [] if name in fields]
        found.update({name: name for name in hinted or fields})
    return {name: source for name, source in sorted(found.items()) if not is_external(keys[source])}
