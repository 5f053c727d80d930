"""The magics in a real IPython, on a real databroker and a real RunEngine."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading

import pexpect
import pytest

from bluesky_export import export

from .corpus import simulated_runs
from .fixtures_databroker import mongo_catalog, mongo_server
from .memory_catalog import MemoryCatalog
from .replaying import run_of
from .shell import new_shell


@pytest.fixture
def bare():
    with new_shell() as shell:
        yield shell


SETUP = """
import databroker
from bluesky import RunEngine, plans as bp
from ophyd.sim import det1, motor
db = databroker.temp()
RE = RunEngine({})
_ = RE.subscribe(db.insert)
%load_ext bluesky_export
"""


@pytest.fixture
def shell(bare, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bare.run(SETUP)
    return bare


@pytest.fixture
def measured(shell):
    shell.run("uids = RE(bp.scan([det1], motor, -1, 1, 5)) + RE(bp.count([det1], 3))")
    return shell


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# -- loading -------------------------------------------------------------------------------


def test_loading_twice_and_unloading_leave_nothing(bare):
    threads = set(threading.enumerate())

    def kinds():
        return [c for c in map(type, bare.ip.configurables) if c.__module__.startswith("bluesky_export")]

    before = set(bare.ip.magics_manager.magics["line"]), kinds()
    bare.run("%load_ext bluesky_export\n%load_ext bluesky_export\n%reload_ext bluesky_export")
    mine = set(bare.ip.magics_manager.magics["line"]) - before[0]
    assert mine == {"export", "runs", "attach_writer", "detach_writer"}
    assert sorted(kind.__name__ for kind in kinds()) == ["BlueskyExport", "ExportMagics"]
    bare.run("%unload_ext bluesky_export")
    assert (set(bare.ip.magics_manager.magics["line"]), kinds()) == before
    assert set(threading.enumerate()) == threads


def test_settings(shell, tmp_path):
    (tmp_path / "user").mkdir()
    shell.run("RE(bp.count([det1]))")
    shell.run(f"%config BlueskyExport.directory = {str(tmp_path / 'user')!r}")
    shell.run("%config BlueskyExport.name_template = '{plan_name}-{scan_id}'")
    shell.run("%export -1 json")
    assert names(tmp_path / "user") == ["count-1.json"]
    shell.run("%config BlueskyExport.directory = '{start[proposal_id]}/raw'")
    shell.run("_ = RE(bp.count([det1]), proposal_id='GUP-7')")
    shell.run("%export -1 json")
    assert names(tmp_path / "GUP-7" / "raw") == ["count-2.json"]
    assert "has no 'start[proposal_id]'" in shell.fails("%export -2 json")


# -- %runs ---------------------------------------------------------------------------------


def test_runs(measured):
    shown = measured.run("%runs")
    lines = [line.split() for line in shown.splitlines()]
    header = next(line for line in lines if "scan_id" in line)
    assert header[:3] == ["scan_id", "uid", "time"] or header[1:4] == ["scan_id", "uid", "time"]
    rows = [line for line in lines if line and line[0] in ("1", "2")]
    assert [row[0] for row in rows] == ["2", "1"]  # newest first
    assert rows[0][1] == measured.ns["uids"][1][:7]
    assert "5/5" in rows[1]
    assert "scan" in rows[1]
    assert "motor" in rows[1]
    assert rows[1][-1] == "success"


def test_runs_gives_an_object(measured, tmp_path):
    measured.run("table = %runs -n 1")
    assert len(measured.ns["table"]) == 1
    frame = measured.ns["table"].to_dataframe()
    assert frame.loc[measured.ns["uids"][1], "plan"] == "count"
    measured.run("%export table json")
    assert len(names(tmp_path)) == 1


def test_runs_columns_and_csv(measured, tmp_path):
    measured.run("%runs --columns scan_id,stop.num_events.primary,start.plan_args.num --csv list.csv")
    assert (tmp_path / "list.csv").read_text() == (
        "scan_id,stop.num_events.primary,start.plan_args.num\n2,3,3\n1,5,5\n"
    )
    assert "exists" in measured.fails("%runs --csv list.csv")


def test_one_run_in_full(measured):
    shown = measured.run("%runs 1")
    for words in (
        measured.ns["uids"][0],
        "stream primary: 5 events",
        "num_points: 5",
        "motor_setpoint",
        "success",
    ):
        assert words in shown


def test_metadata_cannot_write_html_or_move_the_cursor(shell):
    shell.run("RE(bp.count([det1]), sample='<script>alert(1)</script>\\x1b[2J')")
    shell.run("table = %runs")
    page = shell.ns["table"]._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in str(shell.ns["table"]) + page


def test_names_of_fields_stay_in_their_line(shell, tmp_path):
    """In notices, live and afterwards, and in errors: whatever a device is called."""
    shell.run("import numpy; from ophyd import Signal")
    shell.run(r"odd = Signal(name='a\nb\x1b[31m', value=numpy.zeros((2, 2)))")
    (tmp_path / "live").mkdir()
    shell.run(f"%attach_writer csv {tmp_path}/live/")
    said = shell.run("_ = RE(bp.count([odd, det1]))\n%detach_writer")
    said += shell.run(f"%export -1 csv {tmp_path}/")
    notes = [line for line in said.splitlines() if "left out" in line]
    assert len(notes) == 2
    assert all(r"left out primary.a\nb\x1b[31m: an array in each event" in note for note in notes)
    said = shell.fails(f"%export -1 csv {tmp_path}/ --fields det2")
    assert said.endswith(r"its fields: a\nb\x1b[31m, det1")


def test_the_states_of_writers_have_colours(shell, tmp_path, monkeypatch):
    shell.run("%attach_writer json")
    assert (
        "\x1b"
        not in shell.ip.display_formatter.format(shell.ip.run_line_magic("attach_writer", ""))[0][
            "text/plain"
        ]
    )
    monkeypatch.setattr("bluesky_export.live._status.has_colours", lambda: True)
    table = shell.ip.run_line_magic("attach_writer", "")
    shown, _ = shell.ip.display_formatter.format(table)
    assert re.search("\x1b\\[32mready *\x1b\\[0m", shown["text/plain"])
    assert "\x1b" not in str(table) + repr(table) + shown["text/html"]


@pytest.mark.parametrize(
    ("settings", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
    ids=["colours", "NO_COLOR", "dumb"],
)
def test_colours_where_the_terminal_has_them(settings, coloured):
    code = (
        "from bluesky_export.tables import has_colours, text_table\n"
        "print(text_table(['a', 'status'], [['1', 'fail'], ['2', 'odd']],"
        " styles={'fail': 'bold red'} if has_colours() else None))"
    )
    plain = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    child = pexpect.spawn(
        sys.executable,
        ["-c", code],
        env={**plain, "TERM": "xterm", **settings},
        encoding="utf-8",
        timeout=60,
    )
    child.expect(pexpect.EOF)
    assert ("\x1b[1;31mfail\x1b[0m" in child.before) == coloured
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "\x1b" not in piped
    lines = re.sub(r"\x1b\[[0-9;]*m", "", child.before).split()
    assert lines == piped.split() == ["a", "status", "-" * 9, "1", "fail", "2", "odd"]


# -- %export -------------------------------------------------------------------------------


def test_export_as_the_design_has_it(measured, tmp_path):
    said = measured.run(f"files = %export -1 spec {tmp_path}/out.dat")
    assert f"wrote {tmp_path}/out.dat (spec, run 2 " in said
    assert [str(path) for path in measured.ns["files"]] == [f"{tmp_path}/out.dat"]


def test_several_runs_and_formats(measured, tmp_path):
    (tmp_path / "user").mkdir()
    said = measured.run("files = %export 1-2 csv,json user/")
    assert "exported 2 of 2 runs, 6 files" in said
    assert len(names(tmp_path / "user")) == 6
    assert bool(measured.ns["files"])


def test_a_python_variable_is_not_put_into_a_template(measured, tmp_path):
    measured.run("scan_id = 'wrong'")
    measured.run("%export -1 json --name run_{scan_id}")
    assert names(tmp_path) == ["run_2.json"]


def test_a_path_with_blanks(measured, tmp_path):
    measured.run("%export -1 json 'my data.json'")
    assert names(tmp_path) == ["my data.json"]


def test_dry_run_writes_nothing(measured, tmp_path):
    said = measured.run("files = %export 1-2 csv,json --dry-run")
    assert said.count("would write") == 6
    assert names(tmp_path) == []
    measured.run("real = %export 1-2 csv,json")
    assert measured.ns["files"].files == measured.ns["real"].files


def test_streams_and_fields(measured, tmp_path):
    measured.run("%export 1 json out.json --fields motor,det1 --stream primary")
    whole = json.loads((tmp_path / "out.json").read_text())
    assert set(whole["streams"]["primary"]["data"]) == {"motor", "det1"}
    assert "no stream nope" in measured.fails("%export 1 json other.json --stream nope")
    assert names(tmp_path) == ["out.json"]


def test_options(measured, tmp_path):
    measured.run("%export 1 csv --option timestamps=true --option metadata=no")
    (name,) = names(tmp_path)
    assert "motor_timestamp" in (tmp_path / name).read_text().splitlines()[0]


def test_overwrite_and_skip(measured, tmp_path):
    (tmp_path / "out.json").write_text("mine")
    assert "--skip-existing" in measured.fails("%export 1 json out.json")
    said = measured.run("files = %export 1 json out.json --skip-existing")
    assert "skipped" in said
    assert (tmp_path / "out.json").read_text() == "mine"
    measured.run("%export 1 json out.json --overwrite")
    assert json.loads((tmp_path / "out.json").read_text())["start"]["scan_id"] == 1


def test_one_bad_run_of_several(shell, tmp_path):
    shell.run("from bluesky import plan_stubs as bps\nRE(bp.count([det1]))")
    shell.run("def empty():\n    yield from bps.open_run()\n    yield from bps.close_run()\nRE(empty())")
    said = shell.run("files = %export 1-2 csv")
    assert "FAILED run 2" in said
    assert "exported 1 of 2 runs, 2 files (failed: csv of 2, " in said
    assert not shell.ns["files"]
    assert len(names(tmp_path)) == 2


def test_an_aborted_run_is_marked(shell, tmp_path):
    shell.run(
        "def broken():\n"
        "    yield from bps.open_run()\n"
        "    yield from bps.trigger_and_read([det1])\n"
        "    raise RuntimeError('beam lost')\n"
        "from bluesky import plan_stubs as bps\n"
        "try:\n    RE(broken())\nexcept RuntimeError:\n    print('lost')"
    )
    said = shell.run("%export -1 json out.json")
    assert "exit_status fail" in said
    assert json.loads((tmp_path / "out.json").read_text())["status"] == "fail"


# -- bad input: one line, nothing touched --------------------------------------------------

BAD = {
    "%export 99 csv": "RunNotFound: no run of temp has scan_id 99; its newest run is ",
    "%export -9 csv": "RunNotFound: no run -9: temp has 2 runs",
    "%export abcdef0 csv": "a uid that begins with abcdef0; its newest run is ",
    "%export -1 nexsus": "UnknownFormat: unknown format 'nexsus'; did you mean nexus?",
    "%export -1": "UsageError: which format? %export -1 csv",
    "%export csv": "UsageError: which run? %export -1 csv",
    "%export -1 csv missing/": "OutputError: cannot write",
    "%export -1 csv missing/out.csv": "mkdir -p",
    "%export -1 csv taken.csv": "TargetExists",
    "%export 1-2 csv one.csv": "give a folder",
    "%export -1 csv,json one.csv": "give a folder",
    "%export -1 csv --nope": "UsageError: unrecognized arguments: --nope; see %export --help",
    "%export -1 csv --overwrit": "--overwrit; did you mean --overwrite? see %export --help",
    "%runs --colums scan_id": "did you mean --columns? see %runs --help",
    "%export -1 csv --option nope=1": "BadOption: format csv has no option 'nope'; its options: timesta",
    "%export -1 csv --option timestamps=maybe": "BadOption: option timestamps=maybe: expected bool",
    "%export -1 csv --images maybe": "UsageError",
    "%export -1 csv --name {nope}": "UsageError: name template: unknown field 'nope'",
    "%export -1 csv a b": "one path at most",
    "%export -1 csv 'open": "close the quote",
    "%export -1 csv --catalog nowhere": "NoCatalog",
    "%export -1 csv --overwrite --skip-existing": "exclude each other",
    "%export --since never csv": "UsageError: time 'never'",
    "%runs 99": "RunNotFound",
    "%runs -n 0": "UsageError",
    "%runs --where nonsense": "write --where key=value",
    "%attach_writer nexsus": "nexus",
    "%attach_writer spec taken.csv": "taken.csv",
    "%attach_writer db": "cannot be called with (name, doc)",
    "%export -1 csv -2": "selectors come before the format: %export -1 -2 csv",
    "%export csv -1": "%export -1 csv",
    "%export -1 /tmp/": "which format? %export -1 csv /tmp/",
    "%export -1 csv, nexus": "without blanks",
    "%export -1 csv ~nobody-of-that-name/x/": "OutputError: ~nobody-of-that-name/x/",
    f"%export -1 csv {'x' * 300}": "give a shorter name",
    "%export -1 csv --name {scan_id:99999999}": "no way to format",
    "%export -1 csv --name {scan_id:abc}": "no way to format",
    "%export -1 csv --name {start[plan_args]}": "add one of [detectors], [num]",
    "%export -1 csv --fields ''": "names nothing",
    "%export -1 csv --fields nope": "has no field nope; its fields: det1",
    "%runs --csv ~nobody-of-that-name/x": "OutputError: ~nobody-of-that-name/x",
    "%runs --catalog ~nobody-of-that-name/x": "OutputError: ~nobody-of-that-name/x",
    "%runs --catalog uids": "the variable uids is no catalog (a tuple)",
    "%attach_writer csv missing/": "missing",
}


@pytest.mark.parametrize("cell", BAD)
def test_bad_input_gets_one_line_and_touches_nothing(measured, tmp_path, cell):
    (tmp_path / "taken.csv").write_text("mine")
    assert BAD[cell] in measured.fails(cell)
    assert names(tmp_path) == ["taken.csv"]
    assert (tmp_path / "taken.csv").read_text() == "mine"


def test_an_ambiguous_uid(measured):
    for tail in ("0001", "0002"):
        for name, doc in run_of({"x": [1.0]}, uid=f"abcdef01-{tail}", start={"scan_id": 900}):
            measured.ns["db"].insert(name, doc)
    line = measured.fails("%export abcdef01 csv")
    assert "AmbiguousRun" in line
    assert "abcdef01-0001" in line
    assert "abcdef01-0002" in line


def test_no_catalog_and_no_run_engine(bare):
    bare.run("%load_ext bluesky_export")
    assert "--catalog NAME" in bare.fails("%runs")
    assert "--catalog NAME" in bare.fails("%export -1 csv")
    assert "no RunEngine" in bare.fails("%attach_writer csv")


def test_help(shell):
    assert "554-560" in shell.run("%export --help")
    assert "timestamps=False" in shell.run("%export --help csv")
    assert "--columns" in shell.run("%runs --help")
    assert "nexus" in shell.run("%attach_writer --help")
    assert "%detach_writer [NAME|all]" in shell.run("%detach_writer --help")


# -- %attach_writer ------------------------------------------------------------------------


def test_live_writers_by_name(shell, tmp_path):
    shell.run("%attach_writer nexus\n%attach_writer spec scans.dat\n%attach_writer csv")
    shell.run("for n in range(3): RE(bp.scan([det1], motor, -1, 1, 4))")
    shown = shell.run("%attach_writer")
    assert all(word in shown for word in ("nexus", "spec", "csv", "scans.dat"))
    shell.run("files = %detach_writer")
    assert len(list(tmp_path.glob("*.hdf"))) == 3
    assert len(list(tmp_path.glob("*-primary.csv"))) == 3
    assert (tmp_path / "scans.dat").read_text().count("\n#S ") == 3
    assert not list(tmp_path.glob("*.part"))
    assert threading.active_count() == len(threading.enumerate())


def test_a_file_written_live_is_the_file_that_is_exported(shell, tmp_path):
    (tmp_path / "live").mkdir()
    (tmp_path / "later").mkdir()
    shell.run("%attach_writer csv live/\n%attach_writer jsonl live/\nRE(bp.scan([det1], motor, -1, 1, 4))")
    shell.run("_ = %detach_writer")
    shell.run("%export -1 csv,jsonl later/")
    assert names(tmp_path / "live") == names(tmp_path / "later")
    for name in names(tmp_path / "live"):
        if name.endswith(".csv"):
            assert (tmp_path / "live" / name).read_bytes() == (tmp_path / "later" / name).read_bytes()


def test_failed_runs_are_written_when_the_cause_is_gone(shell, tmp_path):
    folder = tmp_path / "user"
    folder.mkdir()
    said = shell.run(
        "import shutil, os\n"
        "%attach_writer json user/\n"
        "shutil.rmtree('user')\n"
        "RE(bp.count([det1], 3))\n"
        "_ = %detach_writer json"
    )
    assert "FAILED" in said
    assert "1 failed" in shell.run("again = %export --failed") or not shell.ns["again"]
    folder.mkdir()
    assert "wrote" in shell.run("again = %export --failed")
    assert len(names(folder)) == 1
    assert "nothing to write again" in shell.fails("%export --failed")


def test_a_catalog_that_has_gone_away(bare, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bare.run("%load_ext bluesky_export")
    with mongo_server() as server, mongo_catalog(server) as catalog:
        for documents in simulated_runs().values():
            insert = catalog._get_serializer()
            for name, doc in documents:
                insert(name, doc)
        bare.ns["cat"] = catalog
        assert "success" in bare.run("%runs")
        server.stop()
        for cell in ("%runs", "%export -1 json", "%export 1 csv"):
            line = bare.fails(cell)
            assert line.startswith("CatalogUnavailable: ")
            assert "MongoDB at 127.0.0.1" in line
    assert names(tmp_path) == []


def test_skip_existing_writes_the_files_that_are_missing(measured, tmp_path):
    measured.run("%export 1 csv")
    (table,) = tmp_path.glob("*-primary.csv")
    (sidecar,) = tmp_path.glob("*-metadata.json")
    sidecar.write_text("mine")
    table.unlink()
    said = measured.run("files = %export 1 csv --skip-existing")
    assert measured.ns["files"].files == [table]
    assert table.read_text().startswith('"motor"')
    assert sidecar.read_text() == "mine"
    assert f"skipped {sidecar}" in said
    assert len(names(tmp_path)) == 2


def test_one_run_in_several_formats_tells_each_failure(measured, tmp_path):
    for suffix in ("json", "h5"):
        (tmp_path / f"same.{suffix}").write_text("mine")
    said = measured.run("files = %export 1 jsonl,json,hdf5 --name same")
    assert said.count("FAILED run 1") == 2
    assert "exported 1 run in 1 of 3 formats, 1 file (failed: json, hdf5)" in said
    assert measured.ns["files"].files == [tmp_path / "same.jsonl"]
    assert not measured.ns["files"]


def test_a_folder_that_is_not_there_is_named(measured, tmp_path):
    for path in ("nope/", "nope/out.csv"):
        assert measured.fails(f"%export 1 csv {path}") == (
            f"OutputError: cannot write into {tmp_path}/nope/: the folder {tmp_path}/nope does not exist; "
            f"make it: mkdir -p '{tmp_path}/nope'"
        )
    assert not list(tmp_path.iterdir())
    measured.run(f"mkdir -p '{tmp_path}/nope'")  # as it is advised
    measured.run("%export 1 csv nope/")
    assert list((tmp_path / "nope").iterdir())


def test_several_runs_in_several_formats_are_told_as_complete_and_in_part(measured, tmp_path):
    (tmp_path / "same-1.json").write_text("mine")
    said = measured.run("files = %export 1-2 jsonl,json --name 'same-{scan_id}'")
    assert "exported 1 of 2 runs and 1 in part, 3 files (failed: json of 1, " in said
    (tmp_path / "new.jsonl").write_text("mine")
    (tmp_path / "new.json").write_text("mine")
    said = measured.run("files = %export 1 jsonl,json --name new")
    assert "exported 0 of 1 run, 0 files (failed: jsonl, json)" in said


def test_a_run_that_is_being_measured_is_not_passed_over_silently(measured, tmp_path):
    measured.run(
        "from bluesky import plan_stubs as bps\n"
        "said = []\n"
        "def looks():\n"
        "    yield from bps.open_run()\n"
        "    yield from bps.trigger_and_read([det1])\n"
        "    from bluesky_export import export, runs\n"
        "    runs(say=said.append)\n"
        "    export(-1, 'json', say=said.append)\n"
        "    export(1, 'json', 'one.json', say=said.append)\n"
        "    yield from bps.close_run()\n"
        "RE(looks())"
    )
    told = [line for line in measured.ns["said"] if "is being measured is not in temp yet" in line]
    assert len(told) == 2  # not where a scan_id was asked for


def test_failed_runs_are_forgotten_one_by_one(shell, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    shell.run(
        "import shutil\n"
        "%attach_writer json a/\n%attach_writer jsonl b/\n"
        "shutil.rmtree('a'); shutil.rmtree('b')\n"
        "RE(bp.count([det1], 3))\n_ = %detach_writer"
    )
    (tmp_path / "a").mkdir()
    said = shell.run("again = %export --failed")
    assert "exported 1 run in 1 of 2 formats, 1 file (failed: jsonl of 1, " in said
    (tmp_path / "b").mkdir()
    shell.run("again = %export --failed")
    assert len(names(tmp_path / "a")) == len(names(tmp_path / "b")) == 1


def test_the_line_of_a_failure_offers_what_writes_the_same(shell, tmp_path):
    for folder in ("plain", "chosen"):
        (tmp_path / folder).mkdir()
    said = shell.run(
        "import shutil\n"
        "%attach_writer json plain/\n"
        "%attach_writer csv chosen/ --fields det1 --name 'odd {scan_id}' --option timestamps=true\n"
        "shutil.rmtree('plain'); shutil.rmtree('chosen')\n"
        "_ = RE(bp.scan([det1], motor, -1, 1, 3))\n_ = %detach_writer"
    )
    lines = {line.partition(":")[0]: line for line in said.splitlines() if "when the cause is gone" in line}
    (tmp_path / "plain").mkdir()
    (tmp_path / "chosen").mkdir()
    command = lines["json"].partition("when the cause is gone: ")[2]
    assert re.fullmatch(r"%export \S+ json \S+", command)
    assert "json, run 1" in shell.run(command)
    assert lines["csv"].endswith("when the cause is gone: %export --failed")
    shell.run("%export --failed --overwrite")
    header = (tmp_path / "chosen" / "odd 1-primary.csv").read_text().splitlines()[0]
    assert header == '"seq_num","time","det1","det1_timestamp"'


def test_failed_runs_may_have_another_name_or_be_left(shell, tmp_path):
    shell.run(
        "%attach_writer json . --name x\n"
        "_ = RE(bp.count([det1], 1)) + RE(bp.count([det1], 2)) + RE(bp.count([det1], 3))"
    )
    shell.run("import time\nfrom bluesky_export.attach import failed_runs")
    shell.run("while len(failed_runs(RE)) < 2: time.sleep(0.05)")
    first = (tmp_path / "x.json").read_bytes()
    assert "FAILED" in shell.run("%export --failed")
    assert "a moment ago" in shell.run("table = %attach_writer\nprint(table)")
    shell.run("%export --failed --name 'x{scan_id}'")
    assert names(tmp_path) == ["x.json", "x2.json", "x3.json"]
    assert (tmp_path / "x.json").read_bytes() == first
    table = shell.run("table = %attach_writer\nprint(table)")
    assert "a moment ago" not in table  # what went wrong has been mended
    assert "ready" in table
    shell.run("_ = RE(bp.count([det1], 4))\nwhile not failed_runs(RE): time.sleep(0.05)")
    assert "skipped" in shell.run("%export --failed --skip-existing")
    assert "no run has failed" in shell.fails("%export --failed")


@pytest.mark.parametrize("words", ["--overwrite", "--skip-existing", ""])
def test_failed_runs_do_not_replace_each_other(shell, tmp_path, words):
    """Nor is one left for the other's file, which was not there before."""
    (tmp_path / "a").mkdir()
    shell.run(
        "import shutil, time\nfrom bluesky_export.attach import failed_runs\n"
        "%attach_writer json a/\nshutil.rmtree('a')\n"
        "_ = RE(bp.count([det1], 1)) + RE(bp.count([det1], 2))\n"
        "while len(failed_runs(RE)) < 2: time.sleep(0.05)"
    )
    (tmp_path / "a").mkdir()
    said = shell.run(f"again = %export --failed --name x {words}")
    assert "was written a moment ago, for another run" in said
    assert "exported 1 of 2 runs" in said
    assert json.loads((tmp_path / "a" / "x.json").read_text())["start"]["scan_id"] == 1
    assert "json, run 2" in shell.run("again = %export --failed")
    assert len(names(tmp_path / "a")) == 2


