"""Runs that are copied into a Tiled server: a real one on loopback, read back by Tiled's own client.

All kinds of run: ``pytest -m long tests/formats/test_tiled.py``; every run of the tests has a few of them.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from bluesky import RunEngine
from IPython.core.completer import provisionalcompleter

from bluesky_export import attach
from bluesky_export.cli import main
from bluesky_export.documents.pages import paginate
from bluesky_export.errors import (
    BlueskyExportError,
    CatalogUnavailable,
    NotFaithful,
    OutputError,
    UsageError,
)
from bluesky_export.formats import Written, _tiled_files, _tiled_upload, writer_class
from bluesky_export.formats._spool import Spool
from bluesky_export.formats._tiled_compare import compare
from bluesky_export.formats._tiled_frames import misplaced
from bluesky_export.formats._tiled_upload import MARK
from bluesky_export.formats._tiled_values import Comparison, Differs
from bluesky_export.live import live_writers
from bluesky_export.outputs import Address, Target, keep_key
from bluesky_export.session import BlueskyExport, set_settings
from bluesky_export.testing import RUNS, kit

from ..corpus import all_runs
from ..fixtures_tiled import API_KEY, TiledServer, _wait, store, tiled_server
from ..memory_catalog import MemoryCatalog, MemoryRun
from ..replaying import run_of
from ..sampling import drawn
from ..shell import new_shell

_COLUMN = "SQL identifier"
NOT_KEPT = {
    "new-field": "primary.late is not in Tiled",
    "scan-id-text": "scan_id: '2026-3/run 7' is not of type 'integer'",
    "uint64": "too large",
    "int-float": "outside of the range exactly representable",
    "booleans": "tried to convert to boolean",
    "numpy-zero-d": "too large",
    "complex": "type complex",
    "none": "integer is 9007199254740993, and in Tiled None",  # Tiled rounds these
    "text-surrogates": "surrogates not allowed",
    "mixed": "ArrowTypeError",
    "datum-unknown": "unknown Datum",
    "metadata-none": "sample: None is not valid",
    "metadata-numbers": "start.integers = 9007199254740993",
    "metadata-huge-integers": "start.huge",
    "metadata-complex": "not JSON serializable",
    "metadata-surrogates": "surrogates not allowed",
    "metadata-keys": "'x/y' does not match",
    "metadata-descriptor": "configuration.det.det_int = 9007199254740993",
    "field-slash": "data_keys: '/c'",
    "field-dot": "data_keys: '.'",
    "field-blank": _COLUMN,
    "field-quotes": _COLUMN,
    "field-unicode": _COLUMN,
    "field-case": "500: Internal server error",
    "field-formula": _COLUMN,
    "field-long": _COLUMN,
    "field-digits": _COLUMN,
    "field-empty": "data_keys: '' does not match",
    "field-groups": "reserved column names",
    "field-like-ours": "data_keys: 'a/1' does not match",
    "stream-names": "No such entry",
}
"""By kind of run: why it is not copied."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TiledServer]:
    logging.getLogger("bluesky_tiled_plugins").setLevel(logging.CRITICAL)  # it logs what is refused
    with tiled_server("bluesky", tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[BlueskyExport]:
    """No key of another test, no profile of the machine, and a journal of its own."""
    from bluesky_export.outputs import _address

    monkeypatch.setattr(_address, "_keys", {})
    monkeypatch.setenv("TILED_PROFILES", str(tmp_path / "no-profiles"))
    settings = BlueskyExport(journal=str(tmp_path / "journal"))
    set_settings(settings)
    yield settings
    set_settings(None)


def address(server: TiledServer, key: str = API_KEY) -> str:
    return f"{server.uri}/api/v1?api_key={key}"


def send(server: TiledServer, documents: Any, **options: Any) -> Written:
    target = Target.at(address(server), "tiled")
    return kit.replay(writer_class("tiled"), documents, target, page_size=7, **options)


def node(server: TiledServer, uid: str) -> Any:
    """Return a run's node, asked for anew; None if there is none."""
    if not server._clients:
        server.client(include_data_sources=True)
    return server._clients[0].get(uid)


def simple(uid: str, **start: Any) -> list[Any]:
    start = {"motors": ["m"], **start}
    return run_of({"m": [0.5, 1.5], "n": [1, 2]}, uid=f"{uid}-0000-4000-8000-000000000001", start=start)


# -- every kind of run -------------------------------------------------------------------------


def table_of(part: Any) -> dict[str, Any]:
    """Return a table as the server gives it: its client's pandas makes text of lists (pandas 3)."""
    http, accept = part.context.http_client, {"Accept": "application/vnd.apache.arrow.file"}
    answer = http.get(part.item["links"]["full"], headers=accept).raise_for_status()
    return pa.ipc.open_file(answer.content).read_all().to_pydict()


def columns_in(client: Any, uid: str) -> dict[str, dict[str, Any]]:
    """Return what Tiled's own client reads of each stream: columns of its tables, arrays."""
    found: dict[str, dict[str, Any]] = {}
    for stream, contents in client[uid].base.items():
        found[stream] = {}
        for key, part in contents.base.items():
            if part.structure_family == "table":
                found[stream].update(table_of(part))
            elif not key.startswith("internal") and part.data_sources()[0].management != "external":
                found[stream][key] = part.read()
    return found


def same(sent: Any, stored: Any) -> bool:
    """Say whether two values are equal, with None for NaN, and NaN behind a shorter array."""
    sent = sent.tolist() if isinstance(sent, (np.ndarray, np.generic)) else sent
    stored = stored.tolist() if isinstance(stored, (np.ndarray, np.generic)) else stored
    if isinstance(sent, (list, tuple)):
        rest = list(stored)[len(sent) :]
        return all(map(same, sent, stored)) and all(same(None, value) for value in rest)
    if sent is None or (isinstance(sent, float) and math.isnan(sent)):
        return stored is None or stored != stored
    return bool(sent == stored)


def copied(server: TiledServer, name: str, documents: Any, root_map: Any) -> None:
    """Copy one run, twice, and read it back; or see that it was refused and left nothing."""
    start = documents[0][1]
    uid = start["uid"]
    if name in NOT_KEPT:
        with pytest.raises(BlueskyExportError) as error:
            send(server, documents, root_map=root_map)
        assert NOT_KEPT[name] in str(error.value)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 600
        assert node(server, uid) is None
        return
    written = send(server, documents, root_map=root_map)
    assert written.files == ()
    assert written.uris == (node(server, uid).uri.replace("metadata//", "metadata/"),)
    assert not written.unchanged
    again = send(server, documents, root_map=root_map)
    assert again.unchanged
    assert again.notices == written.notices
    client = server._clients[0]
    assert MARK not in client[uid].metadata
    assert client[uid].metadata["start"]["time"] == start["time"]
    assert ("stop" in client[uid].metadata) == (documents[-1][0] == "stop")
    found = columns_in(client, uid)
    streams, keys, rows = {}, {}, {}
    for kind, doc in documents:
        if kind == "descriptor":
            streams[doc["uid"]], keys[doc["uid"]] = doc["name"], doc["data_keys"]
            assert doc["name"] in found
        elif kind == "event":
            stream = streams[doc["descriptor"]]
            row = rows[stream] = rows.get(stream, -1) + 1
            assert found[stream]["seq_num"][row] == doc["seq_num"]
            for key, value in doc["data"].items():
                here = keys[doc["descriptor"]].get(key)
                if here is None or ("external" in here and not doc["filled"].get(key)):
                    continue
                stored = found[stream][f"{key}_" if key in ("time", "seq_num") else key][row]
                assert same(value, stored), (key, value, stored)
                if value is None and stored is not None and here["dtype"] in ("number", "integer"):
                    assert any("None is NaN" in one and key in one for one in written.notices), key


def kinds() -> list[str]:
    return [*RUNS, *all_runs()]


def made(name: str, folder: Path) -> tuple[Any, Any]:
    if name in all_runs():
        return all_runs()[name], {}
    run = RUNS[name].make(folder)
    return run.documents, run.root_map


def test_a_sample_of_all_kinds_of_run(server, tmp_path):
    taken = [name for name in kinds() if name not in NOT_KEPT]
    for name in [*drawn("tiled", taken, 2), *drawn("tiled refused", sorted(NOT_KEPT), 1)]:
        print(name)
        copied(server, name, *made(name, tmp_path))


@pytest.mark.long
@pytest.mark.parametrize("name", kinds())
def test_all_kinds_of_run(server, name, tmp_path):
    copied(server, name, *made(name, tmp_path))


def test_what_is_stored_otherwise_is_said(server):
    data = {"x": [1.0, None], "n": [1, 2.5], "time": [3.0, 4.0], "a": [[1.0] * 20, [1.0] * 18]}
    keys = {"a": {"dtype": "array", "shape": [20], "dtype_numpy": "<f8"}, "n": {"dtype": "number"}}
    documents = run_of(
        data, keys=keys, start={"when": math.nan}, uid="5eed0001-0000-4000-8000-000000000001"
    )
    notices = send(server, documents).notices
    for what in (
        "None is NaN: primary.x",
        "integers are floats of the same value: primary.n",
        "shorter arrays are filled up with NaN: primary.a",
        "null in metadata: start.when",
    ):
        assert any(what in notice for notice in notices), (what, notices)


def test_cut_numbers_are_told_where_that_is_asked_for(server):
    documents = simple("5eed0002", big=2**60, small=2**53 - 1, text=str(2**60))
    with pytest.raises(NotFaithful, match=r"start.big = 1152921504606846976.*--option cut=true"):
        send(server, documents)
    assert node(server, documents[0][1]["uid"]) is None
    written = send(server, documents, cut=True)
    (said,) = [one for one in written.notices if "cut" in one]
    assert said.endswith("to its limits, 2**53-1 and 1.7976e308: start.big (1152921504606846976)")


# -- the same again, and another one -----------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda docs: docs[0][1].update(sample="other"), "start.sample is"),
        (lambda docs: docs[0][1].update(extra=1), "start.extra is not in Tiled"),
        (lambda docs: docs[0][1].pop("sample"), "start has sample in Tiled"),
        (lambda docs: docs[2][1]["data"].update(m=0.5000001), "event 1: primary.m is 0.5000001"),
        (lambda docs: docs[3][1]["timestamps"].update(n=5.0), "event 2: primary.n: timestamp"),
        (lambda docs: docs.pop(3), "stream primary has more than 1 events in Tiled"),
        (lambda docs: docs[-1][1].update(exit_status="abort"), "stop.exit_status is 'abort'"),
        (lambda docs: docs.pop(), "only one of them has a stop document"),
        (lambda docs: docs[1][1]["data_keys"]["m"].update(units="mm"), "data_keys.m.units is not in Tiled"),
    ],
)
def test_differing_runs_are_told_apart(change, place):
    first = simple("5eed0003", sample="one")
    other = json.loads(json.dumps(first))
    change(other)
    spool = Spool()
    for name, doc in paginate(other, 2):
        spool.put(name, doc)
    with pytest.raises(Differs) as error:
        compare(spool, MemoryRun(first))
    assert place in str(error.value)
    spool.close()


