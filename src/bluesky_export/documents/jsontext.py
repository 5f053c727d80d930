r"""Any value of a document as strictly valid JSON text, and back.

JSON has no NaN, infinities, bytes, dates or complex numbers. They are written as MongoDB's
Extended JSON (v2) writes them, so that nothing is confused with text that reads the same:

=====================  =============================================
NaN, inf, -inf         ``{"$numberDouble": "NaN"}``, ``"Infinity"``, ``"-Infinity"``
bytes                  ``{"$binary": {"base64": "…", "subType": "00"}}``
dates and times        ``{"$date": "<ISO 8601>"}``
complex (our own)      ``{"$complex": [real, imaginary]}``
anything else          ``{"$repr": "<what Python prints>"}``, and said through ``notice``
=====================  =============================================

A dict that reads like one of these itself is wrapped: ``{"$literal": {…}}``. Arrays, tuples and
sets become lists. NUL and lone surrogates are ``\u`` escapes, so the text goes into any file. A high
surrogate right before a low one is not lone: JSON (RFC 8259, section 7) and UTF-16 have it as the one
character that the two are, and so it is read; that is said through ``notice``.

Where a reader knows already that a value is a number, NaN and the infinities may be written in
another way: ``numbers="named"`` gives the texts ``"NaN"``, ``"Infinity"``, ``"-Infinity"`` (which
``float`` takes); ``numbers="python"`` gives the tokens that Python's json writes and reads, which no
strict reader takes, and wraps nothing.
"""

from __future__ import annotations

import base64
import datetime
import json
import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

import numpy as np
import orjson

Notice = Callable[[str], None]
Numbers = Literal["exact", "named", "python"]

_OURS = {"$numberDouble", "$binary", "$date", "$complex", "$repr", "$literal"}
_TEXT = frozenset((str,))
_SAME = frozenset((str, int, bool, type(None)))
"""Exact types whose values JSON has as they are."""
_SAME_IN_PYTHON = _SAME | {float}
_BREAK = re.compile("\n( *)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def dumps(
    value: Any, *, notice: Notice | None = None, indent: int | None = None, numbers: Numbers = "exact"
) -> str:
    """Return a value as JSON text by the rules of this module: strictly valid, unless ``python``."""
    plain = encode(value, notice, numbers)
    if indent and numbers != "python":
        with suppress(TypeError):  # orjson's own error is one: beyond 64 bits, lone surrogates, very deep
            return _indented(plain, indent)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=numbers == "python", indent=indent)
    return _valid(text, notice)


