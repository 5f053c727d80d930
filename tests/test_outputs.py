"""Names and files: nothing outside the folder, nothing clobbered, nothing half-written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bluesky_export.errors import OutputError, TargetExists, UsageError
from bluesky_export.outputs import Output, Target, clean_name
from bluesky_export.outputs import _files as files

START = {"uid": "41b96e3f-0000", "time": 1700000000.0, "scan_id": 554, "plan_name": "scan", "sample": "a/b"}


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_one_path_component(text):
    name = clean_name(text)
    assert name not in ("", ".", "..")
    assert not set(name) & set('/\\<>:"|?*\0\n')
    assert not name.startswith(".")
    assert len(name.encode()) <= 181


@pytest.mark.parametrize("bad", ["CON", "nul.txt", "com1", "LPT9.dat"])
def test_names_that_windows_reserves_are_changed(bad):
    assert clean_name(bad) == "_" + bad


@given(st.text(st.characters(codec=None)), st.integers() | st.text() | st.none())
def test_metadata_never_leads_outside_the_folder(sample, scan_id):
    target = Target(Path("/data"), template="{start[sample]}-{scan_id}-{plan_name}")
    stem = target.stem({**START, "sample": sample, "scan_id": scan_id})
    path = Path("/data") / (stem + ".csv")
    assert os.path.normpath(path) == str(path)
    assert path.parent == Path("/data")


def test_a_template_may_make_folders_of_its_own(tmp_path):
    target = Target(tmp_path, template="{start[sample]}/{scan_id:05d}")
    output = Output(target, START, ".dat")
    part = output.part()
    part.write_text("x")
    (final,) = output.commit()
    assert final == tmp_path / "a_b" / "00554.dat"


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_folder_for_each_proposal(tmp_path, ending):
    target = Target.parse(None, f"{tmp_path}/{{start[proposal_id]}}/raw{ending}", template="{scan_id}")
    start = {"uid": "u", "time": 0.0, "scan_id": 3, "proposal_id": "GUP-1/../2"}
    assert target.folder == tmp_path
    output = Output(target, start, ".txt")
    output.part().write_text("x")
    assert output.commit() == [tmp_path / "GUP-1_.._2" / "raw" / "3.txt"]
    with pytest.raises(UsageError, match=r"no 'start\[proposal_id\]'"):
        target.stem({"uid": "u", "time": 0.0})
    typed = Target.parse(f"{tmp_path}/{{brace}}.txt", f"{tmp_path}/{{start[proposal_id]}}")
    assert (typed.folder, typed.file) == (
        tmp_path,
        "{brace}.txt",
    )  # typed: a name, as it is


def test_the_default_name_is_that_of_apstools():
    stem = Target(Path("/data")).stem(START)
    assert stem.endswith("-S00554-41b96e3")


@pytest.mark.parametrize("template", ["{nope}", "{start[nope]}", "{start.__class__}", "{"])
def test_a_template_that_cannot_be_filled_says_so(template):
    with pytest.raises(UsageError, match="template"):
        Target(Path("/data"), template=template).stem(START)


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path):
    output = Output(Target.parse(str(tmp_path / "out.csv")), START, ".csv")
    part = output.part()
    part.write_text("half")
    assert not (tmp_path / "out.csv").exists()
    assert output.commit() == [tmp_path / "out.csv"]
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_discard_leaves_nothing(tmp_path):
    output = Output(Target.parse(str(tmp_path) + "/"), START, ".csv")
    output.part("primary").write_text("half")
    output.part("baseline").write_text("half")
    output.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_refused_and_untouched(tmp_path):
    there = tmp_path / "out.csv"
    there.write_text("mine")
    output = Output(Target.parse(str(there)), START, ".csv")
    with pytest.raises(TargetExists, match="--overwrite") as caught:
        output.part()
    assert caught.value.path == there
    assert isinstance(caught.value, FileExistsError)
    assert there.read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_not_clobbered(tmp_path):
    output = Output(Target.parse(str(tmp_path / "out.csv")), START, ".csv")
    output.part("baseline").write_text("ours")
    output.part().write_text("ours")
    (tmp_path / "out.csv").write_text("theirs")
    with pytest.raises(TargetExists, match="appeared"):
        output.commit()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"out.csv": "theirs"}


def test_overwrite_replaces(tmp_path):
    there = tmp_path / "out.csv"
    there.write_text("old")
    output = Output(Target.parse(str(there), if_exists="overwrite"), START, ".csv")
    output.part().write_text("new")
    output.commit()
    assert there.read_text() == "new"


def test_a_dangling_link_counts_as_a_file(tmp_path):
    (tmp_path / "out.csv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TargetExists):
        Output(Target.parse(str(tmp_path / "out.csv")), START, ".csv").part()
    assert not (tmp_path / "elsewhere").exists()


def test_two_runs_with_one_name_are_refused(tmp_path):
    target = Target.parse(str(tmp_path) + "/", template="same", if_exists="overwrite")
    first = Output(target, START, ".csv")
    first.part().write_text("first")
    first.commit()
    with pytest.raises(OutputError, match="another run"):
        Output(target, {**START, "uid": "other"}, ".csv").part()
    assert (tmp_path / "same.csv").read_text() == "first"


def test_streams_whose_clean_names_are_equal_get_files_of_their_own(tmp_path):
    output = Output(Target.parse(str(tmp_path) + "/", template="x"), START, ".csv")
    parts = {output.part("a/b"), output.part("a:b"), output.part("a_b")}
    assert len(parts) == 3
    assert len(output.commit()) == 3


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("missing/out.csv", "does not exist"),
        ("missing/", "does not exist"),
        ("file/out.csv", "not a folder"),
    ],
)
def test_a_folder_that_is_not_there_is_said(tmp_path, path, words):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=words):
        Output(Target.parse(f"{tmp_path}/{path}"), START, ".csv").part()


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_file_systems_without_hard_links(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "link", refuse)
    output = Output(Target.parse(str(tmp_path / "a.csv")), START, ".csv")
    output.part().write_text("x")
    output.commit()
    other = Output(Target.parse(str(tmp_path / "b.csv")), START, ".csv")
    other.part().write_text("ours")
    (tmp_path / "b.csv").write_text("theirs")
    with pytest.raises(TargetExists):
        other.commit()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.csv": "x", "b.csv": "theirs"}


def test_the_umask_rules(tmp_path):
    old = os.umask(0o027)
    try:
        output = Output(Target.parse(str(tmp_path / "a.csv")), START, ".csv")
        output.part().write_text("x")
        output.commit()
    finally:
        os.umask(old)
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o640


def test_a_scan_id_that_is_no_integer_has_a_name():
    assert Target(Path("/data")).stem({**START, "scan_id": 1.5}).endswith("-S1.5-41b96e3")


def test_what_a_killed_session_left_is_passed_over(tmp_path):
    output = Output(Target.parse(str(tmp_path / "a.csv")), START, ".csv")
    (tmp_path / f"a.csv.{os.getpid()}.part").write_text("left")
    output.part().write_text("x")
    assert output.commit() == [tmp_path / "a.csv"]
    assert (tmp_path / f"a.csv.{os.getpid()}.part").read_text() == "left"


@pytest.mark.parametrize("error", [OSError(errno.EIO, ""), KeyboardInterrupt()])
@pytest.mark.parametrize("if_exists", ["overwrite", "refuse"])
def test_all_files_are_renamed_or_none(tmp_path, monkeypatch, error, if_exists):
    target = Target.parse(str(tmp_path) + "/", template="x", if_exists=if_exists)
    if if_exists == "overwrite":
        (tmp_path / "x-one.csv").write_text("old")
    output = Output(target, START, ".csv")
    for stream in ("one", "two", "three"):
        output.part(stream).write_text("new")
    real = {name: getattr(os, name) for name in ("replace", "link")}

    def failing(name):
        def call(source, to, **options):
            if Path(to).name == "x-three.csv":
                raise error
            return real[name](source, to, **options)

        return call

    for name in real:
        monkeypatch.setattr(files.os, name, failing(name))
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        output.commit()
    kept = {"x-one.csv": "old"} if if_exists == "overwrite" else {}
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == kept


def test_what_was_left_over_is_not_what_another_run_writes(tmp_path):
    """Two runs of one writer are open, and the name of one begins with that of the other."""
    target = Target(tmp_path, template="{start[sample]}", mark="m")
    (tmp_path / "a.csv.m.part").write_text("left by a process that was killed")
    (tmp_path / "ab.csv.m-9.part").write_text("and this")
    (tmp_path / "a.json.m2.part").write_text("of another writer, which is at it")
    outer, inner = (
        Output(target, {"uid": name, "time": 1.0, "sample": name}, ".csv") for name in ("ab", "a")
    )
    outer.remove_left_over()
    outer.part().write_text("outer")
    inner.remove_left_over()
    inner.part().write_text("inner")
    assert inner.commit() == [tmp_path / "a.csv"]
    assert outer.commit() == [tmp_path / "ab.csv"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.csv", "ab.csv", "a.json.m2.part"}
    assert not target.open