def test_another_run_under_the_uid_is_refused_and_left(server):
    first = simple("5eed0003", sample="one")
    send(server, first)
    other = simple("5eed0003", sample="two")
    with pytest.raises(OutputError, match=r"another run under the uid.*start.sample is 'two'"):
        send(server, other)
    target = Target.at(address(server), "tiled", if_exists="overwrite")
    with pytest.raises(OutputError, match="another run under the uid"):
        kit.replay(writer_class("tiled"), other, target)
    assert node(server, first[0][1]["uid"]).metadata["start"]["sample"] == "one"


def elsewhere(name: str, doc: Any) -> None:
    if name == "resource":
        doc["resource_path"] += "x"
    elif name == "stream_resource":
        doc["uri"] = doc["uri"].replace("file://localhost/", "file://localhost/elsewhere/")


@pytest.mark.parametrize(("kind", "uid"), [("npy-sequence", "5eed0015"), ("stream-hdf5", "5eed0016")])
def test_a_run_whose_detector_files_are_others_is_another_run(server, kind, uid, tmp_path, monkeypatch):
    documents, root_map = made(kind, tmp_path)
    documents = under(f"{uid}-0000-4000-8000-000000000001", documents)
    send(server, documents, root_map=root_map)
    again = send(server, documents, root_map=root_map)
    assert again.unchanged
    assert not any("other detector files" in one for one in again.notices)
    (field,) = {key for name, doc in documents if name == "descriptor" for key in external_keys(doc)}
    other = copy.deepcopy(documents)
    for name, doc in other:
        elsewhere(name, doc)
    assert other != documents
    with pytest.raises(OutputError, match="another run under the uid") as error:
        send(server, other, root_map=root_map)
    assert f"primary.{field} (['file://" in str(error.value)
    assert "other detector files than those of the run here" in str(error.value)
    for name, doc in other:  # as a facility's own writer may store it, with a table of its own
        if name == "resource":
            doc["spec"] = "OF_ANOTHER_WRITER"
        elif name == "stream_resource":
            doc["mimetype"] = "application/x-of-another-writer"
    (said,) = [one for one in send(server, other, root_map=root_map).notices if "were not compared" in one]
    assert said.endswith(f": primary.{field}")
    monkeypatch.setattr(_tiled_files, "_consolidators", lambda spool: [][0])
    assert said in send(server, documents, root_map=root_map).notices


