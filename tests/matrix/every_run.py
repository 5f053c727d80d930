"""Every run, from every catalog, in every format: read back equal.

Each kind of run goes into some of the stores, and in each format through one of these, drawn by the
seed of this run of the tests (:mod:`..sampling`); with ``pytest --whole``, through all stores.

A format joins by being registered (and needs ``tests/checks/<format>.py`` and
``tests/fidelity/<format>.py``); a catalog by standing in the ``FACTORIES`` of its fixtures, with a
module here that names it: one for each, so that its tests stay on one worker and it is filled once.
What a store refuses or alters stands in :mod:`.stores`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bluesky_export.catalogs import Catalog
from bluesky_export.errors import NoData
from bluesky_export.exporting import export
from bluesky_export.formats import BUILT_IN, Written
from bluesky_export.testing import RUNS, Made

from .. import fixtures_databroker, fixtures_tiled
from ..checks import check
from ..checks.streams import events_by_stream
from ..corpus import Pairs, all_runs
from ..fidelity import hold, refuses
from ..sampling import drawn, is_whole
from .stores import REFUSED, as_kept

__all__ = [
    "filled",
    "pytest_generate_tests",
    "test_a_repeated_scan_id_is_said",
    "test_a_run_that_was_not_finished_is_said",
    "test_every_run_in_every_format",
    "test_store_refuses_what_is_declared",
]

FACTORIES = {**fixtures_databroker.FACTORIES, **fixtures_tiled.FACTORIES}
STORES_EACH = 2
"""Into how many of the stores a kind of run goes, in a sample."""
REFUSED_EACH = 3
"""How many of the runs that a store is known to refuse it is offered, in a sample."""
ASKED_FOR = ["scan-id-repeated-1", "scan-id-repeated-2", "aborted", "failed", "unfinished"]
"""What tests below ask of every store."""


def sampled(run: str) -> list[str]:
    """Draw the stores that a run goes into, of those that take such a run."""
    return drawn(run, [store for store in FACTORIES if run not in REFUSED[store]], STORES_EACH)


def sampled_for(run: str, name: str) -> str:
    """Draw the store that a run goes through in a format."""
    (store,) = drawn(f"{run}/{name}", sampled(run), 1)
    return store


def offered(store: str, whole: bool) -> list[str]:
    """Return the runs of the corpus that a store is filled with."""
    if whole:
        return list(RUNS)
    refused = drawn(f"{store}/refused", list(REFUSED[store]), REFUSED_EACH)
    return [run for run in RUNS if run in ASKED_FOR or run in refused or store in sampled(run)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    whole, store = is_whole(), metafunc.module.STORE
    if {"run", "name"} <= set(metafunc.fixturenames):
        runs = [*all_runs(), *RUNS]
        pairs = [
            (run, name) for run in runs for name in BUILT_IN if whole or store == sampled_for(run, name)
        ]
        metafunc.parametrize(("run", "name"), pairs)
    elif "offer" in metafunc.fixturenames:
        metafunc.parametrize("offer", offered(store, whole))


class Filled:
    """A catalog with all runs: real ones, simulated ones, and those of the corpus."""

    def __init__(
        self, name: str, catalog: Catalog, made: dict[str, Made], folder: Path, asked: dict[str, list[str]]
    ) -> None:
        self.name, self.catalog, self.made = name, catalog, made
        self._asked = asked  # by run: the formats
        self._folder = folder
        self._written: dict[str, dict[str, Written]] = {}

    @property
    def refused(self) -> dict[str, str]:
        """By uid: what the store said to the runs that it would not take."""
        if self.name.startswith("tiled"):
            return dict(self.catalog.refused)  # type: ignore[attr-defined]
        return fixtures_databroker.REFUSED[self.name]

    def documents(self, run: str) -> Pairs:
        """Return what this store keeps of a run; nothing if it would not take it."""
        documents = self.made[run].documents
        if documents[0][1]["uid"] in self.refused:
            return []
        return fixtures_tiled.as_stored(documents) if self.name.startswith("tiled") else documents

    def exported(self, run: str, kept: Made) -> dict[str, Written]:
        """Export a run to every format that is asked for, once: the catalog is read a single time."""
        if run not in self._written:
            folder = self._folder / run
            folder.mkdir()
            names = [name for name in self._asked[run] if refuses(name, kept) is None]
            uid = kept.documents[0][1]["uid"]
            root_map = self.made[run].root_map
            result = export(f"uid:{uid}", names, f"{folder}/", catalog=self.catalog, root_map=root_map)
            assert {written.uid for written in result.written} == {uid}
            self._written[run] = {written.format: written for written in result.written}
        return self._written[run]


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    store = request.module.STORE
    folder = tmp_path_factory.mktemp(store)
    whole = is_whole()
    made = {
        name: Made(documents) for name, documents in all_runs().items() if whole or store in sampled(name)
    }
    made.update({name: RUNS[name].make(folder / "detectors") for name in offered(store, whole)})
    runs = [one.documents for one in made.values()]
    # A Tiled server reads detector files in its own folder only.
    factory = FACTORIES[store](runs, folder) if store.startswith("tiled") else FACTORIES[store](runs)
    (folder / "exported").mkdir()
    with factory as catalog:
        yield Filled(store, catalog, made, folder / "exported", asked(request))


def asked(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """Return the formats that each run is to be tried in, of the tests that were selected."""
    found: dict[str, list[str]] = {}
    for item in request.session.items:
        if getattr(item, "module", None) is request.module and "[" in item.name:
            given = item.callspec.params  # type: ignore[attr-defined]
            if "name" in given:
                found.setdefault(given["run"], []).append(given["name"])
    return found


def test_every_run_in_every_format(filled: Filled, name: str, run: str, tmp_path: Path) -> None:
    uid = filled.made[run].documents[0][1]["uid"]
    if uid in filled.refused:
        # The store itself would not take the run: nothing can be read back, and nothing is.
        assert run not in RUNS or run in REFUSED[filled.name], filled.refused[uid]
        assert not any(found.stop for found in filled.catalog.by_uid(uid))
        return
    kept = as_kept(filled.name, run, filled.made[run])
    refused = refuses(name, kept)
    if refused is not None:
        with pytest.raises(NoData, match=refused):
            export(f"uid:{uid}", name, f"{tmp_path}/", catalog=filled.catalog)
        assert list(tmp_path.iterdir()) == []
        return
    written = filled.exported(run, kept)[name]
    if run in RUNS:
        hold(written, kept)
        return
    counts = {stream: len(events) for stream, events in events_by_stream(kept.documents).items()}
    assert written.events == (counts.get("primary", 0) if name == "spec" else sum(counts.values()))
    check(name)(list(written.files), kept.documents)


def test_store_refuses_what_is_declared(filled: Filled, offer: str) -> None:
    said = filled.refused.get(filled.made[offer].documents[0][1]["uid"])
    declared = REFUSED[filled.name].get(offer)
    assert (said is None) == (declared is None), said
    if said is not None and declared is not None:
        assert re.search(re.escape(declared), said), said


def test_a_repeated_scan_id_is_said(filled: Filled, tmp_path: Path) -> None:
    said: list[str] = []
    uids = [filled.made[f"scan-id-repeated-{n}"].documents[0][1]["uid"] for n in (1, 2)]
    times = [filled.made[f"scan-id-repeated-{n}"].documents[0][1]["time"] for n in (1, 2)]
    newest = uids[times.index(max(times))]
    result = export("9001", "json", f"{tmp_path}/", catalog=filled.catalog, say=said.append)
    assert [written.uid for written in result.written] == [newest]
    assert any("9001 matches 2 runs" in line and newest[:7] in line for line in said), said
    both = export(
        "9001", "jsonl", f"{tmp_path}/", catalog=filled.catalog, say=said.append, all_matches=True
    )
    assert {written.uid for written in both.written} == set(uids)


@pytest.mark.parametrize(
    ("run", "status"), [("aborted", "abort"), ("failed", "fail"), ("unfinished", "unfinished")]
)
def test_a_run_that_was_not_finished_is_said(filled: Filled, run: str, status: str, tmp_path: Path) -> None:
    said: list[str] = []
    uid = filled.made[run].documents[0][1]["uid"]
    kept = as_kept(filled.name, run, filled.made[run])
    names = [name for name in BUILT_IN if refuses(name, kept) is None]
    result = export(f"uid:{uid}", names, f"{tmp_path}/", catalog=filled.catalog, say=said.append)
    assert [written.format for written in result.written] == names
    assert {written.status for written in result.written} == {status}
    for written in result.written:
        assert any(str(written.files[0]) in line and status in line for line in said), said
