"""Runs with every kind of single value: numbers, booleans, None, text."""

from __future__ import annotations

import math
from typing import Any

from ._kinds import NUMBER, Columns, Kinds, key

KINDS = Kinds()

INTEGER, TEXT = key("integer"), key("string")


@KINDS.columns("floats", "floats whose last bit counts", "float")
def _floats() -> Columns:
    return {
        "thirds": (NUMBER, [1 / 3, -2 / 3, 1e23]),
        "edges": (NUMBER, [5e-324, -0.0, 1.7976931348623157e308]),
        "digits": (NUMBER, [0.1 + 0.2, 123456789.12345679, 2.0**-1074]),
        "whole": (NUMBER, [1.0, 1e16, -1e300]),
    }


@KINDS.columns("nan-inf", "NaN and both infinities", "nan")
def _nan() -> Columns:
    nan, inf = math.nan, math.inf
    return {
        "some": (NUMBER, [1.5, nan, 2.5]),
        "all": (NUMBER, [nan, nan, nan]),
        "infinite": (NUMBER, [inf, -inf, 0.5]),
    }


@KINDS.columns("int64", "integers that no float holds", "integer")
def _int64() -> Columns:
    return {
        "big": (INTEGER, [2**53 + 1, -(2**63), 2**63 - 1]),
        "small": (INTEGER, [0, -1, 1]),
        "as_number": (NUMBER, [1, 2, 3]),
        "declared_float": (key("number", dtype_numpy="<f8"), [1, 2, 3]),
        "declared_narrow": (key("integer", dtype_numpy="<i2"), [1, -2, 3]),
        "declared_too_narrow": (key("integer", dtype_numpy="|u1"), [1, 256, 3]),
    }


@KINDS.columns("uint64", "integers beyond a signed 64-bit one", "uint64")
def _uint64() -> Columns:
    return {"u": (INTEGER, [0, 2**63, 2**64 - 1]), "u_and_negative": (INTEGER, [-1, 2**64 - 1, 0])}


@KINDS.columns("int-float", "integers and floats in one field", "int-float")
def _int_float() -> Columns:
    return {
        "late_float": (NUMBER, [1, 2, 2.5]),
        "late_int": (NUMBER, [0.5, 2, 3]),
        "too_big": (NUMBER, [2**53 + 1, 0.5, 1]),
    }


@KINDS.columns("booleans", "booleans", "boolean")
def _booleans() -> Columns:
    return {"b": (key("boolean"), [True, False, True]), "b_and_int": (INTEGER, [True, 0, 5])}


@KINDS.columns("float32", "numpy float32 scalars with their dtype declared", "narrow")
def _float32() -> Columns:
    import numpy as np

    values = [np.float32(1 / 3), np.float32(-7e-3), np.float32(16777217)]
    return {
        "declared": (key("number", dtype_numpy="<f4"), values),
        "undeclared": (NUMBER, values),
    }


@KINDS.columns("float16", "numpy float16 scalars", "narrow")
def _float16() -> Columns:
    import numpy as np

    return {"half": (key("number", dtype_numpy="<f2"), [np.float16(v) for v in (0.5, -2.25, 1024)])}


@KINDS.columns("numpy-scalars", "numbers and text stored as numpy scalars", "narrow boolean")
def _numpy_scalars() -> Columns:
    import numpy as np

    return {
        "f8": (key("number", dtype_numpy="<f8"), [np.float64(1 / 3), np.float64(0.25), np.float64(2)]),
        "i2": (key("integer", dtype_numpy="<i2"), [np.int16(-5), np.int16(0), np.int16(32767)]),
        "u1": (key("integer", dtype_numpy="|u1"), [np.uint8(0), np.uint8(128), np.uint8(255)]),
        "i8": (INTEGER, [np.int64(2**53 + 1), np.int64(-1), np.int64(0)]),
        "u8": (INTEGER, [np.uint64(2**63 - 1), np.uint64(1), np.uint64(0)]),
        "flag": (key("boolean", dtype_numpy="|b1"), [np.bool_(True), np.bool_(False), np.bool_(True)]),
        "text": (TEXT, [np.str_("a"), np.str_("b c"), np.str_("µ")]),
    }


