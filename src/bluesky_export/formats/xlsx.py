r"""The ``xlsx`` format: a workbook for each run, for Excel, LibreOffice and pandas.

- A sheet for each stream, in the order of CSV: the scanned motors, ``time`` (the event's, epoch seconds),
  all other fields, the detectors; with ``timestamps=true`` also ``seq_num`` and each field's own
  timestamp. The sheet ``columns`` says what each column is: field, units, dtype, source. The sheet
  ``metadata`` has the start and stop documents and the descriptors, a line for each entry; what is
  neither text nor a number is JSON text, and where that is longer than a cell it goes on in the next.
- Numbers are written with all their digits (17 where need be; Excel shows 15). NaN and the infinities
  are the texts ``nan``, ``inf``, ``-inf``. Integers beyond 2⁵³, and floats that Excel does not take
  (under 2.2e-308, over 9.99e307), are texts with all digits, the integers with a notice.
- Text is text and never a formula or a link. Control characters are ``_x0001_`` in the file, as Excel
  has it (ECMA-376, ST_Xstring): Excel and calamine turn them back, openpyxl shows them so. NUL, lone
  surrogates and U+FFFE, U+FFFF are ``\x00``, ``\ud800`` …, with a notice; so is ``_x0041_x0042_``.
- A text of more than 32,767 characters does not fit into a cell: the cell is empty, and a notice names
  the field. A stream of more than 1,048,575 events goes on in another sheet, ``primary (2)``, with a
  notice; one of more than 16,384 columns is an error.
- None is an empty cell. Complex numbers are ``(1+2j)``, dictionaries JSON text. Arrays, and fields in
  detector files, are left out with a notice that names the formats that hold them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from ..documents import jsontext
from ..documents.fields import is_external
from ..documents.layout import Order, OwnNames, file_names, tell_name
from ..documents.pages import Document
from ..documents.tables import Table
from ..errors import NotFaithful
from ..outputs import Output, own_version
from ._fidelity import converted, fidelity, left_out, never_in
from ._sheet import (
    COLUMNS,
    LARGEST_INTEGER,
    ROWS,
    Abandonable,
    SheetNames,
    TooLong,
    cells,
    escaped,
    fits,
    is_single,
    put,
    put_text,
)
from ._tables import TablesWriter

_PIECE = 16_000  # characters of JSON text in a cell: 32,000 units of UTF-16 at most
_DESCRIBED = ("units", "dtype", "shape", "source", "object_name", "precision")


class XLSXWriter(TablesWriter):
    """Write a run as a workbook."""

    name = "xlsx"
    suffix = ".xlsx"
    how_to_open = ("Excel, LibreOffice, or in Python: pandas.read_excel('….xlsx', sheet_name=None)",)
    summary = "an Excel workbook: a sheet for each stream, one for units, one for metadata"
    holds = frozenset({"text", "streams", "metadata"})
    masked = True
    fidelity = fidelity(
        {
            "new-field": converted("an empty cell in the events that do not have it"),
            "seq_num": never_in("option timestamps=true; parquet, json, hdf5, nexus"),
            "event-uid": never_in("parquet, jsonl, hdf5, nexus"),
            "timestamps": never_in("option timestamps=true; parquet, json, hdf5, nexus"),
            "float": converted(
                "all digits; what Excel does not take is text: under 2.2e-308, over 9.99e307"
            ),
            "nan": converted("the texts `nan`, `inf`, `-inf`"),
            "integer": converted("a number up to 2⁵³, beyond it text with all digits, with a notice"),
            "uint64": converted("text with all digits, with a notice"),
            "narrow": converted("the same number; its dtype is not kept"),
            "complex": converted("text as Python prints it: `(1+2j)`"),
            "int-float": converted("numbers, which a workbook does not tell apart"),
            "none": converted("an empty cell"),
            "text": converted("as it is, up to 32,767 characters; longer ones are left out, with a notice"),
            "line-breaks": converted("control characters are `_x0001_` in the file, as Excel has it"),
            "surrogates": converted("`\\udXXX` and `\\x00`, with a notice"),
            "mixed": converted("each by its own rule; dictionaries and lists are JSON text"),
            "array": left_out("parquet, json, hdf5, nexus"),
            "ragged": left_out("parquet, json, hdf5, nexus"),
            "text-array": left_out("parquet, json, hdf5, nexus"),
            "external": left_out("hdf5, nexus"),
            "unreadable": left_out("the documents that name the files: json, jsonl"),
            "field-name": converted("escaped as text is; the sheet `columns` has the name"),
            "own-name": converted("our column is called `event_time` (`event_seq_num`), with a notice"),
            "metadata-other": converted("as in json"),
        }
    )

    def __init__(
        self,
        output: Output,
        *,
        timestamps: Annotated[bool, "also write seq_num and each field's own timestamp"] = False,
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        self._timestamps = self.reads_timestamps = timestamps
        self._names = SheetNames("columns", "metadata")
        self._described: list[list[Any]] = []

    def finish(self) -> None:
        """Write the workbook."""
        # Rows wait in files of their own until the workbook is put together.
        with self.output.part().open("wb") as opened, TemporaryDirectory(prefix="bluesky-export-") as rows:
            file = Abandonable(opened)
            try:
                self._put_book(file, rows)
            except BaseException:
                file.abandon()
                raise

    def _put_book(self, file: Abandonable, folder: str) -> None:
        options = {"constant_memory": True, "use_zip64": True, "tmpdir": folder}
        book = xlsxwriter.Workbook(file, options)
        # Nothing in the file depends on when it is written, so that the same run gives the same file.
        created = datetime.fromtimestamp(float(self.start_doc["time"]), UTC).replace(tzinfo=None)
        book.set_properties({"created": created, "comments": f"bluesky-export {own_version()}"})
        self._bold = book.add_format({"bold": True})
        self._stamp = book.add_format({"num_format": "0.000000"})
        for table in sorted(self._tables.values(), key=lambda table: table.name != "primary"):
            self._put_stream(book, table)
        if not self._tables:
            self.notice("the run has no streams; the workbook holds its metadata")
        self._put_columns(book.add_worksheet("columns"))
        self._put_metadata(book.add_worksheet("metadata"))
        try:
            book.close()
        except FileCreateError as error:
            raise error.args[0] from error  # what the disk said

    # -- streams ---------------------------------------------------------------------------

    def _put_stream(self, book: Any, table: Table) -> None:
        columns = self._columns(table)
        if len(columns) > COLUMNS:
            raise NotFaithful(
                f"stream {table.name} has {len(columns)} columns and a sheet takes {COLUMNS}; "
                "choose some with --fields, or export to parquet, json or hdf5"
            )
        values = [column.values for column in columns]
        left = table.rows
        number = 0
        while left > 0 or not number:
            sheet_name = self._names.of(table.name)
            sheet = book.add_worksheet(sheet_name)
            number += 1
            if number > 1:
                self.notice(f"stream {table.name} goes on in sheet {sheet_name}: a sheet has {ROWS} rows")
            elif sheet_name != table.name:
                self.notice(f"stream {table.name!r} is the sheet {sheet_name}")
            self._begin(sheet, sheet_name, table, columns)
            for row, cells_of_row in enumerate(islice(zip(*values, strict=True), ROWS - 1), 1):
                for at, value in enumerate(cells_of_row):
                    if value is not None:
                        self._put(sheet, row, at, value, columns[at])
            left -= ROWS - 1
        for column in columns:
            column.tell(self.notice)

    def _begin(self, sheet: Any, name: str, table: Table, columns: list[_Column]) -> None:
        sheet.freeze_panes(1, 0)
        for at, column in enumerate(columns):
            if column.is_time:
                sheet.set_column(at, at, 20)
            put(sheet, 0, at, column.name, self._bold)
            described = [column.data_key.get(key) for key in _DESCRIBED]
            role = column.role
            self._described.append([name, table.name, at + 1, column.name, column.field, role, *described])

    def _put(self, sheet: Any, row: int, at: int, value: Any, column: _Column) -> None:
        try:
            said = put(sheet, row, at, value, self._stamp if column.is_time else None)
        except TooLong:
            column.too_long += 1
            return
        if said is not None:
            column.said[said] = None

    def _columns(self, table: Table) -> list[_Column]:
        """Return the columns of a stream's sheet, in order."""
        order = Order.of(self.start_doc, table)
        called = file_names(table.fields, escaped)
        motors = [column for field in order.before if (column := self._field(table, field, called[field]))]
        rest = [column for field in order.after if (column := self._field(table, field, called[field]))]
        names = OwnNames(table.name, [column.name for column in (*motors, *rest)], self.notice)
        times = _Column(table, names.event("time"), cells(table.time), role="event_time")
        columns = [*motors, times, *rest]
        if self._timestamps:
            numbers = _Column(table, names.event("seq_num"), cells(table.seq_num), role="seq_num")
            columns.insert(0, numbers)
            for column in (*motors, *rest):
                stamps = table.timestamps(str(column.field))
                if stamps is not None:
                    name = names.timestamp(column.name)
                    own = _Column(table, name, cells(stamps), column.field, role="timestamp")
                    columns.append(own)
        return columns

    def _field(self, table: Table, field: str, name: str) -> _Column | None:
        """Return a field's column; None, and a notice, for what no cell holds."""
        data_key = table.data_key(field)
        packed = table.values(field)
        why = None
        if is_external(data_key):
            why = "detector files; hdf5, nexus and tiff hold them"
        elif packed is None:
            why = "no event holds a value of it"
        elif not is_single(packed):
            why = "an array in each event; parquet, json, hdf5 and nexus hold it"
        if packed is None or why is not None:
            self.notice(f"left out {table.name}.{field}: {why}")
            return None
        tell_name(table.name, field, name, self.notice)
        return _Column(table, name, cells(packed), field, data_key=data_key)

    # -- what is beside them ---------------------------------------------------------------

    def _put_columns(self, sheet: Any) -> None:
        sheet.freeze_panes(1, 0)
        head = ["sheet", "stream", "column", "name", "field", "role", *_DESCRIBED]
        for row, values in enumerate([head, *self._described]):
            for at, value in enumerate(values):
                plain = value if isinstance(value, (str, int, float)) else None
                text = plain if plain is not None or value is None else jsontext.dumps(value)
                try:
                    put(sheet, row, at, text, None if row else self._bold)
                except TooLong:
                    self.notice(
                        f"sheet columns: {head[at]} of column {values[3]:.40} is in the metadata only"
                    )

    def _put_metadata(self, sheet: Any) -> None:
        sheet.freeze_panes(1, 0)
        for at, title in enumerate(("document", "key", "type", "value")):
            put_text(sheet, 0, at, title, self._bold)
        documents: list[tuple[str, Document]] = [
            ("run", {"status": self.status, "creator": f"bluesky-export {own_version()}"}),
            ("start", self.start_doc),
            *([] if self.stop_doc is None else [("stop", self.stop_doc)]),
        ]
        for table in self._tables.values():
            documents += [("descriptor", doc) for doc in table.descriptors]
        row = 0
        number = 0
        for name, doc in documents:
            if name == "descriptor":
                number += 1
                name = f"descriptor {number}"
            for entry in _entries(jsontext.encode(doc, self.notice)):
                row += 1
                for at, value in enumerate((name, *entry)):
                    put(sheet, row, at, value)


