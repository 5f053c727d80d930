"""Callbacks that live in the session: the user's own object, or a class of theirs.

They run on the pump's thread behind the same guard as our writers. An object with a
``receiver`` is one of apstools' file writers: it knows only single events and datums, keeps one
run at a time, and NXWriter goes on writing in a thread of its own after the stop document, from
attributes that the next start document clears. It is given the next run when that thread is done.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from ..documents.pages import Document, page_to_datums, page_to_events
from ..documents.subset import Subset
from ..errors import NoData, NotFaithful, OutputError, TargetExists
from ..formats import Written
from ._guard import Books, GuardedSink, Lane, missing_text
from ._sink import events_in

_NXWRITER = "apstools.callbacks.nexus_writer"
_THREAD = "_threaded_writer"


def receiver_of(thing: Any) -> Callable[[str, Any], Any] | None:
    """Return what takes ``(name, doc)`` of an object: its ``receiver``, or itself; None if nothing."""
    receiver = getattr(thing, "receiver", None)
    if callable(receiver):
        return receiver  # type: ignore[no-any-return]
    return thing if callable(thing) and _takes_documents(thing) else None


def _takes_documents(function: Callable[..., Any]) -> bool:
    """Say whether a call with a name and a document fits; a catalog can be called, too."""
    try:
        inspect.signature(function).bind("start", {})
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True


def owner_of(thing: Any) -> Any:
    """Return the object behind ``thing``: that of a bound method, else ``thing`` itself."""
    return getattr(thing, "__self__", None) or thing


def is_nxwriter(thing: Any) -> bool:
    """Say whether an object is apstools' NXWriter, or of a class made from it."""
    return any(cls.__module__ == _NXWRITER for cls in type(thing).__mro__)


