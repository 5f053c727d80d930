"""Columns: what is packed comes back equal, with its dtype, however it was cut into pages."""

from __future__ import annotations

import enum
import itertools
import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bluesky_export.documents import jsontext
from bluesky_export.documents.columns import Column, pack

floats = st.floats(allow_nan=True, allow_infinity=True)
integers = st.integers(-(2**70), 2**70)
texts = st.text(st.characters(codec=None), max_size=8)
dtypes = st.sampled_from(
    ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16", ">i4", ">f8"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    floats,
    st.complex_numbers(),
    texts,
    dtypes.flatmap(lambda d: hnp.arrays(d, (1,)).map(lambda a: a[0])),
)
arrays = st.one_of(
    st.lists(integers, max_size=4),
    st.lists(floats, max_size=4),
    st.lists(st.lists(floats, min_size=2, max_size=2), max_size=3),
    st.lists(texts, max_size=3),
    st.lists(st.one_of(integers, floats, texts, st.none()), max_size=3),
    st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=2),
    dtypes.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(max_dims=3, max_side=3, min_side=0))),
)
dicts = st.dictionaries(
    texts | st.just("$numberDouble"), st.one_of(st.none(), integers, floats, texts), max_size=2
)
values = st.one_of(scalars, arrays, dicts)
columns = st.one_of(
    st.lists(values, max_size=8),
    *[
        st.lists(kind, max_size=8)
        for kind in (
            floats,
            integers,
            texts,
            st.booleans(),
            st.none() | floats,
            st.none() | integers,
            st.none() | texts,
            integers | floats,
            arrays,
            st.lists(st.integers(-5, 5), min_size=2, max_size=2),
        )
    ],
)


def same(one, other):
    """Equal in value, down to NaN and the sign of zero; bool is no number, text is no number."""
    if isinstance(one, (np.ndarray, list, tuple)) or isinstance(other, (np.ndarray, list, tuple)):
        if not (
            isinstance(one, (np.ndarray, list, tuple)) and isinstance(other, (np.ndarray, list, tuple))
        ):
            return False
        a, b = list(one), list(other)
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(one, np.generic):
        one = one.item()
    if isinstance(other, np.generic):
        other = other.item()
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(one[k], other[k]) for k in one)
        )
    if one is None or isinstance(one, (str, bool)) or isinstance(other, (str, bool)):
        return type(one) is type(other) and one == other
    if isinstance(one, complex) or isinstance(other, complex):
        one, other = complex(one), complex(other)
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return (
        other is not None
        and one == other
        and (one != 0 or math.copysign(1, one) == math.copysign(1, other))
    )


def equal(a, b):
    """Two packed columns are the same thing."""
    assert (a.kind, a.rule) == (b.kind, b.rule)
    np.testing.assert_array_equal(a.nulls, b.nulls)
    if not isinstance(a.values, np.ndarray):
        assert list(a.values) == list(b.values)
    else:
        assert a.values.dtype == b.values.dtype
        np.testing.assert_array_equal(a.values, b.values)
    assert (a.shapes is None) == (b.shapes is None)
    if a.shapes is not None:
        np.testing.assert_array_equal(a.shapes, b.shapes)


@given(columns)
@settings(max_examples=600, deadline=None)
def test_every_value_comes_back(rows):
    packed = pack(rows)
    assert len(packed) == len(rows)
    back = list(packed.rows())
    assert len(back) == len(rows)
    for row, value in zip(rows, back, strict=True):
        assert same(row, value), (row, value, packed)


@given(columns, st.lists(st.integers(0, 8), max_size=3))
@settings(max_examples=300, deadline=None)
def test_pages_make_no_difference(rows, cuts):
    column = Column()
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    for start, stop in itertools.pairwise(edges):
        column.extend(rows[start:stop])
        column._compact()  # as after 4096 rows
    equal(column.pack(), pack(rows))