def under(uid: str, documents: Any) -> Any:
    """Return a run under another uid."""
    return json.loads(json.dumps(documents).replace(documents[0][1]["uid"], uid))


def test_copies_of_the_detector_files_are_the_same_run(server, tmp_path):
    documents = under("5eed0013-0000-4000-8000-000000000001", made("stream-hdf5", tmp_path)[0])
    send(server, documents)
    (resource,) = [doc for name, doc in documents if name == "stream_resource"]
    file = Path(unquote(urlsplit(resource["uri"]).path))
    moved = tmp_path / "a copy" / file.name
    moved.parent.mkdir()
    moved.write_bytes(file.read_bytes())
    resource["uri"] = f"file://localhost{quote(str(moved))}"
    written = send(server, documents)
    assert written.unchanged
    assert any("the same byte by byte" in one for one in written.notices)
    moved.write_bytes(file.read_bytes()[:-1] + b"x")  # of the same size
    with pytest.raises(OutputError, match="other detector files"):
        send(server, documents)
    moved.unlink()
    with pytest.raises(OutputError, match="copies that cannot be read here"):
        send(server, documents)


def _shift(by: int, since: int = 0) -> Any:
    """Return a change of a run: its frames have later numbers, from one of them on."""

    def change(documents: Any) -> None:
        for name, doc in documents:
            if name == "datum":
                kwargs = doc["datum_kwargs"]
                (key,) = kwargs.keys() & {"index", "point_number"}
                kwargs[key] += by if kwargs[key] >= since else 0
            elif name == "stream_datum" and doc["indices"]["start"] >= since:
                doc["indices"] = {key: value + by for key, value in doc["indices"].items()}

    return change


