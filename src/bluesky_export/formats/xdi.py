"""The ``xdi`` format: one spectrum in the XAS Data Interchange format, version 1.0, for Athena and Larch.

- Energy, the first column: the field of a scanned motor whose units are eV or keV. Another field:
  ``energy=FIELD``; units that the data key does not have, or has wrong: ``energy_units=eV``. A run
  without such a field is an error.
- ``Element.symbol`` and ``Element.edge`` are required: from ``element=Cu edge=K``, or from the start
  document: ``XDI`` (``{"Element": {"symbol": "Cu", "edge": "K"}, "Mono": {"d_spacing": 3.1356}}``),
  ``Element.symbol``, ``element``, ``edge``. Without them the run is an error; nothing is guessed.
  ``Mono.d_spacing``, in Å, is recommended: where it is not known, a notice says so.
- All other fields of the entry ``XDI`` are written as they are; ``Scan.start_time`` and
  ``Scan.end_time`` are the run's. Every entry of the start document is an extension field
  ``Bluesky.<key>`` with JSON as its value, the stop document is ``Bluesky.stop``; lines of more than
  2,048 characters are left out, with a notice.
- Columns: energy, ``elapsed_time`` (seconds since the start), all other fields, the detectors last.
  ``i0=FIELD``, ``itrans=FIELD``, ``ifluor=FIELD``, ``irefer=FIELD`` give columns the names that XDI has for
  them. Units are behind the name (``# Column.1: energy eV``).
- Numbers are written with the fewest digits that read back to the same bits, booleans as 1 and 0. XDI has
  finite numbers only: a field with anything else in any event is left out with a notice, as are text,
  arrays and fields in detector files. An energy that is not finite is an error.
- One file has one spectrum: the first stream that has an energy, ``primary`` before others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import numpy as np

from ..documents.columns import Packed
from ..documents.fields import fields_of, is_external
from ..documents.layout import Order
from ..documents.tables import Table
from ..errors import NoData, NotFaithful
from ..outputs import Output, own_version, stamp
from ._cells import number_texts
from ._fidelity import converted, fidelity, left_out, never_in
from ._tables import TablesWriter
from ._xdi_header import EDGES, SYMBOLS, Fields, bluesky_lines, d_spacing, field_line

_UNITS = {"ev": "eV", "kev": "keV"}
_LABELS = ("i0", "itrans", "ifluor", "irefer")
_NUMBERS = left_out("csv, parquet, hdf5, nexus, if not every event has a finite number")
_OTHER = left_out("csv, parquet, hdf5, nexus")

_T = TypeVar("_T")
FieldName = Annotated[str | None, "the field with this intensity"]


class XDIWriter(TablesWriter):
    """Write a spectrum as an XDI file."""

    name = "xdi"
    suffix = ".xdi"
    reads_timestamps = False
    how_to_open = ("Athena, Larch, or in Python: numpy.loadtxt('….xdi')",)
    summary = "one absorption spectrum (XAS Data Interchange 1.0), for Athena and Larch"
    holds = frozenset({"metadata"})
    fidelity = fidelity(
        {
            "start": converted("a `Bluesky.` line for each entry, if it has no more than 2,048 characters"),
            "stop": converted("the line `Bluesky.stop`, if it has no more than 2,048 characters"),
            "configuration": never_in("json, jsonl, hdf5, nexus"),
            "streams": left_out("every other format"),
            "no-events": left_out("json, jsonl, hdf5, nexus"),
            "new-field": _NUMBERS,
            "event-time": converted("seconds since the start, exactly; the start in full"),
            "seq_num": never_in("parquet, json, hdf5, nexus"),
            "event-uid": never_in("parquet, jsonl, hdf5, nexus"),
            "timestamps": never_in("parquet, json, hdf5, nexus"),
            "nan": _NUMBERS,
            "boolean": converted("1 and 0"),
            "narrow": converted("the same number; its dtype is not kept"),
            "complex": _OTHER,
            "int-float": converted("floats if each integer is one exactly, else left out"),
            "none": _NUMBERS,
            "text": _OTHER,
            "line-breaks": _OTHER,
            "surrogates": _OTHER,
            "formula": _OTHER,
            "mixed": _OTHER,
            "array": left_out("parquet, json, hdf5, nexus"),
            "ragged": left_out("parquet, json, hdf5, nexus"),
            "text-array": left_out("parquet, json, hdf5, nexus"),
            "external": left_out("hdf5, nexus"),
            "unreadable": left_out("the documents that name the files: json, jsonl"),
            "field-name": converted("one word of ASCII; a notice says which"),
            "own-name": converted("`_2` is added to the field's name, with a notice"),
            "metadata-other": converted("as in json"),
            "metadata-size": left_out("lines over 2,048 characters; every other format"),
        }
    )

    def __init__(
        self,
        output: Output,
        *,
        element: Annotated[str | None, "Element.symbol, as Cu"] = None,
        edge: Annotated[str | None, "Element.edge, as K or L3"] = None,
        d_spacing: Annotated[float | None, "Mono.d_spacing in Å"] = None,
        energy: Annotated[str | None, "the field with the energy"] = None,
        energy_units: Annotated[Literal["eV", "keV"] | None, "its units, if not declared"] = None,
        i0: FieldName = None,
        itrans: FieldName = None,
        ifluor: FieldName = None,
        irefer: FieldName = None,
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        self._element, self._edge, self._d_spacing = element, edge, d_spacing
        self._energy, self._energy_units = energy, energy_units
        given = zip(_LABELS, (i0, itrans, ifluor, irefer), strict=True)
        self._labels = {field: label for label, field in given if field is not None}

    def finish(self) -> None:
        """Write the file."""
        run = self.run_in_words
        fields = Fields(self.start_doc, self.notice)
        missing: list[str] = []  # all of it is told at once
        axis = _found(self._axis, missing)
        symbol = _found(lambda: fields.required("symbol", self._element, SYMBOLS, "element=Cu"), missing)
        edge = _found(lambda: fields.required("edge", self._edge, EDGES, "edge=K"), missing)
        if axis is None or symbol is None or edge is None:
            raise NoData(f"{run}: xdi needs {'. It needs '.join(missing)}")
        table, field, units = axis
        spacing = d_spacing(fields, self._d_spacing, self.notice)
        columns = self._columns(table, field, units)
        header = [self._version_line()]
        for number, (label, unit, _) in enumerate(columns, 1):
            header.append(field_line(f"Column.{number}", f"{label} {unit}".rstrip()))
        header += [field_line("Element.symbol", symbol), field_line("Element.edge", edge)]
        if spacing is not None:
            header.append(field_line("Mono.d_spacing", spacing))
        known = ("element", "symbol"), ("element", "edge"), ("mono", "d_spacing")
        header += [field_line(*line) for line in fields.lines(*known)]
        header += self._run_lines(fields)
        header += ["# ///", "# ---", "# " + " ".join(label for label, _, _ in columns)]
        with self.output.part().open("w", encoding="utf-8", newline="\n") as file:
            file.write("\n".join(header) + "\n")
            for row in zip(*(texts for _, _, texts in columns), strict=True):
                file.write(" ".join(row) + "\n")
        for stream in self._tables:
            if stream != table.name:
                self.notice(f"left out stream {stream}: an XDI file is one spectrum; --stream chooses")

    def _version_line(self) -> str:
        """Return the first line; applications are spelled as the namespaces of their fields."""
        measured = self.start_doc.get("versions")
        version = measured.get("bluesky") if isinstance(measured, dict) else None
        known = isinstance(version, str) and re.fullmatch(r"[!-~]+", version)
        return f"# XDI/1.0 {f'Bluesky/{version}' if known else 'Bluesky'} bluesky-export/{own_version()}"

    def _run_lines(self, fields: Fields) -> list[str]:
        lines = []
        sample = self.start_doc.get("sample_name", self.start_doc.get("sample"))
        if isinstance(sample, dict):
            sample = sample.get("name")
        if isinstance(sample, str) and ("sample", "name") not in fields.found:
            lines.append(field_line("Sample.name", sample))
        for name, doc in (("start", self.start_doc), ("end", self.stop_doc or {})):
            if isinstance(time := doc.get("time"), (int, float)):
                lines.append(field_line(f"Scan.{name}_time", stamp(time).isoformat()))
        lines += bluesky_lines(self.start_doc, self.notice)
        ours = {"exit_status": self.status}
        if self.stop_doc is not None:
            ours["stop"] = dict(self.stop_doc)  # type: ignore[assignment]
        return [*lines, *bluesky_lines(ours, self.notice)]

    # -- the energy ------------------------------------------------------------------------

    def _axis(self) -> tuple[Table, str, str]:
        """Return the stream, the field and the units of the energy.

        Raises
        ------
        NoData
            There is none, or more than one.
        """
        without: list[str] = []
        for table in sorted(self._tables.values(), key=lambda table: table.name != "primary"):
            if not table.rows:
                continue
            motors = fields_of(self.start_doc, table.descriptors[0]).motors
            if self._energy is not None:
                found = [self._energy] if self._energy in table.fields else []
            else:
                found = [field for field in motors if self._units_of(table, field) is not None]
            if len(found) > 1:
                raise NoData(
                    f"one energy, and {', '.join(found)} are scanned; choose one: "
                    f"--option energy={found[0]}"
                )
            if found and (units := self._energy_units or self._units_of(table, found[0])) is not None:
                return table, found[0], units
            if found:
                without.append(
                    f"{found[0]} has units {table.data_key(found[0]).get('units')!r}: "
                    "--option energy_units=eV (or keV)"
                )
        if without:
            raise NoData(f"an energy in eV or keV; {without[0]}")
        named = ", ".join(sorted({field for table in self._tables.values() for field in table.fields})[:20])
        raise NoData(
            f"an energy, and no scanned motor has units eV or keV; name the field: "
            f"--option energy=FIELD --option energy_units=eV (fields: {named or 'none'})"
        )

    def _units_of(self, table: Table, field: str) -> str | None:
        units = table.data_key(field).get("units")
        return _UNITS.get(units.lower()) if isinstance(units, str) else None

    # -- columns ---------------------------------------------------------------------------

    def _columns(self, table: Table, energy: str, units: str) -> list[tuple[str, str, list[str]]]:
        """Return label, units and the texts of the numbers of each column."""
        unknown = self._labels.keys() - set(table.fields)
        if unknown:
            raise NoData(f"xdi: stream {table.name} has no field {', '.join(sorted(unknown))}")
        if len(said := table.units(energy)) > 1:
            raise NotFaithful(
                f"xdi: the units of {table.name}.{energy} change within the stream, from {said[0]!r} to "
                f"{said[1]!r}; csv, nexus and spec hold them"
            )
        packed = table.values(energy)
        texts = None if packed is None or is_external(table.data_key(energy)) else _finite(packed)
        if texts is None:
            raise NotFaithful(f"xdi: {table.name}.{energy} is not a finite number in every event")
        times = table.time.values - float(self.start_doc["time"])  # exact: the two are near each other
        if not (times.dtype == np.float64 and np.isfinite(times).all()):
            raise NotFaithful(f"xdi: the times of stream {table.name} are no finite numbers")
        columns = [("energy", units, texts), ("elapsed_time", "seconds", list(number_texts(times)))]
        taken = {"energy", "elapsed_time", *self._labels.values()}
        order = Order.of(self.start_doc, table)
        for field in (*order.before, *order.after):
            if field == energy:
                continue
            packed = None if is_external(table.data_key(field)) else table.values(field)
            texts = None if packed is None else _finite(packed)
            if texts is None:
                self.notice(
                    f"left out {table.name}.{field}: not a finite number in every event; csv, parquet and "
                    "hdf5 hold it (detector files: hdf5, nexus)"
                )
                continue
            label = self._label(table, field, taken)
            unit = table.data_key(field).get("units")
            columns.append((label, unit if isinstance(unit, str) else "", texts))
        return columns

    def _label(self, table: Table, field: str, taken: set[str]) -> str:
        if field in self._labels:
            return self._labels[field]
        word = re.sub(r"[^!-~]+", "_", field).lstrip("#") or "_"
        label, number = word, 1
        while label.lower() in taken:
            number += 1
            label = f"{word}_{number}"
        taken.add(label.lower())
        if label != field:
            self.notice(f"{table.name}: field {field!r} is column {label}")
        return label


def _found(find: Callable[[], _T], missing: list[str]) -> _T | None:
    """Return what is found; or None, with the reason added to what is missing."""
    try:
        return find()
    except NoData as error:
        missing.append(str(error))
        return None


def _finite(packed: Packed) -> list[str] | None:
    """Return a column's numbers as texts; None if XDI has no way to write each of them."""
    if packed.kind != "array" or len(packed.nulls):
        return None
    values = packed.values
    if values.ndim != 1 or values.dtype.kind not in "biuf" or values.dtype.itemsize > 8:
        return None
    if values.dtype.kind == "b":
        values = values.astype(np.int8)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)  # exact; the text is that of the double
        if not np.isfinite(values).all():
            return None
    return list(number_texts(values))
