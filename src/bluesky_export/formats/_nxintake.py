"""Mends of apstools' NXWriter: how it takes the documents of a run.

What is kept has apstools' names and shape (``metadata``, ``streams``, ``acquisitions``,
``externals``, ``data_map`` …), because the hooks of instruments read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from apstools.callbacks import NXWriter

from ..documents.pages import (
    Document,
    event_to_page,
    page_length,
    page_to_datums,
    page_to_events,
    plain,
)
from ..errors import NotFaithful

if TYPE_CHECKING:
    from .nexus import NeXusWriter


class ScanText(str):
    """A scan_id that is no integer: takes the number formats (``{scan_id:05d}``) of users' hooks."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        try:
            return super().__format__(spec)
        except ValueError:
            return str(self)


@dataclass
class Events:
    """What apstools does not keep of the events of one descriptor."""

    seq_num: list[Any] = field(default_factory=list)
    time: list[Any] = field(default_factory=list)
    uid: list[Any] = field(default_factory=list)
    rows: dict[str, list[range]] = field(default_factory=dict)
    """Of each field: the events in which it was measured."""


class Intake(NXWriter):  # type: ignore[misc]
    """Takes every kind of document, in pages or one by one, and none too strange."""

    warn_on_missing_content = False
    host: NeXusWriter
    """Our writer, which knows the target, the options and whom to tell."""
    scan_id: Any
    plan_name: Any
    detectors: list[str]
    positioners: list[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.events: dict[str, Events] = {}
        super().__init__(*args, **kwargs)

    def receiver(self, key: str, doc: Document) -> None:
        """Take a document of any kind."""
        # A subclass may have made a table of its own, which knows no pages.
        if key not in self.xref and hasattr(Intake, key):
            self.xref[key] = getattr(self, key)
        super().receiver(key, doc)

    def clear(self) -> None:
        """Forget the run before."""
        super().clear()
        self.events = {}
        self.field_names: dict[str, dict[str, str]] = {}
        """Of each stream: the fields by the names of their groups."""
        self.linked: dict[str, tuple[Any, tuple[int, ...]]] = {}
        """dtype and shape of values that are a link into another file, by the name of the field's group."""

    def start(self, doc: Document) -> None:
        """Take the start document."""
        super().start(doc)
        if not hasattr(self.scan_id, "__index__"):
            self.scan_id = ScanText(self.scan_id)
        self.plan_name = self.plan_name or ""
        # Hooks look these up in dicts of names; a plan may have recorded anything here.
        self.detectors = _texts(self.detectors)
        self.positioners = _texts(self.positioners)

    def descriptor(self, doc: Document) -> None:
        """Take a descriptor; a stream may have several."""
        hints = {k: hint for k, hint in (doc.get("hints") or {}).items() if isinstance(hint, Mapping)}
        super().descriptor(
            {
                **doc,
                "name": doc.get("name", "primary"),
                "hints": {
                    device: {**hint, "fields": hint.get("fields") or []} for device, hint in hints.items()
                },
                "object_keys": doc.get("object_keys") or {},
                "configuration": doc.get("configuration") or {},
            }
        )
        acquisition = self.acquisitions.get(doc["uid"])
        if acquisition is None:
            return
        self.events.setdefault(doc["uid"], Events())
        for key, entry in acquisition["data"].items():
            entry["descriptor"] = doc
            entry["data_key"] = doc["data_keys"][key]
            entry["units"] = entry["units"] or ""
            entry["precision"] = entry["precision"] or 0
            entry["external"] = bool(entry["data_key"].get("external"))

    def get_hklpy_configurations(self, doc: Document) -> dict[str, Any]:
        """Return diffractometer details; none where the configuration lacks a part of them."""
        try:
            return dict(super().get_hklpy_configurations(doc))
        except (KeyError, TypeError, AttributeError):
            return {}

    def event(self, doc: Document) -> None:
        """Take one event."""
        self._take(event_to_page(doc))

    def event_page(self, doc: Document) -> None:
        """Take events of one descriptor; one by one only for a subclass that wants them so."""
        times = plain(doc["time"])
        self.doc_timestamp = times[-1] if len(times) else self.start_time
        if overrides(self, Intake, "event"):
            for event in page_to_events(doc):
                self.event(event)
        else:
            self._take(doc)

    def _take(self, page: Document) -> None:
        acquisition = self.acquisitions.get(page["descriptor"])
        if not self.scanning or acquisition is None:
            return
        count = page_length(page)
        events = self.events[page["descriptor"]]
        first = len(events.seq_num)
        events.seq_num.extend(plain(page["seq_num"]))
        events.time.extend(plain(page["time"]))
        uids = page.get("uid")
        events.uid.extend([None] * count if uids is None else plain(uids))
        stamps = page.get("timestamps") or {}
        for key, column in page["data"].items():
            if len(column) != count:
                raise NotFaithful(f"field {key!r} has {len(column)} values in a page of {count} events")
            entry = acquisition["data"].get(key) or self._undeclared(acquisition, key)
            values = plain(column)
            if any(issubclass(kind, np.ndarray) for kind in set(map(type, values))):
                # Arrays are copied: a device may use its buffer again.
                values = [v.copy() if isinstance(v, np.ndarray) else v for v in values]
            entry["data"].extend(values)
            entry["time"].extend(plain(stamps[key]) if key in stamps else [None] * count)
            events.rows.setdefault(key, []).append(range(first, first + count))

    def _undeclared(self, acquisition: dict[str, Any], key: str) -> dict[str, Any]:
        self.host.notice(
            f"{acquisition['stream']}.{key}: not in the descriptor, so nothing but its values is known"
        )
        entry = acquisition["data"][key] = {
            "source": "",
            "dtype": "",
            "shape": [],
            "units": "",
            "lower_ctrl_limit": "",
            "upper_ctrl_limit": "",
            "precision": 0,
            "object_name": key,
            "data": [],
            "time": [],
            "external": False,
            "data_key": {},
        }
        return entry

    def datum_page(self, doc: Document) -> None:
        """Take references into a resource."""
        for datum in page_to_datums(doc):
            self.datum(datum)

    def stream_resource(self, doc: Document) -> None:
        """Take the description of a file that a whole stream's field goes to.

        apstools knows nothing of it; our writer keeps it among its assets.
        """

    def stream_datum(self, doc: Document) -> None:
        """Take a range of events whose values are in a stream resource; kept as the resource is."""

    def stop(self, doc: Document) -> None:
        """Take the stop document and write the file."""
        super().stop({"exit_status": "unknown", **doc})

    def getResourceFile(self, resource_id: str) -> Path:  # noqa: N802
        """Return where a resource's file was, of any spec; what an instrument's override says is taken."""
        resource = self.externals[resource_id]
        return Path(str(resource.get("root") or "")) / str(resource["resource_path"])

    def located(self, resource: Document) -> Document:
        """Return a resource document with the path that an instrument's own ``getResourceFile`` gives."""
        if not overrides(self, Intake, "getResourceFile"):
            return resource
        try:
            path = self.getResourceFile(resource["uid"])
        except Exception as error:  # the instrument's code; the document has a path as well
            self.host.notice(
                f"getResourceFile failed ({type(error).__name__}: {error}); the recorded path was used"
            )
            return resource
        return {**resource, "root": "", "resource_path": str(path)}

    def names_in(self, stream: str) -> dict[str, str]:
        """Return the fields of a stream by the names of their groups."""
        return self.field_names.get(stream, {})

    def rows_of(self, uid: str, key: str, count: int) -> np.ndarray[Any, Any]:
        """Return the events, by index, in which a field of a descriptor was measured."""
        ranges = self.events[uid].rows.get(key, []) if uid in self.events else []
        rows = np.concatenate([np.arange(r.start, r.stop) for r in ranges]) if ranges else np.arange(0)
        # A subclass may have filled the lists by itself.
        return rows if len(rows) == count else np.arange(count)


def own_dataset(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """Return a dataset of this very file; None if there is none, or it is in a detector's file.

    What an external link points to must not be changed: its attributes are the detector's own.
    """
    # Asked of the link: ``in`` would open the detector's file, and to write at that.
    link = group.get(name, getlink=True) if isinstance(group, h5py.Group) else None
    if link is None or isinstance(link, h5py.ExternalLink):
        return None
    found = group.get(name)
    return found if isinstance(found, h5py.Dataset) else None


def overrides(obj: object, base: type, method: str) -> bool:
    """Say whether the user's class has its own ``method``, in place of the one of ``base``."""
    return getattr(type(obj), method) is not getattr(base, method)


def _texts(names: Any) -> list[str]:
    if isinstance(names, str):
        return [names]
    if not isinstance(names, Iterable) or isinstance(names, Mapping):
        return []
    return [name for name in names if isinstance(name, str)]
