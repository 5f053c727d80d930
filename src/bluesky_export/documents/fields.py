"""The fields of a stream in the order in which people read them, and what kind they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .pages import Document


@dataclass(frozen=True)
class Fields:
    """The fields of one descriptor: scanned motors, detectors, and all others."""

    motors: tuple[str, ...]
    others: tuple[str, ...]
    detectors: tuple[str, ...]

    @property
    def ordered(self) -> tuple[str, ...]:
        """Motors first, detectors last, as SPEC has it and people expect."""
        return self.motors + self.others + self.detectors


def scanned(start: Document) -> list[str]:
    """Return the names of what a plan scanned: fields or devices, the time axis left out.

    From the hinted dimensions (``start["hints"]["dimensions"]``, bluesky's documentation
    "Hints") if the plan gave them, else from ``start["motors"]``.
    """
    names: list[str] = []
    for dimension in (start.get("hints") or {}).get("dimensions") or []:
        try:
            fields, _stream = dimension
        except (TypeError, ValueError):
            continue  # a plan's own hints, in no documented form
        names += [fields] if isinstance(fields, str) else list(fields)
    names = [name for name in names if name != "time"]
    return names or _names(start.get("motors")) or _names(start.get("positioners"))


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return [item for item in value if isinstance(item, str)]
    return []


def fields_of(start: Document, descriptor: Document) -> Fields:
    """Sort the fields of a descriptor.

    A motor's or detector's name stands for its hinted fields, else for the fields of that
    device, else for the field of that name (apstools'
    ``utils.descriptor_support.get_stream_data_map`` has the same order of preference).
    """
    left = list(descriptor["data_keys"])
    hints = descriptor.get("hints") or {}
    devices = descriptor.get("object_keys") or {}

    def take(names: Iterable[str]) -> tuple[str, ...]:
        taken: list[str] = []
        for name in names:
            hinted = (hints.get(name) or {}).get("fields") or []
            for candidate in hinted or devices.get(name) or [name]:
                if candidate in left:
                    left.remove(candidate)
                    taken.append(candidate)
        return tuple(taken)

    motors = take(scanned(start)) or take(_names(start.get("motors")))
    detectors = take(_names(start.get("detectors")))
    return Fields(motors, tuple(left), detectors)


def is_external(data_key: Document) -> bool:
    """Say whether a field's values are kept in files of their own (``external``)."""
    return bool(data_key.get("external"))


def is_array(data_key: Document) -> bool:
    """Say whether a field is declared to hold an array in each event."""
    return data_key.get("dtype") == "array" or bool(data_key.get("shape"))
