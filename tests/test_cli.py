"""The shell command, as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from bluesky_export import cli

from .corpus import simulated_runs


def run(*words, cwd=None):
    program = Path(sys.executable).with_name("bluesky-export")
    return subprocess.run([program, *words], capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    from suitcase.msgpack import Serializer

    folder = tmp_path_factory.mktemp("documents")
    for pairs in simulated_runs().values():
        with Serializer(folder) as serializer:
            for name, doc in pairs:
                serializer(name, doc)
    return folder


def test_runs(documents):
    done = run("runs", "--catalog", f"{documents}/")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.endswith(("success", "fail"))]
    assert len(rows) == len(simulated_runs())


def test_export_prints_paths_alone(documents, tmp_path):
    done = run("export", "-2:", "json", str(tmp_path), "--catalog", f"{documents}/")
    assert done.returncode == 0, done.stderr
    assert sorted(map(Path, done.stdout.split())) == sorted(tmp_path.iterdir())
    assert "exported 2 of 2 runs" in done.stderr


def test_a_run_that_failed_is_the_exit_status(documents, tmp_path):
    words = ("export", "-2:", "json", str(tmp_path), "--catalog", f"{documents}/", "--name", "same")
    done = run(*words)
    assert done.returncode == 1
    assert "FAILED" in done.stderr
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["nope"], 2, "unknown verb"),
        (["export", "-1", "csv"], 1, "--catalog"),
        (["runs", "--nope"], 2, "unrecognized"),
        (["runs", "--catalog", "/nowhere/"], 1, "/nowhere"),
        (["runs", "-n", "-1"], 2, "'-1'"),
        (["verify", "/nowhere.zip"], 1, "/nowhere.zip is not there"),
        (["export", "--failed"], 2, "when it has ended, bluesky-export recover"),
    ],
)
def test_what_is_wrong_is_one_line(words, status, line):
    done = run(*words)
    assert done.returncode == status
    assert line in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def shell(line, documents, tmp_path):
    """Run a line of the shell, with Python's streams as they are for a user."""
    program = Path(sys.executable).with_name("bluesky-export")
    whole = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    line = f"program={program}; catalog={documents}/; cd {tmp_path}; {line}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, env=whole, timeout=300
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [("runs --catalog $catalog", []), ("--help", []), ("runs 99999 --json --catalog $catalog", ["99999"])],
)
def test_a_reader_that_has_gone_is_no_complaint(words, said, documents, tmp_path):
    done = shell(f"$program {words} | true", documents, tmp_path)
    assert done.returncode == 141
    lines = done.stderr.splitlines()
    assert len(lines) == len(said)
    assert all(part in line for part, line in zip(said, lines, strict=True))


def test_streams_that_are_closed_or_full(documents, tmp_path):
    done = shell("$program export -2: json . --catalog $catalog 2>&-", documents, tmp_path)
    assert done.returncode == 0
    assert sorted(map(Path, done.stdout.split())) == sorted(tmp_path.iterdir())
    assert len(done.stdout.split()) == 2
    done = shell("$program runs --catalog nowhere 2>&-", documents, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    done = shell("$program runs --catalog $catalog >/dev/full", documents, tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "the standard output cannot be written" in done.stderr


def test_json_of_runs(documents):
    done = run("runs", "-n", "2", "--json", "--catalog", f"{documents}/")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [len(row["uid"]) for row in report["runs"]] == [36, 36]
    assert list(report["runs"][0]["cells"]) == report["columns"]
    one = json.loads(run("runs", report["runs"][0]["uid"], "--json", "--catalog", f"{documents}/").stdout)
    assert one["uid"] == one["start"]["uid"] == report["runs"][0]["uid"]
    (counted,) = [stream["events"] for name, stream in one["streams"].items() if name == "primary"]
    assert counted == one["stop"]["num_events"]["primary"]


def test_json_of_an_export(documents, tmp_path):
    words = ("export", "-2:", "csv,json", str(tmp_path), "--catalog", f"{documents}/", "--json")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    assert sorted(report["files"]) == sorted(map(str, tmp_path.iterdir()))
    assert [one["format"] for one in report["written"]] == ["csv", "json"] * 2
    assert all(isinstance(one["notices"], list) and one["events"] > 0 for one in report["written"])
    again = run(*words)
    assert again.returncode == 1
    report = json.loads(again.stdout)
    assert (report["ok"], len(report["failed"]), report["files"]) == (False, 4, [])
    assert {one["kind"] for one in report["failed"]} == {"TargetExists"}


@pytest.mark.parametrize(
    ("words", "status", "kind", "failed"),
    [
        (["export", "-1", "json"], 1, "TargetExists", 1),
        (["export", "-1", "csvv"], 2, "UnknownFormat", 0),
        (["export", "99999", "csv"], 1, "RunNotFound", 0),
    ],
)
def test_json_of_what_is_wrong(documents, tmp_path, words, status, kind, failed):
    given = ["--catalog", f"{documents}/", "--name", "there", "--json"]
    (tmp_path / "there.json").write_text("mine")
    done = run(*words, str(tmp_path), *given)
    assert done.returncode == status, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert report["error"]["kind"] == kind
    assert report["error"]["message"] in done.stderr
    assert len(report.get("failed", [])) == failed
    assert (tmp_path / "there.json").read_text() == "mine"


def test_help():
    assert "export SELECTOR" in run("--help").stdout
    assert "554-560" in run("export", "--help").stdout
    assert run().returncode == 2


def test_demo(tmp_path):
    done = run("demo", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stdout + done.stderr
    files = tmp_path / "demo" / "files"
    assert len(list(files.glob("*.hdf"))) == 3
    assert len(list(files.glob("*.h5"))) == 3
    assert (files / "beamtime.dat").read_text().count("\n#S ") == 3
    assert "scan_id" in done.stdout
    with h5py.File(next(files.glob("*S00001*.hdf"))) as file:
        assert file["entry/instrument/bluesky/streams/primary/motor/value"].shape == (11,)
    again = run("demo", str(tmp_path / "demo"))
    assert again.returncode == 1
    assert "not empty" in again.stderr
    listed = run("runs", "--catalog", f"{tmp_path}/demo/catalog")
    assert "grid_scan" in listed.stdout


@pytest.mark.parametrize("bar", [True, False])
def test_a_line_and_its_end_are_one_piece(monkeypatch, bar):
    """An interrupt between the two would put its own line behind this one."""
    if bar:
        import tqdm

        assert tqdm.tqdm is sys.modules["tqdm"].tqdm
    else:
        monkeypatch.delitem(sys.modules, "tqdm", raising=False)

    class Stream:
        def __init__(self):
            self.pieces = []
            self.flush = lambda: None

        def write(self, text):
            self.pieces.append(text)

    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    cli._say("wrote a")
    assert [piece for piece in stream.pieces if piece] == ["wrote a\n"]
