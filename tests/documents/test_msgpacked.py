"""Documents as msgpack: what comes back is what went in, and databroker can open all of it."""

from __future__ import annotations

import datetime
import decimal
import io
import pickletools
from typing import Any

import msgpack
import numpy as np
import pytest

from bluesky_export.documents.msgpacked import decode, pack
from bluesky_export.documents.pages import paginate
from bluesky_export.errors import NotFaithful
from bluesky_export.testing import RUNS

from ..comparing import same


def unpacked(data: bytes) -> list[Any]:
    return list(msgpack.Unpacker(io.BytesIO(data), object_hook=decode, raw=False, strict_map_key=False))


def as_databroker(data: bytes) -> list[Any]:
    from databroker._drivers.msgpack import UNPACK_OPTIONS

    return list(msgpack.Unpacker(io.BytesIO(data), **UNPACK_OPTIONS))


def back(value: Any) -> Any:
    ((name, doc),) = unpacked(pack("start", {"value": value}))
    assert name == "start"
    return doc["value"]


def exactly(found: Any, expected: Any) -> bool:
    """Say whether two values are equal, of one type and dtype; tuples come back as lists."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(exactly(found[k], expected[k]) for k in expected)
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(found, list) and len(found) == len(expected) and all(map(exactly, found, expected))
        )
    if isinstance(expected, np.ndarray) and expected.dtype.hasobject:
        return exactly(found, expected.tolist())
    if isinstance(expected, np.ndarray):
        return (found.dtype, found.shape, found.tobytes()) == (
            expected.dtype,
            expected.shape,
            expected.tobytes(),
        )
    if isinstance(expected, (np.bool_, np.floating, np.integer)) and not isinstance(expected, float):
        return found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
    if isinstance(expected, (str, float)):  # numpy's too, which are subclasses of Python's
        return same(found, expected)
    return type(found) is type(expected) and same(found, expected)


@pytest.mark.parametrize("kind", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("page_size", [None, 100])
def test_every_run_comes_back(kind, page_size, tmp_path):
    pairs = kind.documents(tmp_path)
    if page_size is not None:
        pairs = list(paginate(pairs, page_size))
    data = b"".join(pack(name, doc) for name, doc in pairs)
    found = unpacked(data)
    assert [name for name, _ in found] == [name for name, _ in pairs]
    for (name, doc), (_, expected) in zip(found, pairs, strict=True):
        assert exactly(doc, expected), f"{name}: {doc!r:.300} for {expected!r:.300}"
    assert len(as_databroker(data)) == len(pairs)


zone = datetime.timezone(datetime.timedelta(hours=-6))


@pytest.mark.parametrize(
    "value",
    [
        2**64,
        -(2**63) - 1,
        {1, 2},
        frozenset(["a", "b\udc80"]),
        {"in": [{"a set": {2**70}}]},
        datetime.datetime(2026, 11, 1, 1, 30, 0, 5, tzinfo=zone),
        datetime.date(2026, 11, 1),
        datetime.time(1, 30),
        datetime.timedelta(days=-1, microseconds=7),
        "a\udc80b",
        {"a\udc80": 1, "b": [2]},
        {1: "a", None: "b", (1, 2): "c", b"nd": True, 2.5: {"x": {3: 4}}},
        {b"$set": [1]},
        {b"nd": True},
        {},
        1 + 2j,
        np.datetime64("2026-11-01T01:30"),
        np.array(["2026-11-01", "NaT"], "M8[D]"),
        np.timedelta64(5, "s"),
        np.array([[1, 2], [3, 4]], ">i2").T,
        np.array(1.5, "f4"),
        np.array([], "f8"),
        np.zeros((0, 3), "u1"),
        np.array(["a", "bé"]),
        np.longdouble("0.1"),
    ],
    ids=lambda value: (
        type(value).__name__
    ),  # the order in the repr of a set changes from process to process
)
def test_what_msgpack_does_not_have_comes_back(value):
    assert exactly(back(value), value)


def test_a_wrong_value_is_seen():
    assert not exactly(np.float32(0.1), np.float64(0.1))
    assert not exactly([1, 2], {1, 2})
    assert not exactly(np.zeros(2, "f4"), np.zeros(2, "f8"))


def test_arrays_of_objects_are_no_pickles():
    texts = np.array(["a", "long text", None], dtype=object)
    data = pack("event_page", {"data": {"x": texts, "y": np.array([[1, "b"]], dtype=object)}})
    ((_, doc),) = as_databroker(data)
    assert doc["data"] == {"x": ["a", "long text", None], "y": [[1, "b"]]}
    with pytest.raises(Exception, match="opcode"):
        list(pickletools.genops(data))


def test_what_is_converted_is_said_with_its_place():
    said: list[str] = []
    value = {"when": {datetime.date(2026, 1, 1)}, "odd": decimal.Decimal("1.50"), "b": [{3: "x\udc80"}]}
    ((_, doc),) = unpacked(pack("start", {"sample": value}, said.append))
    assert doc["sample"] == {
        "when": {datetime.date(2026, 1, 1)},
        "odd": {b"$repr": "Decimal('1.50')"},
        "b": [{3: "x\udc80"}],
    }
    assert {line.partition(":")[0] for line in said} == {
        "start.sample.when",
        "start.sample.odd",
        "start.sample.b",
        "start.sample.b.3",
    }
    assert any("type Decimal" in line for line in said)


def test_the_document_itself_is_left_alone():
    inner = {"set": {1}, "array": np.array([None, "a"], dtype=object)}
    doc = {"uid": "u", "inner": inner}
    pack("start", doc)
    assert doc == {"uid": "u", "inner": inner}
    assert inner["set"] == {1}
    assert inner["array"].dtype == object


def test_what_cannot_be_written_is_refused():
    deep: Any = 1
    for _ in range(2_000):
        deep = [deep]
    with pytest.raises(NotFaithful, match="this run's start document cannot be written as msgpack"):
        pack("start", {"uid": "u", "deep": deep})
