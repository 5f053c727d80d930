"""Every kind of run in every format: as the writers declare it, read by libraries that are not ours."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from event_model import DocumentNames, schema_validators
from jsonschema import ValidationError

from bluesky_export.documents.features import FEATURES
from bluesky_export.formats import BUILT_IN, writer_class
from bluesky_export.formats._fidelity import EXACT, fidelity
from bluesky_export.testing import RUNS, SCENARIOS, Kind, Made, RunMaker, kit
from bluesky_export.testing._kinds import key

from .corpus import all_runs
from .fidelity import format_under_test, hold
from .fidelity.reading import features_of
from .replaying import replay


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("corpus")
    return {name: kind.make(folder) for name, kind in RUNS.items()}


class TestFormats(kit.DeclarationTests, kit.HoldTests):
    """What the kit asks of any format, and the real runs as well."""

    @pytest.fixture(params=BUILT_IN)
    def tested(self, request: pytest.FixtureRequest) -> kit.Tested:
        return format_under_test(request.param)

    @pytest.mark.parametrize("run", all_runs())
    def test_real_and_simulated_runs(self, tested: kit.Tested, run: str, tmp_path: Path) -> None:
        kit.written_as_declared(tested, Made(all_runs()[run]), tmp_path)


def test_an_unknown_feature_is_refused() -> None:
    with pytest.raises(KeyError, match="no such feature: colour"):
        fidelity({"colour": EXACT})


# -- the corpus --------------------------------------------------------------------------------


def test_the_corpus_has_every_feature() -> None:
    assert len(RUNS) >= 40
    assert set().union(*(kind.features for kind in RUNS.values())) == set(FEATURES)


def test_features_are_in_the_values(made: dict[str, Made]) -> None:
    """What a kind says of its values is there."""
    by_value = {"float", "nan", "integer", "uint64", "boolean", "narrow", "complex", "int-float", "none"}
    by_value |= {"text", "line-breaks", "surrogates", "formula", "mixed", "ragged", "text-array"}
    for name, kind in RUNS.items():
        found: set[str] = set()
        for _, doc in made[name].documents:
            if "seq_num" in doc:
                for values in doc["data"].values():
                    found |= features_of(values if isinstance(doc["time"], list) else [values])
        if "ragged" in kind.features:  # over several events
            found.add("ragged")
        if kind.name in ("int-float", "mixed", "metadata-surrogates"):
            found |= {"int-float", "mixed", "surrogates"}
        assert kind.features & by_value <= found, name


@pytest.mark.parametrize("kind", RUNS.values(), ids=RUNS)
def test_documents_follow_the_schemas(kind: Kind, made: dict[str, Made]) -> None:
    refused = set()
    for name, doc in made[kind.name].documents:
        try:
            schema_validators[DocumentNames[name]].validate(doc)
        except ValidationError as error:
            refused.add(f"{name}: {error!s:.200}")
    assert bool(refused) == bool(kind.not_valid), refused


def test_documents_are_the_same_each_time(tmp_path: Path) -> None:
    for name, kind in RUNS.items():
        first, second = kind.documents(tmp_path), kind.documents(tmp_path)
        assert repr(first) == repr(second), name
    uids = [kind.documents(tmp_path)[0][1]["uid"] for kind in RUNS.values()]
    assert len(set(uids)) == len(RUNS)


def test_documents_of_a_run_refer_to_each_other(made: dict[str, Made]) -> None:
    for name, one in made.items():
        (first, start), *rest = one.documents
        assert first == "start", name
        known = {start["uid"]}
        for kind, doc in rest:
            assert kind != "start"
            for reference in ("run_start", "descriptor"):
                assert doc.get(reference, start["uid"]) in known, (name, kind)
            uids = doc.get("uid", [])
            known |= set([uids] if isinstance(uids, str) else uids)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios_mix_two_runs(name: str, tmp_path: Path) -> None:
    documents = SCENARIOS[name](tmp_path)
    kinds = [kind for kind, _ in documents]
    assert kinds.count("start") == kinds.count("stop") == 2
    first_stop = kinds.index("stop")
    assert kinds[:first_stop].count("start") == 2


def test_importing_the_corpus_is_light() -> None:
    code = "import sys, bluesky_export.testing\nprint({'numpy', 'h5py', 'tifffile'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "set()", done.stderr


# -- the page ----------------------------------------------------------------------------------


def test_the_page_says_what_the_writers_declare() -> None:
    docs = Path(__file__).parents[1] / "docs"
    spec = importlib.util.spec_from_file_location("make_fidelity", docs / "make_fidelity.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (docs / "reference" / "fidelity.md").read_text(encoding="utf-8")
    assert page == module.page(), "run: python docs/make_fidelity.py"
    assert "reference/fidelity" in (docs / "index.md").read_text(encoding="utf-8")


# -- the comparison itself: it sees a wrong number --------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("csv", b"-0.3333333333333333,", b"-0.33333333333333337,"),
        ("json", b"-0.3333333333333333", b"-0.33333333333333337"),
        ("jsonl", b"-0.3333333333333333", b"-0.33333333333333337"),
        ("spec", b"-0.3333333333333333 ", b"-0.33333333333333337 "),
        ("json", b'"det": [3, 1, 2]', b'"det": [3, 1, 2.0]'),
        ("json", b'"single"', b'"double"'),
        ("jsonl", b'"exit_status":"success"', b'"exit_status":"abort"'),
        ("csv", b"\n1.0,", b"\n1.0000000000000002,"),
        ("spec", b"#MD num_points = 3", b"#MD num_points = 4"),
    ],
)
def test_a_wrong_number_is_seen(
    made: dict[str, Made], name: str, old: bytes, new: bytes, tmp_path: Path
) -> None:
    written = replay(name, made["plain"].documents, tmp_path)
    changed = 0
    for path in written.files:
        text = path.read_bytes()
        changed += text.count(old)
        path.write_bytes(text.replace(old, new))
    assert changed
    with pytest.raises(AssertionError):
        hold(written, made["plain"])


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("hdf5", "primary/m"), ("nexus", "entry/instrument/bluesky/streams/primary/m/value")],
)
def test_a_wrong_bit_is_seen(made: dict[str, Made], name: str, dataset: str, tmp_path: Path) -> None:
    written = replay(name, made["plain"].documents, tmp_path)
    with h5py.File(written.files[0], "r+") as file:
        file[dataset][1] = np.nextafter(file[dataset][1], 0)
    with pytest.raises(AssertionError):
        hold(written, made["plain"])


def test_a_declaration_that_is_not_true_is_seen(
    made: dict[str, Made], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cls = writer_class("csv")
    written = replay("csv", made["array-1d"].documents, tmp_path)
    hold(written, made["array-1d"])
    monkeypatch.setattr(cls, "fidelity", {**cls.fidelity, "array": EXACT})
    with pytest.raises(AssertionError, match="is not in the file"):
        hold(written, made["array-1d"])
    monkeypatch.undo()
    with pytest.raises(AssertionError, match="no notice names"):
        hold(replace(written, notices=()), made["array-1d"])


def test_spec_says_which_count_of_events_it_leaves_out(tmp_path: Path) -> None:
    """The name of a stream can be longer than a line that readers survive."""
    run = RunMaker("long-stream", tmp_path)
    run.start()
    for stream in ("primary", "x" * 9_000, "a = b"):
        run.table({"m": (key("number"), [0.5])}, stream)
    run.stop()
    written = replay("spec", run.made.documents, tmp_path)
    hold(written, run.made)
    (said,) = [notice for notice in written.notices if "number of events" in notice]
    assert "x" * 50 in said
    assert len(said) < 200
    assert "num_events_a%20%3D%20b = 1" in written.files[0].read_text()