def test_what_makes_no_sense_with_failed(shell, tmp_path):
    (tmp_path / "a").mkdir()
    shell.run(
        "import shutil, time\nfrom bluesky_export.attach import failed_runs\n"
        "%attach_writer spec a/s.dat\nshutil.rmtree('a')\n"
        "_ = RE(bp.count([det1], 1))\nwhile not failed_runs(RE): time.sleep(0.05)"
    )
    (tmp_path / "a").mkdir()
    assert "exclude each other" in shell.fails("%export --failed --overwrite --skip-existing")
    assert "s.dat: leave --name out" in shell.fails("%export --failed --name x")
    assert "exported 1 of 1 run" in shell.run("again = %export --failed")


def test_one_file_by_two_paths_is_one_file(shell, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    shell.run("%attach_writer spec a/s.dat")
    assert "writes to" in shell.fails("%attach_writer spec b/s.dat")
    shell.run("%attach_writer spec b/t.dat")


@pytest.mark.parametrize(
    "words",
    ["--workers 2", "--scheduler tcp://host:1", "--dry-run", "--bundle",
     "--since today", "--stream primary", "--option a=b"],
)  # fmt: skip
def test_failed_takes_no_option_that_it_would_ignore(bare, words):
    bare.run("%load_ext bluesky_export")
    assert f"--failed takes no {words.partition(' ')[0]}: " in bare.fails(f"%export --failed {words}")


def test_reloading_says_what_to_attach_again(shell, tmp_path):
    shell.run("%attach_writer json")
    said = shell.run("%reload_ext bluesky_export")
    assert f"attach again: json ({tmp_path}" in said


def test_an_interrupt_says_what_is_finished(measured, tmp_path, monkeypatch):
    from bluesky_export.formats.jsonl import JSONLWriter

    finish = JSONLWriter.finish

    def interrupted(self):
        if self.start_doc["scan_id"] == 2:
            raise KeyboardInterrupt
        finish(self)

    monkeypatch.setattr(JSONLWriter, "finish", interrupted)
    said = measured.run("files = %export 1-2 json,jsonl")
    assert "interrupted: 1 of 2 runs are finished, 3 files" in said
    assert said.count("interrupted") == 1
    assert len(names(tmp_path)) == 3
    assert not list(tmp_path.glob("*.part"))


# -- the instrument's iconfig ----------------------------------------------------------------


def test_settings_of_the_instrument(measured, tmp_path):
    section = {"DIRECTORY": f"{tmp_path}/a", "NAME_TEMPLATE": "{plan_name}", "JOURNAL_DAYS": 3}
    measured.ns["iconfig"] = {"BLUESKY_EXPORT": section, "RUN_ENGINE": {}}
    for folder in "ab":
        (tmp_path / folder).mkdir()
    measured.run("%export 1 json")
    assert names(tmp_path / "a") == ["scan.json"]
    measured.run(f"%config BlueskyExport.directory = '{tmp_path}/b'\n%export 1 json")  # typed comes first
    assert names(tmp_path / "b") == ["scan.json"]
    measured.run("from bluesky_export.session import settings\ndays = settings().journal_days")
    assert measured.ns["days"] == 3.0


def test_a_profile_comes_before_the_instrument(measured, tmp_path):
    measured.ip.config.BlueskyExport.name_template = "profile-{scan_id}"
    measured.run("%reload_ext bluesky_export")
    measured.ns["iconfig"] = {"BLUESKY_EXPORT": {"NAME_TEMPLATE": "iconfig", "IMAGES": "skip"}}
    measured.run("%export 1 json")
    assert names(tmp_path) == ["profile-1.json"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"DIRECTRY": "/tmp"}, "no setting DIRECTRY; did you mean DIRECTORY?"),
        ({"IMAGES": "move"}, "IMAGES: "),
        ({"MIN_FREE": "much"}, "MIN_FREE: "),
        (["DIRECTORY"], "names and values"),
    ],
)
def test_what_is_wrong_in_the_iconfig_is_said_until_it_is_mended(measured, tmp_path, section, words):
    measured.ns["iconfig"] = {"BLUESKY_EXPORT": section}
    for line in ("%export 1 json", "%export 1 json", "%attach_writer json"):
        assert words in measured.fails(line).partition("UsageError: BLUESKY_EXPORT in iconfig")[2]
    assert names(tmp_path) == []
    measured.ns["iconfig"] = {"BLUESKY_EXPORT": {"IMAGES": "copy"}}
    measured.run("%export 1 json")