class _Column:
    """One column of a sheet."""

    def __init__(
        self,
        table: Table,
        name: str,
        values: Iterator[Any],
        field: str | None = None,
        *,
        role: str = "field",
        data_key: Mapping[str, Any] | None = None,
    ) -> None:
        self.stream = table.name
        self.name, self.values, self.field, self.role = name, values, field, role
        self.is_time = role in ("event_time", "timestamp")
        self.data_key = data_key if data_key is not None else {"units": "s"} if self.is_time else {}
        self.too_long = 0
        self.said: dict[str, None] = {}

    def tell(self, notice: Any) -> None:
        """Say what could not be written as it is."""
        for said in self.said:
            notice(f"{self.stream}.{self.name}: {said}")
        if self.too_long:
            notice(
                f"{self.stream}.{self.name}: {self.too_long} texts of more than 32,767 characters do not "
                "fit into a cell and were left out; csv, parquet, json and hdf5 hold them"
            )


def _entries(doc: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yield key, type and value of each entry, the value in as many cells as it needs."""
    for key, value in doc.items():
        if not fits(key):
            yield _pieces("", "JSON entry", json_text({key: value}))
        elif isinstance(value, bool):
            yield [key, "boolean", value]
        elif isinstance(value, (int, float)) and abs(value) <= LARGEST_INTEGER:
            yield [key, "integer" if isinstance(value, int) else "float", value]
        elif isinstance(value, str) and fits(value):
            yield [key, "text", value]
        else:
            yield _pieces(key, "JSON", json_text(value))


def json_text(plain: Any) -> str:
    """Return what :func:`bluesky_export.documents.jsontext.encode` gave, as strictly valid text."""
    import json

    return json.dumps(plain, allow_nan=False)  # ASCII: nothing in it that a cell does not take


def _pieces(key: str, kind: str, text: str) -> list[Any]:
    pieces = [text[first : first + _PIECE] for first in range(0, len(text), _PIECE)]
    if len(pieces) > COLUMNS - 3:
        raise NotFaithful(f"metadata {key[:40]!r} have {len(text)} characters, more than a sheet takes")
    return [key, kind, *pieces]
