"""What fields are called in tables, where a file cannot have their names."""

from __future__ import annotations

import pandas as pd
import pytest

from ..replaying import replay, run_of

LONE = {
    name: [n + 1.0, n + 2.0]
    for n, name in zip((0, 2, 4, 6), ("a\ud800", "a\udfff", "a_", "a__"), strict=True)
}


def test_no_two_columns_have_one_name(tmp_path):
    written = replay("parquet", run_of(LONE), tmp_path)
    frame = pd.read_parquet(written.files[0])  # which refuses a table that has a name twice
    assert frame["a_"].tolist() == [5.0, 6.0]
    assert frame["a__"].tolist() == [7.0, 8.0]
    assert frame["a___"].tolist() == [1.0, 2.0]
    assert frame["a____"].tolist() == [3.0, 4.0]
    said = [notice for notice in written.notices if "is called" in notice]
    assert said == [
        r"primary: field 'a\ud800' is called 'a___' in the file",
        r"primary: field 'a\udfff' is called 'a____' in the file",
    ]


@pytest.mark.parametrize("name", ["parquet", "arrow", "xlsx", "csv"])
def test_what_is_left_out_is_called_nothing(name, tmp_path):
    run = run_of({"x": [1.0], "image\ud800": ["datum/1"]}, keys={"image\ud800": {"external": "FILESTORE:"}})
    notices = replay(name, run, tmp_path).notices
    assert [notice for notice in notices if "left out" in notice]
    assert not [notice for notice in notices if "is called" in notice]
