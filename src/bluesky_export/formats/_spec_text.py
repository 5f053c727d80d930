"""What may stand in a line of a SPEC file, and how everything else is written.

The limits and rules are those of three readers: spec2nexus, silx and PyMca. silx dies on a line
longer than about 10,600 bytes; silx and PyMca take 511 columns and labels of 255 bytes; silx
wants ASCII in labels; spec2nexus joins a line that ends in a backslash with the next one and
breaks lines wherever :meth:`str.splitlines` does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson

from ..documents import jsontext
from ..outputs import stamp

LINE_LIMIT = 8000
"""Bytes of one line."""
MAX_COLUMNS = 500
MAX_MOTORS = 512
LABEL_LIMIT = 200

_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_TROUBLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_IN_KEY = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\\s=%]")
_NAMES = {"None": None, "True": True, "False": False}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def spec_date(epoch: float) -> str:
    """Return the local time as SPEC writes it, in English whatever the locale is."""
    when = stamp(epoch)
    return f"{_DAYS[when.weekday()]} {_MONTHS[when.month - 1]} {when:%d %H:%M:%S} {when.year:04d}"


def _text(value: Any) -> str:
    return str.__str__(value) if isinstance(value, str) else str(value)  # an enumeration's value


def one_line(text: Any) -> str:
    r"""Return text that stays on its line: control characters as ``\n``, ``\x0c``, ``\u2028``."""

    def escape(match: re.Match[str]) -> str:
        char = match[0]
        code = ord(char)
        return _SHORT.get(char) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")

    line = _TROUBLE.sub(escape, _text(text))
    return line[:-1] + "\\x5c" if line.endswith("\\") else line


def fits(line: str) -> bool:
    """Say whether every reader takes a line of this length."""
    return len(line) <= LINE_LIMIT and len(line.encode(errors="backslashreplace")) <= LINE_LIMIT


def key_text(key: Any) -> str:
    """Return a key without blanks, ``=`` or control characters, those as ``%20`` in URLs.

    ``urllib.parse.unquote`` gives the key back. The empty key is ``%``.
    """

    def quote(match: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))

    return _IN_KEY.sub(quote, _text(key)) or "%"


def value_text(value: Any) -> str:
    """Return any value on one line; :func:`parse_value` gives it back.

    Text stands as it is unless it would read as something else or would not survive; then it
    stands in JSON's quotes. None, booleans and numbers are Python's, all the rest is JSON as
    :mod:`~bluesky_export.documents.jsontext` makes it, with Python's NaN and Infinity.
    """
    value = jsontext.encode(value, numbers="python")
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        kept = value and value == value.strip() and not value.endswith("\\") and not _TROUBLE.search(value)
        return value if kept and parse_value(value) == value and not _reads(value) else _json(value)
    return _json(value)


def parse_value(text: str) -> Any:
    """Return the value that :func:`value_text` wrote."""
    if text in _NAMES:
        return _NAMES[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _reads(text: str) -> bool:
    """Say whether text reads as something other than text."""
    return not isinstance(parse_value(text), str) or text.startswith('"')


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    # json escapes the controls below 0x20; what is left stands inside quotes, where \u is legal
    return _TROUBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def label_texts(names: Iterable[str], reserved: Iterable[str] = ()) -> list[str]:
    """Return labels for names: ASCII, one blank between words, no two equal.

    A name that is a good label stays as it is, whatever the others become. Two are equal also if they
    are so with ``%`` for ``/``: as HDF5, silx calls both the same and shows one column of the two.
    """
    names = list(names)
    texts = list(map(_label_text, names))
    taken = set(map(_in_silx, reserved))
    good = []
    for name, text in zip(names, texts, strict=True):
        good.append(text == name and _in_silx(text) not in taken)
        if good[-1]:
            taken.add(_in_silx(text))
    labels = []
    for text, kept in zip(texts, good, strict=True):
        label, number = text, 1
        while not kept and _in_silx(label) in taken:
            number += 1
            label = f"{text}_{number}"
        taken.add(_in_silx(label))
        labels.append(label)
    return labels


def _in_silx(label: str) -> str:
    return label.replace("/", "%")


def _label_text(name: str) -> str:
    text = one_line(name).encode("ascii", "backslashreplace").decode()
    text = re.sub(r"\s+", " ", text).strip()
    return ("_" + text if text.startswith("#") else text)[:LABEL_LIMIT].strip() or "_"


# -- cells -------------------------------------------------------------------------------------

_WIDE = 2**53
_TOO_LONG = 10**100  # silx and PyMca take cells of 115 characters
_INFINITE = {True: "1e999", False: "-1e999"}
_ODD = ""
"""The text of a cell that no number was found for."""


def is_number(value: Any) -> bool:
    """Say whether a value goes into a cell: a real number, alone or the only one of an array."""
    return cell_text(value) is not _ODD or isinstance(value, (float, np.floating))


def is_nan(value: Any) -> bool:
    """Say whether a value is NaN, alone or the only one of an array."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        (value,) = value
    return isinstance(value, (float, np.floating)) and bool(np.isnan(value))


def cell_text(value: Any) -> str:
    """Return a number as readers take it, bit for bit; the empty text for anything else.

    Infinities are written as ``1e999``: silx and PyMca read ``inf`` as 0. There is no text that
    they read as NaN.
    """
    if isinstance(value, (bool, np.bool_)):
        return "1" if value else "0"
    if isinstance(value, (int, np.integer)):
        return str(int(value)) if abs(int(value)) < _TOO_LONG else _ODD
    if isinstance(value, (float, np.floating)):
        number = float(value)  # unequal: NaN, or a longdouble with more digits
        if math.isinf(number):
            return _INFINITE[number > 0] if np.isinf(value) else _ODD
        return orjson.dumps(number).decode() if number == value else _ODD
    if isinstance(value, np.ndarray) and value.size == 1:
        return cell_text(value.reshape(-1)[0])
    if isinstance(value, (list, tuple)) and len(value) == 1:
        return cell_text(value[0])
    return _ODD


def cells(column: Any) -> tuple[list[str], dict[int, Any]]:
    """Return the cells of a column, and by row the values that are no numbers (their cell is "")."""
    if isinstance(column, np.ndarray):
        if column.ndim > 1 and column.size == len(column):
            column = column.reshape(-1)
        if column.ndim == 1 and column.dtype.kind in "iu":
            return list(map(str, column.tolist())), {}
        floats = column.ndim == 1 and column.dtype.kind == "f" and column.dtype.itemsize <= 8
        if floats and (texts := _float_texts(np.ascontiguousarray(column, np.float64))):
            return texts, {}
    elif set(map(type, column)) == {float} and (texts := _float_texts(column)):
        return texts, {}
    texts = [cell_text(value) for value in column]
    odd = {row: column[row] for row, text in enumerate(texts) if text is _ODD}
    return texts, odd


def _float_texts(values: Any) -> list[str]:
    """Return the shortest texts that read back bit for bit; nothing if a value is not finite.

    orjson writes what ``repr`` does, but for ``1e-7`` in place of ``1e-07``, ten times as fast.
    """
    text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
    return [] if b"n" in text or len(text) < 3 else text[1:-1].decode().split(",")


def loses_digits(column: Any) -> bool:
    """Say whether some integer of a column is not what a 64-bit float makes of it."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "fb":
        return False
    return any(
        isinstance(value, (int, np.integer))
        and _WIDE < abs(int(value)) < _TOO_LONG
        and int(float(value)) != int(value)
        for value in (column.tolist() if isinstance(column, np.ndarray) else column)
        if type(value) is not float
    )
