"""What is taken from a network and what is refused: nothing that arrives is run."""

from __future__ import annotations

import datetime
import json
import os
import pickle

import msgpack_numpy
import numpy as np
import pytest

from bluesky_export.remote import MessageRefused, dumps, loads
from bluesky_export.remote._wire import check

from ..comparing import same

DOC = {
    "uid": "a",
    "time": 1.5,
    "sample": {"name": "Ä\u0000", "mass": None, "n": 3, "flag": True},
    "array": np.arange(6, dtype=">f4").reshape(2, 3),
    "numbers": [np.float32(1.5), np.int64(-3), float("nan")],
    "complex": 1 + 2j,
    "bytes": b"\x00\xff",
}


class Deadly:
    def __reduce__(self):
        return os.system, ("touch /tmp/bluesky-export-was-here",)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_opened_only_where_it_was_asked_for(protocol):
    data = pickle.dumps({**DOC, "when": datetime.datetime(2026, 11, 25)}, protocol)
    with pytest.raises(MessageRefused, match="--allow-pickle"):
        loads(data)
    assert same(loads(data, allow_pickle=True)["array"], DOC["array"])
    assert loads(data, allow_pickle=True)["array"].dtype == pickle.loads(data)["array"].dtype
    assert same(loads(data, allow_pickle=True)["sample"], DOC["sample"])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize("value", [Deadly(), os.system, eval, np.array([Deadly()], dtype=object)])
def test_a_pickle_that_runs_something_never_does(value, allow, protocol, monkeypatch):
    data = pickle.dumps({"uid": value}, protocol)
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("it was run"))
    with pytest.raises(MessageRefused):
        loads(data, allow_pickle=allow)


@pytest.mark.parametrize("allow", [False, True])
def test_an_array_of_objects_in_msgpack_is_a_pickle_too(allow):
    data = msgpack_numpy.packb({"uid": "a", "x": np.array([Deadly()], dtype=object)})
    with pytest.raises(MessageRefused, match="array of Python objects"):
        loads(data, allow_pickle=allow)


def test_what_we_send_comes_back():
    assert same(loads(dumps(DOC)), DOC)
    assert same(loads(msgpack_numpy.packb(DOC)), DOC)
    assert loads(json.dumps({"uid": "a", "x": [1, 2.5]}).encode()) == {"uid": "a", "x": [1, 2.5]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"hello",
        b"{",
        b"{]",
        b"[1]",
        b"\xde",
        b"\x81\xa1a",
        b"\x81\x01\x02",
        b"GET / HTTP/1.1",
        b"\xff" * 50,
    ],
)
def test_foreign_bytes_are_refused(data):
    with pytest.raises(MessageRefused):
        loads(data, allow_pickle=True)


@pytest.mark.parametrize(
    ("name", "doc"),
    [
        ("start", {"uid": 1, "time": 1.0}),
        ("start", {"uid": "a"}),
        ("event", {"descriptor": "a", "seq_num": 1, "data": [], "timestamps": {}}),
        ("startt", {"uid": "a", "time": 1.0}),
        ("__class__", {}),
        ("stop", {}),
    ],
)
def test_what_is_no_document_is_refused(name, doc):
    with pytest.raises(MessageRefused):
        check(name, doc)
