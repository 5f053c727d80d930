"""One scan of a SPEC file: which fields are columns, the header lines, the rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from apstools.utils.descriptor_support import get_stream_data_map

from ..documents.fields import is_array, is_external
from ..documents.floats import Floats, as_floats, row_texts
from ..documents.pages import Document, page_length
from ._spec_text import (
    LINE_LIMIT,
    MAX_COLUMNS,
    cells,
    fits,
    is_nan,
    is_number,
    key_text,
    label_texts,
    loses_digits,
    value_text,
)

Notice = Callable[[str], None]
TIME_LABELS = ("Epoch", "Epoch_float")
ELSEWHERE = "hdf5, nexus and json hold it"


@dataclass
class Columns:
    """What a scan's table has.

    Attributes
    ----------
    fields : list of str or None
        The field of each column, in order; None stands for our own ``Epoch``, ``Epoch_float``.
    labels : list of str
        The label of each column.
    texts : list of str
        Fields that go into ``#U`` lines.
    left_out : set of str
        Fields that are nowhere in the file; the user was told.
    """

    fields: list[str | None] = field(default_factory=lambda: [None, None])
    labels: list[str] = field(default_factory=lambda: list(TIME_LABELS))
    texts: list[str] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)


def kind_of(data_key: Document, values: Any) -> str:
    """Say where a field goes: ``number`` (a column), ``text`` (``#U`` lines) or ``left out``.

    The first value decides, so that a wrong declaration does no harm; where there is none, or it
    is None, the declaration does.
    """
    if is_external(data_key):
        return "external"
    first = values[0] if values is not None and len(values) else None
    if first is None:
        if is_array(data_key) and math.prod(_sizes(data_key)) != 1:
            return "array"
        return "number" if data_key.get("dtype") in ("number", "integer", "boolean", "array") else "text"
    if is_number(first):
        return "number"
    return "array" if isinstance(first, (np.ndarray, list, tuple)) else "text"


def _sizes(data_key: Document) -> list[int]:
    return [size if isinstance(size, int) else 0 for size in data_key.get("shape") or [0]]


def column_order(
    detectors: list[str], motors: list[str], descriptor: Document
) -> tuple[list[str], list[str]]:
    """Return the fields before and after the time columns, in the order that apstools gives them."""
    hints = {
        name: {"fields": list((hint or {}).get("fields") or [])}
        for name, hint in (descriptor.get("hints") or {}).items()
    }
    devices = dict(descriptor.get("object_keys") or {})
    found = get_stream_data_map(detectors, motors, {**descriptor, "hints": hints, "object_keys": devices})
    # The first detector is taken for the most important one: last, as SPEC has it.
    return found["motors"], found["unassigned"] + found["detectors"][1:] + found["detectors"][:1]


def text_names(value: Any) -> list[str]:
    """Return the names in a list of the start document; nothing if it is no list."""
    return [name for name in value if isinstance(name, str)] if isinstance(value, (list, tuple)) else []


def choose_columns(
    order: tuple[Iterable[str], Iterable[str]], descriptor: Document, page: Document | None, notice: Notice
) -> Columns:
    """Return the columns for a stream.

    Parameters
    ----------
    order : tuple of two iterables of str
        Fields before and after ``Epoch``, ``Epoch_float``.
    descriptor : Mapping
        The stream's descriptor.
    page : Mapping or None
        The stream's first events.
    notice : callable
        Is told what is left out.
    """
    data_keys, data = descriptor["data_keys"], (page or {}).get("data") or {}
    kinds = {name: kind_of(key, data.get(name)) for name, key in data_keys.items()}
    columns = Columns(texts=[name for name, kind in kinds.items() if kind == "text"])
    before, after = ([name for name in names if kinds.get(name) == "number"] for names in order)
    for kind, what in (
        ("array", f"an array in each event; {ELSEWHERE}"),
        ("external", "kept in detector files; hdf5 and nexus hold it"),
    ):
        for name in (name for name in kinds if kinds[name] == kind):
            columns.left_out.add(name)
            notice(f"field {name!r} is left out: it is {what}")
    _cut(before, after, columns, notice)
    names = [*before, *after]
    labels = label_texts(names, reserved=TIME_LABELS)
    for name, label in zip(names, labels, strict=True):
        if name != label:
            notice(f"field {name!r} is labelled {label!r}")
    at = len(before)
    columns.fields = [*before, None, None, *after]
    columns.labels = [*labels[:at], *TIME_LABELS, *labels[at:]]
    return columns


def _cut(before: list[str], after: list[str], columns: Columns, notice: Notice) -> None:
    """Leave out of the middle what readers cannot take: motors and the main detector stay."""
    dropped = []
    while len(before) + len(after) > MAX_COLUMNS - len(TIME_LABELS):
        dropped.append((after or before).pop(0))
    while not fits(_label_line(before, after)):
        dropped.append((after or before).pop(0))
    if dropped:
        columns.left_out.update(dropped)
        named = ", ".join(dropped[:5]) + (", …" if len(dropped) > 5 else "")
        notice(
            f"{len(dropped)} fields are left out ({named}): SPEC's readers take {MAX_COLUMNS} columns "
            f"and lines of {LINE_LIMIT} bytes; {ELSEWHERE}"
        )


def _label_line(before: list[str], after: list[str]) -> str:
    return "#L " + "  ".join([*TIME_LABELS, *label_texts([*before, *after], reserved=TIME_LABELS)])


class Rows:
    """Turn event pages into the lines of a scan's table.

    Parameters
    ----------
    columns : Columns
        What the table has.
    start_time : float
        ``Epoch`` and ``Epoch_float`` are seconds since then.
    missing : {"1e999", "nan"}
        The cell of a NaN, or of what is no number.
    notice : callable
        Is told what was converted.
    """

    def __init__(self, columns: Columns, start_time: float, missing: str, notice: Notice) -> None:
        self.columns = columns
        self.start_time = start_time
        self.missing = missing
        self.notice = notice
        self.count = 0

    def lines(self, page: Document) -> list[str]:
        """Return the lines of a page: a row an event, each with its ``#U`` lines behind it."""
        count = page_length(page)
        data: Mapping[str, Any] = page["data"]
        remarks: dict[int, list[str]] = {}
        columns: list[Floats | list[str]] = []
        times = iter(self._times(page))
        for name in self.columns.fields:
            if name is None:
                columns.append(next(times))
            elif name not in data:
                self.notice(f"field {name!r} is missing in some events: {self._marked}")
                columns.append([self.missing] * count)
            else:
                columns.append(self._column(name, data[name], remarks))
        for name in data:
            if name in self.columns.texts:
                for row, value in enumerate(data[name]):
                    self._remark(remarks, row, name, value)
            elif name not in self.columns.left_out and name not in self.columns.fields:
                self.notice(f"field {name!r} is left out: it is not in the stream's first descriptor")
        rows = row_texts(columns, " ")
        self.count += count
        return list(_woven(rows, remarks)) if remarks else rows

    @property
    def _marked(self) -> str:
        return f"marked with {self.missing} there"

    def _times(self, page: Document) -> tuple[list[str], Floats | list[str]]:
        elapsed = np.asarray(page["time"], np.float64) - self.start_time
        rounded = list(map(str, np.rint(np.nan_to_num(elapsed)).astype(np.int64).tolist()))
        if as_floats(elapsed) is not None:
            return rounded, elapsed
        exact, odd = cells(elapsed)
        for row in odd:  # a store may not know when events were
            exact[row] = rounded[row] = self.missing
            self.notice(f"some events have no time: Epoch and Epoch_float are {self.missing} there")
        return rounded, exact

    def _column(self, name: str, values: Any, remarks: dict[int, list[str]]) -> Floats | list[str]:
        floats = as_floats(values)
        if floats is not None:
            return floats
        texts, odd = cells(values)
        if loses_digits(values):
            self.notice(
                f"field {name!r} has integers beyond 2**53: written in full, but readers round them"
            )
        for row, value in odd.items():
            texts[row] = self.missing
            if not is_nan(value):
                self.notice(
                    f"field {name!r} is not always a number: {self._marked}, its value in a #U line"
                )
                self._remark(remarks, row, name, value)
            elif self.missing != "nan":
                self.notice(
                    f"field {name!r} has NaN, which silx and PyMca read as 0: {self._marked} "
                    "(it reads as infinity), NaN in a #U line"
                )
                self._remark(remarks, row, name, value)
            else:
                self.notice(f"field {name!r} has NaN: written as nan, which silx and PyMca read as 0")
        return texts

    def _remark(self, remarks: dict[int, list[str]], row: int, name: str, value: Any) -> None:
        if isinstance(value, np.longdouble):
            value = str(value)
        try:
            line = f"#U row {self.count + row + 1}: {key_text(name)} = {value_text(value)}"
        except RecursionError:
            line = ""
        if line and fits(line):
            remarks.setdefault(row, []).append(line)
        else:
            self.notice(f"field {name!r}: values too long for a line are left out; {ELSEWHERE}")


def _woven(rows: list[str], remarks: Mapping[int, list[str]]) -> Iterator[str]:
    for row, line in enumerate(rows):
        yield line
        yield from remarks.get(row, ())
