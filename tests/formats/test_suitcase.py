"""Existing suitcases as formats: real ones from PyPI, and some made to misbehave."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter

from bluesky_export import attach
from bluesky_export.errors import BlueskyExportError, ExportFailed, NoData, NotFaithful, UnknownFormat
from bluesky_export.formats import check_options, options, writer_class
from bluesky_export.formats._suitcase import suitcase_class
from bluesky_export.live import live_writers
from bluesky_export.session import BlueskyExport, set_settings
from bluesky_export.testing import RUNS

from ..corpus import simulated_runs
from ..live.session import documents
from ..memory_catalog import MemoryCatalog
from ..replaying import replay, run_of
from ..shell import Shell, new_shell
from .spec_readers import spec2nexus_file

RUN = run_of({"m": [0.5, 1.5], "n": [1, 2], "t": ["a", "b,c"]}, start={"motors": ["m"], "detectors": ["n"]})


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    set_settings(BlueskyExport(journal=str(tmp_path / "journal")))
    with new_shell() as found:
        found.run("%load_ext bluesky_export")
        found.ns["cat"] = MemoryCatalog([RUN])
        (tmp_path / "out").mkdir()
        yield found
    set_settings(None)


def made(folder: Path, name: str, body: str) -> None:
    """Write a suitcase of ours."""
    package = folder / "site" / "suitcase" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(body)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for suitcases of ours, which are forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("suitcase.test")]:
        del sys.modules[name]
    suitcase_class.cache_clear()


# -- real ones ---------------------------------------------------------------------------------


def test_csv_and_jsonl_by_name(shell, tmp_path):
    text = shell.run("files = %export 7 suitcase.csv,suitcase.jsonl out/ --name {scan_id}-x")
    table, lines = shell.ns["files"].files
    assert (table, lines) == (tmp_path / "out" / "7-x-primary.csv", tmp_path / "out" / "7-x.jsonl")
    assert "suitcase.csv (no metadata, no arrays): what a suitcase leaves out or changes" in text
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["m"], row["n"], row["t"]) for row in rows] == [("0.5", "1", "a"), ("1.5", "2", "b,c")]
    read = [json.loads(line) for line in lines.read_text().splitlines()]
    assert read[0] == ["start", RUN[0][1]]
    data = [doc["data"] for name, doc in read if name == "event"]
    assert data == [{"m": 0.5, "n": 1, "t": "a"}, {"m": 1.5, "n": 2, "t": "b,c"}]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [table.name, lines.name]
    before = table.read_bytes()
    table.write_text("mine")
    line = shell.fails("%export 7 suitcase.csv out/ --name {scan_id}-x")
    assert "7-x-primary.csv exists; add --overwrite" in line
    assert table.read_text() == "mine"
    shell.run("%export 7 suitcase.csv out/ --name {scan_id}-x --overwrite")
    assert table.read_bytes() == before
    assert "7-y*" in shell.run("%export 7 suitcase.csv out/ --name {scan_id}-y --dry-run")
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_specfile_is_read_by_spec2nexus(tmp_path):
    run = simulated_runs()["sim-scan"]
    (path,) = replay("suitcase.specfile", run, tmp_path).files
    scan = spec2nexus_file(path).getScan(run[0][1]["scan_id"])
    assert scan.data["motor1"] == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_specfile_keeps_the_first_row_of_a_baseline(tmp_path):
    run = simulated_runs()["sim-baseline"]
    written = replay("suitcase.specfile", run, tmp_path)
    assert any("of the baseline the first row" in notice for notice in written.notices)
    (baseline,) = [doc["uid"] for name, doc in run if name == "descriptor" and doc["name"] == "baseline"]
    first, _ = [doc["data"] for name, doc in run if name == "event" and doc["descriptor"] == baseline]
    lines = written.files[0].read_text().splitlines()
    (positions,) = [line for line in lines if line.startswith("#P0 ")]
    assert [float(word) for word in positions.split()[1:]] == [first[name] for name in sorted(first)]


def test_tiff_stack_takes_its_options(tmp_path):
    import tifffile

    data = {"image": [[[1.5, 2.5], [3.5, 4.5]]] * 2}
    documents = run_of(data, keys={"image": {"dtype": "array", "shape": [2, 2]}})
    found = options("suitcase.tiff_stack")
    assert (found["astype"].default, found["bigtiff"].type) == ("uint16", bool)
    written = replay("suitcase.tiff_stack", documents, tmp_path)
    assert any("all numbers uint16, unless --option astype=" in notice for notice in written.notices)
    (tmp_path / "2").mkdir()
    written = replay("suitcase.tiff_stack", documents, tmp_path / "2", astype="float64")
    (path,) = written.files
    assert tifffile.imread(path)[0].tolist() == data["image"][0]
    with pytest.raises(BlueskyExportError, match="has no option 'colour'; its options: astype, bigtiff"):
        check_options("suitcase.tiff_stack", {"colour": "1"})


@pytest.mark.parametrize("name", ["all-streams", "unfinished", "stream-names", "zero-events", "ad-hdf5"])
def test_odd_runs_end_well_or_leave_nothing(name, tmp_path):
    run = RUNS[name].make(tmp_path / "made")
    folder = tmp_path / "out"
    folder.mkdir()
    try:
        files = replay("suitcase.csv", run.documents, folder).files
    except (NoData, NotFaithful, ExportFailed):
        assert name in ("stream-names", "zero-events", "ad-hdf5")
        files = ()
    assert sorted(folder.iterdir()) == sorted(files)
    assert bool(files) == (name in ("all-streams", "unfinished"))


def test_a_suitcase_while_it_is_measured(tmp_path, monkeypatch):
    from bluesky import RunEngine

    set_settings(BlueskyExport(journal=str(tmp_path / "journal")))
    (tmp_path / "out").mkdir()
    engine, said = RunEngine({}, call_returns_result=False), []
    attach.attach_writer("suitcase.csv", f"{tmp_path}/out/", RE=engine, name="{scan_id}", say=said.append)
    receive = live_writers(engine).receive
    for pair in documents(3, 12):
        receive(*pair)
    until = time.monotonic() + 60
    found = attach.detach_writer(RE=engine, timeout=60, say=said.append)
    set_settings(None)
    assert time.monotonic() < until
    assert [path.name for path in found] == ["12-primary.csv"]
    assert [row["motor"] for row in csv.DictReader(found[0].read_text().splitlines())] == [
        "0.0",
        "1.0",
        "2.0",
    ]
    assert list((tmp_path / "out").iterdir()) == list(found)


def test_what_is_not_installed_is_named_with_its_pip_line(shell):
    line = shell.fails("%export 7 suitcase.nothere out/")
    assert "try: pip install suitcase-nothere 'suitcase-utils==0.5.3' (installed: suitcase.csv" in line
    assert "suitcase.utils is no suitcase" in shell.fails("%export 7 suitcase.utils out/")


def test_help_and_completion(shell):
    assert "suitcase.NAME  what an installed suitcase writes" in shell.run("%export --help")
    text = shell.run("%export --help suitcase.tiff_series")
    assert "astype=uint16" in text
    assert "What a suitcase leaves out of a run or changes, it does not say" in text
    assert "by **kwargs cannot be typed" in text
    with provisionalcompleter():
        found = [one.text for one in shell.ip.Completer.completions("%export 7 suitcase.", 19)]
    assert "suitcase.csv" in found
    assert "suitcase.utils" not in found


@pytest.mark.parametrize("how", ["", "--overwrite", "--skip-existing"])
@pytest.mark.parametrize("order", ["suitcase.csv,csv", "csv,suitcase.csv"])
def test_two_formats_that_want_one_file_do_not_replace_each_other(shell, tmp_path, order, how):
    text = shell.run(f"files = %export 7 {order} out/ --name x {how}")
    first, second = order.split(",")
    assert f"to {second}: {tmp_path}/out/x-primary.csv was written a moment ago" in text
    assert "in another format" in text
    assert f"x-primary.csv ({first}," in text
    rows = list(csv.reader((tmp_path / "out" / "x-primary.csv").read_text().splitlines()))
    assert ("seq_num" in rows[0]) is (first == "suitcase.csv"), rows
    assert not shell.ns["files"]
    assert not list((tmp_path / "out").glob("*.part*"))


# -- those that misbehave ----------------------------------------------------------------------


def test_one_that_breaks_leaves_nothing(site):
    made(
        site,
        "test_breaks",
        "def export(gen, directory, file_prefix=''):\n"
        "    (directory / f'{file_prefix}.x').write_text('half')\n"
        "    raise KeyError('a\\nb')\n",
    )
    (site / "out").mkdir()
    with pytest.raises(ExportFailed, match=r"suitcase.test_breaks broke on run 5eed000: KeyError: 'a\\nb'"):
        replay("suitcase.test_breaks", RUN, site / "out")
    assert list((site / "out").iterdir()) == []


def test_files_appear_when_all_are_there_and_under_our_names(site):
    made(
        site,
        "test_many",
        "import pathlib\n"
        "def export(gen, directory, file_prefix='{start[uid]}-', first=1, *, flag=False, size=2.5,"
        " other=None, function=print, **kwargs):\n"
        "    names = [name for name, doc in gen]\n"
        "    assert not list(directory.parent.glob('*a.txt'))\n"
        "    prefix = file_prefix.format(start={})\n"
        "    (directory / f'{prefix}a.txt').write_text(repr((first, flag, size, other, names)))\n"
        "    (directory / 'unnamed.txt').write_text('')\n",
    )
    (site / "out").mkdir()
    found = options("suitcase.test_many")
    assert {name: one.default for name, one in found.items()} == {
        "first": 1,
        "flag": False,
        "size": 2.5,
        "other": None,
    }
    assert found["flag"].parse("yes") is True
    cls = writer_class("suitcase.test_many")
    assert cls is writer_class("suitcase.test_many")
    written = replay("suitcase.test_many", RUN, site / "out", first=3)
    stem = written.files[0].name.removesuffix("-a.txt")
    assert [path.name for path in written.files] == [f"{stem}-a.txt", f"{stem}-unnamed.txt"]
    names = ["start", "descriptor", "event", "event", "stop"]
    assert written.files[0].read_text() == repr((3, False, 2.5, None, names))
    written.files[0].unlink()
    with pytest.raises(BlueskyExportError, match=r"unnamed\.txt exists"):
        replay("suitcase.test_many", RUN, site / "out")
    assert [path.name for path in (site / "out").iterdir()] == [f"{stem}-unnamed.txt"]


def test_one_that_does_not_import_or_is_none(site):
    made(site, "test_import", "import no_such_package_of_anybody\n")
    made(site, "test_none", "def export(gen):\n    pass\n")
    with pytest.raises(UnknownFormat, match="pip install suitcase-test-import"):
        writer_class("suitcase.test_import")
    with pytest.raises(UnknownFormat, match=r"has no export\(gen, directory, file_prefix\)"):
        writer_class("suitcase.test_none")
    for name in ("suitcase.", "suitcase.a.b", "suitcase.../x"):
        with pytest.raises(UnknownFormat, match="unknown format"):
            writer_class(name)


def test_braces_in_names_are_no_fields(tmp_path):
    run: Any = run_of({"x": [1.0]}, start={"sample": "{start[uid]} {x"})
    from bluesky_export.outputs import Target
    from bluesky_export.testing import kit

    target = Target.parse(f"{tmp_path}/", template="{start[sample]}")
    (path,) = kit.replay(writer_class("suitcase.csv"), run, target).files
    assert path.name == "{start[uid]} {x-primary.csv"
