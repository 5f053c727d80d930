"""What users of apstools' SPEC writer type, through an attached writer."""

from __future__ import annotations

import os
import re
import signal

import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from ophyd.sim import det1, motor1

import bluesky_export
from bluesky_export import attach, new_spec_file, session, spec_comment
from bluesky_export.attach import attach_writer, detach_writer, status
from bluesky_export.errors import UsageError, WriterAttachError
from bluesky_export.live import live_writers

from ..formats.spec_readers import READERS
from ..live.conftest import wait_until


def places(path):
    """Return the lines, where the rows are, and where each comment is."""
    lines = path.read_text().splitlines()
    rows = [index for index, line in enumerate(lines) if re.match(r"[-\d]", line)]
    notes = {note: index for index, line in enumerate(lines) for note in [line.partition(".  ")[2]] if note}
    return lines, rows, notes


def test_comments_stand_where_they_were_typed(engine, tmp_path, said):
    attach_writer("spec", tmp_path / "a.dat", RE=engine, say=said)
    attach_writer("csv", tmp_path, RE=engine, say=said)  # it has no use for comments

    def plan():
        yield from bps.open_run()
        spec_comment("at the start", RE=engine)
        yield from bps.trigger_and_read([det1])
        spec_comment("after the first row\n#S 5 second line", RE=engine)
        yield from bps.trigger_and_read([det1])
        spec_comment("at the end", "stop", RE=engine)
        spec_comment("after the second row", "event", RE=engine)
        yield from bps.close_run()

    spec_comment("before the run", RE=engine)
    engine(plan())
    spec_comment("before the next run", RE=engine)
    engine(bp.count([det1]))
    result = detach_writer(RE=engine, say=said)
    assert not result.failed
    lines, rows, place = places(tmp_path / "a.dat")
    assert place["before the run"] < place["at the start"] < rows[0]
    assert rows[0] < place["after the first row"] < rows[1] < place["after the second row"]
    assert place["after the first row"] + 1 == place["#S 5 second line"]
    assert place["after the second row"] < place["at the end"] < place["before the next run"] < rows[2]
    headers = [index for index, line in enumerate(lines) if line.startswith("#S ")]
    assert headers[1] < place["before the next run"]
    for reader in READERS.values():
        assert len(reader(tmp_path / "a.dat")) == 2
    notices = [notice for item in result.written for notice in item.notices]
    assert not [notice for notice in notices if "comment" in notice]


@pytest.mark.long
def test_comments_outlive_the_process_that_writes(engine, tmp_path, said):
    """The one after it writes the scan again from the journal, with each comment once, at its place."""
    path = tmp_path / "a.dat"
    attach_writer("spec", path, RE=engine, say=said)
    (one,) = live_writers(engine).attached

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([det1])
        spec_comment("before it died", RE=engine)
        yield from bps.trigger_and_read([det1])
        wait_until(lambda: path.exists() and len(places(path)[1]) == 2, 100)
        os.kill(one.client._process.pid, signal.SIGKILL)
        spec_comment("while it was away", RE=engine)
        yield from bps.trigger_and_read([det1])
        yield from bps.close_run()

    spec_comment("before the run", RE=engine)
    engine(plan())
    result = detach_writer(RE=engine, say=said)
    assert not result.failed, said
    assert said.having("killed by SIGKILL")
    lines, rows, place = places(path)
    text = "\n".join(lines)
    assert [text.count(what) for what in place] == [1] * len(place)
    assert len(rows) == 3
    assert place["before the run"] < rows[0] < place["before it died"] < rows[1]
    assert rows[1] < place["while it was away"] < rows[2]


def test_a_comment_without_a_writer_is_refused(engine, tmp_path, said):
    attach_writer("csv", tmp_path, RE=engine, say=said)
    with pytest.raises(WriterAttachError, match="%attach_writer spec"):
        spec_comment("lost?", RE=engine)


