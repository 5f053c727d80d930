"""JSON: the run as one readable, strictly valid object.

::

    {"format": "bluesky-export run", "version": 1,
     "status": "success",
     "start": {…}, "stop": {…} or null,
     "streams": {
       "primary": {
         "events": 31,
         "fields": {"m1": {"dtype": "number", "shape": [], "units": "mm", …}, …},
         "configuration": [{"uid": …, "time": …, "hints": …, "configuration": {…}}],
         "time": […], "seq_num": […],
         "data": {"m1": […], …},
         "timestamps": {"m1": […], …}}},
     "external": [["resource", {…}], …],
     "notices": […]}

A column for each field, in the order in which people read them (scanned motors first, detectors
last); arrays are nested lists. In columns, NaN and the infinities are the texts ``"NaN"``,
``"Infinity"``, ``"-Infinity"``, which ``float`` and pandas' ``to_numeric`` take; the field's ``dtype``
tells them from text. Everywhere else they are ``{"$numberDouble": "NaN"}``, and what else JSON does
not have follows :mod:`bluesky_export.documents.jsontext`. A field that some events of a stream do
not have (a later descriptor without it) is ``null`` there. Units that change within a stream are in
``configuration``, as ``units`` of each descriptor, and ``null`` in ``fields``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Annotated, Any

import numpy as np
import orjson

from ..documents import jsontext
from ..documents.fields import fields_of, is_external
from ..documents.floats import as_floats
from ..documents.pages import Document, page_length, page_to_datums, plain
from ..documents.tables import units_of
from ..outputs import Output
from ._base import Writer
from ._fidelity import JSON_RULES, converted, fidelity, never_in
from ._tables import units_change


class JSONWriter(Writer):
    """Write the run as one object."""

    name = "json"
    suffix = ".json"
    summary = "one readable object: metadata, streams, columns, units"
    how_to_open = ("any editor, or in Python: json.load(open('….json'))",)
    holds = frozenset({"text", "arrays", "streams", "metadata"})
    fidelity = fidelity(
        {
            "new-field": converted("null in the events that do not have it"),
            "event-uid": never_in("jsonl, hdf5, nexus"),
            "nan": converted('in columns the texts `"NaN"`, `"Infinity"`, `"-Infinity"`'),
            **JSON_RULES,
        }
    )

    def __init__(
        self,
        output: Output,
        *,
        indent: Annotated[int, "blanks a level; 0: no line breaks inside a document"] = 1,
        timestamps: Annotated[bool, "also write each field's own timestamps"] = True,
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        self._indent = indent
        self._timestamps = self.reads_timestamps = timestamps
        self._streams: dict[str, _Stream] = {}
        self._external: list[list[Any]] = []

    def descriptor(self, doc: Document) -> None:
        """Add a stream, or another configuration to one."""
        super().descriptor(doc)
        name = self.stream_of(doc["uid"])
        stream = self._streams.setdefault(name, _Stream())
        before = set(stream.changing)
        stream.describe(doc, fields_of(self.start_doc, doc).ordered)
        for field, units in stream.changing.items():
            if field not in before:
                self.notice(units_change(name, field, units, "configuration has those of each descriptor"))
        for field, key in doc["data_keys"].items():
            if is_external(key):
                self.notice(f"{name}.{field}: the file names its detector files, it does not hold them")

    def event_page(self, doc: Document) -> None:
        """Append to the columns."""
        super().event_page(doc)
        self._streams[self.stream_of(doc["descriptor"])].append(doc, self._timestamps)

    def resource(self, doc: Document) -> None:
        """Keep the name of a detector file."""
        self._external.append(["resource", doc])

    def datum_page(self, doc: Document) -> None:
        """Keep references into a detector file."""
        self._external += [["datum", datum] for datum in page_to_datums(doc)]

    def stream_resource(self, doc: Document) -> None:
        """Keep the name of a detector file."""
        self._external.append(["stream_resource", doc])

    def stream_datum(self, doc: Document) -> None:
        """Keep a reference into a detector file."""
        self._external.append(["stream_datum", doc])

    def finish(self) -> None:
        """Write the object: one line a column, so that a person can read it."""
        whole = _Open(
            {
                "format": "bluesky-export run",
                "version": 1,
                "status": self.status,
                "start": self.start_doc,
                "stop": self.stop_doc,
                "streams": _Open(
                    (name, one.whole(self._timestamps)) for name, one in self._streams.items()
                ),
                "external": self._external,
                "notices": list(self.notices),
            }
        )
        with self.output.part().open("wb") as file:
            file.writelines(_pieces(whole, self._indent, self.notice))
            file.write(b"\n")


class _Stream:
    """The columns of a stream."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.configuration: list[dict[str, Any]] = []
        self.changing: dict[str, list[Any]] = {}  # fields whose units do
        self._keys: list[dict[str, Any]] = []
        self.time: list[Any] = []
        self.seq_num: list[Any] = []
        self.columns: dict[str, dict[str, list[Any]]] = {"data": {}, "timestamps": {}}

    def describe(self, descriptor: Document, order: tuple[str, ...]) -> None:
        left_out = ("data_keys", "run_start", "name")
        self.configuration.append({k: v for k, v in descriptor.items() if k not in left_out})
        self._keys.append(descriptor["data_keys"])
        for field in order:
            known = self.fields.setdefault(field, descriptor["data_keys"][field])
            units = units_of(keys[field] for keys in self._keys if field in keys)
            if len(units) > 1:
                self.changing[field] = units
                self.fields[field] = {**known, "units": None}
        for entry, keys in zip(self.configuration, self._keys, strict=True):
            if said := {field: keys[field].get("units") for field in self.changing if field in keys}:
                entry["units"] = said

    def append(self, page: Document, timestamps: bool) -> None:
        before, rows = len(self.time), page_length(page)
        self.time.extend(_column(page["time"]))
        self.seq_num.extend(_column(page["seq_num"]))
        for part in ("data", "timestamps") if timestamps else ("data",):
            columns = self.columns[part]
            for field in page[part].keys() | columns.keys():
                column = columns.setdefault(field, [None] * before)
                column.extend(_column(page[part][field]) if field in page[part] else [None] * rows)

    def whole(self, timestamps: bool) -> _Open:
        def ordered(part: str) -> dict[str, Any]:
            known = self.columns[part]
            undeclared = sorted(self.columns["data"].keys() - self.fields.keys())
            return {f: _Row(known.get(f, [])) for f in (*self.fields, *undeclared)}

        return _Open(
            {
                "events": len(self.time),
                "fields": self.fields,
                "configuration": self.configuration,
                "time": _Row(self.time),
                "seq_num": _Row(self.seq_num),
                "data": ordered("data"),
                **({"timestamps": ordered("timestamps")} if timestamps else {}),
            }
        )


