"""msgpack, by msgpack and msgpack-numpy as databroker calls them; nothing of ours decodes it."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Any

import msgpack
from databroker._drivers.msgpack import UNPACK_OPTIONS

from bluesky_export.documents.pages import paginate
from bluesky_export.formats import Written

from ..comparing import same
from .documents import assembled
from .reading import Read

__all__ = ["RULES", "metadata", "pairs", "read", "said_in", "undone"]


def pairs(path: Path) -> list[tuple[str, Any]]:
    """Return the documents of a file."""
    with path.open("rb") as file:
        return [(name, doc) for name, doc in msgpack.Unpacker(file, **UNPACK_OPTIONS)]


_KEY = re.compile(r"(?<![0-9a-f-])[0-9a-f]{32}(?![0-9a-f])")


def said_in(path: Path) -> dict[str, list[str]]:
    """Return what a file of documents says: how it is cut into pages aside, and the keys of a pack."""
    found: dict[str, list[str]] = {}
    for kind, doc in paginate(pairs(path), 1):
        line = _KEY.sub("KEY", repr(sorted(doc.items())))
        found.setdefault(f"{kind} {doc.get('descriptor', '')}", []).append(line)
    return found


def read(written: Written) -> Read:
    (path,) = written.files
    return assembled(undone(pairs(path)))


def undone(value: Any) -> Any:
    """Return documents with the documented forms of text, and of dicts with such keys, taken back."""
    if isinstance(value, (list, tuple)):
        return type(value)(undone(item) for item in value)
    if not isinstance(value, dict):
        return value
    if value.keys() == {b"$text"}:
        return value[b"$text"].decode("utf-8", "surrogatepass")
    if value.keys() == {b"$items"}:
        return {undone(key): undone(item) for key, item in value[b"$items"]}
    return {key: undone(item) for key, item in value.items()}


def metadata(value: Any) -> Any:
    """Return metadata in the documented forms."""
    if isinstance(value, dict):
        return {key: metadata(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [metadata(item) for item in value]
    if isinstance(value, (set, frozenset)):
        items = [metadata(item) for item in sorted(value, key=repr)]
        return {b"$set" if isinstance(value, set) else b"$frozenset": items}
    if isinstance(value, datetime.datetime):
        return {b"$datetime": value.isoformat()}
    if isinstance(value, datetime.date):
        return {b"$date": value.isoformat()}
    if type(value) is int and not -(2**63) <= value < 2**64:
        return {b"$int": str(value)}
    return value


RULES = {"surrogates": list}
compare = same