def _back_to_the_first_file(documents: Any) -> None:
    _, second, third, _ = [doc for name, doc in documents if name == "event"]
    second["data"], third["data"] = third["data"], second["data"]


def _one_frame_left_to_another_stream(documents: Any) -> None:
    """The second frame of the first of two files is one of another stream."""
    (_, descriptor), *_ = [pair for pair in documents if pair[0] == "descriptor"]
    other = {**copy.deepcopy(descriptor), "uid": "5eed0000-0000-4000-8000-00000000000f", "name": "other"}
    events = [doc for name, doc in documents if name == "event"]
    (field,) = external_keys(descriptor)
    events[0]["descriptor"], events[1]["descriptor"] = descriptor["uid"], other["uid"]
    datums = {doc["datum_id"]: doc for name, doc in documents if name == "datum"}
    again = {**copy.deepcopy(datums[events[0]["data"][field]]), "datum_id": "again"}
    more = {**copy.deepcopy(events[0]), "descriptor": other["uid"], "uid": "another", "seq_num": 1}
    more["data"][field] = "again"
    events[1]["seq_num"] = 2
    for number, event in enumerate(events[2:], 2):
        event["seq_num"] = number
    place = next(number for number, (name, _) in enumerate(documents) if name == "event")
    documents[place:place] = [("descriptor", other), ("datum", again), ("event", more)]


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("npy-sequence", _shift(2), "has frame 3 of"),
        ("npy-sequence", _shift(1, since=1), "has frame 3 of"),
        ("datum-page", None, None),
        ("several-resources", None, None),
        ("several-resources", _shift(1), "has frame 2 of"),
        ("several-resources", _shift(1, since=1), "has frame 3 of"),
        ("several-resources", _back_to_the_first_file, "goes back to a file"),
        ("several-resources", _one_frame_left_to_another_stream, "leaves out the last frames"),
        ("stream-hdf5", _shift(1), "has frame 2 of"),
        ("stream-hdf5", _shift(2, since=1), "has frame 4 of"),
        ("stream-two-hdf5", None, None),
        ("stream-tiff", _shift(4), None),
        ("stream-file-per-point", None, None),
        ("stream-scalars", _shift(1), "has frame 2 of"),
    ],
)
def test_frames_that_tiled_would_take_for_others_are_found(kind, change, says, tmp_path):
    documents = copy.deepcopy(made(kind, tmp_path)[0])
    if change is not None:
        change(documents)
    (field,) = {key for name, doc in documents if name == "descriptor" for key in external_keys(doc)}
    spool = Spool()
    for name, doc in paginate(documents, 2):
        spool.put(name, doc)
    found = misplaced(spool)
    spool.close()
    if says is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(f"primary.{field} {says}")