@given(hnp.arrays(dtypes, hnp.array_shapes(max_dims=3, min_side=1, max_side=5)))
def test_an_array_keeps_its_dtype_and_a_list_of_its_rows_is_the_same(array):
    packed = pack(array)
    assert packed.kind == "array"
    assert packed.values.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(packed.values, array)
    equal(packed, pack(list(array)))


@pytest.mark.parametrize(
    ("rows", "kind", "dtype"),
    [
        ([True, False], "array", "bool"),
        ([1, 2], "array", "int64"),
        ([0, 2**64 - 1], "array", "uint64"),
        ([-1, 2**64 - 1], "mixed", None),
        ([2**64], "mixed", None),
        ([1, 0.5], "array", "float64"),
        ([2**53 + 1, 0.5], "mixed", None),
        ([2**60, 0.5], "array", "float64"),
        ([True, 1], "mixed", None),
        ([1, "1"], "mixed", None),
        ([np.float32(0.1)], "array", "float32"),
        ([np.int8(1), np.uint8(255)], "array", "int16"),
        ([np.int64(-1), np.uint64(1)], "array", "int64"),
        ([np.uint64(2**63), 1], "array", "uint64"),
        ([np.float32(0.1), 0.1], "array", "float64"),
        ([1j, 2], "array", "complex128"),
        ([None, 1], "array", "float64"),
        ([None, 2**53 + 1], "mixed", None),
        ([None, True], "mixed", None),
        ([None, np.float32(1)], "array", "float32"),
        (["a", None], "text", None),
        ([[1, 2], [3, 4]], "array", "int64"),
        ([[1, 2.5], [3, 4]], "array", "float64"),
        ([[1], [2, 3]], "ragged", "int64"),
        ([[1], []], "ragged", "int64"),
        ([[[1, 2]], [[1, 2], [3, 4]]], "ragged", "int64"),
        ([[1], [[1]]], "mixed", None),
        ([[], []], "array", "float64"),
        ([[1, 2], None], "ragged", "int64"),
        ([[1.0, 2.0], None], "array", "float64"),
        ([[1.0, None]], "mixed", None),
        ([["a", "b"], ["c", "d"]], "array", "object"),
        ([["a"], ["c", "d"]], "mixed", None),
        ([{"a": 1}], "mixed", None),
        ([b"ab"], "mixed", None),
        ([None, None], "array", "float64"),
    ],
)
def test_rules(rows, kind, dtype):
    packed = pack(rows)
    assert packed.kind == kind
    if dtype is not None:
        assert packed.values.dtype == dtype
    assert packed.nulls.tolist() == (
        [] if kind == "mixed" else [n for n, row in enumerate(rows) if row is None]
    )


@pytest.mark.parametrize(
    ("rows", "declared", "dtype"),
    [
        ([1, 2], "<u2", "uint16"),
        ([1, 70_000], "<u2", "int64"),
        ([-1], "<u2", "int64"),
        ([0.5], "<f4", "float32"),
        ([0.1], "<f4", "float64"),
        ([1e300], "<f4", "float64"),
        ([float("nan")], "<f4", "float32"),
        ([1, 2], "<f8", "float64"),
        ([2**53 + 1], "<f8", "int64"),
        ([1.0], "<i8", "float64"),
        ([True], "<i8", "bool"),
        ([1], "|b1", "int64"),
        ([None, 1], "<i4", "float64"),
        ([[1, 2], [3, 4]], "|u1", "uint8"),
        ([1], "no such dtype", "int64"),
        ([1], [["a", "<i4"]], "int64"),
    ],
)
def test_a_declared_dtype_is_used_where_it_is_exact(rows, declared, dtype):
    packed = pack(rows, {"dtype_numpy": declared})
    assert packed.values.dtype == dtype
    assert all(map(same, rows, packed.rows()))


