"""Runs with arrays inside the events."""

from __future__ import annotations

import math
from typing import Any

from ._kinds import Columns, Kinds, RunMaker, key

KINDS = Kinds()

_FLOATS = [[0.1 * k, -1 / 3, 1e-300 * k, 2.0**53] for k in (1, 2, 3)]


@KINDS.columns("array-1d", "lists of floats, of integers, of booleans", "array")
def _array_1d() -> Columns:
    return {
        "floats": (key("array", [4]), _FLOATS),
        "integers": (key("array", [2]), [[2**53 + 1, 2], [3, -(2**63)], [5, 6]]),
        "flags": (key("array", [2]), [[True, False], [False, False], [True, True]]),
        "special": (
            key("array", [3]),
            [[1.0, math.nan, math.inf], [0.0, -0.0, -math.inf], [1.0, 2.0, 3.0]],
        ),
        "one": (key("array", [1]), [[1.5], [2.5], [3.5]]),
    }


@KINDS.columns("array-2d", "matrices", "array")
def _array_2d() -> Columns:
    matrices = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0 * k]] for k in (1, 2, 3)]
    return {"matrix": (key("array", [2, 3]), matrices), "row": (key("array", [1, 2]), [[[1, 2]]] * 3)}


@KINDS.columns("array-3d", "blocks of numbers, as numpy arrays", "array narrow")
def _array_3d() -> Columns:
    import numpy as np

    block = np.arange(24, dtype="<i4").reshape(2, 3, 4)
    image = np.arange(600, dtype="<u2").reshape(20, 30)
    wave = np.linspace(-1, 1, 50)
    return {
        "block": (key("array", [2, 3, 4], dtype_numpy="<i4"), [block * k for k in (1, 2, 3)]),
        "image": (key("array", [20, 30], dtype_numpy="<u2"), [image + k for k in (1, 2, 3)]),
        "wave": (key("array", [50], dtype_numpy="<f8"), [wave * k for k in (1, 2, 3)]),
        "wave32": (
            key("array", [50], dtype_numpy="<f4"),
            [(wave * k).astype("<f4") for k in (1, 2, 3)],
        ),
    }


@KINDS.columns("array-ragged", "arrays of a different length in each event", "ragged array")
def _ragged() -> Columns:
    return {
        "lengths": (key("array", [None]), [[1.0, math.nan], [2.0], [3.0, 4.0, math.inf]]),
        "rows": (key("array", [None, 2]), [[[1, 2]], [[3, 4], [5, 6]], [[7, 8]]]),
    }


@KINDS.columns("array-empty", "empty arrays, always and sometimes", "ragged array")
def _empty() -> Columns:
    return {
        "always": (key("array", [0]), [[], [], []]),
        "sometimes": (key("array", [None]), [[], [1.0, 2.0], [3.0]]),
    }


@KINDS.columns("array-wrong-shape", "arrays whose declared shape is wrong", "array ragged")
def _wrong_shape() -> Columns:
    return {
        "shorter": (key("array", [10]), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "flat": (key("array", [2, 2]), [[1.0, 2.0, 3.0, 4.0]] * 3),
        "scalar": (key("array", [5]), [1.5, 2.5, 3.5]),
        "really_array": (key("number"), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    }


@KINDS.columns("array-text", "arrays of text", "text-array")
def _text() -> Columns:
    return {"t": (key("array", [2], dtype_numpy="<U4"), [["a", "béé"], ["", "d"], ["e", 'f"\n']])}


@KINDS.columns("array-none", "no array in some of the events", "none ragged")
def _none() -> Columns:
    return {"a": (key("array", [2]), [[1.0, 2.0], None, [3.0, 4.0]])}


@KINDS.run("array-changing", "a device that reuses its buffer, in pages of a flyer", "array")
def _pages(run: RunMaker) -> None:
    import numpy as np

    run.start()
    run.descriptor({"m": key("number"), "wave": key("array", [30], dtype_numpy="<f8")})
    for block in range(2):
        times = [run.begin + 5 * block + n / 3 for n in range(3)]
        waves: list[Any] = [np.linspace(0, block + n, 30) for n in range(3)]
        run.page({"m": [block + n / 3 for n in range(3)], "wave": waves}, times)
    run.stop()
