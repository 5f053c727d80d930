"""Many runs by dask workers: the files, the names, the refusals and the summary of the serial verb."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from suitcase.msgpack import Serializer

from bluesky_export import export
from bluesky_export.errors import NoCatalog, UsageError, WorkersUnavailable
from bluesky_export.handoff import export_bundle
from bluesky_export.testing.kit._content import assert_same
from bluesky_export.verifying import verify

from ..corpus import simulated_runs
from ..memory_catalog import MemoryCatalog
from ..test_pages_and_live import content
from ..waiting import until

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parents[2]


def write_documents(folder, runs):
    for pairs in runs:
        with Serializer(folder) as serializer:
            for name, doc in pairs:
                serializer(name, doc)


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    write_documents(folder, simulated_runs().values())
    return folder


@pytest.mark.long  # three processes that import databroker
def test_workers_open_a_catalog_of_databroker_by_its_name(documents, tmp_path):
    (tmp_path / "intake").mkdir()
    (tmp_path / "intake" / "ours.yml").write_text(
        "sources:\n  our_beamline:\n    driver: bluesky-msgpack-catalog\n"
        f"    args: {{paths: ['{documents}/*.msgpack']}}\n"
    )
    folder = tmp_path / "files"
    folder.mkdir()
    words = ["export", "-2:", "json", f"{folder}/", "--workers", "1", "--catalog", "our_beamline"]
    done = subprocess.run(
        [BIN / "bluesky-export", *words],
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(map(Path, done.stdout.split())) == sorted(folder.iterdir())
    assert len(done.stdout.split()) == 2


def long_runs(count, events):
    """Return runs whose export takes a second or so: events by the page."""
    for number in range(count):
        uid = f"{number:08x}-0000-4000-8000-000000000000"
        start = {"uid": uid, "time": 1.7e9 + number, "scan_id": number + 1, "plan_name": "long"}
        keys = {"x": {"dtype": "number", "shape": [], "source": "test"}}
        descriptor = {
            "uid": uid[:-1] + "d", "run_start": uid, "time": 1.7e9, "name": "primary", "data_keys": keys,
            "configuration": {}, "hints": {}, "object_keys": {},
        }  # fmt: skip
        seq = list(range(1, events + 1))
        page = {
            "descriptor": descriptor["uid"], "seq_num": seq, "uid": [f"{uid[:8]}-{n}" for n in seq],
            "time": seq, "data": {"x": np.arange(events) / 7}, "timestamps": {"x": seq}, "filled": {},
        }  # fmt: skip
        stop = {
            "uid": uid[:-1] + "f", "run_start": uid, "time": 1.7e9 + 1, "exit_status": "success",
            "num_events": {"primary": events}, "reason": "",
        }  # fmt: skip
        yield [("start", start), ("descriptor", descriptor), ("event_page", page), ("stop", stop)]


class Cluster:
    """A real scheduler and its workers, as processes of their own."""

    def __init__(self, folder, workers=2, **settings):
        file = folder / "scheduler.json"
        env = {
            **os.environ,
            **settings,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        }
        log = (folder / "log").open("wb")
        common = {"cwd": folder, "stdout": log, "stderr": log, "env": env}
        words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        self.scheduler = subprocess.Popen([BIN / "dask", "scheduler", *words], **common)
        words = [
            "--scheduler-file",
            str(file),
            "--nworkers",
            str(workers),
            "--nthreads",
            "1",
            "--no-dashboard",
        ]
        self.workers = subprocess.Popen([BIN / "dask", "worker", *words], **common)
        log.close()
        try:
            until(lambda: file.exists() and file.read_text().endswith("}"))
        except BaseException:
            self.stop()
            raise
        self.address = json.loads(file.read_text())["address"]

    def stop(self):
        for process in (self.workers, self.scheduler):
            process.terminate()
        for process in (self.workers, self.scheduler):
            process.wait(60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.stop()


def said_by(folder, **how):
    """Export, and return what it made, what it said and what it returned, the folder's name aside."""
    lines = []
    result = export(say=lines.append, **how)
    return (
        [path.relative_to(folder) for path in result.files],
        [line.replace(str(folder), "FOLDER") for line in lines],
        result,
    )


@pytest.mark.parametrize(
    "how",
    [
        {"formats": "csv,json,jsonl,hdf5,nexus,spec"},
        {"formats": "json,csv", "name": "{plan_name}-{scan_id}"},  # two runs want one name
        {"formats": "json,csv", "name": "{plan_name}-{scan_id}", "overwrite": True},
        {"formats": "json,csv", "name": "{plan_name}-{scan_id}", "skip_existing": True},
        {"formats": "csv,hdf5", "stream": "baseline", "name": "{start[plan_name]}/{uid}"},
        {"formats": "spec", "path": "all.dat"},
    ],
    ids=["all formats", "one name", "overwrite", "skip", "only one has it", "one file"],
)
def test_workers_do_what_one_after_another_does(documents, cluster, tmp_path, how):
    made = {}
    for way in ("serial", "workers"):
        folder = tmp_path / way
        folder.mkdir()
        (folder / "scan-2.json").write_text("mine")
        given = {**how, "path": f"{folder}/{how.get('path', '')}"}
        scheduler = cluster.address if way == "workers" else None
        made[way] = said_by(folder, selectors="-20:", catalog=f"{documents}/", scheduler=scheduler, **given)
    (files, lines, result), (serial_files, serial_lines, serial) = made["workers"], made["serial"]
    assert files == serial_files
    lines = [line for line in lines if "without workers" not in line]
    assert sorted(lines) == sorted(serial_lines)
    assert [line for line in lines if line.startswith("wrote")] == [
        line for line in serial_lines if line.startswith("wrote")
    ]
    assert (bool(result), result.runs, result.summary().replace("/workers/", "/serial/")) == (
        bool(serial), serial.runs, serial.summary(),
    )  # fmt: skip
    present = [
        {path.relative_to(tmp_path / way) for path in (tmp_path / way).rglob("*")}
        for way in ("serial", "workers")
    ]
    assert present[0] == present[1]
    for path in files:
        assert_same(content(tmp_path / "workers" / path), content(tmp_path / "serial" / path), str(path))
    mine = (tmp_path / "workers" / "scan-2.json").read_text()
    assert (mine == "mine") is not bool(how.get("overwrite"))


