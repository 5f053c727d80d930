r"""The ``spec`` format: scans in a SPEC data file, as apstools' ``SpecWriterCallback2`` has them.

One run is one scan, appended to the file. spec2nexus, silx and PyMca read it. The rules:

- **The scan number** (``#S``) is the run's scan_id if it is an integer from 1 to 2³¹-1, also if
  the file has that number already; else the next number free in the file, with a notice, and the
  scan_id in ``#MD scan_id``. The command is the plan with its arguments.
- **Rows** are the events of one stream, ``primary`` unless ``stream`` names another; others are
  left out with a notice. Columns: scanned motors, ``Epoch``, ``Epoch_float`` (seconds since the
  start, rounded and exact; ``#MD time`` is the start), other fields, detectors, the first
  detector last. Fields are columns if their first value is a number, or an array of one.
- **Labels** are ASCII (``µ`` is ``\xb5``), with single blanks, at most 200 characters, and made
  unique, with a notice where they differ from the field's name.
- **Cells** read back bit for bit. Booleans are 1 and 0. Integers are written in full; readers
  hold floats. Infinities are ``1e999`` and ``-1e999``, since silx and PyMca read ``inf`` as 0. No text
  is NaN to all readers: NaN is ``1e999`` too, with its value in a ``#U row N: field = NaN`` line
  behind the row (option ``missing=nan`` writes ``nan``). So is what is no number.
- **Text** fields are ``#U row N: field = value`` lines behind their rows. **Arrays** and data in
  **files of their own** are left out, with a notice.
- **Metadata** of the start document are ``#MD key = value`` lines; units and configuration of the
  stream's devices ``#U`` lines. Text stands as it is; if it would read as something else (``5``, ``None``)
  or holds control characters it stands in JSON's quotes; lists and dicts are JSON. In keys,
  blanks, ``=`` and ``%`` are written as in URLs (``%20``). Lines over 8000 bytes, on which silx
  dies, are left out with a notice.
- **Motor positions** (``#O``, ``#P``) are those of the stream ``label_start_motor``, else the
  first ones of ``baseline``. A header is written if they are not those of the file's last one.
  Without any, the lines are there and empty, as apstools has them: PyMca asks for them.
- **Dates** (``#D``, ``#C``) are local time without an offset, the only form that SPEC's readers take;
  the epoch in ``#MD time`` is exact, and tells apart the hours that a clock passes twice.
- **The end** has ``num_events_…`` and ``exit_status`` comments; a run without a stop document is
  ``exit_status = unfinished: no stop document``.

What the file held before is never changed, and a run that it holds already is refused. But a scan
that was cut off (the session or the writer was killed), or that has no stop document, is
replaced when the same run is written again and that scan is the last of the file; comments typed into
it are kept. If other scans follow it, it stays, and the run is appended with a comment that says so.

The file is locked while a run is written; who finds it locked waits for three seconds and then gives
up. The lock is the system's and ends with its owner. Where there is none (Windows, some network
shares) that is said; and who finds before a line that another program has written gives up as well.
If a run cannot be finished, all of it is removed. Lines are written whole, for who follows the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from ..documents.pages import Document
from ..outputs import Output
from ._base import Images, Writer, Written
from ._fidelity import Fidelity, converted, fidelity, left_out, never_in
from ._spec_file import already_in_file
from ._spec_scan import ELSEWHERE
from ._spec_survey import survey
from ._spec_writer import BlueskySpecWriter, Missing, PositionStream

__all__ = ["BlueskySpecWriter", "SPECWriter"]


class SPECWriter(Writer):
    """Append one run to a SPEC file, through :class:`BlueskySpecWriter`."""

    name: ClassVar[str] = "spec"
    suffix: ClassVar[str] = ".dat"
    how_to_open: ClassVar[tuple[str, ...]] = (
        "any program that reads SPEC files: PyMca, silx view, spec2nexus",
    )
    summary: ClassVar[str] = "SPEC data file, one scan a run, appended to; for spec2nexus, silx, PyMca"
    appends: ClassVar[bool] = True
    as_it_goes: ClassVar[bool] = True
    reads_timestamps = False
    holds: ClassVar[frozenset[str]] = frozenset({"metadata", "text"})
    fidelity: ClassVar[Mapping[str, Fidelity]] = fidelity(
        {
            "start": converted("`#MD` lines; those over 8000 bytes are left out, with a notice"),
            "stop": converted("a comment for each entry, but uid and time"),
            "configuration": converted("`#U` lines of the stream's devices, without timestamps"),
            "scan_id": converted("the next free scan number, and `#MD scan_id`, with a notice"),
            "streams": left_out("every other format"),
            "no-events": left_out("hdf5, nexus, json, jsonl"),
            "new-field": left_out("json, jsonl, hdf5, nexus"),
            "event-time": converted("seconds since the start; the start in full"),
            "seq_num": never_in("json, jsonl, hdf5, nexus"),
            "event-uid": never_in("jsonl, hdf5, nexus"),
            "timestamps": never_in("json, jsonl, hdf5, nexus"),
            "nan": converted("`1e999` and `-1e999`; NaN is `1e999` with its value in a `#U` line"),
            "integer": converted("written in full; readers hold floats"),
            "uint64": converted("written in full; readers hold floats"),
            "boolean": converted("1 and 0"),
            "narrow": converted("the same number; its dtype is not kept"),
            "complex": converted("`#U` lines"),
            "int-float": converted("readers hold floats"),
            "none": converted("`1e999`, with `None` in a `#U` line"),
            "text": converted("`#U` lines behind the rows"),
            "line-breaks": converted("in JSON's quotes"),
            "surrogates": converted("in JSON's quotes"),
            "formula": converted("`#U` lines behind the rows"),
            "mixed": converted("`#U` lines behind the rows"),
            "array": left_out("json, hdf5, nexus"),
            "ragged": left_out("json, hdf5, nexus"),
            "text-array": left_out("json, hdf5, nexus"),
            "external": left_out("hdf5, nexus"),
            "unreadable": left_out("the documents that name the files: json, jsonl"),
            "field-name": converted("ASCII, single blanks, at most 200 characters, with a notice"),
            "own-name": converted("`_2` is added to the label, with a notice"),
            "metadata-json": converted("one line each"),
            "metadata-other": converted("one line each, as JSON"),
            "metadata-size": left_out("lines over 8000 bytes; every other format"),
        }
    )

    def __init__(
        self,
        output: Output,
        *,
        images: Images = "copy",
        root_map: dict[str, str] | None = None,
        stream: Annotated[str, "the stream whose events are the rows"] = "primary",
        positions: Annotated[PositionStream, "the stream that gives the motor positions (#O, #P)"] = "auto",
        missing: Annotated[Missing, "the cell for NaN: silx and PyMca read nan as 0"] = "1e999",
    ) -> None:
        super().__init__(output, images=images, root_map=root_map)
        self._stream = stream
        self._path: Path | None = None
        self._replaces = False
        self._done = False
        self.callback = BlueskySpecWriter(
            stream=stream, positions=positions, missing=missing, notice=self.notice
        )

    @classmethod
    def check(cls, output: Output) -> None:
        """Refuse a file that is not SPEC's or has the run, before the run is read.

        Raises
        ------
        RunAlreadyInFile, OutputError
            As :meth:`start`, but for a file that is being written now.
        """
        path = output.path()
        if not os.path.lexists(path):
            output.check(path)
        elif path.is_file():
            known = survey(path, output.uid)
            replaced = known.scans == 1 and output.target.if_exists == "overwrite"
            if known.has_run and not replaced:
                raise already_in_file(path, output.uid)

    def start(self, doc: Document) -> None:
        """Check and lock the file.

        Raises
        ------
        RunAlreadyInFile
            The file holds this run already.
        OutputError
            The file is not a SPEC file, is being written, or cannot be written.
        """
        super().start(doc)
        self._path = path = self.output.path()
        if not os.path.lexists(path):
            self.output.check(path)
        elif self.output.target.if_exists == "overwrite" and path.is_file():
            path = self._overwritten(path)
        self.callback.spec_filename, self.callback.name_in_header = path, self._path
        self.callback.receiver("start", doc)

    def _overwritten(self, path: Path) -> Path:
        """Return where to write if ``--overwrite`` was given: a file of this run alone is replaced."""
        known = survey(path, self.uid)
        if known.scans == 1 and known.of_run:
            self._replaces = True
            return self.output.part()
        if known.scans and not known.of_run:
            self.notice(f"{path} holds other scans: appended to, not overwritten")
        return path

    def descriptor(self, doc: Document) -> None:
        """Take a descriptor."""
        super().descriptor(doc)
        self.callback.receiver("descriptor", doc)

    def event_page(self, doc: Document) -> None:
        """Write rows, if they are the stream's."""
        super().event_page(doc)
        self.callback.receiver("event_page", doc)

    def stop(self, doc: Document) -> None:
        """Keep the stop document: :meth:`finish` writes what it says."""
        super().stop(doc)
        self.callback.exit_status = doc.get("exit_status")

    def comment(self, doc: Document) -> None:
        """Write a comment that was typed in the session."""
        for line in str(doc["text"]).splitlines():
            self.callback.comment(line, doc.get("time"), str(doc.get("kind") or "event"))

    def finish(self) -> None:
        """Write the end of the scan, and what stands for a missing one."""
        self.callback.end_scan(self.stop_doc or None)
        for stream in self.counts:
            if stream == self._stream:
                continue
            kept = "but for its first positions (#P)" if stream == self.callback.positions.source else ""
            left_out = f"stream {stream!r} is left out {kept}".rstrip()
            self.notice(f"{left_out}: a SPEC scan has one table; {ELSEWHERE}")

    def close(self) -> Written:
        """Finish the scan, flush it to the disk, and say what was written."""
        if self._path is None:
            return super().close()
        if self._done:
            return self.written([self._path])
        self.finish()
        self.callback.file.close()
        self._done = True
        if self._replaces:
            return self.written(self.output.commit())
        return self.written([self._path])

    def written(self, files: Iterable[Path]) -> Written:
        """Return the report; its events are the rows of the scan."""
        return replace(super().written(files), events=self.counts.get(self._stream, 0))

    def abort(self) -> None:
        """Put the file back to what it was before this run. Safe to call twice."""
        if not self._done and self.callback.rollback() is False:
            self.notice(f"{self._path}: another program wrote behind this run's lines; they were left")
        super().abort()

    def release(self) -> None:
        """Close and unlock the file without writing more."""
        self.callback.release()

    # -- what apstools' spec_comment() asks of a writer --------------------------------------

    @property
    def scanning(self) -> bool:
        """Whether a run is being written."""
        return bool(self.callback.scanning)

    def _cmt(self, *args: str) -> Any:
        return self.callback._cmt(*args)