@KINDS.columns("numpy-zero-d", "numbers stored as 0-d arrays, an integer beyond 2⁶³", "float uint64")
def _zero_d() -> Columns:
    import numpy as np

    return {
        "zero_d": (key("number", dtype_numpy="<f8"), [np.array(1.5), np.array(2.5), np.array(-0.25)]),
        "u8": (INTEGER, [np.uint64(2**64 - 1), np.uint64(1), np.uint64(0)]),
    }


@KINDS.columns("complex", "complex numbers", "complex")
def _complex() -> Columns:
    return {"z": (NUMBER, [1 + 2j, complex(0.1, -1 / 3), complex(math.inf, 0)])}


@KINDS.columns("none", "None in place of a value", "none")
def _none() -> Columns:
    return {
        "number": (NUMBER, [1.5, None, 2.5]),
        "none_and_nan": (NUMBER, [None, math.nan, 1.0]),
        "integer": (INTEGER, [1, None, 2**53 + 1]),
        "flag": (key("boolean"), [True, None, False]),
        "label": (TEXT, ["x", None, ""]),
        "never": (NUMBER, [None, None, None]),
        "first": (NUMBER, [None, 2.0, 3.0]),
    }


@KINDS.columns("text", "empty text, very long text, text that reads like a number", "text")
def _text() -> Columns:
    return {
        "empty": (TEXT, ["", "", ""]),
        "some": (TEXT, ["", "x", " y "]),
        "long": (TEXT, ["z" * 100_000, "ü" * 5_000, "end"]),
        "digits": (TEXT, ["1", "2.50", "nan"]),
        "words": (TEXT, ["None", "true", "null"]),
    }


@KINDS.columns(
    "text-hostile", "line breaks, tabs, quotes, #, = and other alphabets", "text line-breaks formula"
)
def _hostile() -> Columns:
    return {
        "breaks": (TEXT, ["a\nb", "a\r\nb\r", "#S 99 fake\n#L a  b\n1 2\n"]),
        "tabs": (TEXT, ["a\tb", "\t", "  two  blanks  "]),
        "quotes": (TEXT, ['say "hi"', "it's", '""']),
        "signs": (TEXT, ["#S 1", "a = b", "#MD k = v"]),
        "formula": (TEXT, ["=1+1", "+1", "@SUM(A1)"]),
        "apostrophe": (TEXT, ["'quoted", "'=x", "-1"]),
        "alphabets": (TEXT, ["Ångström µ", "漢字", "🙂\u202e"]),
        "separators": (TEXT, ["a\u2028b", "a\x0bb\x0cc", "a\x85b"]),
        "control": (TEXT, ["\x01\x1b[31m", "\x7f", "bell\x07"]),
        "path": (TEXT, ["../../etc", "C:\\temp", "~/x"]),
    }


@KINDS.columns("text-surrogates", "lone surrogates and NUL, which UTF-8 and HDF5 do not have", "surrogates")
def _surrogates() -> Columns:
    return {"s": (TEXT, ["a\udc80b", "\ud800", "\udfff\udbff"]), "nul": (TEXT, ["a\x00b", "\x00", "c\x00"])}


@KINDS.columns("enum", "an EPICS enumeration: its strings, and its numbers", "text integer")
def _enum() -> Columns:
    strings: dict[str, Any] = {"enum_strs": ["Open", "Closed", "In between"]}
    return {
        "as_text": (key("string", **strings), ["Open", "In between", "Closed"]),
        "as_number": (key("integer", **strings), [0, 2, 1]),
        "choices": (key("string", choices=["A", "B"]), ["A", "B", "A"]),
    }


@KINDS.columns("mixed", "values of different kinds in one field", "mixed")
def _mixed() -> Columns:
    pairs: list[Any] = [{"x": 1}, {"x": None}, {}]
    return {
        "text_and_number": (TEXT, ["a", 1, 2.5]),
        "number_and_text": (NUMBER, [1.5, "b", 3]),
        "dicts": (key("string"), pairs),
    }


@KINDS.columns("limits", "data keys with everything that event-model allows them", "float")
def _limits() -> Columns:
    rich: dict[str, Any] = {
        "units": "Å⁻¹",
        "precision": 4,
        "lower_ctrl_limit": -1.0,
        "upper_ctrl_limit": 1.0,
        "limits": {"control": {"low": -1.0, "high": 1.0}},
    }
    return {
        "rich": (key("number", **rich), [0.125, 0.25, 0.5]),
        "none": (key("number", units=None, precision=None), [1.0, 2.0, 3.0]),
    }
