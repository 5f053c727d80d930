"""The hand-off: what runs on the RunEngine's thread, and all that does.

A document is copied and appended to a deque. No file, no lock, no logging, no exception: the
consumer polls, because waking one that is blocked would cost the RunEngine more than the copy.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

Item = tuple[str, Any]
"""A document's name and the document; or :data:`CONTROL` and a function for the consumer to call."""

CONTROL = "\0control"
"""Not the name of any document: an order to the consumer, at its place among the documents."""

COMMENT = "comment"
"""Not the name of any document of bluesky's: what a user typed, at its place among the documents."""

_FROZEN: frozenset[type] = frozenset(
    [float, int, str, bool, type(None), bytes, complex, np.str_, np.bool_]
    + [np.dtype(code).type for code in "bhilqBHILQefdFD"]
)
"""Types whose values cannot change after the document was made; exact types, so that it is quick."""


_all_frozen = _FROZEN.issuperset  # in C: most events hold nothing but numbers and text


def own(value: Any) -> Any:
    """Return a copy that shares nothing changeable with ``value``.

    Devices reuse their arrays and lists, plans their metadata: what a writer sees later has to be
    what was measured. Only dicts, lists, tuples and arrays are taken apart; anything else is
    given to :func:`copy.deepcopy`.
    """
    kind = type(value)
    if kind in _FROZEN:
        return value
    if kind is dict:
        return {key: item if type(item) in _FROZEN else own(item) for key, item in value.items()}
    if kind is list:
        return [item if type(item) in _FROZEN else own(item) for item in value]
    if kind is tuple:
        return tuple([own(item) for item in value])
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.copy()
    return copy.deepcopy(value)


class Handoff:
    """The queue between a RunEngine and the pump, and the callback that fills it.

    ``receive`` is a plain function, made once: a RunEngine holds bound methods weakly, and would
    drop ours without a word. It may be called from any thread (monitors emit from theirs).

    Attributes
    ----------
    queue : deque of Item
        Filled by ``receive``, emptied by the pump.
    uncopied : int
        Documents that could not be copied and were handed over as they are.
    lost : int
        Documents that could not be handed over at all (no memory).
    """

    def __init__(self) -> None:
        self.queue: deque[Item] = deque()
        self.uncopied = 0
        self.lost = 0
        self.receive: Callable[[str, Any], None] = self._make_receive()

    def _make_receive(self) -> Callable[[str, Any], None]:
        append, all_frozen = self.queue.append, _all_frozen

        def bluesky_export_handoff(name: str, doc: Any) -> None:
            try:
                if name == "event":
                    # What own() does, for the shape that events have. A call saved is a tenth of the cost.
                    mine: Any = doc.copy()
                    mine["data"] = data = doc["data"].copy()
                    mine["timestamps"] = doc["timestamps"].copy()
                    if not all_frozen(map(type, data.values())):
                        for key, value in data.items():
                            if type(value) not in _FROZEN:
                                data[key] = own(value)
                    if filled := doc.get("filled"):
                        mine["filled"] = filled.copy()
                else:
                    mine = own(doc)
                item = (name, mine)
            except BaseException as error:
                self.uncopied += 1  # rather the document as it is than none
                item = (name, doc)
                if isinstance(error, KeyboardInterrupt) and on_main_thread():
                    # Ctrl-C reaches the main thread only, where no RunEngine calls us: it was
                    # meant for whoever replays documents there, and is theirs to have.
                    append(item)
                    raise
            try:
                append(item)
            except MemoryError:
                self.lost += 1

        return bluesky_export_handoff

    def control(self, order: Callable[[], None]) -> None:
        """Have the consumer call ``order`` after all documents that were received before now."""
        self.queue.append((CONTROL, order))

    def comment(self, text: str, kind: str) -> None:
        """Hand over a comment: where the documents are now, with the time of now."""
        self.queue.append((COMMENT, {"text": text, "time": time.time(), "kind": kind}))


def on_main_thread() -> bool:
    """Say whether this is the thread that signals are delivered to."""
    return threading.current_thread() is threading.main_thread()
