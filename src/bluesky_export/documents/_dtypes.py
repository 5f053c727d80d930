"""Which dtype holds these numbers, every one of them exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def is_number(dtype: np.dtype[Any]) -> bool:
    """Say whether a dtype is one of bool, integer, float, complex."""
    return dtype.kind in "biufc"


def native_copy(array: Array) -> Array:
    """Return a copy in native byte order: single numbers taken out of an array have no other."""
    return array.astype(array.dtype.newbyteorder("=")) if is_number(array.dtype) else array.copy()


def leaves_array(values: Sequence[Any]) -> Array | None:
    """Return numbers as a 1-D array with the dtype they have; None if they are not alike.

    Python's numbers are bool, int64 (uint64 if needed), float64 and complex128; integers and
    floats beside each other are float64 if that is exact.
    """
    types = set(map(type, values))
    if len(types) == 1:
        return _alike(values, next(iter(types)))
    groups = []
    for kind in types:
        group = _alike([value for value in values if type(value) is kind], kind)
        if group is None:
            return None
        groups.append(group)
    dtype = common_dtype(groups)
    if dtype is None:
        return None
    return np.array(list(values), dtype)


def _alike(values: Sequence[Any], kind: type) -> Array | None:
    if kind is int:
        for dtype in (np.int64, np.uint64):
            try:
                return np.array(values, dtype)
            except OverflowError:
                continue
        return None
    if kind in (bool, float, complex):
        return np.array(values, kind)
    if issubclass(kind, np.generic) and is_number(np.dtype(kind)):
        return np.array(values, kind)
    for plain in (int, float):  # enumerations, numbers with units: the plain ones that a store keeps
        if issubclass(kind, plain):
            return _alike([plain(value) for value in values], plain)
    return None


def declared_dtype(data_key: Mapping[str, Any]) -> np.dtype[Any] | None:
    """Return the number dtype that a data key declares (``dtype_numpy``), or None."""
    declared = data_key.get("dtype_numpy")
    if not isinstance(declared, str):
        return None  # none, or the fields of a structure
    try:
        dtype = np.dtype(declared)
    except TypeError:
        return None
    return dtype.newbyteorder("=") if is_number(dtype) else None


def common_dtype(
    arrays: Sequence[Array], *, with_nan: bool = False, hint: np.dtype[Any] | None = None
) -> np.dtype[Any] | None:
    """Return the dtype that holds every value of all arrays exactly, None if there is none.

    Parameters
    ----------
    arrays : sequence of numpy.ndarray
        Numbers.
    with_nan : bool
        NaN has to be held as well.
    hint : numpy.dtype, optional
        Taken if it holds every value exactly without turning floats into integers or booleans
        into numbers.
    """
    dtypes = {array.dtype for array in arrays}
    if not dtypes:
        return None
    if (
        hint is not None
        and not (with_nan and hint.kind not in "fc")
        and all(_fits(a, hint) for a in arrays)
    ):
        return hint
    if np.dtype(bool) in dtypes:
        return None if len(dtypes) > 1 or with_nan else np.dtype(bool)
    candidates = [np.result_type(*dtypes)]
    if with_nan and candidates[0].kind in "iu":
        candidates = [np.dtype(np.float64)]
    elif all(dtype.kind in "iu" for dtype in dtypes) and candidates[0].kind == "f":
        candidates = [np.dtype(np.int64), np.dtype(np.uint64)]  # numpy meets in float64, not exact
    for dtype in candidates:
        if all(_fits(array, dtype) for array in arrays):
            return dtype
    return None


def cast_exact(array: Array, dtype: np.dtype[Any]) -> Array:
    """Cast to a dtype that :func:`common_dtype` gave."""
    return array if array.dtype == dtype else array.astype(dtype)


_ORDER = {"u": 1, "i": 1, "f": 2, "c": 3}


def _fits(array: Array, dtype: np.dtype[Any]) -> bool:
    if array.dtype == dtype:
        return True
    have, want = array.dtype.kind, dtype.kind
    if "b" in (have, want) or _ORDER[have] > _ORDER[want]:
        return False
    if not array.size:
        return True
    if have in "iu":
        if want in "iu":
            bounds = np.iinfo(dtype)
            return int(array.min()) >= bounds.min and int(array.max()) <= bounds.max
        return _exact_as_float(array, dtype)
    if np.can_cast(array.dtype, dtype, "safe"):
        return True
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        back = array.astype(dtype).astype(array.dtype)
    return bool(np.array_equal(back, array, equal_nan=True))


def _exact_as_float(array: Array, dtype: np.dtype[Any]) -> bool:
    limit = 2 ** (np.finfo(dtype).nmant + 1)
    if int(array.min()) >= -limit and int(array.max()) <= limit:
        return bool(limit <= np.finfo(dtype).max)
    wide = dtype.type
    # Above the limit only multiples of powers of two are exact: ask Python, whose integers are.
    with np.errstate(over="ignore"):
        return all(
            np.isfinite(wide(value)) and int(wide(value).real) == value
            for value in array.reshape(-1).tolist()
        )
