"""What stands in a line of a SPEC file: nothing of the user's breaks it, and all can be read back."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bluesky_export.formats._spec_text import (
    LABEL_LIMIT,
    cell_text,
    cells,
    fits,
    key_text,
    label_texts,
    loses_digits,
    one_line,
    parse_value,
    spec_date,
    value_text,
)
from bluesky_export.testing.kit import joined

from ..replaying import run_of
from . import spec_readers
from .spec_readers import READERS
from .test_spec import write

NASTY = st.one_of(
    st.sampled_from(["\n", "\r", "\t", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\ud800"]),
    st.sampled_from(["#", "#S 99  x()", "#F f", "\n#S 99  x()\n#N 1\n#L a\n1\n", "@A"]),
    st.sampled_from(["\\", '"', "=", "%", "/", " "]),
    st.characters(),
)
HOSTILE = st.lists(NASTY, max_size=8).map(joined)
NUMBERS = st.booleans() | st.integers() | st.floats(allow_nan=False)
SCALARS = st.one_of(st.none(), NUMBERS, HOSTILE, st.sampled_from(["5", "None", "NaN"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
@example("ends in a backslash\\")
@example(" led by a blank")
@example('"quoted"')
@example("1e5")
@example("[1, 2")
def test_values_come_back_from_one_line(value):
    text = value_text(value)
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)
    assert len(text.splitlines()) <= 1
    assert text == text.strip()
    assert not text.endswith("\\")
    text.encode()  # no surrogate is left


@given(HOSTILE)
def test_keys_come_back_as_one_word(key):
    text = key_text(key)
    assert text.split() == [text]
    assert "=" not in text
    assert unquote(text, errors="surrogatepass") == key or (text == "%" and not key)
    text.encode()


@given(HOSTILE)
def test_comments_stay_on_their_line(text):
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert "\0" not in line
    assert not line.endswith("\\")
    line.encode()


@given(st.lists(HOSTILE | st.just("x" * 300), unique=True, max_size=6))
def test_labels_are_read_as_they_were_written(names):
    labels = label_texts(names, reserved=("Epoch",))
    assert len({label.replace("/", "%") for label in labels}) == len(names)  # silx's names of them
    line = "#L " + "  ".join(["Epoch", *labels])
    assert line.isascii()
    assert line.split("  ") == ["#L Epoch", *labels]
    for label in labels:
        assert len(label) <= LABEL_LIMIT + 3
        assert label == label.strip()
        assert label[0] != "#"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    metadata=st.dictionaries(HOSTILE.map("k{}".format), VALUES, max_size=3),
    field=HOSTILE,
    values=st.lists(HOSTILE | st.floats(), min_size=1, max_size=3),
    plan=HOSTILE,
    reason=HOSTILE,
    motor=HOSTILE,
)
def test_one_run_is_one_scan_whatever_the_documents_hold(metadata, field, values, plan, reason, motor):
    run = run_of(
        {field: values, "x": [float(row) for row in range(len(values))]} if field != "x" else {"x": values},
        start={"plan_name": plan, "plan_args": {plan: reason}, **metadata},
        stop={"reason": reason, "num_events": {motor: 1}},
    )
    run[1][1]["configuration"] = {motor: {"data": {reason: plan}}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dat"
        write(run_of({"x": [1.5]}, uid="before"), path)
        write(run, path)
        write(run_of({"x": [2.5]}, uid="after"), path)
        for reader in READERS.values():
            before, mine, after = reader(path)
            assert before.columns["x"].tolist() == [1.5]
            assert after.columns["x"].tolist() == [2.5]
            assert [scan.number for scan in (before, mine, after)] == [7, 7, 7]
            if field != "x":
                assert mine.columns["x"].tolist() == list(range(len(values)))
        found = spec_readers.metadata(path, 1)
        assert {key: found[key] for key in metadata} == metadata
        raw = path.read_bytes()
        assert raw.count(b"\n#S ") == 3
        assert not set(raw) & (set(range(32)) - {10})


def test_a_line_that_ends_in_a_backslash_does_not_swallow_the_next(tmp_path):
    start = {"folder": "C:\\data\\", "next": "here", "pair": ["\\"]}
    write(run_of({"x": [1.0]}, start=start), tmp_path / "a.dat")
    found = spec_readers.metadata(tmp_path / "a.dat")
    assert (found["folder"], found["next"], found["pair"]) == ("C:\\data\\", "here", ["\\"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain text", "plain text"), ("µ", "µ"), ("C:\\x", "C:\\x"), ("", '""'), ("a\nb", '"a\\nb"'),
        ("5", '"5"'), (5, "5"), (5.0, "5.0"), (None, "None"), ("None", '"None"'), (True, "True"),
        (math.inf, "Infinity"), (np.float32(0.1), "0.10000000149011612"), (np.arange(2), "[0, 1]"),
        ((1, 2), "[1, 2]"), ({"a": None}, '{"a": null}'), ("\u2028", '"\\u2028"'), ("\x7f", '"\\u007f"'),
    ],
)  # fmt: skip
def test_how_values_look(value, text):
    assert value_text(value) == text


def test_nan_in_metadata():
    assert value_text(math.nan) == "NaN"
    assert math.isnan(parse_value("NaN"))
    assert value_text("NaN") == '"NaN"'


@given(st.floats(), st.integers())
def test_cells_read_back_bit_for_bit(number, integer):
    text = cell_text(number)
    if math.isnan(number):
        assert text == ""
    else:
        assert np.float64(text).tobytes() == np.float64(number).tobytes()
        assert (
            cells([number])[0] == cells(np.array([number]))[0] == cells([np.float64(number)])[0] == [text]
        )
    assert int(cell_text(integer)) == integer


def test_columns_and_single_cells_have_the_same_text():
    floats = [0.1, 1e-7, 1e22, 5.0, -0.0, 1.5e300]
    assert cells(floats)[0] == cells(np.array(floats))[0] == [cell_text(value) for value in floats]
    narrow = np.array([0.1, 2.5], np.float32)
    assert cells(narrow)[0] == cells(narrow.astype(">f4"))[0] == [cell_text(value) for value in narrow]
    assert cells(np.array([[1.5], [2.5]]))[0] == ["1.5", "2.5"]
    assert cells(np.arange(10.0)[::2])[0] == ["0.0", "2.0", "4.0", "6.0", "8.0"]
    assert cells([True, 2, 0.5])[0] == ["1", "2", "0.5"]


def test_odd_cells_are_told_by_row():
    texts, odd = cells([1.0, None, "x", math.inf])
    assert texts == ["1.0", "", "", "1e999"]
    assert odd == {1: None, 2: "x"}


def test_longdouble_is_a_number_only_if_a_double_holds_it():
    assert cell_text(np.longdouble(0.5)) == "0.5"
    more = np.longdouble(1) + np.finfo(np.longdouble).eps
    if float(more) != more:
        assert cell_text(more) == ""


def test_integers_that_readers_round():
    assert loses_digits([1.0, 2**53 + 1])
    assert loses_digits(np.array([2**63 + 1], np.uint64))
    assert not loses_digits([2**53, 2**60, 1.5, None, 10**400])


def test_dates_are_english_and_local(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "America/Chicago")
    time.tzset()
    try:
        assert spec_date(1700000000.9) == "Tue Nov 14 16:13:20 2023"
        assert spec_date(1689350000) == "Fri Jul 14 10:53:20 2023"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_length_of_a_line_is_that_of_its_bytes():
    assert fits("x" * 8000)
    assert not fits("µ" * 4001)


def test_quoted_text_is_json():
    assert json.loads(value_text("a\n\x85\u2028")) == "a\n\x85\u2028"
