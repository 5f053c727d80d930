"""Documents as msgpack, in suitcase-msgpack's layout: ``[name, {document}]``, one after the other.

Numpy arrays and numbers, and complex numbers, are as msgpack-numpy has them, so that databroker's
``BlueskyMsgpackCatalog`` reads the files (suitcase.msgpack.Serializer, databroker._drivers.msgpack).
Arrays of Python objects become lists: msgpack-numpy would pickle them, and a pickle can run any code.

What msgpack does not have is a dict with one key, which is bytes and so no key of any document; for
databroker it stays such a dict, :func:`decode` gives back what it was:

===================  ==========================================  =============================
``b"$text"``         UTF-8 with ``surrogatepass``                text with lone surrogates
``b"$int"``          its decimal digits                          integers beyond 64 bits
``b"$set"``          a list, ordered by ``repr``                 ``set``
``b"$frozenset"``    a list, ordered by ``repr``                 ``frozenset``
``b"$datetime"``     ISO 8601                                    ``datetime.datetime``
``b"$date"``         ISO 8601                                    ``datetime.date``
``b"$time"``         ISO 8601                                    ``datetime.time``
``b"$timedelta"``    days, seconds, microseconds                 ``datetime.timedelta``
``b"$items"``        pairs of key and value                      dicts with keys other than text
``b"$repr"``         what Python prints of it                    anything else
===================  ==========================================  =============================

Tuples become lists, as in every store of databroker.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import msgpack_numpy
import numpy as np

from ..errors import NotFaithful
from .pages import Document

Notice = Callable[[str], None]
_INT = range(-(2**63), 2**64)


def pack(name: str, doc: Document, notice: Notice | None = None) -> bytes:
    """Return one document as msgpack.

    Parameters
    ----------
    name : str
        The kind of document.
    doc : Mapping
        The document. It is not changed.
    notice : callable, optional
        Told, a sentence each, what msgpack has no form of.

    Raises
    ------
    NotFaithful
        The document cannot be written at all: nested too deeply, or a value beyond 4 GiB.
    """
    if not isinstance(doc, dict):
        doc = dict(doc)
    try:
        if not _has_odd_keys(doc):
            return _packed((name, doc), _numpy)
    except (TypeError, OverflowError, UnicodeEncodeError):
        pass  # said, value by value, by what follows
    except (ValueError, RecursionError) as error:
        raise _refused(name, error) from error
    try:
        return _packed((name, _Forms(notice).of(doc, name)), _numpy)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _refused(name, error) from error


def _packed(pair: tuple[str, Any], default: Callable[[Any], Any]) -> bytes:
    return msgpack.packb(pair, default=default, use_bin_type=True)  # type: ignore[no-any-return]


def _refused(name: str, error: Exception) -> NotFaithful:
    return NotFaithful(f"this run's {name} document cannot be written as msgpack: {error}")


def decode(obj: dict[Any, Any]) -> Any:
    """Return what a dict stands for: an ``object_hook`` for ``msgpack.Unpacker``.

    Arrays of Python objects, which msgpack-numpy keeps as pickles, are opened as well: only for
    files whose source is trusted.
    """
    if len(obj) == 1:
        ((key, value),) = obj.items()
        if type(key) is bytes and key in _DECODERS:
            return _DECODERS[key](value)
    return msgpack_numpy.decode(obj)


def _numpy(obj: Any) -> Any:
    """Give msgpack a form of what it does not know: numpy's values and complex numbers."""
    if isinstance(obj, np.ndarray):
        if obj.dtype.hasobject:
            return obj.tolist()
        if obj.dtype.kind in "mM":  # their buffer is none that Python knows
            shape, data = list(obj.shape), obj.tobytes()
            return {b"nd": True, b"type": obj.dtype.str, b"kind": b"", b"shape": shape, b"data": data}
    elif isinstance(obj, (np.datetime64, np.timedelta64)):
        return {b"nd": False, b"type": obj.dtype.str, b"data": obj.tobytes()}
    known = msgpack_numpy.encode(obj)
    if known is obj:
        raise TypeError(f"can not serialize {type(obj).__name__!r} object")
    return known