def test_a_bundle_by_workers_is_the_bundle_without(documents, cluster, tmp_path):
    found = {}
    for way, scheduler in (("serial", None), ("workers", cluster.address)):
        place = tmp_path / way
        result = export_bundle(
            "folder", "-4:", "csv,jsonl,spec", place, catalog=f"{documents}/", scheduler=scheduler
        )
        assert result
        assert result.bundle == place
        assert verify(place)
        manifest = json.loads((place / "manifest.json").read_text())
        found[way] = (place / "index.csv").read_text(), sorted(manifest["files"])
    assert found["workers"] == found["serial"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["serial", "workers"]


def test_a_worker_that_is_killed_is_done_without(tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "files").mkdir()
    write_documents(tmp_path / "documents", long_runs(4, 60_000))
    words = ["export", "-4:", "jsonl", f"{tmp_path}/files/", "--catalog", f"{tmp_path}/documents/"]
    process = subprocess.Popen(
        [BIN / "bluesky-export", *words, "--workers", "2", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    def writing():
        for child in psutil.Process(process.pid).children(recursive=True):
            try:
                if any(file.path.endswith(".part") for file in child.open_files()):
                    return child
            except psutil.Error:
                continue  # it has just ended
        return None

    until(writing).send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    assert json.loads(out)["ok"] is True
    files = sorted((tmp_path / "files").iterdir())
    assert [path.suffix for path in files] == [".jsonl"] * 4
    for path in files:
        kinds = [line.partition(b",")[0] for line in path.read_bytes().splitlines()]
        assert kinds[0].endswith(b'"start"')
        assert kinds[-1].endswith(b'"stop"')


def test_an_interrupt_leaves_whole_files_alone(tmp_path):
    (tmp_path / "documents").mkdir()
    (tmp_path / "files").mkdir()
    write_documents(tmp_path / "documents", long_runs(8, 100_000))
    words = ["export", "-8:", "jsonl", f"{tmp_path}/files/", "--catalog", f"{tmp_path}/documents/"]
    process = subprocess.Popen(
        [BIN / "bluesky-export", *words, "--workers", "2"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    until(lambda: list((tmp_path / "files").glob("*.jsonl")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it as well
    _, err = process.communicate(timeout=45)  # not the minute that a worker is waited for
    assert process.returncode == 130, err
    said = re.search(r"^interrupted: ([0-7]) of 8 runs are finished, (\d+) files", err, re.MULTILINE)
    assert said, err
    assert "Traceback" not in err
    files = list((tmp_path / "files").iterdir())
    assert {path.suffix for path in files} == {".jsonl"}
    # It may come when a file has its name, and before the file, or its run, is counted.
    assert int(said[1]) <= int(said[2]) <= len(files)


@pytest.mark.long
def test_a_run_that_kills_every_worker_fails_alone(documents, tmp_path, monkeypatch):
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster", workers=1, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    try:
        lines = []
        result = export(
            "-8:-4", "nexus", f"{tmp_path}/", catalog=f"{documents}/", scheduler=cluster.address,
            options={"writer": "tests.bulk.workers_of_tests:Deadly"}, say=lines.append,
        )  # fmt: skip
    finally:
        cluster.stop()
    assert [failure.run.scan_id for failure in result.failed] == [2]
    assert "each worker that wrote it died" in str(result.failed[0])
    assert len(result.files) == result.runs - 1
    assert not list(tmp_path.glob("*.part"))


def test_a_catalog_of_this_session_alone_is_refused(tmp_path):
    catalog = MemoryCatalog(simulated_runs().values())
    with pytest.raises(NoCatalog, match="lives in this session"):
        export("-2:", "json", f"{tmp_path}/", catalog=catalog, workers=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("how", "kind", "line"),
    [
        ({"workers": 0}, UsageError, "from 1 up"),
        ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, UsageError, "one of them"),
        ({"scheduler": "nonsense://"}, WorkersUnavailable, "no dask scheduler at nonsense"),
    ],
)
def test_what_cannot_be_is_one_line(documents, tmp_path, how, kind, line):
    with pytest.raises(kind, match=line):
        export("-2:", "json", f"{tmp_path}/", catalog=f"{documents}/", **how)
    assert not list(tmp_path.iterdir())
