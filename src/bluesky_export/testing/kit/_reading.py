"""The one view of all formats' files that is compared, and what a value's features are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rule = Callable[[list[Any]], list[Any]]
"""What a conversion makes of a field's values."""


@dataclass
class Table:
    """One stream, as read back; None where the format does not have it."""

    fields: dict[str, list[Any]]
    time: list[float]
    seq_num: list[int] | None = None
    uid: list[str] | None = None
    timestamps: dict[str, list[Any]] | None = None
    dtypes: dict[str, np.dtype[Any]] = field(default_factory=dict)


@dataclass
class Read:
    """One run, as read back."""

    tables: dict[str, Table]
    status: str
    start: Any = None
    stop: Any = None
    descriptors: list[Any] | None = None


def number(value: Any) -> Any:
    """Return a numpy scalar or 0-d array as what it is, everything else unchanged."""
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def is_array(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or np.ndim(number(value)) > 0


def features_of(values: Iterable[Any]) -> set[str]:
    """Return the features that a field's values have, by looking at each of them."""
    values = [number(value) for value in values]
    found = {"none"} if any(value is None for value in values) else set()
    arrays = [value for value in values if is_array(value)]
    singles = [value for value in values if value is not None and not is_array(value)]
    if arrays:
        found |= _array_features(arrays)
    for value in singles:
        found |= _features(value)
    kinds = found & {"float", "integer", "uint64", "narrow", "int-float"}
    if {"integer", "float"} <= kinds or {"uint64", "float"} <= kinds:
        found.add("int-float")
    families = [bool(arrays), "text" in found, bool(kinds), "boolean" in found, "complex" in found]
    if sum(families) > 1 or any(isinstance(value, Mapping) for value in singles):
        found.add("mixed")
    return found


def _features(value: Any) -> set[str]:
    if isinstance(value, (bool, np.bool_)):
        return {"boolean"}
    if isinstance(
        value, (np.float32, np.float16, np.int32, np.int16, np.int8, np.uint32, np.uint16, np.uint8)
    ):
        return {"narrow"} if math.isfinite(value) else {"narrow", "nan"}
    if isinstance(value, (int, np.integer)):
        return {"integer"} if -(2**63) <= value < 2**63 else {"uint64"}
    if isinstance(value, float):
        return {"float"} if math.isfinite(value) else {"float", "nan"}
    if isinstance(value, complex):
        return {"complex"}
    if isinstance(value, str):
        return {"text"} | text_features(value)
    return {"mixed"}


def text_features(text: str) -> set[str]:
    """Return what makes a text hard to write."""
    found = set()
    if any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" for c in text):
        found.add("line-breaks")
    if any(c == "\x00" or "\ud800" <= c <= "\udfff" for c in text):
        found.add("surrogates")
    if text.startswith(("=", "+", "-", "@", "\t", "\r", "'")):
        found.add("formula")
    return found


def _array_features(arrays: list[Any]) -> set[str]:
    shapes, kinds, narrow = set(), set(), False
    for value in arrays:
        try:
            array = np.asarray(value)
        except ValueError:  # ragged inside one event
            return {"ragged"}
        shapes.add(array.shape)
        kinds.add("text" if array.dtype.kind in "UO" else "number")
        narrow |= isinstance(value, np.ndarray) and array.dtype not in ("f8", "i8", "?")
    found = {"ragged"} if len(shapes) > 1 else {"array"}
    if "text" in kinds:
        found = {"text-array"}
    return found | ({"narrow"} if narrow else set())


def each(convert: Callable[[Any], Any]) -> Rule:
    """Return the rule that converts value by value."""
    return lambda values: [convert(value) for value in values]
