r"""CSV: one table a stream, and the run's metadata beside it as JSON.

The rules, in full:

- Columns: the scanned motors, ``time`` (the event's, epoch seconds), all other fields, the
  detectors. With ``timestamps=true`` each field's own timestamp follows as ``<field>_timestamp``,
  and ``seq_num`` comes first. Where a field of the run has the name of one of our columns, ours
  becomes ``event_time`` (``event_seq_num``), with a notice.
- Numbers are written with the fewest digits that read back to the same bits (``repr`` of a
  Python float); integers without a point; NaN, infinity: ``nan``, ``inf``, ``-inf``; booleans:
  ``true``, ``false``; ``None``: an empty cell without quotes.
- Text is always quoted, a quote inside is doubled (RFC 4180), encoding UTF-8, lines end in a
  line feed. Empty text is ``""``. Text that a spreadsheet would take for a formula (it begins
  with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return) gets an apostrophe before it, and so
  does text that begins with an apostrophe: take one away and the text is as it was measured. The
  metadata file lists the columns where that happened. Numbers are never touched.
- Lone surrogates and the NUL character cannot be in a CSV file that others read: they are
  written as ``\udXXX`` and ``\x00``, with a notice. Where another field is called what a field's
  name becomes, ``_`` is added.
- Fields that hold an array in each event, or are kept in detector files, are left out with a
  notice that names the formats that hold them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from ..documents import jsontext
from ..documents.fields import fields_of, is_array, is_external
from ..documents.floats import Floats, as_floats, row_texts
from ..documents.layout import OwnNames, file_names, tell_name
from ..documents.pages import Document, page_length
from ..errors import NoData
from ..outputs import Output
from ._base import Writer, Written
from ._cells import fast_number_texts, number_text, number_texts
from ._fidelity import converted, fidelity, left_out, never_in
from ._lines import Lines
from ._sidecar import put_metadata
from ._tables import primary_first

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


class CSVWriter(Writer):
    """Write each stream as a table, and the metadata beside them."""

    name = "csv"
    suffix = ".csv"
    summary = "a table for each stream, metadata beside it as JSON"
    how_to_open = (
        "a spreadsheet, or in Python: pandas.read_csv('….csv')",
        "metadata: json.load(open('…-metadata.json'))",
    )
    per_stream = True
    as_it_goes = True
    holds = frozenset({"text", "streams", "metadata"})
    fidelity = fidelity(
        {
            "no-events": left_out("no table; the metadata tell of the stream"),
            "new-field": left_out("json, hdf5, nexus"),
            "seq_num": never_in("option timestamps=true; json, jsonl, hdf5, nexus"),
            "event-uid": never_in("jsonl, hdf5, nexus"),
            "timestamps": never_in("option timestamps=true; json, jsonl, hdf5, nexus"),
            "nan": converted("`nan`, `inf`, `-inf`"),
            "boolean": converted("`true`, `false`"),
            "narrow": converted("the shortest number that reads back to the same bits of its dtype"),
            "complex": converted("as Python prints it: `(1+2j)`"),
            "none": converted("an empty cell without quotes"),
            "surrogates": converted("`\\udXXX` and `\\x00`, with a notice"),
            "formula": converted("an apostrophe before it; the metadata list the columns"),
            "mixed": converted(
                "text is quoted, numbers are not; dictionaries are JSON text; what else there is "
                "(sets, dates, bytes) is the text that Python gives, with a notice"
            ),
            "array": left_out("json, hdf5, nexus"),
            "ragged": left_out("json, hdf5, nexus"),
            "text-array": left_out("json, hdf5, nexus"),
            "external": left_out("hdf5, nexus"),
            "unreadable": left_out("the documents that name the files: json, jsonl"),
            "own-name": converted("our column is called `event_time` (`event_seq_num`), with a notice"),
            "field-name": converted("as text: escaped, with an apostrophe before a formula"),
            "metadata-other": converted("as in json"),
        }
    )

    def __init__(
        self,
        output: Output,
        *,
        timestamps: Annotated[bool, "also write seq_num and each field's own timestamp"] = False,
        metadata: Annotated[bool, "write the metadata beside the tables, as JSON"] = True,
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        self._timestamps = self.reads_timestamps = timestamps
        self._metadata = metadata
        self._tables: dict[str, _Table] = {}

    @classmethod
    def planned(cls, output: Output, streams: Iterable[str]) -> list[Path]:
        """Return the files that a run with these streams will give."""
        return [*(output.path(stream) for stream in streams), output.path("metadata", ".json")]

    def descriptor(self, doc: Document) -> None:
        """Open the stream's table at its first descriptor; later ones must fit its columns."""
        super().descriptor(doc)
        stream = self.stream_of(doc["uid"])
        if stream not in self._tables:
            self._tables[stream] = _Table(self, stream, doc)
        else:
            self._tables[stream].another(doc)

    def event_page(self, doc: Document) -> None:
        """Append rows."""
        super().event_page(doc)
        self._tables[self.stream_of(doc["descriptor"])].rows(doc)

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        for table in self._tables.values():
            if table.file is not None:
                table.file.flush()

    def finish(self) -> None:
        """Close the tables and write the metadata."""
        if not sum(self.counts.values()):
            raise NoData(
                f"{self.run_in_words} has no data: "
                "nothing for a table; json, hdf5 or nexus keep its metadata"
            )
        tables = {}
        for stream, table in self._tables.items():
            table.close()
            if not self.counts[stream]:
                self.notice(f"stream {stream} has no events: no table")
            tables[stream] = table.describe()
        if self._metadata:
            put_metadata(self, tables=tables)

    def written(self, files: Iterable[Path]) -> Written:
        """Return the report: the primary stream's table first, the metadata last."""
        return primary_first(self, files, {stream: table.final for stream, table in self._tables.items()})

    def release(self) -> None:
        """Close every open table."""
        with ExitStack() as stack:  # all of them, even if the disk is full
            for table in self._tables.values():
                stack.callback(table.close)


