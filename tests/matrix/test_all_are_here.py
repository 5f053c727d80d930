"""No store is left out of the matrix."""

from __future__ import annotations

from pathlib import Path

import pytest

from bluesky_export.formats import BUILT_IN
from bluesky_export.testing import RUNS

from .. import sampling
from ..checks import check
from ..corpus import all_runs
from .every_run import FACTORIES, STORES_EACH, offered, sampled, sampled_for
from .stores import ALTERED, REFUSED


def test_every_store_has_its_module():
    modules = {path.stem for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).stem}
    assert modules == {f"test_{name.replace('-', '_')}" for name in FACTORIES}


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_format_has_its_check(name):
    assert callable(check(name))


def test_every_store_is_declared():
    assert REFUSED.keys() == ALTERED.keys() == FACTORIES.keys()
    for declared in (*REFUSED.values(), *ALTERED.values()):
        assert declared.keys() <= RUNS.keys()


@pytest.mark.parametrize("store", ALTERED)
def test_what_is_declared_as_altered_is_altered(store, tmp_path):
    for name, alter in ALTERED[store].items():
        made = RUNS[name].make(tmp_path)
        altered = alter(made)
        assert repr(altered.documents) != repr(made.documents) or altered.external != made.external, name
        assert name not in REFUSED[store]


def test_a_sample_has_every_run_format_and_store():
    runs = [*all_runs(), *RUNS]
    for run in runs:
        takers = [store for store in FACTORIES if run not in REFUSED[store]]
        assert len(set(sampled(run))) == min(STORES_EACH, len(takers)) > 0, run
        assert not any(run in REFUSED[store] for store in sampled(run)), run
    pairs = {(run, name): sampled_for(run, name) for run in runs for name in BUILT_IN}
    for name in BUILT_IN:
        assert {store for (_, other), store in pairs.items() if other == name} == set(FACTORIES), name
    for store in FACTORIES:
        assert {run for (run, _), other in pairs.items() if other == store} <= {
            *all_runs(),
            *offered(store, False),
        }
        assert offered(store, True) == list(RUNS)


def test_a_sample_depends_on_the_seed(monkeypatch):
    found = []
    for seed in (1, 1, 2):
        monkeypatch.setattr(sampling, "SEED", seed)
        found.append([sampled_for(run, name) for run in RUNS for name in BUILT_IN])
    assert found[0] == found[1] != found[2]
