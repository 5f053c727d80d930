"""apstools' SpecWriterCallback2, mended where it loses data."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from apstools.callbacks.spec_file_writer import SpecWriterCallback2

from ..documents.fields import scanned
from ..documents.pages import Document, event_to_page, page_length
from ..errors import OutputError
from ._spec_choice import ChosenFile
from ._spec_file import SpecFile
from ._spec_lines import (
    HIGHEST_NUMBER,
    descriptor_lines,
    file_header_lines,
    metadata_lines,
    numbered,
    scan_command,
    scan_number,
    stop_lines,
    user_and_host,
)
from ._spec_positions import LABEL_STREAM, Positions
from ._spec_runs import InTurn
from ._spec_scan import Columns, Rows, choose_columns, column_order, text_names
from ._spec_survey import UNFINISHED
from ._spec_text import LINE_LIMIT, fits, one_line, spec_date

logger = logging.getLogger(__name__)

PositionStream = Literal["auto", "label_start_motor", "baseline"]
Missing = Literal["1e999", "nan"]


class BlueskySpecWriter(ChosenFile):
    """Write SPEC scans row by row, as ``SpecWriterCallback2`` does, without losing data.

    Use it as apstools' own: ``RE.subscribe(writer.receiver)``, ``writer.newfile("a.dat", RE=RE)``,
    ``spec_comment("text", writer=writer)``. It takes single events and event pages. A run that
    starts while another one is being written is held back until that one has ended: a SPEC file
    has one scan after the other. Methods are for one thread only.

    Parameters
    ----------
    filename : str or Path, optional
        Where to write; :meth:`newfile` and :meth:`usefile` change it. An existing SPEC file is
        appended to, and is locked while a run is being written.
    stream : str
        The stream whose events are the rows.
    positions : {"auto", "label_start_motor", "baseline"}
        The stream that tells where motors stood at the start (``#O``, ``#P``); "auto" takes
        ``label_start_motor`` if the run has it, else ``baseline``.
    missing : {"1e999", "nan"}
        The cell of a NaN, or of what is no number. silx and PyMca read ``nan`` as 0.
    notice : callable, optional
        Is given a sentence about what is left out or converted; it is logged otherwise.
    """

    # What apstools' classes keep, whose types are not declared there.
    doc_timestamp: float | None
    file_name: Any
    scanning: bool
    uid: Any

    def __init__(
        self,
        filename: str | Path | None = None,
        *,
        stream: str = "primary",
        positions: PositionStream = "auto",
        missing: Missing = "1e999",
        notice: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._stream_name = stream
        self._position_streams = (LABEL_STREAM, "baseline") if positions == "auto" else (positions,)
        self._missing = missing
        self._tell = notice or logger.warning
        self._file: SpecFile | None = None
        self._in_turn = InTurn(self._take, lambda: self.uid if self.scanning else None)
        self.write_new_file_header = False  # the file's last header may serve: see _header_differs
        self.name_in_header: Path | None = None
        """What ``#F`` says if the file is to have another name in the end."""
        self._early_comments: list[str] = []
        self.xref = {
            "start": self.start,
            "descriptor": self.descriptor,
            "event": self.event,
            "event_page": self.event_page,
            "stop": self.stop,
        }
        self._reset()
        if filename is not None:
            self.spec_filename = Path(filename)

    def _reset(self) -> None:
        self.motors: dict[str, str] = {}  # name in #O -> text in #P
        self._streams: dict[str, Document] = {}
        self._described: Document | None = None  # the descriptor of the last rows
        self._columns: Columns | None = None
        self._rows: Rows | None = None
        self._held: list[Document] = []  # rows that wait for the motor positions
        self.positions = Positions(self._position_streams, self._missing, self._tell)
        self._comments: list[str] = []
        self._written: set[str] = set()  # comments of this scan
        self._last_time = 0.0
        self.write_new_scan_header = False
        self.data_labels: list[str] = []

    # -- documents -------------------------------------------------------------------------

    def receiver(self, key: str, doc: Document) -> None:
        """Take one document, as bluesky hands it to a callback."""
        self._in_turn(key, doc)

    def _take(self, key: str, doc: Document) -> None:
        if key == "start" or self.scanning:
            handler = self.xref.get(key)
            if handler is None:
                logger.debug("documents of kind %r have no place in a SPEC file", key)
            else:
                handler(doc)

    def start(self, doc: Document) -> None:
        """Begin a scan: check the file, lock it, and keep the metadata."""
        super(SpecWriterCallback2, self).start(doc)  # the class's own raises on odd metadata
        self._reset()
        self.start_time = self._last_time = self.doc_timestamp = float(doc["time"])
        self.uid = str(doc["uid"])
        self.detectors = text_names(doc.get("detectors"))
        self.positioners = (
            text_names(doc.get("positioners")) or text_names(doc.get("motors")) or scanned(doc)
        )
        self._who = self.spec_user, self.spec_host = user_and_host(doc.get("login_id"))
        self.T_or_M, self.T_or_M_value = None, 1
        self.file_name = self.file_name or self.make_file_name()
        self._comments, self._early_comments = self._early_comments, []
        self._written.update(self._comments)
        try:
            self._file = SpecFile(Path(self.file_name))
            self._file.open(self.uid)
        except BaseException:
            self.scanning = False
            raise
        self._tell_of_file(self._file)
        number = self._number(doc.get("scan_id"))
        self.scan_command = scan_command(doc, number, self._tell)
        apart = ("uid", "time") if scan_number(doc.get("scan_id")) != number else ("uid", "time", "scan_id")
        self.metadata = {key: value for key, value in doc.items() if key not in apart}
        self.metadata["time"] = doc["time"]  # in full: #D has whole seconds

    def _tell_of_file(self, file: SpecFile) -> None:
        """Tell what is odd about the file, here and in the scan."""
        if not file.locked:
            self._tell(f"{file.path} cannot be locked here: let no other session write to it")
        if file.comments:
            self._tell("the scan was cut off before: comments typed then stand at its end")
        if (cut := file.survey.cut_off) is not None:
            text = f"scan {cut.number} above is the beginning of this run, cut off"
            self._comments.append(self._comment(text))
            self._tell(text)

    @property
    def file(self) -> SpecFile:
        """The file of the run that is being written."""
        if self._file is None:
            raise OutputError("no run is being written")
        return self._file

    def _number(self, given: Any) -> int:
        """Return the number for ``#S``: the scan_id if readers can take it, else the next free one."""
        if number := scan_number(given):
            return number
        free = min(self.file.survey.highest, HIGHEST_NUMBER - 1) + 1
        self._tell(f"scan_id {given!r} is no number for SPEC: the scan has the next free one, {free}")
        return free

    def descriptor(self, doc: Document) -> None:
        """Take the description of a stream."""
        self._streams[doc["uid"]] = doc
        self.positions.descriptor(doc)

    def event(self, doc: Document) -> None:
        """Take one event."""
        self.event_page(event_to_page(doc))

    def event_page(self, doc: Document) -> None:
        """Take events of one descriptor: write their rows, or keep the motor positions."""
        descriptor = self._streams.get(doc["descriptor"])
        if descriptor is None or not page_length(doc):
            return  # of a run that began before this writer was subscribed
        self._last_time = max(self._last_time, float(doc["time"][-1]))
        self.doc_timestamp = self._last_time
        self.positions.event_page(descriptor, doc)
        if descriptor.get("name", "primary") == self._stream_name:
            self._held.append(doc)
        self._release_held()

    def stop(self, doc: Document) -> None:
        """End the scan, and close the file."""
        self._last_time = float(doc.get("time", self._last_time))
        self.exit_status = doc.get("exit_status")
        self.stop_reason, self.stop_time = doc.get("reason", "not available"), self._last_time
        try:
            self.end_scan(doc)
            self.file.close()
        finally:  # the next run must not wait for a scan that cannot be ended
            self.scanning = False
            self.release()
        self.writer()

    def close(self) -> None:
        """End the scan of a run that has no stop document, and write the runs that waited for it."""
        if self.scanning:
            self.stop({"time": self._last_time, "exit_status": UNFINISHED})
        self._in_turn.next_run()

    def end_scan(self, doc: Document | None = None) -> None:
        """Write what is left of a scan, with the marks of a run without stop if there is none."""
        if not self.scanning:
            return
        self._write_held()
        self.write_file_header()
        self.write_scan_header()
        self.write_scan_end({"time": self._last_time, **(doc or {"exit_status": UNFINISHED})})
        self.scanning = False
        self.doc_timestamp = None

    def _release_held(self) -> None:
        if self._held and (self._columns is not None or not self.positions.awaited()):
            self._write_held()

    def _write_held(self) -> None:
        held, self._held = self._held, []
        if self._columns is None:
            self._begin_scan(held[0] if held else None)
        assert self._rows is not None
        for page in held:
            self._write_lines_([*self._changes(page), *self._rows.lines(page)])

    def _changes(self, page: Document) -> list[str]:
        """Return what another descriptor of the stream says of units and configuration."""
        before, now = self._described, self._streams[page["descriptor"]]
        if now is before:
            return []
        self._described = now
        known = set(self._descriptor_lines(before))
        return [line for line in self._descriptor_lines(now) if line not in known]

    def _descriptor_lines(self, descriptor: Document | None) -> list[str]:
        return [] if descriptor is None else list(descriptor_lines(descriptor, self._tell))

    # -- lines -----------------------------------------------------------------------------

    def _begin_scan(self, first: Document | None) -> None:
        descriptor = self._described = self._row_descriptor(first)
        if descriptor is None:
            self._columns = Columns()
            self._tell(f"the run has no stream {self._stream_name!r}: the scan has no points")
        else:
            order = column_order(self.detectors, self.positioners, descriptor)
            self._columns = choose_columns(order, descriptor, first, self._tell)
            if first is None:
                self._tell(f"stream {self._stream_name!r} has no events: the scan has no points")
        self.data_labels = self._columns.labels
        self._rows = Rows(self._columns, self.start_time, self._missing, self._tell)
        self.motors = self.positions.texts(None if first is None else first["time"][0])
        self.write_new_file_header = self.write_new_file_header or self._header_differs()
        self.write_new_scan_header = True
        self.write_file_header()
        self.write_scan_header()

    def _row_descriptor(self, first: Document | None) -> Document | None:
        """Return the descriptor of the first row, else the stream's first one."""
        if first is not None:
            return self._streams[first["descriptor"]]
        mine = (doc for doc in self._streams.values() if doc.get("name", "primary") == self._stream_name)
        return next(mine, None)

    def _header_differs(self) -> bool:
        """Say whether the file's last header does not serve: other motors, or it is younger."""
        known = self.file.survey
        return known.motors != list(self.motors) or known.epoch > self.start_time

    def write_file_header(self) -> None:
        """Write ``#F #E #D #C #O`` if the file's last header does not hold for this scan."""
        if not self.write_new_file_header:
            return
        self.file_epoch = int(self.start_time)
        name = self.name_in_header or self.file_name
        lines = file_header_lines(name, self.start_time, self._who, self.uid, list(self.motors))
        if not self.file.is_empty:
            lines.insert(0, "")
        self._write_lines_(lines)
        self.write_new_file_header = False

    def write_scan_header(self) -> None:
        """Write ``#S`` and what belongs to it, up to ``#L``."""
        if not self.write_new_scan_header:
            return
        lines = [
            "",
            f"#S {self.scan_command}",
            f"#D {spec_date(self.start_time)}",
            f"#C {spec_date(self.start_time)}.  uid = {one_line(self.uid)}",
            *numbered("#P", list(self.motors.values()), " "),
            *metadata_lines(self.metadata, self._tell),
            *self._descriptor_lines(self._described),
            *self._comments,
            f"#N {len(self.data_labels)}",
            "#L " + "  ".join(self.data_labels),
        ]
        self._comments = []
        self._write_lines_(lines)
        self.write_new_scan_header = False

    def write_scan_data_row(self, doc: Document) -> None:
        """Write the row of one event."""
        self.event_page(event_to_page(doc))

    def write_scan_end(self, doc: Document) -> None:
        """Write the numbers of events, the exit status, and what else the stop document says."""
        comments, self._comments = self._comments, []
        kept = [line for line in self.file.comments if line not in self._written]
        self._write_lines_([*kept, *comments, *stop_lines(doc, self._tell)])

    def _write_lines_(self, lines: Sequence[str], mode: str = "a") -> None:
        """Append complete lines, at once."""
        if lines:
            self.file.write("\n".join(lines) + "\n")

    def _comment(self, text: str, when: float | None = None) -> str:
        stamp = f"#C {spec_date(when or self.doc_timestamp or time.time())}.  "
        if fits(line := stamp + one_line(text)):
            return line
        self._tell(f"a comment is left out: too long for a line of {LINE_LIMIT} bytes")
        return f"{stamp}(a comment too long for a line)"

    def _cmt(self, *args: str) -> str:
        """Return a comment line, or with two arguments (kind of document, text) add it to the scan.

        The two-argument form is that of ``spec_comment()``.
        """
        return self._comment(args[0]) if len(args) == 1 else self.comment(args[1], kind=args[0])

    def comment(self, text: str, when: float | None = None, kind: str = "event") -> str:
        """Add a comment: where it was made, or at the scan's end (``kind="stop"``).

        Comments before the first row stand in the scan's header, those without a scan in the
        next one's.

        Parameters
        ----------
        text : str
            One line; line breaks are written as such.
        when : float, optional
            When it was made, in seconds of the epoch. Left out: at the last document.
        kind : str
            The kind of document that it belongs to; "stop" is the scan's end.

        Returns
        -------
        str
            The line.
        """
        line = self._comment(text, when)
        self._written.add(line)
        if not self.scanning:
            self._early_comments.append(line)
        elif kind == "stop" or self._columns is None:
            self._comments.append(line)
        else:
            self._write_lines_([line])
        return line

    # -- files -----------------------------------------------------------------------------

    def rollback(self) -> bool:
        """Remove the lines of the run that is being written; say whether that was possible."""
        self.scanning = False
        return self._file is None or self._file.rollback()

    def release(self) -> None:
        """Close the file without writing more."""
        if self._file is not None:
            self._file.release()