def test_a_new_file_by_its_title(engine, tmp_path, said, monkeypatch):
    for module in (session, attach):  # as if it were a session's
        monkeypatch.setattr(module, "namespace", lambda: {"RE": engine})
    attach_writer("spec", tmp_path / "first.dat", options={"missing": "nan"}, say=said)
    engine(bp.scan([det1], motor1, 0, 1, 3))
    path = new_spec_file("tough sample/2", say=said)
    assert path.parent == tmp_path
    assert re.fullmatch(r"\d\d_\d\d_tough_sample_2\.dat", path.name)
    assert not path.exists()
    assert said.having("File will be created")
    (row,) = status().rows
    assert str(path) in row.target
    engine(bp.count([det1]))
    assert new_spec_file("tough sample/2", say=said) == path  # changes nothing
    assert said.having("File will be appended to")
    (row,) = status().rows
    engine(bp.count([det1], md={"bad": float("nan")}))
    (writer,) = detach_writer(say=said).writers
    assert writer.settings["options"]["missing"] == "nan"
    assert [scan.number for scan in READERS["silx"](tmp_path / "first.dat")] == [1]
    assert [scan.number for scan in READERS["silx"](path)] == [2, 3]


def test_scan_numbers_begin_anew_only_for_the_run_engine_that_is_given(engine, tmp_path, said):
    engine.md["scan_id"] = 41
    path = new_spec_file("a", RE=engine, say=said)
    engine(bp.count([det1]))
    engine(bp.count([det1]))
    new_spec_file("a", RE=engine, say=said)
    assert engine.md["scan_id"] == 2  # whether these two are in the file by now or not
    new_spec_file("b", 99, RE=engine, say=said)
    engine(bp.count([det1]))
    assert new_spec_file("a", 7, RE=engine, say=said) == path
    engine(bp.count([det1]))
    detach_writer(RE=engine, say=said)
    assert [scan.number for scan in READERS["pymca"](path)] == [1, 2, 3]
    assert [s.number for s in READERS["pymca"](path.with_name(path.name.replace("a.dat", "b.dat")))] == [
        100
    ]


def test_a_new_file_in_a_plan_begins_with_the_next_run(engine, tmp_path, said):
    attach_writer("spec", tmp_path / "first.dat", RE=engine, say=said)
    found = []

    def plan():
        yield from bps.open_run()
        yield from bps.trigger_and_read([det1])
        engine.md["scan_id"] = 1
        found.append(new_spec_file("second", RE=engine, say=said))
        yield from bps.trigger_and_read([det1])
        yield from bps.close_run()
        yield from bp.count([det1])

    engine(plan())
    detach_writer(RE=engine, say=said)
    (first,) = READERS["silx"](tmp_path / "first.dat")
    assert len(first.columns["det1"]) == 2
    (second,) = READERS["silx"](found[0])
    assert len(second.columns["det1"]) == 1


def test_a_template_in_the_setting_for_the_folder(engine, tmp_path, said, monkeypatch):
    """The folder of the proposal that RE.md names now; %attach_writer spec without a path does the same."""
    found = session.BlueskyExport(directory=f"{tmp_path}/{{start[proposal]}}/spec")
    monkeypatch.setattr(session, "_settings", [found])
    with pytest.raises(UsageError, match="proposal"):
        new_spec_file("a", RE=engine, say=said)
    engine.md["proposal"] = "2026-7"
    path = new_spec_file("a", RE=engine, say=said)
    assert path.parent == tmp_path / "2026-7" / "spec"
    engine(bp.count([det1]))
    detach_writer(RE=engine, say=said)
    assert [scan.number for scan in READERS["silx"](path)] == [1]
    attach_writer("spec", RE=engine, say=said)
    for proposal in ("2026-7", "2026-7", "2026-8"):
        engine(bp.count([det1], md={"proposal": proposal}))
    result = detach_writer(RE=engine, say=said)
    assert not result.failed, said
    first, second = result.files
    assert (first.parent, second.parent) == (path.parent, tmp_path / "2026-8" / "spec")
    assert [len(READERS["silx"](file)) for file in (first, second)] == [2, 1]


def test_they_are_where_people_look_for_them():
    assert {"spec_comment", "new_spec_file"} <= set(bluesky_export.__all__) & set(dir(bluesky_export))
