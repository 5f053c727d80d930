"""Text that means harm: as metadata, names of fields, values, and in names of files.

Each example is a run whose texts are hostile, written in every format and read back by libraries that
are not ours (:mod:`tests.fidelity`): exactly one scan a run in SPEC, no formula in a CSV cell, valid
JSON, names that HDF5 holds, and nothing outside of the folder.

A sample runs with the other tests. All of it, 10,000 texts in each place::

    pytest -m long tests/test_hostile_text.py

The seed is printed; ``BLUESKY_EXPORT_SEED=<seed>`` gives the same texts again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from bluesky_export.errors import BlueskyExportError
from bluesky_export.outputs import Output, Target
from bluesky_export.testing.kit import PIECES, TEXTS, hostile_run, joined

from .fidelity import formats_for, hold
from .formats.spec_readers import READERS
from .replaying import replay
from .sampling import SEED

SAMPLE, ALL = 300, 10_000
"""Texts in each place: with every run of the tests, and with ``-m long``."""
hostile = st.lists(
    st.sampled_from(PIECES) | st.text(st.characters(codec=None), max_size=8), max_size=4
).map(joined)
"""Texts of pieces that end, begin or escape something somewhere, and of any characters at all."""

many = st.lists(hostile, min_size=TEXTS, max_size=TEXTS)


def examples(texts: int) -> Any:
    """Run a test until it has seen so many texts."""

    def decorate(test: Any) -> Any:
        quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
        limits = settings(
            max_examples=-(-texts // TEXTS), deadline=None, suppress_health_check=quiet, database=None
        )
        return seed(SEED)(limits(given(many)(test)))

    return decorate


@pytest.fixture(autouse=True)
def printed_seed() -> None:
    """Captured output is shown where a test fails."""
    print(f"BLUESKY_EXPORT_SEED={SEED}")


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Any]:
    """Give a new folder for each example, and look at what is around them in the end."""
    made: list[Path] = []
    inner = tmp_path / "a" / "b" / "c"

    def new() -> Path:
        folder = inner / f"{len(made)}"
        folder.mkdir(parents=True)
        made.append(folder)
        return folder

    yield new
    assert {path.name for path in inner.iterdir()} == {path.name for path in made}
    for parent in (tmp_path, tmp_path / "a", tmp_path / "a" / "b"):
        assert len(list(parent.iterdir())) == 1, "something was written outside of the folder"


# -- in the documents ------------------------------------------------------------------------------


def check_documents(texts: list[str], folders: Any) -> None:
    folder = folders()
    made = hostile_run(texts, folder)
    for name in formats_for(made.documents):
        inside = folder / name
        inside.mkdir()
        written = replay(name, made.documents, inside)
        assert {path for path in inside.rglob("*") if path.is_file()} == set(written.files)
        if name != "pack":  # a folder with folders
            assert {path.parent for path in written.files} == {inside}
        for path in written.files:
            check_file(path)
        hold(written, made)


def check_file(path: Path) -> None:
    if path.suffix == ".json":
        json.loads(path.read_bytes().decode("utf-8"), parse_constant=pytest.fail)
    elif path.suffix == ".dat":
        assert [len(reader(path)) for reader in READERS.values()] == [1, 1, 1]
    elif h5py.is_hdf5(path):
        with h5py.File(path) as file:
            file.visit(lambda name: file[name].name)  # each can be opened by the name that it has


@examples(SAMPLE)
def test_hostile_documents(folders: Any, texts: list[str]) -> None:
    check_documents(texts, folders)


@pytest.mark.long
@pytest.mark.timeout(7200)
@examples(ALL)
def test_ten_thousand_hostile_documents(folders: Any, texts: list[str]) -> None:
    check_documents(texts, folders)


# -- in the names of files ---------------------------------------------------------------------------

_TEMPLATES = (
    "{start[sample]}",
    "{start[sample]}-{scan_id}",
    "{plan_name}/{start[sample]}",
    "{date}-{start[nested][key]}-{uid:.7}",
)


def check_names(texts: list[str], folders: Any) -> None:
    folder = folders()
    for number, text in enumerate(texts):
        start = {
            "uid": f"{number:07d}-x",
            "time": 1.7e9,
            "scan_id": text,
            "plan_name": text,
            "sample": text,
        }
        start["nested"] = {"key": text}
        for template in (*_TEMPLATES, Target(folder).template):
            path = Output(Target(folder, template=template), start, ".txt").path(text)
            assert path.is_relative_to(folder)
            assert os.path.normpath(path) == str(path)
            assert len(path.relative_to(folder).parts) == template.count("/") + 1
            assert len(os.fsencode(path.name)) <= 255
        output = Output(
            Target(folder, template=_TEMPLATES[number % 2]), {**start, "sample": f"{number}{text}"}, ".txt"
        )
        output.part().write_text(str(number))
        (path,) = output.commit()
        assert path.parent == folder
        assert path.read_text() == str(number)
    assert len(list(folder.iterdir())) == len(texts)
    # The text itself as a template, as a user's settings may have it: filled, or refused in one line.
    for text in texts:
        with contextlib.suppress(BlueskyExportError):
            path = Output(Target(folder, template=text or "x"), {"uid": "u", "time": 1.7e9}, ".txt").path()
            assert path.is_relative_to(folder)


@examples(SAMPLE)
def test_hostile_names_of_files(folders: Any, texts: list[str]) -> None:
    check_names(texts, folders)


@pytest.mark.long
@pytest.mark.timeout(7200)
@examples(ALL)
def test_ten_thousand_hostile_names_of_files(folders: Any, texts: list[str]) -> None:
    check_names(texts, folders)