def _has_odd_keys(value: Any) -> bool:
    """Say whether a dict in a value has keys that are no text, which the packer would not refuse."""
    if isinstance(value, dict):
        return not all(map(str.__instancecheck__, value)) or any(map(_has_odd_keys, value.values()))
    if isinstance(value, (list, tuple)):
        nested = {kind for kind in set(map(type, value)) if issubclass(kind, (dict, list, tuple))}
        return bool(nested) and any(_has_odd_keys(item) for item in value if type(item) in nested)
    return False


class _Forms:
    """Rewrite a document with the forms of this module, telling where each was needed."""

    def __init__(self, notice: Notice | None) -> None:
        self._notice = notice

    def of(self, value: Any, where: str) -> Any:
        """Return a value as msgpack, with msgpack-numpy, can hold it."""
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                return self._as(b"$text", value.encode("utf-8", "surrogatepass"), where)
            return value
        if isinstance(value, Mapping):
            return self._dict(value, where)
        if isinstance(value, msgpack.ExtType):  # of the journal: see documents.exact
            return value
        if isinstance(value, (list, tuple)):
            return [self.of(item, where) for item in value]
        if isinstance(value, np.ndarray) and value.dtype.hasobject:
            return self.of(value.tolist(), where)
        if isinstance(value, int) and value not in _INT:
            return self._as(b"$int", str(int(value)), where)
        for kind, key, parts in _KINDS:
            if type(value) is kind:
                return self._as(key, self.of(parts(value), where), where)
        if isinstance(value, (int, float, bytes, bytearray, memoryview, type(None))):
            return value
        try:
            _numpy(value)
        except TypeError:
            return self._as(b"$repr", self.of(repr(value), where), where, type(value).__name__)
        return value

    def _dict(self, value: Mapping[Any, Any], where: str) -> Any:
        inside = {key: self.of(item, f"{where}.{key}") for key, item in value.items()}
        try:
            if all(isinstance(key, str) and key.encode() is not None for key in inside):
                return inside
        except UnicodeEncodeError:
            pass
        pairs = [[self.of(key, where), item] for key, item in inside.items()]
        return self._as(b"$items", pairs, where)

    def _as(self, key: bytes, value: Any, where: str, kind: str = "") -> dict[bytes, Any]:
        if self._notice is not None:
            what = {b"$repr": f"a value of type {kind}", b"$items": "a dict with other keys than text"}
            said = what.get(key, _NAMES.get(key, ""))
            place = where.encode("utf-8", "backslashreplace").decode()
            self._notice(f"{place}: msgpack has no form of {said}; it is kept as {{{key!r}: …}}")
        return {key: value}


def _ordered(value: Any) -> list[Any]:
    return sorted(value, key=repr)


def _iso(value: Any) -> str:
    return str(value.isoformat())


_KINDS: tuple[tuple[type, bytes, Callable[[Any], Any]], ...] = (
    (set, b"$set", _ordered),
    (frozenset, b"$frozenset", _ordered),
    (datetime.datetime, b"$datetime", _iso),
    (datetime.date, b"$date", _iso),
    (datetime.time, b"$time", _iso),
    (datetime.timedelta, b"$timedelta", lambda value: [value.days, value.seconds, value.microseconds]),
)
_NAMES = {
    b"$text": "text with lone surrogates",
    b"$int": "integers beyond 64 bits",
    **{key: f"a {kind.__name__}" for kind, key, _ in _KINDS},
}
_DECODERS: Mapping[bytes, Callable[[Any], Any]] = {
    b"$text": lambda value: value.decode("utf-8", "surrogatepass"),
    b"$int": int,
    b"$set": set,
    b"$frozenset": frozenset,
    b"$datetime": datetime.datetime.fromisoformat,
    b"$date": datetime.date.fromisoformat,
    b"$time": datetime.time.fromisoformat,
    b"$timedelta": lambda value: datetime.timedelta(*value),
    b"$items": lambda value: {tuple(k) if isinstance(k, list) else k: item for k, item in value},
}

KEYS = (b"nd", b"complex", *_DECODERS)
"""The keys by which :func:`decode` knows its dicts: those of msgpack-numpy, and ours."""
