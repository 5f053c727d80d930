"""The comparison itself: one for all formats."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...formats import Written
from .. import Made
from ._comparing import same
from ._reading import Read, Table, features_of, is_array
from ._streams import events_by_stream, only, start_of, stop_of
from ._tested import Tested


def hold(written: Written, made: Made, tested: Tested) -> None:
    """Assert that the files of a run say what its documents say, by the writer's own declaration.

    Parameters
    ----------
    written : Written
        What the writer reports.
    made : Made
        The run that it was given.
    tested : Tested
        The format, and what reads its files.

    Raises
    ------
    AssertionError
        Something is not as declared; the text says what, and where.
    """
    module, declared = tested.reader, tested.writer.fidelity
    read: Read = module.read(written)
    documents = made.documents
    stop = stop_of(documents)
    assert read.status == written.status == ((stop or {}).get("exit_status") or "unfinished")
    if declared["start"].how == "exact":
        _document(tested, read.start, start_of(documents), "start")
    elif _holds(tested, "start"):
        module.hold_start(written, start_of(documents))
    if declared["stop"].how == "exact":
        _document(tested, read.stop, stop, "stop")
    elif _holds(tested, "stop"):
        module.hold_stop(written, stop)
    if declared["configuration"].how == "exact":
        assert read.descriptors is not None
        found = {doc["uid"]: doc["configuration"] for doc in read.descriptors}
        mine = {doc["uid"]: doc.get("configuration", {}) for doc in only(documents, "descriptor")}
        assert found.keys() == mine.keys()
        for uid, configuration in mine.items():
            _document(tested, found[uid], configuration, "configuration")
    elif _holds(tested, "configuration"):
        module.hold_configuration(written, documents)
    events = events_by_stream(documents)
    assert set(read.tables) <= set(events)
    for stream, rows in events.items():
        if stream in read.tables:
            _stream(written, tested, read.tables[stream], stream, rows, made)
            continue
        kind = declared["no-events" if not rows else "streams"]
        assert kind.how == "left out", f"{stream} is not in the file"
        assert not kind.said or _said(written, stream), f"no notice names the stream {stream}"


def _document(tested: Tested, found: Any, expected: Any, what: str) -> None:
    expected = tested.hook("metadata", _unchanged)(expected)
    assert same(found, expected), f"{what}: found {found!r:.400}, expected {expected!r:.400}"


def _holds(tested: Tested, feature: str) -> bool:
    """Say whether to check a document that is not exact; what no file has needs no check."""
    one = tested.writer.fidelity[feature]
    return one.how == "converted" or one.said or hasattr(tested.reader, f"hold_{feature}")


def _unchanged(value: Any) -> Any:
    return value


def _stream(
    written: Written, tested: Tested, table: Table, stream: str, rows: list[dict[str, Any]], made: Made
) -> None:
    rows = tested.hook("ordered", _unchanged)(rows)
    module, declared = tested.reader, tested.writer.fidelity
    times = [row["time"] for row in rows]
    if declared["event-time"].how == "converted":
        times = module.times(rows, start_of(made.documents))
    assert same(table.time, times), f"{stream}: times"
    columns: tuple[tuple[str, str, list[Any] | None], ...] = (
        ("seq_num", "seq_num", table.seq_num),
        ("event-uid", "uid", table.uid),
    )
    for feature, key, column in columns:
        if declared[feature].how == "exact":
            assert same(column, [row[key] for row in rows]), f"{stream}: {key}"
        else:
            assert column is None
    assert (table.timestamps is None) == (declared["timestamps"].how == "left out")
    described = {
        field: data_key
        for doc in only(made.documents, "descriptor")
        if doc.get("name", "primary") == stream
        for field, data_key in doc["data_keys"].items()
    }
    assert set(table.fields) <= set(described)
    for field, data_key in described.items():
        where = f"{stream}.{field}"
        values = [row["data"].get(field) for row in rows]
        features = features_of(values)
        if data_key.get("external") and rows:
            values, features = _external(made, stream, field, values)
        late = any(field not in row["data"] for row in rows) and "external" not in features
        if late:
            features = (features - {"none"}) | {"new-field"}
        if hasattr(module, "declared"):
            values = module.declared(values, data_key)
        _field(written, tested, table, field, values, features, where)
        if (
            table.timestamps is not None
            and field in table.fields
            and not features & {"external", "unreadable"}
        ):
            stamps = [row["timestamps"].get(field) for row in rows]
            assert same(table.timestamps[field], stamps), f"{where}: timestamps"


def _external(made: Made, stream: str, field: str, values: list[Any]) -> tuple[list[Any], set[str]]:
    if any(is_array(value) for value in values):  # filled in already
        return values, features_of(values)
    truth = made.external.get((stream, field), [None] * len(values))
    unreadable = {"unreadable"} if any(image is None for image in truth) else set()
    return truth, {"external"} | unreadable


def _field(
    written: Written,
    tested: Tested,
    table: Table,
    field: str,
    values: list[Any],
    features: set[str],
    where: str,
) -> None:
    module, declared = tested.reader, tested.writer.fidelity
    left_out = {feature for feature in features if declared[feature].how == "left out"}
    apart = module.leaves_out(values) if hasattr(module, "leaves_out") else None
    if apart:  # of a format that holds some kinds of fields only
        assert field not in table.fields, f"{where} is in the file"
        said = any(declared[feature].said for feature in features - {"narrow"})
        assert not said or _said(written, field), f"no notice names {where}: {written.notices}"
        return
    if apart is False:
        left_out &= {"external"}  # a number, but in a file of its own
    if left_out and (field not in table.fields or not hasattr(module, "partly")):
        assert field not in table.fields, f"{where} is in the file, though {left_out} are left out"
        assert _said(written, field), f"no notice names {where}: {written.notices}"
        return
    if "unreadable" in features:  # written as far as it can be read, and marked
        assert written.partial
        assert _said(written, field), f"no notice names {where}: {written.notices}"
        if all(value is None for value in values):
            assert field not in table.fields, f"{where} was read from nowhere"
            return
    if field not in table.fields and not values:
        return
    assert field in table.fields, f"{where} is not in the file"
    found, expected = table.fields[field], values
    for feature in sorted(features):
        if declared[feature].how == "converted":
            expected = module.RULES[feature](expected)
    if left_out or hasattr(module, "too_long"):
        before, expected = expected, module.partly(expected)
        lost = any(one is not None and other is None for one, other in zip(before, expected, strict=True))
        assert not lost or _said(written, field), f"no notice names {where}: {written.notices}"
    assert len(found) == len(expected), f"{where}: {len(found)} values, not {len(expected)}"
    compare = tested.hook("compare", same)
    for row, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert compare(one, other), (
            f"{where} {row}: found {one!r:.300}, expected {other!r:.300} ({features})"
        )
    dtypes = {value.dtype for value in values if isinstance(value, (np.ndarray, np.generic))}
    typed = all(isinstance(value, (np.ndarray, np.generic)) or value is None for value in values)
    if declared["narrow"].how == "exact" and typed and len(dtypes) == 1 and field in table.dtypes:
        (dtype,) = dtypes
        if dtype.kind in "biufc" and features.isdisjoint({"none", "mixed"}):
            assert table.dtypes[field] == dtype, f"{where}: {table.dtypes[field]}, not {dtype}"


def _said(written: Written, name: str) -> bool:
    names = (name, repr(name), repr(name)[1:-1])
    return any(text in notice for notice in written.notices for text in names)
