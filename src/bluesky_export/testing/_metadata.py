"""Runs whose metadata are hard to write."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ._kinds import Kinds, RunMaker, key

KINDS = Kinds()


def _metadata(
    name: str, summary: str, features: str = "metadata-json", *, not_valid: str = ""
) -> Callable[[Callable[[], Mapping[str, Any]]], Callable[[], Mapping[str, Any]]]:
    def register(metadata: Callable[[], Mapping[str, Any]]) -> Callable[[], Mapping[str, Any]]:
        @KINDS.run(name, summary, features, not_valid=not_valid)
        def _build(run: RunMaker) -> None:
            run.scan({"det": (key("number"), [1.5, 2.5, 3.5])}, **metadata())

        return metadata

    return register


@_metadata("metadata-nested", "dicts in dicts in lists, empty ones too")
def _nested() -> Mapping[str, Any]:
    return {
        "deep": {"a": {"b": {"c": {"d": [1, {"e": [[], {}]}]}}}},
        "empty": {},
        "nothing": [],
        "mixed": [1, "a", None, True, 2.5, {"x": [1, 2]}],
        "ragged": [[1], [2, 3]],
    }


@_metadata(
    "metadata-none",
    "None, in every place where metadata can be",
    not_valid="a sample is a text or a dict, keys are not empty",
)
def _none() -> Mapping[str, Any]:
    return {"sample": None, "user": {"name": None}, "list": [None, None], "": None}


@_metadata("metadata-numbers", "integers of any size, floats to the last bit, booleans")
def _numbers() -> Mapping[str, Any]:
    return {
        "large": 2**63 - 1,
        "negative": -(2**63),
        "precise": 0.1 + 0.2,
        "tiny": 5e-324,
        "zero": -0.0,
        "yes": True,
        "integers": [2**53 + 1, 1],
    }


@_metadata("metadata-huge-integers", "integers that no 64 bits hold")
def _huge_integers() -> Mapping[str, Any]:
    return {"huge": 2**100, "unsigned": 2**64 - 1}


@_metadata("metadata-nan", "NaN and the infinities", "metadata-other")
def _nan() -> Mapping[str, Any]:
    return {"nan": math.nan, "inf": [math.inf, -math.inf], "nested": {"x": math.nan}}


@_metadata("metadata-arrays", "numpy arrays and scalars", "metadata-other")
def _arrays() -> Mapping[str, Any]:
    import numpy as np

    return {
        "array": np.arange(3.0),
        "matrix": np.arange(6, dtype="<i4").reshape(2, 3),
        "scalar": np.float32(0.1),
        "number": np.int64(7),
        "long": np.linspace(0, 1, 500),
        "texts": np.array(["a", "bé"]),
        "flag": np.bool_(True),
    }


@_metadata("metadata-tuples", "tuples", "metadata-other")
def _tuples() -> Mapping[str, Any]:
    return {"pair": (1, 2.5), "nested": {"t": ("a", ("b", None))}}


@_metadata("metadata-sets", "sets", "metadata-other")
def _sets() -> Mapping[str, Any]:
    return {"set": {3}, "nested": {"texts": frozenset(["a", "b"])}}


@_metadata("metadata-dates", "dates, times and durations", "metadata-other")
def _dates() -> Mapping[str, Any]:
    import datetime

    zone = datetime.timezone(datetime.timedelta(hours=-6))
    return {
        "when": datetime.datetime(2026, 11, 1, 1, 30, tzinfo=zone),
        "day": datetime.date(2026, 11, 1),
        "naive": datetime.datetime(2026, 11, 1, 1, 30, 0, 5),
    }


@_metadata("metadata-bytes", "bytes", "metadata-other")
def _bytes() -> Mapping[str, Any]:
    return {"raw": b"\x00\xff#S 1\n", "empty": b""}


@_metadata("metadata-complex", "complex numbers", "metadata-other")
def _complex() -> Mapping[str, Any]:
    return {"complex": 1 + 2j, "list": [complex(math.inf, -0.5)]}


@_metadata("metadata-text", "text that is more than one line, or reads like something else")
def _text() -> Mapping[str, Any]:
    return {
        "multi": "first\nsecond\n\n#S 99 fake\n#L a  b\n1 2\n",
        "return": "a\r\nb\rc",
        "separators": "a\u2028b\x0bc\x0cd\x85e",
        "signs": "#S 1 = #",
        "digits": "5",
        "word": "None",
        "quoted": '"quoted"',
        "apostrophe": "it's",
        "blanks": "  a  ",
        "empty": "",
        "formula": "=cmd|' /C calc'!A1",
        "alphabets": "Ångström µ 漢字 🙂",
        "percent": "%20 100%",
        "json": '{"a": 1}',
        "long": "word " * 3_000,
        "sample_name": "../../../tmp/x\n",
        "title": "a\x1b[31mb",
    }


@_metadata("metadata-surrogates", "lone surrogates and NUL characters", "surrogates metadata-other")
def _surrogates() -> Mapping[str, Any]:
    return {"lone": "a\udc80b", "nul": "a\x00b", "list": ["\ud800"]}


@_metadata(
    "metadata-keys",
    "keys with slashes, blanks, quotes, dots, other alphabets",
    not_valid="metadata keys must not hold / or .",
)
def _keys() -> Mapping[str, Any]:
    return {
        "a/b": 1,
        "/": 2,
        "a b": 3,
        'a"b': 4,
        "a'b": 5,
        "a.b": 6,
        "..": 7,
        "a=b": 8,
        "µ": 9,
        "#S": 10,
        "a\nb": 11,
        "%20": 12,
        "A": 13,
        "a": 14,
        "nested": {"x/y": {"z.": 1}, " ": 2},
        "run_start_uid": "mine",
        "$date": "not one",
        "wrapped": {"$numberDouble": "NaN"},
        "exit_status": "of the user",
    }


@_metadata("metadata-long-keys", "very long keys, and very many")
def _long_keys() -> Mapping[str, Any]:
    return {"k" * 3_000: "long", **{f"key_{n:03d}": n for n in range(300)}}


@_metadata("metadata-10-mb", "ten megabytes of metadata", "metadata-size")
def _huge() -> Mapping[str, Any]:
    return {"huge": "0123456789" * 1_000_000, "list": [n / 7 for n in range(5_000)]}


@KINDS.run(
    "metadata-descriptor",
    "configuration that is odd in each way at once",
    "configuration metadata-other",
)
def _descriptor(run: RunMaker) -> None:
    import numpy as np

    run.start()
    data: dict[str, Any] = {
        "det_text": "two\nlines",
        "det_none": None,
        "det_array": np.arange(4.0),
        "det_nan": math.nan,
        "det_list": ["a", "b"],
        "det_int": 2**53 + 1,
    }
    keys = {
        "det_text": key("string"),
        "det_none": key("number"),
        "det_array": key("array", [4]),
        "det_nan": key("number"),
        "det_list": key("array", [2]),
        "det_int": key("integer"),
    }
    configuration = {
        "det": {
            "data": data,
            "timestamps": dict.fromkeys(data, run.begin - 3600),
            "data_keys": keys,
        },
        "empty": {"data": {}, "timestamps": {}, "data_keys": {}},
    }
    run.descriptor({"m": key("number"), "det": key("number")}, configuration=configuration)
    run.event({"m": 0.5, "det": 1.5})
    run.stop()


@KINDS.run("metadata-stop", "a stop document with more in it than usual", "stop metadata-other")
def _stop(run: RunMaker) -> None:
    run.start()
    run.table({"m": (key("number"), [0.5]), "det": (key("number"), [1.5])})
    run.stop(reason='it\'s\n"over" # = é', extra={"a": [1, None, math.nan]}, when=(1, 2))
