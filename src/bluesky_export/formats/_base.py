"""The writer: a bluesky callback that turns one run into files.

``%export`` replays a stored run through it, ``%attach_writer`` lets the live RunEngine drive it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from ..documents.pages import Document, check_columns, datum_to_page, event_to_page, page_length
from ..errors import NoData
from ..outputs import Output
from ._fidelity import Fidelity

Images = Literal["copy", "link", "skip"]


@dataclass(frozen=True)
class Written:
    """What one writer made of one run.

    Attributes
    ----------
    uid, scan_id : str, any
        The run.
    files : tuple of Path
        Absolute paths, the main file first.
    events : int
        Events written, of all streams.
    notices : tuple of str
        What was left out or converted, one sentence each.
    partial : bool
        Something the run refers to could not be read from here (a missing detector file).
    status : str
        The run's exit status, ``unfinished`` if it has no stop document.
    uris : tuple of str
        Where the run is on a server, of formats that do not write files.
    unchanged : bool
        It was there already, the same, and nothing was changed.
    """

    uid: str
    scan_id: Any
    format: str
    files: tuple[Path, ...]
    events: int
    notices: tuple[str, ...]
    partial: bool
    status: str
    uris: tuple[str, ...] = ()
    unchanged: bool = False


@dataclass
class _State:
    notices: dict[str, None] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    in_files: set[str] = field(default_factory=set)
    """Streams with points that only stream datums know."""


class Writer:
    """Base of all formats: one object for one run.

    A format overrides some of :meth:`start`, :meth:`descriptor`, :meth:`event_page`,
    :meth:`resource`, :meth:`datum_page`, :meth:`stream_resource`, :meth:`stream_datum`,
    :meth:`stop` (calling ``super()`` first) and :meth:`finish`. It writes to ``output.part(...)``
    only; :meth:`close` gives the files their names. Its own options are keyword-only parameters
    of ``__init__``, with a default and ``Annotated[type, "help"]``.

    Parameters
    ----------
    output : Output
        The files of this run.
    images : {"copy", "link", "skip"}
        What to do with data kept in files of their own.
    root_map : dict of str to str, optional
        ``root`` of a resource, or the beginning of a path → where it is found from here.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    summary: ClassVar[str]
    """One line for the help and the docs' format table."""
    how_to_open: ClassVar[tuple[str, ...]] = ()
    """Lines for a person who has the files and nothing else, in the README of a bundle."""
    per_stream: ClassVar[bool] = False
    """One file a stream, rather than one a run."""
    appends: ClassVar[bool] = False
    """Several runs go into one file."""
    addressed: ClassVar[bool] = False
    """The target is an address (``output.target.address``), not a file; ``appends`` is true then."""
    as_it_goes: ClassVar[bool] = False
    """The data are in the (temporary) file before the run has ended."""
    reads_timestamps: bool = True
    """Whether it looks at ``timestamps`` of event pages. If no writer does, an export does not read them;
    an object may say so for itself, by its options. A live writer is given them always."""
    of_session: ClassVar[frozenset[str]] = frozenset()
    """Options that name code of the session's own; with one of them a live writer stays in it."""
    holds: ClassVar[frozenset[str]] = frozenset()
    """What the format can hold, some of "text", "arrays", "images", "streams", "metadata"."""
    fidelity: ClassVar[Mapping[str, Fidelity]] = {}
    """By feature (:data:`bluesky_export.documents.features.FEATURES`): what becomes of it in the files."""

    def __init__(
        self, output: Output, *, images: Images = "copy", root_map: dict[str, str] | None = None
    ) -> None:
        self.output = output
        self.images: Images = images
        self.root_map = dict(root_map or {})
        self.start_doc: Document = {}
        self.stop_doc: Document | None = None
        self.descriptors: dict[str, Document] = {}
        """By uid, in the order of arrival."""
        self.partial = False
        self._state = _State()

    # -- documents -------------------------------------------------------------------------

    def __call__(self, name: str, doc: Document) -> None:
        """Take one document, as bluesky hands it to a callback."""
        if name == "event":
            name, doc = "event_page", event_to_page(doc)
        elif name == "datum":
            name, doc = "datum_page", datum_to_page(doc)
        elif name == "stream_datum" and doc["descriptor"] in self.descriptors:
            self._state.in_files.add(self.stream_of(doc["descriptor"]))
        handler = getattr(self, name, None) if name in _DOCUMENTS else None
        if handler is None:
            self.notice(f"documents of kind {name!r} are not known and were left out")
            return
        handler(doc)

    def start(self, doc: Document) -> None:
        """Take the start document, the first of a run."""
        self.start_doc = doc

    def descriptor(self, doc: Document) -> None:
        """Take a descriptor: the fields of a stream; a stream may have several in turn."""
        self.descriptors[doc["uid"]] = doc
        self._state.events.setdefault(self.stream_of(doc["uid"]), 0)

    def event_page(self, doc: Document) -> None:
        """Take events of one descriptor: a column a field, lists or arrays of equal length."""
        check_columns(doc)
        self._state.events[self.stream_of(doc["descriptor"])] += page_length(doc)

    def resource(self, doc: Document) -> None:
        """Take the description of an external file."""

    def datum_page(self, doc: Document) -> None:
        """Take references into a resource."""

    def stream_resource(self, doc: Document) -> None:
        """Take the description of an external file that a whole stream's field goes to."""

    def stream_datum(self, doc: Document) -> None:
        """Take a range of events whose values are in a stream resource."""

    def comment(self, doc: Document) -> None:
        """Take a comment that was typed while the run was measured (``text``, ``time``).

        It is no document of bluesky's and in no catalog: it is for formats whose users write into
        the file by hand. Others pass it over.
        """

    def stop(self, doc: Document) -> None:
        """Take the stop document; an unfinished run has none."""
        self.stop_doc = doc
        recorded = doc.get("num_events")
        for stream, count in recorded.items() if isinstance(recorded, Mapping) else ():
            here = self._state.events.get(stream, count)  # a stream that was not asked for
            if here != count and stream not in self._state.in_files:
                self.notice(f"stream {stream}: the stop document counts {count} events, there are {here}")

    # -- the end ---------------------------------------------------------------------------

    def flush(self) -> None:
        """Put what was taken so far where a reader sees it; called now and then while live."""

    def finish(self) -> None:
        """Write what is left and close every file. Called once, before the files are renamed."""

    def close(self) -> Written:
        """Finish the files, give them their names, and say what was written."""
        if not self.start_doc:
            raise NoData("no start document: nothing to write")
        self.finish()
        return self.written(self.output.commit())

    def abort(self) -> None:
        """Give up: close every file and remove what is unfinished. Safe to call twice."""
        try:
            self.release()
        except OSError:
            pass  # on a full disk even closing fails; what is thrown away need not be complete
        finally:
            self.output.discard()
            for part in self.output.unreachable:
                self.notice(
                    f"{part} could not be removed: its folder has gone. Remove it when that is back"
                )

    def release(self) -> None:
        """Close every open file without writing more. Safe to call at any time, even twice."""

    # -- what formats ask ------------------------------------------------------------------

    def written(self, files: Iterable[Path]) -> Written:
        """Return the report of what was written."""
        return Written(
            uid=self.uid,
            scan_id=self.start_doc.get("scan_id"),
            format=self.name,
            files=tuple(files),
            events=sum(self._state.events.values()),
            notices=self.notices,
            partial=self.partial,
            status=self.status,
        )

    def notice(self, text: str) -> None:
        """Keep one sentence for the user, once."""
        self._state.notices[text] = None

    @property
    def notices(self) -> tuple[str, ...]:
        """What was left out or converted."""
        return tuple(self._state.notices)

    @property
    def uid(self) -> str:
        """The run's uid."""
        return str(self.start_doc["uid"])

    @property
    def status(self) -> str:
        """``success``, ``abort``, ``fail``, or ``unfinished`` without a stop document."""
        return str((self.stop_doc or {}).get("exit_status") or "unfinished")

    @property
    def run_in_words(self) -> str:
        """How errors call the run, as in ``run 561 (1ce3dd1, success)``."""
        number = self.start_doc.get("scan_id")
        return f"run {'without a scan_id' if number is None else number} ({self.uid[:7]}, {self.status})"

    @property
    def counts(self) -> dict[str, int]:
        """Events taken so far, by stream."""
        return dict(self._state.events)

    def stream_of(self, descriptor_uid: str) -> str:
        """Return the name of a descriptor's stream."""
        return str(self.descriptors[descriptor_uid].get("name", "primary"))

    # -- before the first document --------------------------------------------------------

    @classmethod
    def planned(cls, output: Output, streams: Iterable[str]) -> list[Path]:  # noqa: ARG003
        """Return the files that a run with these streams will give."""
        return [output.path()]

    @classmethod
    def check(cls, output: Output) -> None:
        """Refuse, before a run is read, what would fail at its end.

        Raises
        ------
        TargetExists, OutputError
            As :meth:`bluesky_export.outputs.Output.check`. A format that appends looks into an
            existing file by itself; one with a file a stream checks each when it appears.
        """
        if not (cls.appends or cls.per_stream):
            output.check()

    # -- options, read from the signature --------------------------------------------------

    @classmethod
    def own_options(cls) -> dict[str, inspect.Parameter]:
        """Return this format's own keyword-only parameters, those of :class:`Writer` left out."""
        shared = inspect.signature(Writer.__init__).parameters
        return {
            name: parameter
            for name, parameter in inspect.signature(cls.__init__).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY and name not in shared
        }


_DOCUMENTS = frozenset(
    (
        "start",
        "descriptor",
        "event_page",
        "resource",
        "datum_page",
        "stream_resource",
        "stream_datum",
        "comment",
        "stop",
    )
)
