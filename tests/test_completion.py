"""TAB in a real IPython."""

from __future__ import annotations

import threading
import time

import pytest
from IPython.core.completer import provisionalcompleter

from bluesky_export import completion, formats
from bluesky_export.completion import Completer, Place, place
from bluesky_export.options import export_parser

from .corpus import simulated_runs
from .memory_catalog import MemoryCatalog
from .shell import new_shell


class Counting(MemoryCatalog):
    """Counts what it is asked for; waits until it may answer."""

    def __init__(self, runs):
        super().__init__(runs)
        self.asked: list[tuple] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def newest(self, n, skip=0):
        self.asked.append(("newest", n, skip))
        assert self.may_answer.wait(60)
        return super().newest(n, skip)

    def by_scan_id(self, first, last=None):
        raise AssertionError("a TAB searches nothing")

    by_uid = search = by_scan_id


@pytest.fixture
def catalog():
    return Counting(simulated_runs().values())


@pytest.fixture
def shell(catalog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(completion, "PATIENCE", 60.0)  # a busy machine is not what is tested
    with new_shell() as shell:
        shell.ns["cat"] = catalog
        shell.run("%load_ext bluesky_export")
        yield shell


def tab(shell, line):
    """Return what TAB offers at the end of a line: the whole word, and what stands beside it."""
    with provisionalcompleter():
        return {
            (line[: one.start] + one.text).split(" ")[-1]: one.type
            for one in shell.ip.Completer.completions(line, len(line))
        }


def test_formats_with_their_summary(shell):
    found = tab(shell, "%export -1 ")
    assert list(found)[: len(formats.names())] == formats.names()
    assert found["csv"] == formats.writer_class("csv").summary
    assert list(tab(shell, "%export -1 csv,ne")) == ["csv,nexus"]
    assert "csv" not in tab(shell, "%export -1 csv,")
    assert list(tab(shell, "%attach_writer nex")) == ["nexus"]
    assert "jsonl" in tab(shell, "%export --help ")


def test_recent_runs_with_their_plan(shell, catalog):
    found = tab(shell, "files = %export ")
    newest = catalog.newest(1)[0]
    assert found["-1"] == "the last run"
    assert found[str(newest.scan_id)].startswith(f"{newest.start['plan_name']} 20")
    uid = next(run.uid for run in catalog.newest(20) if not run.uid[:8].isdigit())
    assert uid[:8] in tab(shell, f"%runs {uid[:6]}")
    assert set(catalog.asked) == {("newest", 20, 0), ("newest", 1, 0)}


def test_variables_of_the_session(shell, catalog):
    uid = catalog.newest(1)[0].uid
    shell.ns.update(my_uids=[uid], my_uid=uid, my_number=3, my_text="no uid")
    assert {name for name in tab(shell, "%export my_") if name.startswith("my_")} == {"my_uids", "my_uid"}
    assert set(tab(shell, "%export $my_")) == {"$my_uids", "$my_uid"}


def test_options_and_their_values(shell):
    found = tab(shell, "%export -1 csv --")
    assert set(found) == {
        flag for action in export_parser()._actions for flag in action.option_strings if len(flag) > 2
    }
    assert found["--dry-run"] == "say what would be written"
    assert list(tab(shell, "%export -1 hdf5 --images ")) == ["copy", "link", "skip"]
    assert "scan" in tab(shell, "%runs --plan ")
    assert "plan_name=" in tab(shell, "%runs --where pl")
    assert "yesterday" in tab(shell, "%runs --since ")
    assert list(tab(shell, "%runs --columns scan_id,pl")) == ["scan_id,plan"]


def test_options_of_a_format(shell):
    found = tab(shell, "%export -1 spec --option ")
    assert {f"{name}=" for name in formats.options("spec")} == set(found)
    assert "missing=" in found


def test_streams_and_fields_of_the_newest_run(shell, catalog):
    (newest,) = catalog.newest(1)
    (primary, *_) = [doc for doc in newest.descriptors() if doc["name"] == "primary"]
    assert "primary" in tab(shell, "%export -1 csv --stream ")
    fields = tab(shell, "%export -1 csv --fields ")
    assert set(primary["data_keys"]) <= set(fields)
    first, *others = fields
    assert set(tab(shell, f"%export -1 csv --fields {first},")) == {f"{first},{one}" for one in others}


def test_where_nothing_fits_nothing_is_offered(shell):
    """No keyword of Python's, and none of its magics."""
    for line in ("%export -1 csv --name ", "%runs --since i", "%runs unlikel"):
        assert set(tab(shell, line)) <= {line.rpartition(" ")[2]}
    with provisionalcompleter():
        line = "%runs unlikel"
        assert [one.text for one in shell.ip.Completer.completions(line, len(line))] == ["unlikel"]


def test_a_library_that_takes_long_to_import_keeps_nobody_waiting(monkeypatch):
    may_answer = threading.Event()
    options = formats.options

    def slowly(name):
        assert may_answer.wait(60)
        return options(name)

    monkeypatch.setattr(formats, "options", slowly)
    completer = Completer(dict)
    where = place("%export -1 spec --option ")
    assert completer.candidates(where) == []
    may_answer.set()
    deadline = time.monotonic() + 60
    while not completer.candidates(where):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_paths(shell, tmp_path):
    (tmp_path / "user data").mkdir()
    (tmp_path / "july.dat").touch()
    (tmp_path / ".hidden").touch()
    assert list(tab(shell, "%export -1 spec ju")) == ["july.dat"]
    assert f"{tmp_path}/july.dat" in tab(shell, f"%export -1 spec {tmp_path}/")
    assert ".hidden" not in str(tab(shell, "%export -1 spec "))
    with provisionalcompleter():
        line = '%export -1 spec "us'
        (one,) = shell.ip.Completer.completions(line, len(line))
    assert line[: one.start] + one.text == '%export -1 spec "user data/'


def test_what_is_attached(shell):
    shell.run("from bluesky import RunEngine\nRE = RunEngine({})")
    assert list(tab(shell, "%detach_writer ")) == ["all"]
    shell.run("%attach_writer json")
    assert list(tab(shell, "%detach_writer ")) == ["all", "json"]
    shell.run("%detach_writer")


def test_other_lines_are_left_to_ipython(shell):
    shell.ns["exported"] = 1
    assert "exported" in tab(shell, "expor")
    assert place("x = exporter(") is None
    assert place("%export -1 csv").word == "csv"
    assert place("%export 'my fi").word == "'my fi"
    assert place("%export 'a b' c") == Place("export", ("a b",), "c")


def test_a_slow_catalog_keeps_nobody_waiting(catalog):
    catalog.may_answer.clear()
    completer = Completer(lambda: {"cat": catalog})
    where = place("%export ")
    first = completer.candidates(where)  # returns, though the catalog has not answered
    assert [one.text for one in first][:2] == ["-1", "-5:"]
    assert not any(one.text.isdigit() for one in first)
    completer.candidates(where)
    assert len(catalog.asked) == 1  # nor is it asked again meanwhile
    catalog.may_answer.set()
    deadline = time.monotonic() + 60
    while not any(one.text.isdigit() for one in completer.candidates(where)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(catalog.asked) == 1


def test_a_catalog_that_has_gone_offers_nothing(monkeypatch):
    class Gone(MemoryCatalog):
        def newest(self, n, skip=0):
            raise ConnectionError("gone")

    monkeypatch.setattr(completion, "PATIENCE", 60.0)
    found = Completer(lambda: {"cat": Gone([])}).candidates(place("%export "))
    assert [one.text for one in found] == ["-1", "-5:"]


def test_nothing_is_left_after_unloading():
    with new_shell() as shell:
        before = list(shell.ip.Completer.custom_matchers)
        shell.run("%load_ext bluesky_export\n%load_ext bluesky_export\n%reload_ext bluesky_export")
        assert len(shell.ip.Completer.custom_matchers) == len(before) + 1
        shell.run("%unload_ext bluesky_export")
        assert shell.ip.Completer.custom_matchers == before


@pytest.mark.parametrize("verb", completion.VERBS)
def test_the_help_of_a_magic_is_that_of_its_parser(shell, verb):
    shown = shell.ip.inspector.info(shell.ip.magics_manager.magics["line"][verb])["docstring"]
    assert shown.strip() == shell.run(f"%{verb} --help").strip()
    assert f"usage: %{verb} " in shown