def test_streams_that_share_a_file_are_refused_by_a_server_that_runs(server, tmp_path):
    documents, root_map = made("stream-hdf5", tmp_path)
    documents = under("5eed0012-0000-4000-8000-000000000001", documents)
    _shift(1)(documents)
    with pytest.raises(
        NotFaithful, match=r"not sent to Tiled: .* has frame 2 .*; export it as nexus, hdf5"
    ):
        send(server, documents, root_map=root_map)
    assert node(server, documents[0][1]["uid"]) is None


def external_keys(descriptor: Any) -> list[str]:
    return [key for key, known in descriptor["data_keys"].items() if "external" in known]


def test_a_run_of_another_writer_is_compared_too(server):
    documents = simple("5eed0004")
    assert store(server.client(), documents) is None
    assert send(server, documents).unchanged


def test_a_run_that_another_writer_has_not_finished_is_left(server):
    documents = simple("5eed0005")
    assert store(server.client(), documents[:-1]) is None
    with pytest.raises(OutputError, match="without its end: another writer"):
        send(server, documents)
    assert "stop" not in node(server, documents[0][1]["uid"]).metadata


def test_what_another_machine_left_is_replaced_when_it_is_old_or_that_is_asked_for(server):
    def left(minutes: float) -> None:
        here = server.client()
        if uid in here:
            here.delete_contents([uid], recursive=True, external_only=False)
        mark = {"host": "elsewhere", "pid": 1, "time": time.time() - 60 * minutes, "token": "x"}
        here.create_container(key=uid, metadata={"start": documents[0][1], MARK: mark})

    documents = simple("5eed0014")
    uid = documents[0][1]["uid"]
    left(10)
    with pytest.raises(OutputError) as error:
        send(server, documents)
    assert "from elsewhere, or was 10 minutes ago; try again in 50 minutes" in str(error.value)
    assert str(error.value).endswith("if nothing is at it there any more: --option patience=0")
    with pytest.raises(OutputError, match="try again in 5 minutes"):
        send(server, documents, patience=15)
    assert node(server, uid).metadata[MARK]["host"] == "elsewhere"
    assert not send(server, documents, patience=0).unchanged
    assert MARK not in node(server, uid).metadata
    left(61)
    assert not send(server, documents).unchanged
    left(-600)  # its clock is ahead
    with pytest.raises(OutputError, match="try again in 60 minutes"):
        send(server, documents)
    assert not send(server, documents, patience=0).unchanged
    for wrong in (-1.0, math.nan):
        with pytest.raises(UsageError, match="no number of minutes"):
            send(server, documents, patience=wrong)


def test_no_uid_leads_elsewhere(server):
    for uid in ("../../5eed0003", "a/b", "%2e%2e", "", "a?b", ".."):
        with pytest.raises(BlueskyExportError, match="uid"):
            send(server, run_of({"x": [1.0]}, uid=uid))


def test_a_value_that_comes_back_as_another_is_refused(server, monkeypatch):
    """Nothing of a run that the server does not give back as it was stays there."""
    documents = simple("5eed0006")
    compared = compare

    def off(sent: Spool, stored: Any) -> Comparison:
        if stored.start["uid"] == documents[0][1]["uid"]:
            raise Differs("event 1: primary.m is 0.5, and in Tiled 0.25")
        return compared(sent, stored)

    monkeypatch.setattr(_tiled_upload, "compare", off)
    with pytest.raises(NotFaithful, match=r"does not keep run 5eed000 as it is: event 1: primary.m is 0.5"):
        send(server, documents)
    assert node(server, documents[0][1]["uid"]) is None