_NUMBERS = {int, float}
_AS_THEY_ARE = {str, bool, type(None), *_NUMBERS}


class _Row(list[Any]):
    """A column, written on one line, however long."""


class _Open(dict[str, Any]):
    """A dict in which there are such lists, or may be further in."""


def _column(given: Any) -> Sequence[Any]:
    """Return a page's values as JSON has them, so that what a device changes later does not matter.

    Floats stay as they are: whether all are finite is seen when they are written. The list may be
    the page's own.
    """
    values = plain(given)
    if not isinstance(values, np.ndarray) and set(map(type, values)) <= _AS_THEY_ARE:
        return values  # none of them can change
    floats = as_floats(values) if isinstance(values, np.ndarray) else None
    encoded: list[Any] = jsontext.encode(values, numbers="named") if floats is None else floats.tolist()
    return encoded


def _line(column: _Row) -> bytes:
    """Return a column as one line, with a blank after each comma as Python's json has it."""
    if set(map(type, column)) <= _NUMBERS:
        with suppress(TypeError):  # orjson's own error is one: whole numbers beyond 64 bits
            text = orjson.dumps(column)
            if b"null" not in text:  # what it writes for NaN and the infinities
                return text.replace(b",", b", ")
    plain = [jsontext.encode(one, numbers="named") if type(one) is float else one for one in column]
    return json.dumps(plain, allow_nan=False).encode()


def _pieces(value: Any, indent: int, notice: Callable[[str], None], level: int = 0) -> Iterator[bytes]:
    """Yield JSON text, as ``json.dumps(indent=…)`` has it but with each :class:`_Row` on one line."""
    pad = "\n" + " " * indent * level if indent else ""
    inner = list(value.values()) if isinstance(value, dict) else []
    if any(isinstance(item, _Row) for item in inner) or (
        # What reads like a value of jsontext is its business.
        isinstance(value, _Open)
        and any(isinstance(item, dict) for item in inner)
        and not jsontext.reads_as_ours(value)
    ):
        yield b"{"
        for number, (key, item) in enumerate(value.items()):
            yield (("," if number else "") + pad + " " * indent + jsontext.dumps(key) + ": ").encode()
            yield from _pieces(item, indent, notice, level + 1)
        yield (pad + "}").encode()
    elif isinstance(value, _Row):
        yield _line(value)
    else:
        text = jsontext.dumps(value, indent=indent or None, notice=notice)
        yield (text.replace("\n", pad) if indent else text).encode()
