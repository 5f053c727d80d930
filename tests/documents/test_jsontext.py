"""A line of JSON is the same document, by whichever of the two encoders it was written."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bluesky_export.documents import jsontext
from bluesky_export.testing.kit import joined

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)).map(joined)
)
VALUES = st.recursive(
    SCALARS | st.floats(width=32).map(np.float32) | st.integers(-(2**31), 2**31).map(np.int64),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def alike(one, other):
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return type(one) is type(other) and one == other


@given(VALUES)
def test_a_line_reads_back_as_the_slow_text_does(value):
    line = jsontext.line(value)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert alike(json.loads(line), json.loads(jsontext.dumps(value, numbers="python")))


def test_what_the_fast_encoder_would_change_goes_to_the_other():
    value = {"nan": math.nan, "inf": -math.inf, "big": 2**70, "none": None, "half": "\ud800", "zero": -0.0}
    line = jsontext.line(value)
    assert b'"nan":NaN,"inf":-Infinity,"big":1180591620717411303424,"none":null' in line
    assert b"\\ud800" in line
    assert alike(json.loads(line), value)
    deep = value
    for _ in range(400):
        deep = [deep]
    assert alike(json.loads(jsontext.line(deep)), deep)


def with_other_floats(value):
    """Floats print in two ways, ``1e-07`` and ``1e-7``; all else has to be the same text."""
    if isinstance(value, float):
        return f"{value!r}"
    if isinstance(value, dict):
        return {key: with_other_floats(item) for key, item in value.items()}
    return [with_other_floats(item) for item in value] if isinstance(value, list) else value


@given(VALUES, st.integers(1, 5))
def test_indented_text_is_what_python_writes(value, indent):
    text = jsontext.dumps(value, indent=indent)
    assert alike(json.loads(text), json.loads(json.dumps(jsontext.encode(value))))
    flat = with_other_floats(jsontext.encode(value))
    expected = json.dumps(jsontext.encode(flat), ensure_ascii=False, indent=indent)
    assert jsontext.dumps(flat, indent=indent) == jsontext._valid(expected)


def test_indented_text_of_what_the_fast_encoder_refuses():
    value = {"big": 2**70, "half": ["\ud800"], "nan": math.nan}
    text = jsontext.dumps(value, indent=1)
    assert text.splitlines()[1] == ' "big": 1180591620717411303424,'
    assert "\\ud800" in text
    assert jsontext.loads(text)["big"] == 2**70
    assert math.isnan(jsontext.loads(text)["nan"])


def test_keys_that_are_no_text_and_dicts_that_read_like_ours():
    assert json.loads(jsontext.line({1: 2.5, "1": 2, None: True})) == {"1": 2, "1_": 2.5, "null": True}
    assert json.loads(jsontext.dumps({"$date": "no date"})) == {"$literal": {"$date": "no date"}}
    assert jsontext.loads(jsontext.dumps({"a": {"$date": "no date"}})) == {"a": {"$date": "no date"}}
    given = {"a": 1}
    assert jsontext.encode(given) is not given  # who gets it may change it


def test_surrogates_in_a_row_are_said_to_be_one_character():
    said = []
    text = jsontext.dumps({"a": "\ud83d\ude42", "b": "\ude42\ud83d"}, notice=said.append)
    assert json.loads(text) == {"a": "\U0001f642", "b": "\ude42\ud83d"}
    assert len(said) == 1
    assert "two surrogates in a row" in said[0]
    assert jsontext.dumps("\ud83d \ude42", notice=said.append) == r'"\ud83d \ude42"'
    assert len(said) == 1
    jsontext.line({"a": "\ud83d\ude42"}, notice=said.append)
    jsontext.line({"a": "\ud83d", "b": float("nan")}, notice=said.append)
    assert len(said) == 2