# -- %runs --plot --------------------------------------------------------------------------


def test_a_run_is_plotted_where_it_is_shown(measured):
    measured.run("from ophyd.sim import motor1\n_ = RE(bp.scan([det1], motor1, -2, 2, 9))")
    shown = measured.run("%runs -1 --plot")
    assert "stream primary: 9 events" in shown
    plot = shown.partition("stream primary")[2].splitlines()
    assert "det1" in plot[-1]
    assert "motor" in plot[-1]
    marks = [line for line in plot if re.search("[▖▗▘▝▀▄▌▐▚▞█▙▟▛▜]", line)]
    assert len(marks) >= 3  # a peak has points at several heights
    measured.run("details = %runs -1 --plot")
    page = measured.ns["details"]._repr_html_()
    (image,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(image).startswith(b"\x89PNG")
    assert "┤" not in measured.run("%runs -1")


def test_without_plotext_the_verb_fails_in_a_terminal(measured, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotext", None)
    said = measured.fails("%runs 1 --plot")
    assert said == "UsageError: --plot in a terminal needs plotext: pip install 'bluesky-export[plot]'"
    monkeypatch.setattr(measured.ip, "kernel", object(), raising=False)  # which shows the picture
    measured.run("details = %runs 1 --plot")
    assert "data:image/png" in measured.ns["details"]._repr_html_()
    assert str(measured.ns["details"]).endswith("pip install 'bluesky-export[plot]'")


def test_what_is_no_line_says_how_to_see_it(shell):
    shell.run(
        "from ophyd.sim import motor1, motor2\nRE(bp.grid_scan([det1], motor1, -1, 1, 3, motor2, -1, 1, 3))"
    )
    assert re.search(
        r"det1: to see it: %export (uid:)?[0-9a-f]{8} png +\(a map\)", shell.run("%runs --plot")
    )
    shell.run("RE(bp.count([]))")
    assert shell.fails("%runs --plot").startswith("NoData: run 2 ")
    assert "--plot shows one run, not 2" in shell.fails("%runs -2: --plot")


def test_the_functions_are_quiet_and_log(tmp_path, caplog, capfd):
    catalog = MemoryCatalog([simulated_runs()["sim-scan"]])
    export(-1, "json", f"{tmp_path}/", catalog=catalog, name="one")
    assert capfd.readouterr() == ("", "")
    with caplog.at_level("INFO", "bluesky_export"):
        export(-1, "json", f"{tmp_path}/", catalog=catalog, name="two")
    assert [(one.name, one.levelname) for one in caplog.records] == [("bluesky_export", "INFO")]
    assert caplog.records[0].getMessage().startswith(f"wrote {tmp_path}/two.json (json, run ")