def test_values_are_told_apart():
    differing = [
        (1, 2),
        (1.0, 1.0000000000000002),
        ("a", "b"),
        ("1", 1),
        ([1.0, 2.0], [1.0]),
        ([1.0], [1.0, 2.0]),
        ([], [math.nan]),
        (None, 0),
        (2**53 + 1, float(2**53)),
        (np.array([2**53 + 1]), [float(2**53)]),
        (np.array([[1.0, 2.0]]), [[1.0, 2.5]]),
        ({"a": 1}, {"a": 1, "b": None}),
        ({"a": 1}, {}),
        (5.0, 2**53 - 1),
        (np.float32(0.1), 0.2),
        ({1, 2}, [1]),
        (b"a", [98]),
    ]
    for sent, stored in differing:
        with pytest.raises(Differs):
            Comparison().value("x", sent, stored)
    equal = [(math.nan, math.nan), ((1, 2), [1, 2]), (np.array([[1, 2]]), [[1, 2]]), (np.float32(0.5), 0.5)]
    for sent, stored in equal:
        found = Comparison()
        found.value("x", sent, stored)
        assert not found.sentences(), (sent, stored)
    converted = [
        (None, math.nan),
        (1, 1.0),
        (True, 1),
        (np.float32(0.1), 0.1),
        ({1}, [1]),
        (2**60, 2**53 - 1),
    ]
    converted += [(b"a", [97]), (np.array([1]), [1.0]), ([1.0], [1.0, math.nan]), (math.inf, None)]
    for sent, stored in converted:
        found = Comparison()
        found.value("x", sent, stored)
        assert len(found.sentences()) == 1, (sent, stored)


# -- the prompt --------------------------------------------------------------------------------


@pytest.fixture
def shell(server):
    with new_shell() as found:
        found.run("%load_ext bluesky_export")
        found.ns["cat"] = MemoryCatalog([simple("5eed0010", scan_id=10), simple("5eed0011", scan_id=11)])
        yield found


def test_the_magic_copies_and_says_so(shell, server, tmp_path):
    text = shell.run(f"files = %export 10-11 tiled {address(server)}")
    assert f"wrote {server.uri}/api/v1/metadata/5eed0010-0000" in text
    assert "exported 2 of 2 runs, 2 on the server" in text
    files = shell.ns["files"]
    assert files
    assert list(files) == []
    assert files.uris[0].startswith(f"{server.uri}/api/v1/metadata/5eed0010")
    assert [node(server, run.uid).metadata["start"]["scan_id"] for run in shell.ns["cat"]._runs] == [10, 11]
    text = shell.run(f"again = %export 10-11 tiled {server.uri}/api/v1")  # the key is remembered
    assert text.count("is there already, the same") == 2
    assert "2 on the server (2 unchanged)" in text
    assert shell.ns["again"]
    text = shell.run(f"%export 10 tiled {address(server)} --dry-run")
    assert f"would send run 10 5eed001 to {server.uri}/api/v1 (tiled)" in text


def test_what_makes_no_sense_is_refused(shell, server, tmp_path):
    where, source = address(server), f"--globus-source {UUID(int=2)}"
    for words, says in {
        f"%export 10 csv,tiled {where}": "tiled writes to a server and csv to files",
        "%export 10 tiled": "which server? tiled takes an address",
        f"%export 10 tiled {where} --name x": "leave --name out",
        f"%export 10 tiled {where} --stream primary": "leave --stream out",
        f"%export 10 tiled {where} --fields m": "leave --fields out",
        f"%export 10 tiled {where} --images skip": "leave --images skip out",
        f"%export 10 tiled {where} --bundle": "tiled writes to a server, and --bundle takes files",
        f"%export 10 tiled {where} --globus {UUID(int=1)}:/x/ {source}": "--globus takes",
        f"%export 10 tiled {where} {where}": "one path at most",
        f"%export 10 csv {where}": "is for tiled; this format writes files",
        f"%attach_writer tiled {where} extra": "extra",
        "%export 10 tiled http://me:secret@host": "user or password",
        "%export 10 tiled http://host?token=secret": "only ?api_key=",
        "%export 10 tiled nowhere": "no Tiled profile 'nowhere'",
        "%export 10 tiled a=b": "no http:// address and no name of a profile",
        "%export 10 tiled ftp://host/secret": "begins with http",
        "%export 10 tiled http://127.0.0.1:9": "cannot be reached",
        f"%export 10 tiled {server.uri}/api/v1?api_key=secret": "api_key that was typed (401)",
        f"%export 10 tiled {server.uri}/api/v1/metadata/nothing?api_key={API_KEY}": "nothing at",
    }.items():
        line = shell.fails(words)
        assert says in line, (words, line)
        assert API_KEY not in line
        assert "secret" not in line
    assert list(tmp_path.glob("*.*")) == []


