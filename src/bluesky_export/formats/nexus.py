"""NeXus: what apstools' NXWriter writes, one file a run, mended where it loses a run.

The layout is that of NXWriter, so that scripts made for its files go on working:
``/entry/instrument/bluesky/streams/<stream>/<field>/value`` (and ``EPOCH``, ``time``),
``/entry/instrument/bluesky/metadata``, ``/entry/data``. Added or mended:

- Metadata that HDF5 does not have as such (None, dicts, dates, text with NUL) is YAML, marked
  ``@text_format="yaml"``. A key that had to be changed is kept in ``@original_name`` (or, as JSON, in
  ``@original_name_json``).
- ``/entry/instrument/bluesky/documents/{start,descriptors,stop}/data`` are the documents complete, as
  JSON text; ``exit_status`` and ``reason`` are beside them. An unfinished run has no ``end_time``.
- ``/entry/instrument/bluesky/events/<stream>/{seq_num,time,uid,descriptor,descriptors}`` tell the events.
- Two descriptors of a stream are joined where dtype, units and source agree; otherwise the later one is
  in ``<field>_``. A field that only some events have is beside its own ``seq_num``.
- ``/entry/data`` is the default plot, with one axis for each dimension of the signal: the first scanned
  motor, for a count the time; other motors are ``@<name>_indices``. ``EPOCH`` there is the epoch
  (apstools links the relative time under that name), ``time`` the relative time.
- A hook of a user's class that raises loses its own part of the file, with a notice.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from ..documents.assets import Assets
from ..documents.pages import Document
from ..errors import BadOption
from ..outputs import Output, clean_name, default_template
from ._base import Writer
from ._fidelity import HDF5_RULES, converted, fidelity

if TYPE_CHECKING:
    from ._nxwriter import MendedNXWriter


class NeXusWriter(Writer):
    """Write the run with apstools' NXWriter, NXWriterAPS, or a subclass of the user's.

    Parameters
    ----------
    output : Output
        The files of this run.
    writer : str
        ``NXWriter``, ``NXWriterAPS``, or ``module:Class``.
    **common
        What every :class:`Writer` takes.

    Raises
    ------
    BadOption
        There is no such class, or it cannot be used.
    """

    name = "nexus"
    suffix = ".hdf"
    how_to_open = ("silx view, NeXpy, HDFView, or in Python: h5py.File('….hdf')",)
    summary = "NeXus/HDF5 as apstools' NXWriter writes it, with a default plot"
    holds = frozenset({"text", "arrays", "images", "streams", "metadata"})
    fidelity = fidelity(
        {
            "new-field": converted("the events that have it; `seq_num` beside the values says which"),
            **HDF5_RULES,
        }
    )

    of_session = frozenset({"writer"})

    def __init__(
        self,
        output: Output,
        *,
        writer: Annotated[
            str, "class to use: NXWriter, NXWriterAPS, or module:Class of your own"
        ] = "NXWriter",
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        from . import _nxwriter

        chosen = _nxwriter.load(writer)
        try:
            self._nx: MendedNXWriter = _nxwriter.mended(chosen)()
        except TypeError as error:
            raise BadOption(f"option writer={writer}: cannot be made without arguments: {error}") from error
        self._nx.host = self
        self.assets = Assets(self.root_map)
        self._chosen = chosen

    def start(self, doc: Document) -> None:
        """Take the start document, and name the file as the class does."""
        super().start(doc)
        self._nx.file_path = self.output.target.folder
        self._nx.receiver("start", doc)
        self._take_its_name()

    def _take_its_name(self) -> None:
        """Let a subclass with a ``make_file_name`` or ``file_extension`` of its own name the file.

        Only the name: which folder, and whether a file may be replaced, was decided by what was typed.
        """
        from apstools.callbacks import NXWriter

        nx, target = self._nx, self.output.target
        own = self._chosen.make_file_name is not NXWriter.make_file_name  # type: ignore[attr-defined]
        if target.file is not None or target.template != default_template:
            return
        if own or nx.file_extension != NXWriter.file_extension:
            try:
                name = clean_name(Path(nx.make_file_name()).name)
            except Exception as error:  # the user's code; the run has a name without it
                self.notice(
                    f"make_file_name failed ({type(error).__name__}: {error}); the usual name was used"
                )
                return
            suffix = Path(name).suffix or self.suffix
            file = name if Path(name).suffix else name + suffix
            self.output = Output(target.replaced(file=file), self.start_doc, suffix)
            self.output.check()  # now, not after a long run

    def descriptor(self, doc: Document) -> None:
        """Take a descriptor."""
        super().descriptor(doc)
        self._nx.receiver("descriptor", doc)

    def event_page(self, doc: Document) -> None:
        """Take events."""
        super().event_page(doc)
        self._nx.receiver("event_page", doc)

    def resource(self, doc: Document) -> None:
        """Take the description of an external file."""
        self._nx.receiver("resource", doc)
        self.assets.resource(self._nx.located(doc))

    def datum_page(self, doc: Document) -> None:
        """Take references into a resource."""
        self._nx.receiver("datum_page", doc)
        self.assets.datum_page(doc)

    def stream_resource(self, doc: Document) -> None:
        """Take the description of an external file of a whole stream."""
        self._nx.receiver("stream_resource", doc)
        self.assets.stream_resource(doc)

    def stream_datum(self, doc: Document) -> None:
        """Take a range of events whose values are in a stream resource."""
        self._nx.receiver("stream_datum", doc)
        self.assets.stream_datum(doc)

    def finish(self) -> None:
        """Write the file: apstools' writers know all of a run before they begin."""
        if self.stop_doc:
            self._nx.receiver("stop", self.stop_doc)
            return
        # Hooks want a number here; the file itself says that the run is unfinished.
        self._nx.exit_status, self._nx.stop_reason = "unfinished", "not available"
        self._nx.stop_time = self._nx.doc_timestamp
        self._nx.scanning = False
        self._nx.writer()

    def release(self) -> None:
        """Close the file."""
        self._nx.close()
