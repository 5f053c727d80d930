"""Bundles: made whole or not at all, and checked to the last byte."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bluesky_export import bundles, verifying
from bluesky_export.cli import main
from bluesky_export.errors import NoData, OutputError, TargetExists, UsageError
from bluesky_export.formats import BUILT_IN, writer_class
from bluesky_export.handoff import export_bundle
from bluesky_export.verifying import verify

from .memory_catalog import MemoryCatalog
from .replaying import run_of
from .shell import new_shell

UID = "abc{}0000-0000-4000-8000-000000000001"


@pytest.fixture
def catalog() -> MemoryCatalog:
    hostile = {"plan_name": "=cmd()\n\x1b[31m", "sample": "../../etc"}
    runs = [run_of({"m": [1.5, 2.5]}, uid=UID.format(number), start=hostile) for number in range(3)]
    return MemoryCatalog(runs)


def bundled(catalog: Any, kind: Any, path: Any, formats: str = "csv,json", **given: Any) -> Any:
    return export_bundle(kind, "-3:", formats, path, catalog=catalog, name="{uid}", **given)


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_a_bundle_has_everything(catalog, kind, tmp_path):
    said: list[str] = []
    result = bundled(catalog, kind, tmp_path / "july", say=said.append)
    (place,) = tmp_path.iterdir()
    assert place.name == ("july.zip" if kind == "zip" else "july")
    assert result
    assert str(place) in said[-1]
    assert not any(".part" in line for line in said)
    assert all(path.exists() for path in result.files)
    root = place
    if kind == "zip":
        assert result.files == [place]
        with zipfile.ZipFile(place) as archive:
            assert archive.testzip() is None
            archive.extractall(tmp_path / "out")
        root = tmp_path / "out" / "july"
    assert {path.name for path in root.iterdir()} == {"README.txt", "index.csv", "manifest.json", "files"}
    manifest = json.loads((root / "manifest.json").read_text())
    there = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    assert manifest["files"].keys() == there.keys() - {"manifest.json"}
    for name, one in manifest["files"].items():
        raw = there[name].read_bytes()
        assert (one["size"], one["sha256"]) == (len(raw), hashlib.sha256(raw).hexdigest())
    with (root / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == {name for name in there if name.startswith("files/")}
    assert {row["uid"] for row in rows} == {UID.format(number) for number in range(3)}
    assert {row["plan_name"] for row in rows} == {r"'=cmd()\n\x1b[31m"}
    assert {row["status"] for row in rows} == {"success"}
    readme = (root / "README.txt").read_text()
    assert "pandas.read_csv" in readme
    assert "json.load" in readme
    assert "bluesky-export verify" in readme
    assert manifest["software"]["bluesky-export"] in readme
    found = verify(place)
    assert found
    assert found.good == len(there) - 1
    assert "all files are here and unchanged" in str(found)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_format_says_how_to_open_it(name):
    lines = writer_class(name).how_to_open
    assert lines
    assert all(isinstance(line, str) and line for line in lines)
    named = {ending for line in lines for ending in re.findall(r"'…([^']+)'", line)}
    assert named <= {writer_class(name).suffix, "-metadata.json", "-images.json"}


@pytest.mark.parametrize(("name", "packed"), [(None, "packed"), ("{uid}", "*")])
def test_the_readme_says_which_files_are_of_which_format(catalog, name, packed, tmp_path):
    import intake

    formats = "pack,suitcase.jsonl,xlsx"
    said: list[str] = []
    export_bundle("folder", "-3:", formats, tmp_path / "b", catalog=catalog, name=name, say=said.append)
    readme = (tmp_path / "b/README.txt").read_text()
    places = [line.partition(": ")[0] for line in readme.split("How to open the files")[1].splitlines()]
    assert [place for place in places if place[:1] in "*f" and place] == [
        f"files/{packed}/",
        "*.jsonl",
        "*.xlsx",
    ]
    found = [intake.open_catalog(str(file)) for file in tmp_path.glob(f"b/files/{packed}/catalog.yml")]
    assert sum(len(one["packed_catalog"]) for one in found) == 3  # where it was made is gone
    there = [path for path in (tmp_path / "b/files").rglob("*") if path.is_file()]
    assert f"(a bundle of {len(there)} files;" in said[-1]  # what several runs are added to is one file


def test_the_readme_has_a_check_that_needs_nothing_but_python(catalog, tmp_path):
    bundled(catalog, "folder", tmp_path / "b", "csv,json")
    readme = (tmp_path / "b/README.txt").read_text().split("\n\n")
    (part,) = [part for part in readme if part.startswith("To check")]
    code = "\n".join(line[4:] for line in part.splitlines()[3:])

    def run() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-I", "-c", code], cwd=tmp_path / "b", capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    assert run() == []
    (tmp_path / "b/index.csv").unlink()
    first, second, *_ = sorted((tmp_path / "b/files").iterdir())
    first.write_bytes(first.read_bytes()[:-1] + b"?")
    assert sorted(run()) == [f"files/{first.name}", "index.csv"]
    assert second.exists()


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_a_folder_gets_a_bundle_with_the_date(catalog, kind, tmp_path):
    bundled(catalog, kind, f"{tmp_path}/")
    (place,) = tmp_path.iterdir()
    assert place.name.startswith("bluesky-export-20")
    assert verify(place)


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_what_is_there_is_never_touched(catalog, kind, tmp_path):
    place = tmp_path / "mine.zip"
    place.write_text("mine")
    with pytest.raises(TargetExists, match="never written over"):
        bundled(catalog, kind, place)
    assert place.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_a_name_that_appears_meanwhile_is_never_touched(catalog, kind, tmp_path, monkeypatch):
    real = bundles._versions

    def appears() -> dict[str, str]:
        (tmp_path / "july.zip").write_text("theirs")
        return real()

    monkeypatch.setattr(bundles, "_versions", appears)
    with pytest.raises(TargetExists, match="appeared"):
        bundled(catalog, kind, tmp_path / "july.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["july.zip"]
    assert (tmp_path / "july.zip").read_text() == "theirs"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(28, "No space left on device"), MemoryError()]
)
@pytest.mark.parametrize("step", ["_versions", "sum_up", "_rename_new"])
def test_nothing_is_left_of_one_that_is_interrupted(catalog, error, step, tmp_path, monkeypatch):
    def breaks(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(bundles, step, breaks)
    expected = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        bundled(catalog, "zip", tmp_path / "july.zip")
    assert list(tmp_path.iterdir()) == []


def test_runs_that_fail_are_not_in_it_and_are_told(tmp_path):
    empty = run_of({}, uid=UID.format(9))
    catalog = MemoryCatalog([run_of({"m": [1.0]}, uid=UID.format(1)), empty])
    result = export_bundle("folder", "-2:", "csv", tmp_path / "b", catalog=catalog)
    assert not result
    assert len(result.failed) == 1
    assert verify(tmp_path / "b")
    readme = (tmp_path / "b" / "README.txt").read_text()
    assert f"NOT IN HERE, since they could not be written:\n    run 7 {UID.format(9)[:7]} (csv)\n" in readme
    with pytest.raises(NoData):
        export_bundle("zip", "-1", "csv", tmp_path / "none.zip", catalog=catalog)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"overwrite": True}, "writes over nothing|never written over"),
        ({"images": "link"}, "links lead out"),
    ],
)
def test_what_a_bundle_cannot_be(catalog, given, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        bundled(catalog, "zip", tmp_path / "b.zip", **given)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_writes_nothing(catalog, tmp_path):
    said: list[str] = []
    result = bundled(catalog, "zip", tmp_path / "b.zip", dry_run=True, say=said.append)
    assert list(tmp_path.iterdir()) == []
    assert result.files == [tmp_path / "b.zip"]
    assert any("would write files/" in line for line in said)


def test_others_may_read_it_as_far_as_the_umask_lets_them(catalog, tmp_path):
    before = os.umask(0o027)
    try:
        bundled(catalog, "folder", tmp_path / "b")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o750


# -- verify --------------------------------------------------------------------------------


def test_each_byte_counts(catalog, tmp_path):
    bundled(catalog, "folder", tmp_path / "b", "csv")
    files = [
        path for path in (tmp_path / "b").rglob("*") if path.is_file() and path.name != "manifest.json"
    ]
    assert len(files) == 8
    for path in files:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(bytes(raw))
        found = verify(tmp_path / "b")
        assert not found
        assert found.changed == [path.relative_to(tmp_path / "b").as_posix()]
        raw[len(raw) // 2] ^= 1
        path.write_bytes(bytes(raw))
    assert verify(tmp_path / "b")


def test_missing_and_extra_files(catalog, tmp_path):
    bundled(catalog, "folder", tmp_path / "b", "json")
    (tmp_path / "b/README.txt").unlink()
    (tmp_path / "b/files/\x1b[31mextra").write_text("")
    (tmp_path / "b/link").symlink_to("/etc/passwd")
    found = verify(tmp_path / "b")
    assert found.missing == ["README.txt"]
    assert found.extra == ["files/\x1b[31mextra", "link"]
    assert "\x1b" not in str(found)
    assert "3 files are not as they were" in str(found)
    (tmp_path / "b/index.csv").unlink()
    (tmp_path / "b/index.csv").symlink_to("/etc/passwd")
    assert verify(tmp_path / "b").unreadable == ["index.csv"]


def test_a_torn_zip_is_found(catalog, tmp_path):
    bundled(catalog, "zip", tmp_path / "b.zip", "json")
    whole = (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        one = next(info for info in archive.infolist() if info.filename.endswith("README.txt"))
    at = one.header_offset + 60 + len(one.filename)
    (tmp_path / "b.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    found = verify(tmp_path / "b.zip")
    assert found.changed == ["README.txt"]
    assert str(found).endswith("1 file is not as it was")
    (tmp_path / "b.zip").write_bytes(whole[:-40])
    with pytest.raises(OutputError, match="neither a folder nor a whole ZIP"):
        verify(tmp_path / "b.zip")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"files": []}', '{"files": {"a": 1}}', "\xff"])
def test_what_is_no_manifest(text, tmp_path):
    (tmp_path / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(OutputError, match="cannot be read"):
        verify(tmp_path)


def test_names_that_lead_out_are_missing(tmp_path):
    entry = {"size": 1, "sha256": "0"}
    text = json.dumps({"files": {"../outside": entry, "/etc/passwd": entry}})
    (tmp_path / "b").mkdir()
    (tmp_path / "outside").write_text("x")
    (tmp_path / "b/manifest.json").write_text(text)
    assert verify(tmp_path / "b").missing == ["../outside", "/etc/passwd"]


def test_a_zip_of_very_many_files_is_listed_in_no_time(tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.filelist = [zipfile.ZipInfo(f"b/files/{number}") for number in range(30_000)]
        archive.filelist += [zipfile.ZipInfo("b/manifest.json"), zipfile.ZipInfo("b/files/7")]
        begun = time.process_time()
        names, opened = verifying._in_zip(archive)
        assert time.process_time() - begun < 5  # a minute, where each name is looked for among all others
        assert len(names) == 30_001
        with pytest.raises(OSError, match="twice in the ZIP file"):
            opened("files/7")
        archive.filelist = []


def test_the_shell_command(catalog, tmp_path, capsys):
    bundled(catalog, "zip", tmp_path / "b.zip", "json")
    assert main(["verify", str(tmp_path / "b.zip")]) == 0
    assert "all files are here and unchanged" in capsys.readouterr().out
    bundled(catalog, "folder", tmp_path / "f", "json")
    (tmp_path / "f/README.txt").write_text("changed")
    assert main(["verify", str(tmp_path / "f"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["changed"]) == (False, ["README.txt"])
    assert main(["verify", str(tmp_path / "nowhere")]) == 1  # as docs/how-to say: 2 is for wrong words
    assert main(["verify"]) == 2
    assert main(["verify", "--help"]) == 0


def test_typed_into_a_session(tmp_path, catalog):
    with new_shell() as shell:
        shell.run("%load_ext bluesky_export")
        shell.ns["mine"] = catalog
        said = shell.run(f"%export -3: json {tmp_path}/typed.zip --name {{uid}} --catalog mine --bundle")
    assert "a bundle of 3 files" in said
    assert verify(Path(tmp_path / "typed.zip"))