class ObjectSink(GuardedSink):
    """Drive a callback of the session's through one run.

    Parameters
    ----------
    attached : Books
        Whose run it is.
    start : Mapping
        The start document.
    make : callable
        Returns the object to call: always the same one, or a fresh one for each run.
    folder : Path or None
        Where an NXWriter is told to write.
    streams, fields : iterable of str or None
        What to give it of the run.
    overwrite : bool
        Whether an NXWriter may replace a file that is there already.
    lane : Lane or None
        Shared by the runs that one object takes in turn.
    elsewhere : callable, optional
        Whether a plan has subscribed the object, which then gets the run from there.
    """

    pages: ClassVar[bool] = False

    def __init__(
        self,
        attached: Books,
        start: Mapping[str, Any],
        *,
        make: Callable[[], Any],
        folder: Path | None,
        streams: tuple[str, ...] | None,
        fields: tuple[str, ...] | None,
        overwrite: bool,
        lane: Lane | None = None,
        elsewhere: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(attached, start, lane)
        self._make = make
        self._folder = folder
        self._subset = Subset(streams, fields)
        self._overwrite = overwrite
        self._object: Any = None
        self._call: Callable[[str, Any], Any] | None = None
        self._status = "unfinished"
        self._count = 0
        self._threads: list[threading.Thread] = []
        self._thread_error: BaseException | None = None
        self._watching = False
        self._path: Path | None = None  # free before NXWriter wrote to it
        # Instruments subscribe their writer in a plan (subs_decorator). Looked at now: the plan may end.
        shared = make() if lane is not None else None
        self._elsewhere = shared is not None and (
            getattr(shared, "uid", None) == start["uid"] or elsewhere()
        )

    # -- documents -------------------------------------------------------------------------

    def _consume(self, name: str, doc: Document) -> int:
        if self._call is None:
            if self._elsewhere:
                raise NoData("the plan has subscribed the same object, which gets the run from there")
            self._open()
        before = self._count
        for part_name, part in self._subset.one(name, doc):
            for one_name, one in self._singles(part_name, part):
                if one_name == "stop":
                    self._status = str(one.get("exit_status") or "unfinished")
                    self._give_stop(one)
                else:
                    self._call(one_name, one)  # type: ignore[misc]
                    if one_name == "start" and is_nxwriter(self._object) and not self._object.scanning:
                        raise NoData(f"{type(self._object).__name__} passes this run over")
                self._count += events_in(one_name, one)
        return self._count - before

    def _open(self) -> None:
        self._object = self._make()
        self._call = receiver_of(self._object)
        if self._call is None:
            raise TypeError(f"{type(self._object).__name__} object cannot be called with (name, doc)")
        if is_nxwriter(self._object):
            self._object.output_nexus_file = None  # set again when a file is complete
            if self._folder is not None:
                self._object.file_path = self._folder

    def _singles(self, name: str, doc: Document) -> list[tuple[str, Any]]:
        """Take pages apart for apstools' writers, which leave out pages without an error."""
        if hasattr(self._object, "receiver"):
            if name == "event_page":
                return [("event", event) for event in page_to_events(doc)]
            if name == "datum_page":
                return [("datum", datum) for datum in page_to_datums(doc)]
            if name in ("stream_resource", "stream_datum"):
                raise NotFaithful(
                    f"{type(self._object).__name__} cannot take {name} documents, "
                    "and its file would lack the images"
                )
        return [(name, doc)]

    def _give_stop(self, doc: Any) -> None:
        """Hand over the stop document, and keep hold of the thread that NXWriter starts on it."""
        assert self._call is not None
        if not is_nxwriter(self._object):
            self._call("stop", doc)
            return
        self._check_target()
        self._watch_errors()
        before = set(threading.enumerate())
        self._call("stop", doc)
        self._threads = [t for t in threading.enumerate() if t not in before and _THREAD in t.name]

    def _check_target(self) -> None:
        """Refuse what NXWriter does not look at: a file that is there already, a folder that is not."""
        self._path = path = Path(self._object.file_name or self._object.make_file_name()).absolute()
        if not path.parent.is_dir():
            raise OutputError(f"cannot write {path}: the folder {path.parent} does not exist")
        if path.exists() and not self._overwrite:
            raise TargetExists(f"{path} exists and was left as it is", path)

    def _watch_errors(self) -> None:
        """Note what goes wrong in NXWriter's thread, where it would only be printed."""
        target, inner = self._object, self._object.write_root
        if "write_root" in vars(target):
            return  # the user's own replacement of the method is left alone

        def write_root(*args: Any, **kwargs: Any) -> Any:
            try:
                return inner(*args, **kwargs)
            except BaseException as error:
                # Raised again when the thread is done; here it would be a traceback on the terminal.
                self._thread_error = error
                return None

        target.write_root = write_root
        self._watching = True

    # -- the end ---------------------------------------------------------------------------

    def _close(self, missing: dict[str, int]) -> bool:
        busy = any(t.is_alive() for t in self._threads) or getattr(self._object, "_writer_active", False)
        if busy:
            return False
        self._unwatch()
        if self._thread_error is not None:
            self._object.output_nexus_file = None  # set by the thread, which knows of no error
            self._remove_torn()
            raise self._thread_error
        if hasattr(self._object, "receiver") and self._status == "unfinished":
            raise NoData("the run ended without a stop document, which this writer waits for")
        files = self._files()
        if is_nxwriter(self._object) and not files and type(self._object).writer.__module__ == _NXWRITER:
            raise OutputError("its thread ended without a complete file; the traceback was printed")
        notices = missing_text(missing)
        for what in self._subset.missing():
            notices.append(f"this run has no {what}")
        self.attached.add_written(
            Written(
                uid=str(self.start["uid"]),
                scan_id=self.start.get("scan_id"),
                format=self.attached.name,
                files=files,
                events=self._count,
                notices=tuple(notices),
                partial=bool(missing),
                status=self._status,
            ),
            self.start,
        )
        return True

    def _files(self) -> tuple[Path, ...]:
        """Return the file that the object says it wrote, if it says so in a way known to us."""
        if is_nxwriter(self._object):
            path = getattr(self._object, "output_nexus_file", None)
        else:
            path = getattr(self._object, "spec_filename", None)
        return (Path(path).absolute(),) if path and Path(path).is_file() else ()

    def _remove_torn(self) -> None:
        """Take away the torn file that NXWriter leaves under the final name; it was not there before."""
        if self._path is not None and not self._overwrite:
            self._path.unlink(missing_ok=True)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            del self._object.write_root

    def _abort(self) -> None:
        self._unwatch()