@pytest.mark.parametrize(
    ("data_key", "kind", "dtype"),
    [
        ({"dtype": "string"}, "text", None),
        ({"dtype": "integer"}, "array", "int64"),
        ({"dtype": "number"}, "array", "float64"),
        ({"dtype": "boolean"}, "array", "bool"),
        ({"dtype": "number", "dtype_numpy": "<u2"}, "array", "uint16"),
        ({}, "array", "float64"),
    ],
)
def test_an_empty_column_is_what_was_declared(data_key, kind, dtype):
    packed = pack([], data_key)
    assert (packed.kind, len(packed)) == (kind, 0)
    if dtype is not None:
        assert packed.values.dtype == dtype
    assert pack([], {"dtype": "array", "shape": [3, 4]}).values.shape == (0, 3, 4)


def test_joined_columns_and_rows_that_are_not_there():
    one, other = Column(), Column()
    one.extend([1, 2])
    other.extend([2.5])
    packed = Column.joined([one, 2, other]).pack()
    assert list(packed.rows()) == [1, 2, None, None, 2.5]
    assert packed.nulls.tolist() == [2, 3]


def test_a_buffer_that_is_used_again_does_not_change_what_was_taken():
    page, row = np.zeros(1000), np.zeros(3)
    whole, rows = Column(), Column()
    whole.extend(page)
    rows.extend([row])
    page[:] = row[:] = 1
    assert not whole.pack().values.any()
    assert not rows.pack().values.any()


def test_texts_are_a_sequence():
    texts = pack(["a", "", "é\U0001f600", "b"]).values
    assert texts == ["a", "", "é\U0001f600", "b"]
    assert [texts[row] for row in range(-4, 4)] == [*texts, *texts]
    assert texts[1:3] == ["", "é\U0001f600"]
    with pytest.raises(IndexError):
        texts[4]


def test_a_million_events_stay_compact():
    rows = [number * 0.5 for number in range(1000)]
    uids = [f"{number:036d}" for number in range(1000)]
    tracemalloc.start()
    column, text = Column(), Column()
    for _ in range(200):
        column.extend(rows)
        text.extend(uids)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(column) == len(text) == 200_000
    # 8 bytes a float and 44 a uid, a tail of up to 4096 rows, and little else.
    assert used < 200_000 * (8 + 44) + 2_000_000
    assert column.pack().values.nbytes == 1_600_000


hostile = st.recursive(
    st.one_of(
        st.none(), st.booleans(), integers, floats, texts, st.binary(max_size=4), st.complex_numbers()
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            texts | st.sampled_from(["$numberDouble", "$binary", "$date", "$complex", "$literal", "$repr"]),
            inner,
            max_size=2,
        ),
    ),
    max_leaves=8,
)


@given(hostile)
@settings(max_examples=400, deadline=None)
def test_json_text_is_strict_and_comes_back(value):
    def refuse(token):
        raise AssertionError(token)

    text = jsontext.dumps(value)
    json.loads(text, parse_constant=refuse)
    assert "\x00" not in text
    text.encode()  # no lone surrogate is left
    assert same(jsontext.loads(text), value)


def test_json_text_says_what_it_cannot_hold():
    said = []
    assert jsontext.loads(jsontext.dumps({"a": object}, notice=said.append)) == {
        "a": {"$repr": repr(object)}
    }
    assert said == ["a value of type type has no form in JSON; what Python prints of it was kept"]


class Color(str, enum.Enum):  # noqa: UP042 - what ophyd-async has; str() of it is its name
    RED = "red"


class Gain(enum.IntEnum):
    LOW = 3


def test_enumerations_are_their_values_as_a_store_keeps_them():
    assert list(pack([Color.RED, "blue"]).rows()) == ["red", "blue"]
    assert pack([[Color.RED]]).values.tolist() == [["red"]]
    numbers = pack([Gain.LOW, 4])
    assert (numbers.values.dtype, numbers.values.tolist()) == (np.int64, [3, 4])


def test_json_text_of_long_doubles_and_of_keys_that_are_one_text():
    assert jsontext.encode(np.longdouble(0.5)) == 0.5
    assert jsontext.encode(np.longdouble(1) / 3) == {"$repr": repr(np.longdouble(1) / 3)}
    notices = []
    assert jsontext.encode({1: "a", "1": "b"}, notices.append) == {"1": "b", "1_": "a"}
    assert len(notices) == 1