class _Table:
    """One stream's file."""

    def __init__(self, writer: CSVWriter, stream: str, descriptor: Document) -> None:
        self.writer = writer
        self.stream = stream
        self.path: Path | None = None
        self.final: Path | None = None
        self.file: Lines | None = None
        self.escaped: set[str] = set()
        self.left_out: dict[str, str] = {}
        self.fields: list[str] = []
        self.header: list[str] = []
        self._columns(descriptor)

    def _columns(self, descriptor: Document) -> None:
        keys = self._keys = descriptor["data_keys"]
        order = fields_of(self.writer.start_doc, descriptor)
        for field, key in keys.items():
            if is_external(key):
                self._leave_out(field, "detector files; hdf5, nexus and tiff hold them")
        self.fields = [field for field in order.ordered if field not in self.left_out]
        self._time_at = sum(field in order.motors for field in self.fields)

    def _name_columns(self) -> None:
        """Make the header: no two columns have one name, and a field has its own."""
        fields = [field for field in self._keys if field in self.fields]
        called = file_names(fields, _writable)
        for field, name in called.items():
            tell_name(self.stream, field, name, self.writer.notice)
        names = [called[field] for field in self.fields]
        own = OwnNames(self.stream, names, self.writer.notice)
        self.header = [*names[: self._time_at], own.event("time"), *names[self._time_at :]]
        if self.writer._timestamps:
            seq_num = own.event("seq_num")
            self.header = [seq_num, *self.header, *(own.timestamp(name) for name in names)]

    def _leave_out(self, field: str, why: str) -> None:
        if field not in self.left_out:
            self.left_out[field] = why
            self.writer.notice(f"left out {self.stream}.{field}: {why}")

    def another(self, descriptor: Document) -> None:
        """Check a later descriptor of the stream: a table cannot change its columns."""
        for field in descriptor["data_keys"]:
            if field not in self.fields and field not in self.left_out:
                self._leave_out(field, "it appears after the table has begun; json and hdf5 hold it")

    def rows(self, page: Document) -> None:
        """Write the rows of a page."""
        count = page_length(page)
        if count == 0:
            return
        if self.file is None:
            self._begin(page)
        data, stamps = page["data"], page["timestamps"]
        for field in data:
            if field not in self.fields and field not in self.left_out:
                self._leave_out(field, "it is not in the stream's first descriptor; json and hdf5 hold it")
        cells = [self._cells(field, data.get(field), count) for field in self.fields]
        cells.insert(self._time_at, _floats_or_cells(page["time"]))
        if self.writer._timestamps:
            cells.insert(0, number_texts(page["seq_num"]))
            cells += [self._cells(f"{field}_timestamp", stamps.get(field), count) for field in self.fields]
        assert self.file is not None
        self.file.write("\n".join([*row_texts(cells, ","), ""]).encode())

    def _begin(self, page: Document) -> None:
        """Open the file; what turns out to be an array at the first page is left out.

        Declared shapes are often wrong, so the first event decides; the first alone, so that the
        file does not depend on the size of the pages.
        """
        keys = self.writer.descriptors[page["descriptor"]]["data_keys"]
        arrays = [
            field
            for field in self.fields
            if (
                _is_array(page["data"][field][0])
                if field in page["data"]
                else field in keys and is_array(keys[field])
            )
        ]
        for field in arrays:
            self._leave_out(field, "an array in each event; json, hdf5 and nexus hold it")
            if field in self.fields[: self._time_at]:
                self._time_at -= 1
            self.fields.remove(field)
        self._name_columns()
        self.path = self.writer.output.part(self.stream)
        self.file = Lines(self.path)
        self.file.write((",".join(self._quote(name, name) for name in self.header) + "\n").encode())

    def _cells(self, field: str, column: Any, count: int) -> Floats | Sequence[str]:
        if column is None:  # a later descriptor no longer has the field
            return [""] * count
        floats = as_floats(column)
        if floats is not None:
            return floats
        numbers = fast_number_texts(column)
        if numbers is not None:
            return numbers
        return [self._cell(field, value) for value in column]

    def _cell(self, field: str, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, str):
            return self._quote(field, value)
        if isinstance(value, bytes):
            self.writer.notice(f"{self.stream}.{field}: bytes are written as text, in Latin-1")
            return self._quote(field, value.decode("latin-1"))
        if isinstance(value, dict):
            self.writer.notice(f"{self.stream}.{field}: dictionaries are written as JSON text")
            return self._quote(field, jsontext.dumps(value))
        if _is_array(value):
            self.writer.notice(
                f"{self.stream}.{field} holds an array in some events: those cells are empty; "
                "json, hdf5 and nexus hold them"
            )
            return ""
        value = value[()] if isinstance(value, np.ndarray) else value
        if isinstance(value, (int, float, complex, np.number, np.bool_)):
            return number_text(value)
        kind = type(value).__name__
        self.writer.notice(f"{self.stream}.{field}: values of type {kind} are written as text")
        return self._quote(field, str(value))

    def _quote(self, field: str, text: str) -> str:
        if (written := _writable(text)) != text:
            self.writer.notice(f"{self.stream}.{field}: characters that no CSV reader takes are escaped")
            text = written
        if text.startswith(_FORMULA):
            self.escaped.add(field)
            self.writer.notice(
                f"{self.stream}.{field}: text that begins like a formula has an apostrophe before it"
            )
            text = "'" + text
        return '"' + text.replace('"', '""') + '"'

    def close(self) -> None:
        if self.file is not None:
            self.file.close()

    def describe(self) -> dict[str, Any]:
        """Return what the metadata file says of this table."""
        self.final = self.writer.output.final(self.path) if self.path else None
        return {
            "file": self.final.name if self.final else None,
            "events": self.writer.counts[self.stream],
            "columns": self.header,
            "text_with_leading_apostrophe": sorted(self.escaped),
            "left_out": self.left_out,
        }


def _writable(text: str) -> str:
    return _UNWRITABLE.sub(lambda match: ascii(match.group())[1:-1], text)


def _is_array(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _floats_or_cells(values: Any) -> Floats | Sequence[str]:
    floats = as_floats(values)
    return number_texts(values) if floats is None else floats
