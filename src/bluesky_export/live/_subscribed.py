"""Writers that the instrument's startup subscribed by itself: seen, never touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ._objects import owner_of, receiver_of

_APSTOOLS = "apstools.callbacks."
_FORMATS = {"nexus_writer": "nexus", "spec_file_writer": "spec"}
_SUITCASES = {
    "csv": "csv",
    "json_metadata": "json",
    "jsonl": "jsonl",
    "specfile": "spec",
    "msgpack": "msgpack",
}


@dataclass(frozen=True)
class Subscribed:
    """A file writer found among a RunEngine's callbacks."""

    object: Any
    name: str
    format: str
    """The format that it writes; empty if that is not known."""


def subscribed_objects(engine: Any, ours: Any = None) -> list[Any]:
    """Return the objects behind a RunEngine's callbacks, each once, ``ours`` left out.

    It looks at bluesky's registry of callbacks, which has no public way in; an engine without one
    gives an empty list.
    """
    registry = getattr(getattr(engine, "dispatcher", None), "cb_registry", None)
    callbacks = getattr(registry, "callbacks", None) or {}
    found: dict[int, Any] = {}
    for by_id in list(callbacks.values()):
        for proxy in list(by_id.values()):
            inst = getattr(proxy, "inst", None)
            thing = inst() if inst is not None else getattr(proxy, "func", None)
            # bluesky's BufferingWrapper runs a callback on a thread of its own
            thing = owner_of(getattr(thing, "_wrapped_callback", None) or thing)
            if thing is not None and thing is not ours:
                found[id(thing)] = thing
    return list(found.values())


def is_subscribed(engine: Any, func: Any) -> bool:
    """Say whether a function is among a RunEngine's callbacks; true where that cannot be seen."""
    registry = getattr(getattr(engine, "dispatcher", None), "cb_registry", None)
    return registry is None or any(thing is func for thing in subscribed_objects(engine))


def subscribed_writers(engine: Any, ours: Any = None) -> list[Subscribed]:
    """Return the file writers that are subscribed to a RunEngine, ``ours`` left out."""
    known = [(thing, file_format(thing)) for thing in subscribed_objects(engine, ours)]
    return [Subscribed(thing, type(thing).__name__, name) for thing, name in known if name is not None]


def file_format(thing: Any) -> str | None:
    """Return the format that a callback writes files of, ``""`` if unknown, None if it is no writer."""
    for cls in type(thing).__mro__:
        module = cls.__module__
        if module.startswith(_APSTOOLS) and receiver_of(thing) is not thing:
            return _FORMATS.get(module.rpartition(".")[2], "")
        if module.startswith("suitcase."):
            return _SUITCASES.get(module.split(".")[1], "")
        if module.startswith("bluesky_export.formats"):
            return str(getattr(thing, "name", ""))
    return None
