"""Numbers as text, with the fewest digits that read back to the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson


def fast_number_texts(column: Any) -> Sequence[str] | None:
    """Return the cells of a column of nothing but floats, or nothing but integers, else None."""
    if isinstance(column, np.ndarray):
        return number_texts(column) if column.ndim == 1 and column.dtype.kind in "fiu" else None
    kinds = set(map(type, column))
    if kinds == {float}:
        return number_texts(np.array(column))
    return list(map(str, column)) if kinds == {int} else None


def number_texts(values: Any) -> Sequence[str]:
    """Return the shortest text of each number that reads back to the same bits."""
    array = np.ascontiguousarray(values)
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        return [number_text(value) for value in values]
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    cells = orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")
    if array.dtype.kind == "f":
        for row in np.flatnonzero(~np.isfinite(array)):  # null in JSON
            cells[row] = repr(float(array[row]))
    return cells


def number_text(value: Any) -> str:
    """Return the shortest text of one number that reads back to the same bits."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, np.floating) and value.dtype.itemsize <= 8:
        return number_texts(np.array([value]))[0]
    if isinstance(value, np.longdouble):
        return np.format_float_scientific(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int):
        return str(int(value))
    return repr(float(value)) if isinstance(value, float) else repr(value)
