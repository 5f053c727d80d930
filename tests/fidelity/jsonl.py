"""JSON Lines, by Python's json."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from bluesky_export.formats import Written

from ..comparing import same
from .documents import assembled
from .metadata import decode, plain
from .reading import Read, each

__all__ = ["RULES", "metadata", "read"]


def metadata(document: Any) -> Any:
    return plain(document)


def read(written: Written) -> Read:
    (path,) = written.files
    lines = [json.loads(line) for line in path.read_bytes().decode("utf-8").split("\n")[:-1]]
    return assembled((name, _undone(doc)) for name, doc in lines)


def _undone(doc: Any) -> Any:
    """Return a document with the forms of JSON taken back; "python" numbers wrap nothing."""
    if isinstance(doc, list):
        return [_undone(item) for item in doc]
    if isinstance(doc, dict) and len(doc) == 1 and doc.keys() & {"$complex", "$binary"}:
        return decode(doc)
    return {key: _undone(item) for key, item in doc.items()} if isinstance(doc, dict) else doc


def _lists(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


RULES = dict.fromkeys(
    ("nan", "narrow", "array", "ragged", "text-array", "complex", "metadata-other", "new-field"),
    each(_lists),
)
compare = same