def test_the_key_of_the_environment_and_of_a_profile(shell, server, monkeypatch, tmp_path):
    import tiled.profiles

    monkeypatch.setenv("TILED_API_KEY", API_KEY)
    assert "5eed0010" in shell.run(f"%export 10 tiled {server.uri}")
    monkeypatch.delenv("TILED_API_KEY")
    profile = {"mine": (tmp_path / "profiles.yml", {"uri": f"{server.uri}/api/v1", "api_key": API_KEY})}
    monkeypatch.setattr(tiled.profiles, "load_profiles", lambda: profile)
    assert "is there already" in shell.run("%export 10 tiled mine")
    assert API_KEY not in shell.run("%export 11 tiled mine")


def test_a_key_that_is_refused_is_not_in_the_way_of_the_next(shell, server, monkeypatch):
    monkeypatch.setenv("TILED_API_KEY", API_KEY)
    wrong = f"{server.uri}?api_key=wrong"
    text = shell.run(f"%export 10 11 tiled {wrong}")
    assert "stopped: nothing can be sent now, 1 more run not tried" in text
    assert "api_key that was typed (401)" in text
    assert "wrong" not in text
    assert "5eed0010" in shell.run(f"%export 10 tiled {server.uri}")
    shell.ns["RE"] = RunEngine({})
    assert "api_key that was typed (401)" in shell.fails(f"%attach_writer tiled {wrong}")
    assert "no writer is attached" in shell.run("%attach_writer")
    assert "is there already" in shell.run(f"%export 10 tiled {server.uri}")


def test_a_container_of_the_server(shell, server):
    server.client().create_container("users")
    shell.run(f"%export 10 tiled {server.uri}/api/v1/metadata/users?api_key={API_KEY}")
    uid = shell.ns["cat"]._runs[0].uid
    users = server.client(uri=f"{server.uri}/api/v1/metadata/users")
    assert users[uid].metadata["start"]["scan_id"] == 10


def test_help_and_completion(shell):
    text = shell.run("%export --help")
    assert "  tiled    a copy in a Tiled server" in text
    text = shell.run("%export --help tiled")
    assert "cut=False" in text
    assert "stays in the memory of the session" in text
    assert "beyond 2**53 in the metadata" in text  # ** is no markup here
    with provisionalcompleter():
        found = [one.text for one in shell.ip.Completer.completions("%export 10 til", 14)]
    assert found == ["tiled"]


def test_an_address_shows_no_key():
    found = Address.parse("http://host:8000/api/v1/?api_key=hidden")
    assert found == Address("http://host:8000/api/v1")
    assert found.key == "hidden"
    target = Target.at("http://host:8000?api_key=hidden", "tiled")
    for text in (
        repr(found),
        str(found),
        repr(target),
        target.typed,
        keep_key("http://host?api_key=hidden"),
    ):
        assert "hidden" not in text
    assert keep_key("/tmp/a?api_key=x") == "/tmp/a?api_key=x"


# -- a server that goes away -------------------------------------------------------------------


def kill(server: TiledServer) -> None:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


