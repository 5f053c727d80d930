"""What needs a package of an extra says in one line how to install it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bluesky_export.bulk._cluster import workers_client
from bluesky_export.errors import OutputError, UsageError
from bluesky_export.formats._summaries import NEEDS
from bluesky_export.globus import TOKEN, Plan, hand_over
from bluesky_export.watch_command import call_watch

EXTRAS = {*NEEDS, "dask", "globus", "zmq", "plot"}
"""That of plots is tested at the prompt: ``test_magics.py``."""


def test_each_extra_is_known_here():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"].keys() - {"test", "docs"} == EXTRAS


@pytest.mark.parametrize("name", NEEDS)
def test_a_format_names_its_extra(name):
    code = f"""
import sys
sys.modules[{NEEDS[name]!r}] = None
from bluesky_export.errors import UnknownFormat
from bluesky_export.formats import writer_class
try:
    writer_class({name!r})
except UnknownFormat as error:
    print(error)
"""
    # a process of its own: here the package, and what has imported it, may be loaded already
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert f"pip install -U 'bluesky-export[{name}]'" in line


def test_workers_name_theirs(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(UsageError, match=r"pip install 'bluesky-export\[dask\]'"),
        workers_client(1, None, tmp_path),
    ):
        pass


def test_watching_names_its_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "zmq", None)
    with pytest.raises(UsageError, match=r"pip install 'bluesky-export\[zmq\]'"):
        call_watch(["csv", "--zmq", "localhost:1"], prog="watch", say=print)


def test_globus_names_its_own_and_writes_a_batch_file(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "globus_sdk", None)
    monkeypatch.setenv(TOKEN, "x")
    (tmp_path / "a.csv").write_text("x")
    ids = [f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2)]
    with pytest.raises(OutputError, match=r"pip install 'bluesky-export\[globus\]'"):
        hand_over([tmp_path / "a.csv"], Plan.parse(f"{ids[0]}:/in/", ids[1], None), say=print)
    assert len(list(tmp_path.iterdir())) == 2
