"""The verb ``watch``: live writers in a process of their own, beside the session and not in it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from .attach import Detached, attach_writer, detach_writer
from .live import Say, say_on_stderr

PATIENCE = 24 * 3600.0
"""Seconds of silence after which runs without a stop document are taken to have none."""


REMEMBERED = 100_000
"""Documents of a run that are known again: what a network brings twice, it brings soon after."""


class Once:
    """Hands documents on, each once, however often a network brings them.

    A publisher that was subscribed twice sends each document twice, and a message bus that promises "at
    least once" sends some again; their events would be rows that nobody has measured.

    Parameters
    ----------
    function : callable
        Called with the name of each document and the document.
    say : callable
        Told of the first that came again, and of each run that ends and was never seen to start.
    """

    def __init__(self, function: Callable[[str, Any], None], say: Say) -> None:
        self._function = function
        self._say = say
        self._told = False
        self._seen: dict[str, dict[Any, None]] = {}  # by the uid of a run that is open: its last documents
        self._over: dict[str, None] = {}  # the runs that ended last
        self._inside: dict[str, set[str]] = {}  # the uids of its descriptors and resources
        self._lock = threading.Lock()  # a dispatcher may have threads

    def receive(self, name: str, doc: Any) -> None:
        """Hand a document on, if it is not one that was."""
        with self._lock:
            beheaded = name == "stop" and self._ended(doc)
            again = self._again(name, doc)
        if beheaded:
            self._say(
                f"run {str(doc['run_start'])[:7]} is not written: it began before this watch, or its start "
                "document was lost; export it from the catalog"
            )
        if not again:
            self._function(name, doc)
        elif not self._told:
            self._told = True
            self._say(
                f"a {name} document came again; it is left out, as are others that do. Is a publisher "
                "subscribed twice?"
            )

    def _again(self, name: str, doc: Any) -> bool:
        if not isinstance(doc, Mapping):
            return False  # who gets it says so
        key = _identity(name, doc)
        run = self._run(name, doc)
        if key is None or run is None:
            return False
        if name == "start" and run not in self._seen:
            self._seen[run] = {}
            self._inside[run] = set()
        seen = self._seen.get(run)
        if seen is None:
            return False  # of a run that is over, or that was not seen from its start: not written at all
        if key in seen:
            return True
        seen[key] = None
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]
        if name in _REFERRED:
            self._inside[run].add(key[1])
        elif name == "stop":
            del self._seen[run], self._inside[run]
        return False

    def _ended(self, doc: Any) -> bool:
        """Note that a run is over; say whether it was never seen to start."""
        run = doc.get("run_start") if isinstance(doc, Mapping) else None
        if run is None or str(run) in self._over:
            return False
        self._over[str(run)] = None
        if len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]
        return str(run) not in self._seen

    def _run(self, name: str, doc: Any) -> str | None:
        key = "uid" if name == "start" else "run_start"
        if doc.get(key) is not None:
            return str(doc[key])
        via = str(doc.get("resource" if name in ("datum", "datum_page") else "descriptor"))
        return next((run for run, inside in self._inside.items() if via in inside), None)


_REFERRED = ("descriptor", "resource", "stream_resource")
"""What other documents refer to by its uid."""


def _identity(name: str, doc: Any) -> tuple[str, ...] | None:
    """Return what tells a document from the others of its run; None if nothing does."""
    given = doc.get("datum_id" if name in ("datum", "datum_page") else "uid")
    if isinstance(given, (list, tuple)):  # of a page
        return name, *map(str, given)
    return None if given is None else (name, str(given))


class Followed:
    """A dispatcher in the place of a RunEngine: what the attach machinery asks of one.

    Parameters
    ----------
    dispatcher : object
        With ``subscribe(function)`` and ``start()``, as bluesky's ``RemoteDispatcher``; ``function`` is
        called with the name of each document and the document.
    patience : float
        Seconds of silence after which it counts as idle, so that open runs end as unfinished: a session
        that was killed never sends its stop document.
    say : callable
        Shows a line to the user.
    """

    def __init__(self, dispatcher: Any, patience: float = PATIENCE, say: Say = say_on_stderr) -> None:
        self.dispatcher = dispatcher
        self._say = say
        self._kept: dict[Any, Once] = {}  # by function: a dispatcher knows one that it has already
        self.ended = False
        self._patience = patience
        self._heard = time.monotonic()

        def listen(_name: str, _doc: Any) -> None:
            self._heard = time.monotonic()

        self._listen = listen  # a dispatcher may hold its callbacks weakly
        dispatcher.subscribe(listen)

    @property
    def state(self) -> str:
        """``running`` or ``idle``, as a RunEngine has it."""
        silent = time.monotonic() - self._heard > self._patience
        return "idle" if self.ended or silent else "running"

    def subscribe(self, function: Callable[[str, Any], None]) -> Any:
        """Have a function called with each document, once."""
        once = self._kept.setdefault(function, Once(function, self._say))
        return self.dispatcher.subscribe(once.receive)

    def unsubscribe(self, token: Any) -> None:
        """End a subscription, where the dispatcher can."""
        unsubscribe = getattr(self.dispatcher, "unsubscribe", None)
        if unsubscribe is not None:
            unsubscribe(token)


def watch(
    dispatcher: Any,
    writers: Sequence[str] | str,
    path: str | Path | None = None,
    *,
    patience: float = PATIENCE,
    say: Say | None = None,
    **settings: Any,
) -> Detached:
    """Write each run that a dispatcher tells of, until it ends or a signal comes.

    Parameters
    ----------
    dispatcher : object
        With ``subscribe`` and ``start``: bluesky's ``RemoteDispatcher``, one of bluesky-kafka …
    writers : str or list of str
        Formats, as for :func:`bluesky_export.attach.attach_writer`; ``"csv,nexus"`` are two.
    path : str or Path, optional
        Where the files go.
    patience : float
        Seconds of silence after which runs that are open end as unfinished.
    say : callable, optional
        Shows a line to the user. Left out: the error stream.
    **settings
        As for :func:`bluesky_export.attach.attach_writer`.

    Returns
    -------
    Detached
        What was written, after SIGINT or SIGTERM, or when the dispatcher ended by itself.

    Raises
    ------
    BlueskyExportError
        What was asked for is wrong; nothing was begun.
    """
    say = say_on_stderr if say is None else say
    followed = Followed(dispatcher, patience, say)
    names = writers.split(",") if isinstance(writers, str) else list(writers)
    begun = False
    try:
        with _signals_end_it():
            for name in names:
                attach_writer(name, path, RE=followed, variables={}, say=say, **settings)
                begun = True
            dispatcher.start()
    except KeyboardInterrupt:
        say("ending; what has begun is finished")
    finally:
        followed.ended = True
        # Where nothing was attached, that it is not is no news: an error says why.
        detached = detach_writer("all", RE=followed, say=say if begun else lambda _line: None)
    return detached


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Make SIGTERM what Ctrl-C is; on the main thread, which alone may."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def end(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def watch_zmq(
    address: str,
    writers: Sequence[str] | str,
    path: str | Path | None = None,
    *,
    prefix: str = "",
    allow_pickle: bool = False,
    patience: float = PATIENCE,
    say: Say | None = None,
    **settings: Any,
) -> Detached:
    """Write each run that is published to bluesky's 0MQ proxy; see :func:`watch`.

    Parameters
    ----------
    address : str
        ``HOST:PORT`` of the proxy's outgoing side.
    writers, path, patience, say, **settings
        As for :func:`watch`.
    prefix : str
        Take the documents of publishers with this prefix only.
    allow_pickle : bool
        Open pickles, of plain data only.
    """
    say = say_on_stderr if say is None else say
    from .remote._zmq import ZMQDispatcher

    dispatcher = ZMQDispatcher(address, prefix=prefix, allow_pickle=allow_pickle, say=say)
    detached = watch(dispatcher, writers, path, patience=patience, say=say, **settings)
    if dispatcher.refused:
        say(f"{dispatcher.refused:,} messages were refused")
    return detached
