"""A msgpack file is read without looking into each dictionary, until something in it needs that."""

from __future__ import annotations

import datetime
import io

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluesky_export.catalogs._document_files import Msgpack, _Watched
from bluesky_export.documents import msgpacked

from ..comparing import same

ODD = {
    "array": {b"nd": True, b"type": "<f8", b"kind": b"", b"shape": [2], b"data": np.arange(2.0).tobytes()},
    "complex": {b"complex": True, b"data": repr(1 + 2j)},
    "text": {b"$text": b"\xed\xa0\x80"},
    "integer": {b"$int": str(2**70)},
    "set": {b"$set": [1, 2]},
    "date": {b"$date": "2026-11-25"},
    "items": {b"$items": [[1, "one"]]},
}
MEANT = {
    "array": np.arange(2.0),
    "complex": 1 + 2j,
    "text": "\ud800",
    "integer": 2**70,
    "set": {1, 2},
    "date": datetime.date(2026, 11, 25),
    "items": {1: "one"},
}


def test_all_keys_are_known():
    assert {next(iter(form)) for form in ODD.values()} <= set(msgpacked.KEYS)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("read_size", [1, 7, 64, 2**16])
def test_what_comes_late_is_decoded(tmp_path, kind, read_size):
    events = [["event", {"seq_num": number, "data": {"x": 0.1 * number}}] for number in range(20)]
    pairs = [["start", {"uid": "a"}], *events, ["event", {"data": {"x": ODD[kind]}}], *events]
    path = tmp_path / "a.msgpack"
    path.write_bytes(b"".join(map(msgpack.packb, pairs)))
    found = list(Msgpack().documents(str(path), read_size))
    assert [name for name, _ in found] == [name for name, _ in pairs]
    assert found[1:21] == found[22:] == [tuple(pair) for pair in events]
    (value,) = found[21][1]["data"].values()
    assert type(value) is type(MEANT[kind])
    assert value == MEANT[kind] if isinstance(value, (set, datetime.date)) else same(value, MEANT[kind])


MARKS = [bytes([len(key)]) + key for key in msgpacked.KEYS]


@given(st.lists(st.sampled_from([*MARKS, b"\xc4", b"\x00", b"\xc5", b"\x02"]) | st.binary(max_size=4)))
def test_the_quick_look_misses_nothing(pieces):
    seen = b"".join(pieces)
    watched = _Watched(io.BytesIO())
    if watched._keys.search(seen):
        assert watched._may_hold(seen)


@pytest.mark.parametrize("mark", MARKS)
def test_the_quick_look_is_at_the_key_and_its_length(mark):
    assert _Watched(io.BytesIO())._may_hold(b"\xc4" + mark)
    assert not _Watched(io.BytesIO())._may_hold(b"\x01" + mark)
    assert not _Watched(io.BytesIO())._may_hold(b"\xc4\x01" + mark[1:])


def test_the_name_of_a_key_in_text_does_no_harm(tmp_path):
    pairs = [
        ("start", {"uid": "a", "note": "\x02nd \x07complex \x05$text \xc4\x02nd"}),
        ("stop", {"b": b"nd"}),
    ]
    path = tmp_path / "a.msgpack"
    path.write_bytes(b"".join(map(msgpack.packb, pairs)))
    assert list(Msgpack().documents(str(path))) == pairs
