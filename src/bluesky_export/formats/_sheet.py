"""Cells of a workbook: what Excel can hold, and what becomes of the rest.

Limits: Microsoft, "Excel specifications and limits". Through XlsxWriter, whose files are compared with
Excel's own; where it would change a value (it writes 16 digits, and takes text that begins with ``<r>``
for markup), it is kept from that here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from ..documents import jsontext
from ..documents.columns import Packed

ROWS = 1_048_576
COLUMNS = 16_384
CHARACTERS = 32_767
"""UTF-16 units of a cell's text."""
LARGEST_INTEGER = 2**53
_SMALLEST, _LARGEST = 2.2250738585072014e-308, 9.99999999999999e307
# What XML does not have; and where two _xHHHH_ share an underscore, which XlsxWriter escapes wrongly.
_UNWRITABLE = re.compile("[\x00\ufffe\uffff\ud800-\udfff]|_(?=x[0-9A-Fa-f]{4}_x[0-9A-Fa-f]{4}_)")
_BLOCK = 4096

Notice = Callable[[str], None]


class _Exact(float):
    """A number that is written with all the digits that tell it from its neighbours."""

    def __format__(self, spec: str) -> str:
        return repr(float(self))


class Abandonable:
    """An open file that takes everything and writes nothing once it is given up.

    A ZipFile that was not closed writes its directory when it is collected, into whatever is there.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file: IO[bytes] | None = file
        self._at = 0

    def abandon(self) -> None:
        """Write nothing more."""
        self._file = None

    def write(self, data: bytes) -> int:
        """Write, or do as if."""
        if self._file is not None:
            self._file.write(data)
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, or do as if."""
        self._at = offset if self._file is None else self._file.seek(offset, whence)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        if self._file is not None:
            self._file.flush()


class TooLong(ValueError):
    """A text has more characters than a cell takes."""


def fits(text: str) -> bool:
    """Say whether a cell takes a text as it is."""
    return not _UNWRITABLE.search(text) and _units(text) <= CHARACTERS


def _units(text: str) -> int:
    if len(text) * 2 <= CHARACTERS:
        return len(text)
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def escaped(text: str) -> str:
    """Return a text with what XML does not have as Python's escapes."""
    return _UNWRITABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return r"\x5f" if match.group() == "_" else ascii(match.group())[1:-1]


def put_text(sheet: Any, row: int, column: int, text: str, style: Any = None) -> None:
    """Write a text, which is never a formula, a link or markup.

    Raises
    ------
    TooLong
        The cell would not hold all of it.
    """
    if _units(text) > CHARACTERS:
        raise TooLong(text[:40])
    if text.startswith("<r>") and text.endswith("</r>"):  # XlsxWriter would take it for its own markup
        sheet.write_rich_string(row, column, text[:1], text[1:2], text[2:])
    else:
        sheet.write_string(row, column, text, style)


def put(sheet: Any, row: int, column: int, value: Any, style: Any = None) -> str | None:
    """Write a value into a cell; return what it had to be written as, if not as it is.

    Raises
    ------
    TooLong
        It is a text, and longer than a cell.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            put_text(sheet, row, column, str(value))
            return "integers beyond 2⁵³ are text: Excel's numbers do not hold them"
        sheet.write_number(row, column, value, style)
    elif isinstance(value, float):
        if not math.isfinite(value) or (value and not _SMALLEST <= abs(value) <= _LARGEST):
            put_text(sheet, row, column, repr(value))
        else:
            sheet.write_number(row, column, _Exact(value), style)
    elif isinstance(value, str):
        text = escaped(value)
        put_text(sheet, row, column, text)
        return None if text == value else "characters that no workbook holds are escaped"
    elif isinstance(value, complex):
        put_text(sheet, row, column, repr(value))
    elif isinstance(value, np.longdouble):
        put_text(sheet, row, column, np.format_float_scientific(value))
    else:
        put_text(sheet, row, column, escaped(jsontext.dumps(value)))
        return "dictionaries and lists are written as JSON text"
    return None


def cells(packed: Packed) -> Iterator[Any]:
    """Yield a column's values as Python objects, None for nulls."""
    if packed.kind != "array":
        yield from packed.rows()
        return
    nulls = set(packed.nulls.tolist())
    for first in range(0, len(packed), _BLOCK):
        for row, value in enumerate(packed.values[first : first + _BLOCK].tolist(), first):
            yield None if row in nulls else value


def is_single(packed: Packed) -> bool:
    """Say whether each row holds one value, for one cell."""
    return packed.kind in ("text", "mixed") or (packed.shapes is None and packed.values.ndim == 1)


_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")


class SheetNames:
    """Names for sheets: at most 31 characters, no two alike, whatever the streams are called."""

    def __init__(self, *ours: str) -> None:
        self._taken = {"history", *ours}

    def of(self, stream: str) -> str:
        """Return the name for a stream's sheet."""
        plain = _FORBIDDEN.sub("_", "".join(c if c.isprintable() else "_" for c in stream)).strip("' ")
        name, number = _cut(plain or "_", 31), 1
        while name.lower() in self._taken:
            number += 1
            ending = f" ({number})"
            name = _cut(plain or "_", 31 - len(ending)) + ending
        self._taken.add(name.lower())
        return name


def _cut(text: str, units: int) -> str:
    while _units(text) > units or len(text.encode("utf-16-le")) // 2 > units:
        text = text[:-1]
    return text.rstrip("' ") or "_"
