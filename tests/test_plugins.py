"""The door: a format of another package, installed as the documentation says."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bluesky_export import formats
from bluesky_export.completion import Completer, place
from bluesky_export.errors import UnknownFormat

from .corpus import simulated_runs
from .memory_catalog import MemoryCatalog
from .shell import new_shell

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "writing-a-format.md"


def files_of_the_page() -> dict[str, str]:
    """Return the files that the page shows, by the name in their first line."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^```(?:toml|python)\n# (\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return dict(found)


def install(site: Path, project: str, points: dict[str, str], **modules: str) -> Path:
    """Put a package into a folder as pip does: its modules, and what it says of itself."""
    info = site / f"{project.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n")
    lines = ["[bluesky_export.formats]", *(f"{name} = {point}" for name, point in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text, encoding="utf-8")
    return site


@pytest.fixture
def columns(tmp_path: Path) -> Path:
    """The folder into which the package of the page is installed."""
    files = files_of_the_page()
    project = tomllib.loads(files["pyproject.toml"])["project"]
    points = project["entry-points"]["bluesky_export.formats"]
    return install(
        tmp_path / "site",
        project["name"],
        points,
        columns_format=files["columns_format.py"],
        test_columns_format=files["test_columns_format.py"],
    )


def test_the_package_of_the_page_can_be_built_with_all_its_files_in_one_folder(tmp_path: Path) -> None:
    for name, text in files_of_the_page().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    build = "from setuptools import setup; setup(script_args=['-q', 'egg_info'])"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (info,) = tmp_path.glob("*.egg-info")
    assert "columns = columns_format:ColumnsWriter" in (info / "entry_points.txt").read_text()
    assert (info / "top_level.txt").read_text().split() == ["columns_format"]


def run_kit(columns: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    return subprocess.run(
        [*command, "-W", "error", *arguments, "test_columns_format.py"],
        cwd=columns,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(columns)])},
        capture_output=True,
        text=True,
    )


def test_the_kit_passes_on_the_format_of_the_page(columns: Path) -> None:
    done = run_kit(columns, "-x")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 200


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("map(repr, row)", 'map("{:.12g}".format, row)', "times"),  # rounded
        ('self.notice(f"stream', 'str(f"stream', "no notice names the stream"),
        ("self.output.part().open(", "(self.output.target.folder / 'x.tsv').open(", ""),  # its own name
    ],
)
def test_the_kit_sees_what_is_wrong(columns: Path, old: str, new: str, seen: str) -> None:
    path = columns / "columns_format.py"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    some = "plain or all-streams or given_up or only_where"
    done = run_kit(columns, "-k", some)
    assert done.returncode == 1, done.stdout[-3000:]
    assert seen in done.stdout


# -- in a session ------------------------------------------------------------------------------


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch):
    with new_shell() as shell:
        shell.ns["cat"] = MemoryCatalog([simulated_runs()["sim-scan"]])
        yield shell


def on_path(monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()


def test_a_plug_in_in_a_session(shell, columns, tmp_path, monkeypatch):
    on_path(monkeypatch, columns)
    shell.run("%load_ext bluesky_export")
    text = shell.run("%export --help columns")
    assert "the numbers of the primary stream, tab-separated" in text
    assert "title" in text
    assert "a text for the first line" in text
    assert "columns" in shell.run("%export --help")
    said = shell.run(f"files = %export -1 columns,csv {tmp_path}/ --option title=Hello")
    assert "columns" in said
    (path,) = tmp_path.glob("*.tsv")
    assert json.loads(path.read_text().splitlines()[0])["title"] == "Hello"
    assert "no option 'colour'" in shell.fails(f"%export -1 columns {tmp_path}/ --option colour=red")
    where = place("%export -1 col")
    assert where is not None
    assert [one.text for one in Completer(lambda: shell.ns).candidates(where)] == ["columns"]
    sys.modules.pop("columns_format", None)


def test_a_plug_in_cannot_replace_a_built_in_format(tmp_path, monkeypatch):
    site = install(tmp_path / "site", "evil", {"csv": "evil:X", "h5": "evil:X"}, evil="raise SystemExit")
    on_path(monkeypatch, site)
    assert formats.writer_class("csv").__module__ == "bluesky_export.formats.csv"
    assert formats.writer_class("h5").__module__ == "bluesky_export.formats.hdf5"
    assert formats.names().count("csv") == 1
    assert "h5" not in formats.names()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import a_module_that_is_missing", "pip install -U sick-format a_module_that_is_missing"),
        ("raise RuntimeError('two\\nlines')", "pip install -U sick-format"),
        ("X = (", "pip install -U sick-format"),
        ("", "pip install -U sick-format"),
        ("X = 3", "is not a bluesky_export.formats.Writer"),
    ],
    ids=["missing", "raises", "syntax", "no-attribute", "no-writer"],
)
def test_a_plug_in_that_cannot_be_imported(shell, tmp_path, monkeypatch, code, said):
    site = install(tmp_path / "site", "sick-format", {"sick": "sick_format:X"}, sick_format=code)
    on_path(monkeypatch, site)
    monkeypatch.delitem(sys.modules, "sick_format", raising=False)
    shell.run("%load_ext bluesky_export")
    line = shell.fails(f"%export -1 sick {tmp_path}/")
    assert "sick" in line
    assert said in line
    assert "csv" in shell.run("%export --help")  # all others are there
    shell.run(f"%export -1 csv {tmp_path}/")
    assert list(tmp_path.glob("*.csv"))
    monkeypatch.delitem(sys.modules, "sick_format", raising=False)


def test_two_plug_ins_of_one_name(tmp_path, monkeypatch):
    site = install(tmp_path / "site", "one", {"twin": "one_format:X"}, one_format="X = 1")
    install(site, "two", {"twin": "two_format:X"}, two_format="X = 2")
    on_path(monkeypatch, site)
    with pytest.raises(UnknownFormat, match="twin is brought by several packages: one, two"):
        formats.writer_class("twin")
