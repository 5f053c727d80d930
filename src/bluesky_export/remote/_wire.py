"""A document as bytes on a network: what is written, what is read, and what is refused."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Mapping
from typing import Any

from ..documents.pages import Document
from ..errors import BlueskyExportError

_MAPS = frozenset([*range(0x81, 0x90), 0xDE, 0xDF])
"""How a msgpack map that is not empty begins (msgpack's specification, "map format family")."""
_PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
"""How a pickle begins: the opcode PROTO and a number (pickletools); to msgpack 0x80 is an empty map."""
_SHOWN = 40


class MessageRefused(BlueskyExportError, ValueError):
    """A message is no document, or one that is not opened."""


def dumps(doc: Document) -> bytes:
    """Return a document as msgpack: the ``serializer`` of bluesky's 0MQ ``Publisher``.

    Raises
    ------
    NotFaithful
        The document cannot be written at all.
    """
    from ..documents.msgpacked import pack

    return pack("", doc)[2:]  # without the opening of the pair and the empty name


def loads(data: bytes, *, allow_pickle: bool = False) -> Document:
    """Return the document of a message: the ``deserializer`` of bluesky's 0MQ ``RemoteDispatcher``.

    Parameters
    ----------
    data : bytes
        msgpack (arrays as msgpack-numpy has them), JSON, or a pickle.
    allow_pickle : bool
        Open pickles: of plain data and numpy's alone, whatever else they name.

    Raises
    ------
    MessageRefused
        It is neither, or a pickle that is not opened.
    """
    try:
        if data.startswith(_PICKLES):
            found = _unpickled(data, allow_pickle)
        elif data[:1] == b"{":
            found = json.loads(data)
        elif data and data[0] in _MAPS:
            found = _unpacked(data)
        else:
            raise MessageRefused(f"it is neither msgpack nor JSON nor a pickle: {data[:_SHOWN]!r}…")
    except MessageRefused:
        raise
    except Exception as error:  # a decoder fed with foreign bytes raises nearly anything
        reason = " ".join(str(error).split())[:200]
        raise MessageRefused(f"it cannot be read ({type(error).__name__}: {reason})") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise MessageRefused("it holds no document")
    return found


def _unpacked(data: bytes) -> Any:
    import msgpack

    return msgpack.unpackb(data, object_hook=_no_pickle, raw=False, strict_map_key=False)


def _no_pickle(obj: dict[Any, Any]) -> Any:
    from ..documents.msgpacked import decode

    if obj.get(b"kind") == b"O":
        raise MessageRefused("it has an array of Python objects, stored as a pickle")
    return decode(obj)


# -- pickles -----------------------------------------------------------------------------------

_BUILTINS = {"set", "frozenset", "complex", "bytearray", "slice", "range"}
_PLAIN = {
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS,  # what protocol 2 calls it
    "collections": {"OrderedDict"},
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"},
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
}
"""What pickles of documents name for their values: by module."""


def _unpickled(data: bytes, allowed: bool) -> Any:
    if not allowed:
        raise MessageRefused(
            "it is a pickle, which can run any code when it is opened. Have the session publish with "
            "serializer=bluesky_export.remote.dumps, or add --allow-pickle: of a pickle only plain data "
            "is opened then"
        )
    return _PlainData(io.BytesIO(data)).load()


class _PlainData(pickle.Unpickler):
    """Opens numbers, text, containers and numpy's arrays; refuses what names anything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function that is known to do nothing but hold data."""
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        if name not in _PLAIN.get(module, ()):
            raise MessageRefused(f"it is a pickle that names {module}.{name}, which is no plain data")
        return super().find_class(module, name)


def _latin1(text: str, codec: str) -> bytes:
    """Do what pickles of protocol 2 ask for to make bytes, and nothing else of ``codecs.encode``."""
    if codec != "latin1":
        raise MessageRefused(f"it is a pickle that asks for the codec {codec!r}")
    return text.encode(codec)


# -- documents ---------------------------------------------------------------------------------

_NEEDED: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "start": {"uid": str, "time": (int, float)},
    "descriptor": {"uid": str, "run_start": str, "data_keys": dict},
    "event": {"descriptor": str, "seq_num": int, "data": dict, "timestamps": dict},
    "event_page": {"descriptor": str, "seq_num": object, "data": dict, "timestamps": dict},
    "resource": {"uid": str, "spec": str, "resource_path": str},
    "datum": {"datum_id": str, "resource": str, "datum_kwargs": dict},
    "datum_page": {"datum_id": object, "resource": str, "datum_kwargs": dict},
    "stream_resource": {"uid": str, "data_key": str, "uri": str},
    "stream_datum": {"uid": str, "stream_resource": str, "descriptor": str, "indices": dict},
    "stop": {"uid": str, "run_start": str},
}
"""By kind: what a document needs to be told apart from something else (event-model's schemas)."""


def check(name: str, doc: Document) -> None:
    """Refuse what is no Bluesky document.

    Raises
    ------
    MessageRefused
        No kind of document has this name, or a part that every one has is missing.
    """
    if name not in _NEEDED:
        raise MessageRefused(f"no kind of document is called {name[:_SHOWN]!r}")
    for key, kind in _NEEDED[name].items():
        if not isinstance(doc.get(key), kind):
            raise MessageRefused(f"it is no {name} document: {key} is not as in one")
