"""Documents as msgpack, kept exactly: for the journal, from which files are written.

The layout is that of :mod:`bluesky_export.documents.msgpacked`. What it would change is put into
extension types of msgpack, which databroker shows as ``ExtType`` and :func:`ext_hook` turns back:

====  =====================================================================
code  value
====  =====================================================================
0x41  an array of unusual records: NumPy's ``.npy``; 0x42 one such record
0x43  a masked array: data, mask and fill value
0x44  an array of Python objects: its shape and its items
0x45  anything else: a pickle, loaded only from a file that is trusted
====  =====================================================================

Tuples become lists and subclasses of text, numbers and dicts what they are made from, as in every
store of documents.
"""

from __future__ import annotations

import datetime
import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import msgpack_numpy
import numpy as np

from ..errors import NotFaithful, RunUnreadable
from .msgpacked import decode, pack

_NPY, _RECORD, _MASKED, _OBJECTS, _PICKLE = range(0x41, 0x46)

_SIMPLE = frozenset({float, int, str, bool, type(None), bytes, complex, np.str_}) | {
    np.dtype(code).type for code in "bhilqBHILQefdFD?"
}
"""Exact types that the packer keeps, or refuses with an error."""
_all_simple = _SIMPLE.issuperset
_all_text = frozenset({str}).issuperset
_REFUSED = (OverflowError, UnicodeEncodeError, TypeError, ValueError)


class ExactPacker:
    """Turn documents into bytes. Not thread-safe: one for each thread."""

    def __init__(self) -> None:
        self._packer = msgpack.Packer(default=msgpack_numpy.encode, use_bin_type=True)

    def pack(self, name: str, doc: Any) -> bytes:
        """Return ``[name, document]`` as msgpack.

        Raises
        ------
        NotFaithful
            A value cannot be kept in any way.
        """
        if name == "event" and _is_simple_event(doc):
            try:
                return self._packer.pack((name, doc))  # type: ignore[no-any-return]
            except _REFUSED:
                self._packer.reset()
        return pack(name, _extended(doc))


def _is_simple_event(doc: Any) -> bool:
    """Say whether nothing in an event could be changed by the packer; quick, since most are such."""
    if type(doc) is not dict:
        return False
    for value in doc.values():
        if type(value) is dict:
            if not _all_text(map(type, value)):
                return False
            if not _all_simple(map(type, value.values())) and not all(map(_is_simple, value.values())):
                return False
        elif type(value) not in _SIMPLE:
            return False
    return True


def _is_simple(value: Any) -> bool:
    kind = type(value)
    return kind in _SIMPLE or (kind is np.ndarray and value.dtype.kind in "biufcSU")


def _extended(value: Any) -> Any:
    """Return a value in which all that would be lost is an extension type."""
    kind = type(value)
    if kind in _SIMPLE or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {key: _extended(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_extended(item) for item in value]
    if isinstance(value, np.ndarray):
        return _extended_array(value)
    if isinstance(value, np.generic):
        return value if isinstance(value, (np.number, np.datetime64)) else _npy(_RECORD, np.asarray(value))
    if kind in (set, frozenset):
        return value if _all_simple(map(type, value)) else _pickled(value)
    if kind in (datetime.date, datetime.timedelta) or (
        kind in (datetime.datetime, datetime.time)
        and not value.fold
        and type(value.tzinfo) in (type(None), datetime.timezone)
    ):
        return value
    return _pickled(value)


def _extended_array(value: np.ndarray[Any, Any]) -> Any:
    if isinstance(value, np.ma.MaskedArray) and not value.dtype.hasobject:
        fill = np.asarray(value.fill_value, dtype=value.dtype)
        parts = (value.data, np.ma.getmaskarray(value), fill)
        return _ext(_MASKED, [_extended(np.asarray(part)) for part in parts])
    if type(value) is not np.ndarray:
        return _pickled(value)
    if value.dtype.kind == "O":
        return _ext(_OBJECTS, [list(value.shape), [_extended(item) for item in value.ravel().tolist()]])
    if value.dtype.kind == "V":
        return _pickled(value) if value.dtype.hasobject else _npy(_NPY, value)
    return value


def _ext(code: int, value: Any) -> msgpack.ExtType:
    return msgpack.ExtType(code, pack("", {"value": value}))


def _npy(code: int, value: np.ndarray[Any, Any]) -> msgpack.ExtType:
    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    return msgpack.ExtType(code, file.getvalue())


def _pickled(value: Any) -> msgpack.ExtType:
    kind = type(value)
    try:
        if kind.__module__ == "__main__":
            raise TypeError("its class is defined at the prompt")
        return msgpack.ExtType(_PICKLE, pickle.dumps(value))
    except Exception as error:  # an object's own __reduce__ raises anything
        text = " ".join(str(error).split())
        raise NotFaithful(f"a value of type {kind.__name__} cannot be kept in a file: {text}") from error


def ext_hook(trusted: bool) -> Callable[[int, bytes], Any]:
    """Return what turns the extension types back into values, for :class:`msgpack.Unpacker`.

    Parameters
    ----------
    trusted : bool
        Whether to load pickles, which can run any code.
    """

    def value_of(data: bytes) -> Any:
        pair = msgpack.unpackb(data, object_hook=decode, ext_hook=hook, raw=False, strict_map_key=False)
        return pair[1]["value"]

    def hook(code: int, data: bytes) -> Any:
        if code in (_NPY, _RECORD):
            array = np.load(io.BytesIO(data), allow_pickle=False)
            return array if code == _NPY else array[()]
        if code == _MASKED:
            values, mask, fill = value_of(data)
            return np.ma.MaskedArray(values, mask=mask, fill_value=fill)
        if code == _OBJECTS:
            return _objects(*value_of(data))
        if code != _PICKLE:
            return msgpack.ExtType(code, data)
        if trusted:
            return pickle.loads(data)  # noqa: S301
        raise RunUnreadable(
            "the run holds a Python object, stored as a pickle: not opened from a folder, since a "
            "pickle can run any code"
        )

    return hook


def _objects(shape: list[int], items: list[Any]) -> Any:
    out = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):  # at once, NumPy would take lists apart
        out[place] = item
    return out.reshape(shape)