def _indented(plain: Any, indent: int) -> str:
    """Return the same lines as Python's json, many times as fast; ``1e-7`` for ``1e-07``."""
    text = orjson.dumps(plain, option=orjson.OPT_INDENT_2).decode()
    if indent == 2:
        return text
    # A text in JSON has no line break of its own: what follows one is the indentation.
    return _BREAK.sub(lambda match: "\n" + " " * (len(match[1]) // 2 * indent), text)


def line(value: Any, *, notice: Notice | None = None) -> bytes:
    """Return a value as one line, with the tokens of ``numbers="python"``.

    It is ASCII, as suitcase-jsonl's: databroker looks for the last line from any byte on, and fails in
    the middle of a character. orjson writes numbers many times as fast as Python does. It has no NaN,
    but writes ``null``; takes no whole number beyond 64 bits and no lone surrogate; and escapes no
    character beyond ASCII: those lines are Python's.
    """
    plain = encode(value, notice, "python")
    try:
        text = orjson.dumps(plain)
    except TypeError:  # orjson's own error is one
        text = b"null"
        _tell_pairs(json.dumps(plain, ensure_ascii=False), notice)
    if b"null" not in text and text.isascii():
        return text + b"\n"
    return json.dumps(plain, separators=(",", ":")).encode() + b"\n"


def _valid(text: str, notice: Notice | None = None) -> str:
    """Return JSON text that goes into any file."""
    if text.isascii():
        return text
    _tell_pairs(text, notice)
    # Outside of strings JSON is ASCII, so a surrogate found here is inside of one.
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _tell_pairs(text: str, notice: Notice | None) -> None:
    if notice is not None and _PAIR.search(text):
        notice(
            "two surrogates in a row are one character in JSON: that text is read back with the character"
        )


def loads(text: str | bytes) -> Any:
    """Return the value of a text made by :func:`dumps`."""
    return _decode(json.loads(text))


def encode(value: Any, notice: Notice | None = None, numbers: Numbers = "exact") -> Any:
    """Return a value as plain JSON types by the rules of this module."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else _special(value, numbers)
    if kind is dict and _TEXT.issuperset(map(type, value)):
        kinds = set(map(type, value.values()))
        if kinds <= _SAME or (numbers == "python" and kinds <= _SAME_IN_PYTHON):  # most data of events
            wrap = numbers != "python" and reads_as_ours(value)
            return {"$literal": dict(value)} if wrap else dict(value)
    if isinstance(value, Mapping):
        plain = {_key(key): encode(item, notice, numbers) for key, item in value.items()}
        if len(plain) < len(value):
            plain = _all_items(value, notice, numbers)
        wrap = numbers != "python" and reads_as_ours(plain)
        return {"$literal": plain} if wrap else plain
    if isinstance(value, (list, tuple)):
        return [encode(item, notice, numbers) for item in value]
    if isinstance(value, (set, frozenset)):
        return [encode(item, notice, numbers) for item in sorted(value, key=repr)]
    return _other(value, notice, numbers)


def reads_as_ours(value: Mapping[Any, Any]) -> bool:
    """Say whether a dict reads like a value of this module, so that it has to be wrapped."""
    return len(value) == 1 and bool(value.keys() & _OURS)


def _other(value: Any, notice: Notice | None, numbers: Numbers) -> Any:
    if isinstance(value, (np.datetime64, datetime.date, datetime.time)):
        return {"$date": str(value) if isinstance(value, np.datetime64) else value.isoformat()}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$binary": {"base64": base64.b64encode(bytes(value)).decode(), "subType": "00"}}
    if isinstance(value, (complex, np.complexfloating)):
        return {"$complex": [encode(part, notice, numbers) for part in (value.real, value.imag)]}
    if isinstance(value, np.ndarray) and value.dtype.kind not in "mMV":
        return encode(value.tolist(), notice, numbers)
    if isinstance(value, np.ndarray):
        return [encode(item, notice, numbers) for item in (value if value.ndim else [value[()]])]
    if isinstance(value, np.longdouble):  # its item() is itself; what a float does not hold is no float
        if value == float(value) or np.isnan(value):
            return encode(float(value), notice, numbers)
    elif isinstance(value, (np.bool_, np.integer, np.floating, np.str_)):
        return encode(value.item(), notice, numbers)
    for kind in (str, int, float):  # subclasses: enumerations, numbers with units
        if isinstance(value, kind):
            return encode(kind(value), notice, numbers) if kind is not str else str.__str__(value)
    if notice is not None:
        notice(
            f"a value of type {type(value).__name__} has no form in JSON; what Python prints of it was kept"
        )
    return {"$repr": repr(value)}


def _special(value: float, numbers: Numbers) -> Any:
    if numbers == "python":
        return value
    name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return name if numbers == "named" else {"$numberDouble": name}


def _all_items(value: Mapping[Any, Any], notice: Notice | None, numbers: Numbers) -> dict[str, Any]:
    """Encode a dict with keys that are the same text, as 1 and "1" are: texts keep their name."""
    plain: dict[str, Any] = {}
    for key, item in sorted(value.items(), key=lambda pair: not isinstance(pair[0], str)):
        name = _key(key)
        while name in plain:
            name += "_"
        plain[name] = encode(item, notice, numbers)
        if notice is not None and name != _key(key):
            notice(f"the key {key!r} is called {name!r}: JSON has no other keys than texts")
    return plain


def _key(key: Any) -> str:
    return str.__str__(key) if isinstance(key, str) else json.dumps(encode(key))


def _decode(item: Any) -> Any:
    if isinstance(item, list):
        return [_decode(value) for value in item]
    if not isinstance(item, dict):
        return item
    if len(item) != 1 or not (item.keys() & _OURS):
        return {key: _decode(value) for key, value in item.items()}
    ((key, value),) = item.items()
    if key == "$numberDouble":
        return float(value)
    if key == "$complex":
        return complex(*map(_decode, value))
    if key == "$binary":
        return base64.b64decode(value["base64"])
    if key == "$literal":
        return {name: _decode(part) for name, part in value.items()}
    return item
