"""What work costs, counted: these numbers do not depend on how busy the machine is.

Times are measured by ``benchmarks/``; what makes them grow is counted here: calls of Python functions and
files opened per event and run, requests to a Tiled server, copies of documents.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from unittest import mock

import pytest
from benchmarks import _runs, _stores

from bluesky_export import export, runs
from bluesky_export.catalogs import _files, _stream, _tiled_runs

from .fixtures_databroker import quiet
from .fixtures_tiled import store

opened: list[str] | None = None


def _hook(event, arguments):
    if opened is not None and event == "open":
        opened.append(str(arguments[0]))


sys.addaudithook(_hook)  # there is no way to take one away again


@contextmanager
def files_opened():
    """Count the files that are opened, by what they are for."""
    global opened
    opened, found = [], Counter()
    try:
        yield found
    finally:
        found.update(opened)
        opened = None


@contextmanager
def calls():
    """Count the calls of Python functions."""
    found = Counter()

    def profiler(frame, event, _):
        if event == "call":
            found[frame.f_code.co_name] += 1

    sys.setprofile(profiler)
    try:
        yield found
    finally:
        sys.setprofile(None)


def written(tmp_path, events, rows, form, title):
    """Return how many calls it takes to export a run."""
    folder = tmp_path / f"{title}-{events}-{rows}"
    source = _stores.databroker(folder, events, rows=rows)
    with quiet():
        catalog = _stores.open_databroker(source)
        list(catalog)
    out = tmp_path / f"out-{title}-{events}-{rows}"
    (out / "first").mkdir(parents=True)
    export(source["small"], form, f"{out}/first/", catalog=catalog)  # what is imported and cached once
    with calls() as found:
        export(source["run"], form, f"{out}/", catalog=catalog)
    return found


@pytest.mark.parametrize("form", ["csv", "json", "spec", "hdf5", "nexus"])
def test_no_call_for_an_event_where_the_store_has_pages(tmp_path, form):
    few = written(tmp_path, 2000, 1000, form, "few")
    many = written(tmp_path, 4000, 1000, form, "many")
    more = {name: many[name] - few[name] for name in many if many[name] - few[name] > 300}
    assert not more, f"called for each of 2000 more events: {more}"


@pytest.mark.parametrize("form", ["csv", "spec"])
def test_calls_for_an_event_of_its_own_document(tmp_path, form):
    few = written(tmp_path, 1000, 1, form, "few")
    many = written(tmp_path, 2000, 1, form, "many")
    each = (many.total() - few.total()) / 1000
    assert each <= 12, (many - few).most_common(12)


def test_copies_of_documents_do_not_grow_with_the_events(tmp_path):
    counted = []
    for events in (20, 500):
        source = _stores.databroker(tmp_path / str(events), events)
        with quiet():
            catalog = _stores.open_databroker(source)
        with mock.patch.object(_stream, "plain", wraps=_stream.plain) as plain:
            export(source["run"], "csv", f"{tmp_path / str(events)}/", catalog=catalog)
        counted.append(plain.call_count)
    assert counted[0] == counted[1] <= 6


@pytest.fixture
def settled(monkeypatch):
    """Take files that were written just now for old ones: the first look trusts databroker's memory."""
    monkeypatch.setattr(_files, "_TICK", -60.0)


def test_files_opened_to_export_one_of_many_runs(tmp_path, settled):
    source = _stores.databroker_runs(tmp_path / "runs", 30)
    with quiet():
        catalog = _stores.open_databroker(source)
        list(catalog)
    with files_opened() as found:
        export(-1, "csv", f"{tmp_path}/", catalog=catalog)
    mine = {path: times for path, times in found.items() if path.endswith(".msgpack")}
    assert list(mine.values()) == [2], mine  # its end, for the stop document, and all of it


def test_calls_to_list_runs_do_not_grow_with_the_catalog(tmp_path, settled):
    """Nothing in Python is done for a run that is not shown, but where a file has changed."""
    counted = []
    for number in (40, 160):
        source = _stores.databroker_runs(tmp_path / str(number), number)
        with quiet():
            catalog = _stores.open_databroker(source)
        runs(n=10, catalog=catalog)
        with calls() as found:
            assert len(runs(n=10, catalog=catalog)) == 10
        counted.append(found.total())
    assert counted[0] == counted[1]


def test_files_opened_to_list_runs(tmp_path, settled):
    source = _stores.databroker_runs(tmp_path / "runs", 30)
    with quiet():
        catalog = _stores.open_databroker(source)
        list(catalog)
    with files_opened() as found:
        assert len(runs(n=10, catalog=catalog)) == 10
    mine = {path: times for path, times in found.items() if path.endswith(".msgpack")}
    assert list(mine.values()) == [1] * 10, mine


@contextmanager
def requests_to(client):
    """Count the requests of a Tiled client, by path without the uids."""
    sent = []
    hooks = client.context.http_client.event_hooks
    before = {name: list(found) for name, found in hooks.items()}
    changed = {**before, "request": [*before.get("request", []), lambda request: sent.append(request.url)]}
    client.context.http_client.event_hooks = changed
    try:
        yield sent
    finally:
        client.context.http_client.event_hooks = before


def test_requests_to_tiled(tiled_scratch, tmp_path):
    server = tiled_scratch["bluesky"]
    client = server.client()
    folder = client.create_container("counts")
    for scan_id in range(3):
        run = list(_runs.single_events(_runs.documents(20 + scan_id)))
        assert store(folder, run) is None
    cost = {}
    with requests_to(folder) as sent:
        assert len(runs(n=3, catalog=folder)) == 3
    cost["runs"] = len(sent)
    with requests_to(folder) as sent:
        runs(run[0][1]["uid"][:8], columns="scan_id", catalog=folder)
    cost["uid prefix"] = len(sent)
    with requests_to(folder) as sent:
        export(-1, "csv", f"{tmp_path}/", catalog=folder)
    cost["export of two streams"] = len(sent)
    # The run; its streams with their parts; the table of each stream.
    assert cost == {"runs": 1, "uid prefix": 1, "export of two streams": 1 + 1 + 2}, sent
    with mock.patch.object(_tiled_runs, "family", return_value=None), requests_to(folder) as sent:
        export(-1, "json", f"{tmp_path}/", catalog=folder)
    assert len(sent) == 1 + 1 + 2 * 2  # a server that does not offer that: the parts of each stream