def revive(server: TiledServer) -> None:
    server.process = subprocess.Popen(
        server.process.args,
        cwd=server.folder,
        env={**os.environ, "TMPDIR": str(server.folder / "tmp")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _wait(server)


def everything_in(folder: Path) -> str:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(f"{path}\n{path.read_bytes().decode('latin-1')}" for path in paths)


KILLED = """
import sys
import time
from bluesky_export.attach import attach_writer
from tests.live.session import Engine, documents
engine = Engine()
one = attach_writer("tiled", sys.argv[1], RE=engine, say=print)
while not (one.client.state.startswith("process") and one.client._ready):
    time.sleep(0.05)
for name, doc in documents(3, 1):
    if name == "stop":
        break
    engine.receive(name, doc)
from bluesky_export.live import live_writers
while live_writers(engine).recorder.events < 3:
    time.sleep(0.05)
print("PID", one.client._process.pid, flush=True)
sys.stdin.read()
"""


def test_recover_says_where_the_key_comes_from(server, tmp_path, monkeypatch, capsys):
    """The key that was typed died with the session."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    journal = tmp_path / "bluesky-export"
    session = subprocess.Popen(
        [sys.executable, "-c", KILLED, address(server)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    worker = next(line for line in session.stdout if line.startswith("PID"))
    session.kill()  # its process would finish the run: it has the key
    os.kill(int(worker.split()[1]), signal.SIGKILL)
    session.communicate()
    assert main(["recover", str(journal)]) == 1
    shown = capsys.readouterr()
    assert "TILED_API_KEY" in shown.err
    assert API_KEY not in shown.err + shown.out + everything_in(journal)
    monkeypatch.setenv("TILED_API_KEY", API_KEY)
    assert main(["recover", str(journal)]) == 0
    assert f"{server.uri}/api/v1" in capsys.readouterr().err


@pytest.mark.sample(2)
def test_a_server_that_goes_away_harms_nothing(server, tmp_path, monkeypatch):
    """In the middle of an export, and while runs are measured; what was begun is completed later."""

    from ..live.session import documents

    run = list(documents(3, 1))
    make = _tiled_upload._Marking.create_container

    def make_and_die(self: Any, **given: Any) -> Any:
        found = make(self, **given)
        kill(server)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(_tiled_upload._Marking, "create_container", make_and_die)
        with pytest.raises(CatalogUnavailable, match="is replaced when the run is sent again") as error:
            send(server, run)
    assert API_KEY not in str(error.value)
    engine, said = RunEngine({}, call_returns_result=False), []
    with pytest.raises(CatalogUnavailable, match="cannot be reached"):
        attach.attach_writer("tiled", address(server), RE=engine, say=said.append)
    revive(server)
    left = node(server, run[0][1]["uid"])
    assert left.metadata[MARK]["pid"] == os.getpid()
    pid = os.getpid()
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: 1)  # this process is another one that lives
        with pytest.raises(OutputError, match=f"is being sent to .* by process {pid}; try again"):
            send(server, run)
    assert not send(server, run).unchanged
    assert MARK not in node(server, run[0][1]["uid"]).metadata
    assert send(server, run).unchanged

    writer = attach.attach_writer("tiled", address(server), RE=engine, say=said.append)
    assert writer.where == f"{server.uri}/api/v1"
    receive = live_writers(engine).receive
    kill(server)
    lost = list(documents(3, 2))
    began = time.monotonic()
    for pair in lost:
        receive(*pair)
    assert time.monotonic() - began < 5  # the server's absence is nothing to the scan
    until = time.monotonic() + 60
    while not writer.failed and time.monotonic() < until:
        time.sleep(0.05)
    (line,) = [line for line in said if "FAILED" in line]
    assert "cannot be reached" in line
    assert f"%export {lost[0][1]['uid'][:7]} tiled {server.uri}/api/v1" in line or "uid:" in line
    revive(server)
    from bluesky_export.again import export_failed

    result = export_failed(variables={"RE": engine}, say=said.append)
    assert result
    assert result.uris[0].endswith(lost[0][1]["uid"])
    kept = list(documents(3, 3))
    for pair in kept:
        receive(*pair)
    assert str(attach.status(engine)).count(API_KEY) == 0
    detached = attach.detach_writer(RE=engine, timeout=60, say=said.append)
    assert [uri.rpartition("/")[2] for uri in detached.uris] == [kept[0][1]["uid"]]
    for doc in (lost, kept):
        assert node(server, doc[0][1]["uid"]).metadata["stop"]["exit_status"] == "success"
    assert len([line for line in said if kept[0][1]["uid"] in line]) == 1
    assert API_KEY not in everything_in(tmp_path / "journal")
    assert API_KEY not in "\n".join(said)
