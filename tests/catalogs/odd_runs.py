"""Runs made up to be hard to store: every kind of value, in documents that fit the schemas."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..corpus import Pairs

_START = 1_700_000_000.0
_counter = itertools.count()


def key(dtype: str, shape: Sequence[int | None] = (), **more: Any) -> dict[str, Any]:
    """Return a data key."""
    return {"source": "made up", "dtype": dtype, "shape": list(shape), **more}


def make_run(
    fields: Mapping[str, tuple[dict[str, Any], Sequence[Any]]],
    *,
    start: Mapping[str, Any] | None = None,
    stop: bool | Mapping[str, Any] = True,
    descriptors: Sequence[int] = (0,),
    stream: str = "primary",
) -> Pairs:
    """Return the documents of a run with one stream.

    Parameters
    ----------
    fields : Mapping
        By field: its data key and its values, one an event.
    start, stop : Mapping, optional
        Added to the documents; ``stop=False`` leaves it out.
    descriptors : sequence of int
        The events before which a new descriptor comes.
    """
    uid = str(uuid.uuid4())
    begin = _START + 100 * next(_counter)
    rows = max((len(values) for _, values in fields.values()), default=0)
    docs: Pairs = [
        ("start", {"uid": uid, "time": begin, "scan_id": 1, "plan_name": "odd", **(start or {})})
    ]
    owner = ""
    for row in range(rows) if rows else ():
        if row in descriptors:
            owner = str(uuid.uuid4())
            docs.append(("descriptor", _descriptor(fields, uid, owner, begin + row, stream, row)))
        docs.append(
            (
                "event",
                {
                    "uid": str(uuid.uuid4()),
                    "descriptor": owner,
                    "seq_num": row + 1,
                    "time": begin + row + 0.5,
                    "data": {name: values[row] for name, (_, values) in fields.items()},
                    "timestamps": {name: begin + row + n / 7 for n, name in enumerate(fields)},
                    "filled": {},
                },
            )
        )
    if not rows:
        docs.append(("descriptor", _descriptor(fields, uid, str(uuid.uuid4()), begin, stream, 0)))
    if stop is not False:
        end = {"uid": str(uuid.uuid4()), "run_start": uid, "time": begin + 90, "exit_status": "success"}
        end |= {"reason": "", "num_events": {stream: rows}, **(stop if isinstance(stop, Mapping) else {})}
        docs.append(("stop", end))
    return docs


def _descriptor(
    fields: Mapping[str, tuple[dict[str, Any], Sequence[Any]]],
    run: str,
    uid: str,
    time: float,
    stream: str,
    number: int,
) -> dict[str, Any]:
    return {
        "uid": uid,
        "run_start": run,
        "time": time,
        "name": stream,
        "data_keys": {name: {**data_key, "object_name": "dev"} for name, (data_key, _) in fields.items()},
        "object_keys": {"dev": list(fields)},
        "hints": {"dev": {"fields": list(fields)[:1]}},
        "configuration": {
            "dev": {
                "data": {"dev_gain": number},
                "timestamps": {"dev_gain": time},
                "data_keys": {"dev_gain": key("integer")},
            }
        },
    }


def odd_runs() -> dict[str, Pairs]:
    """Return one run for each kind of value that a store may change."""
    inf, nan = float("inf"), float("nan")
    small, large = np.linspace(-1, 1, 6), np.random.default_rng(1).normal(size=(3, 40))
    cases: dict[str, dict[str, tuple[dict[str, Any], Sequence[Any]]]] = {
        "floats": {
            "x": (key("number"), [0.1, -0.0, 5e-324]),
            "nan": (key("number"), [nan, inf, -inf]),
            "all_nan": (key("number"), [nan, nan, nan]),
            "missing": (key("number"), [1.5, None, 2.5]),
            "mixed": (key("number"), [1, 2.5, 3]),
            "never": (key("number"), [None, None, None]),
        },
        "narrow": {
            "f4": (key("number", dtype_numpy="<f4"), [float(np.float32(v)) for v in (0.1, 1e-3, 7)]),
            "not_f4": (key("number", dtype_numpy="<f4"), [0.1, 1.0, 2.0]),
            "i2": (key("integer", dtype_numpy="<i2"), [-5, 0, 32767]),
            "u1": (key("integer", dtype_numpy="|u1"), [0, 128, 255]),
            "not_u1": (key("integer", dtype_numpy="|u1"), [0, 128, 256]),
        },
        "integers": {
            "n": (key("integer"), [2**53 + 1, -(2**63), 2**63 - 1]),
            "missing": (key("integer"), [1, None, 2**53 - 1]),
            "as_number": (key("number"), [1, 2, 3]),
        },
        "booleans": {
            "b": (key("boolean"), [True, False, True]),
            "missing": (key("boolean"), [True, None, False]),
        },
        "text": {
            "t": (key("string"), ["", 'a "b"\n\tc', "µ–漢字 🙂"]),
            "missing": (key("string"), ["x", None, "z" * 5000]),
            "digits": (key("string"), ["1", "2.50", "nan"]),
        },
        "small-arrays": {
            "a": (key("array", [6]), [(small * k).tolist() for k in (1, 2, 3)]),
            "nan": (key("array", [3]), [[1.0, nan, inf], [0.0, -0.0, -inf], [nan, nan, nan]]),
            "n": (key("array", [2], dtype_numpy="<i8"), [[1, 2**53 + 1], [3, 4], [5, 6]]),
            "unequal": (key("array", [3]), [[1.0], [1.0, 2.0, 3.0], [4.0, 5.0]]),
            "empty": (key("array", [0]), [[], [], []]),
            "sometimes": (key("array", [2]), [[], [1.0, 2.0], [3.0]]),
        },
        "matrices": {
            "m": (key("array", [2, 3]), [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0 * k]] for k in (1, 2, 3)])
        },
        "large-arrays": {
            "a": (key("array", [40]), large.tolist()),
            "n": (key("array", [20], dtype_numpy="<i8"), [[2**53 + k] * 20 for k in (1, 2, 3)]),
            "u1": (
                key("array", [5, 6], dtype_numpy="|u1"),
                [np.full((5, 6), k).tolist() for k in (1, 2, 3)],
            ),
        },
        "text-arrays": {
            "t": (key("array", [2], dtype_numpy="<U4"), [["a", "béé"], ["", "d"], ["e", "f"]]),
        },
        "ragged": {
            "r": (key("array", [None], dtype_numpy="<f8"), [[1.0, nan], [2.0], [3.0, 4.0, inf]]),
        },
    }
    return {name: make_run(fields) for name, fields in cases.items()}


def refused_runs() -> dict[str, Pairs]:
    """Return runs that a Tiled server does not store whole."""
    one = (key("number"), [1.0, 2.0])
    return {
        "slash": make_run({"a/b": one}),
        "blank": make_run({"a b": one}),
        "quote": make_run({'a"b': one}),
        "case": make_run({"a": one, "A": one}),
        "uint64": make_run({"u": (key("integer"), [1, 2**64 - 1])}),
        "text-and-number": make_run({"m": (key("string"), ["a", 1])}),
        "unequal-long": make_run({"a": (key("array", [20]), [[1.0] * 20, [2.0] * 5])}),
    }
