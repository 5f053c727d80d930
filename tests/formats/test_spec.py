"""The spec format: every number read back by three readers, bit for bit."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bluesky_export.documents.pages import paginate
from bluesky_export.errors import OutputError, RunAlreadyInFile
from bluesky_export.formats.spec import SPECWriter
from bluesky_export.outputs import Output, Target

from ..checks.spec import check_scan, numbers, simple
from ..corpus import all_runs, needs_real_data, real_runs, simulated_runs
from ..replaying import replay, run_of
from . import spec_readers
from .spec_readers import READERS, bits

ROWS = (1, 7, 1000)


def write(
    documents: Any, path: Path, *, page_size: int = 1000, if_exists: str = "refuse", **options: Any
) -> Any:
    documents = list(documents)
    target = Target.parse(path, if_exists=if_exists)
    writer = SPECWriter(Output(target, documents[0][1], ".dat"), **options)
    try:
        for name, doc in paginate(documents, page_size):
            writer(name, doc)
        return writer.close()
    except BaseException:
        writer.abort()
        raise


def test_all_runs_in_one_file_are_read_by_all_readers(tmp_path):
    path, runs = tmp_path / "all.dat", all_runs()
    for run in runs.values():
        write(run, path)
    for reader in READERS.values():
        scans = reader(path)
        assert len(scans) == len(runs)
        for scan, run in zip(scans, runs.values(), strict=True):
            check_scan(scan, run)


@pytest.mark.parametrize("reader", READERS)
def test_each_run_in_its_own_file(tmp_path, reader):
    for name, run in all_runs().items():
        path = tmp_path / f"{name}.dat"
        written = write(run, path)
        assert written.files == (path,)
        assert written.status == next((d["exit_status"] for n, d in run if n == "stop"), "unfinished")
        (scan,) = READERS[reader](path)
        check_scan(scan, run)


def test_live_and_replay_give_the_same_bytes_whatever_the_pages(tmp_path):
    path = tmp_path / "same" / "a.dat"
    path.parent.mkdir()
    for run in all_runs().values():
        texts = []
        for size in ROWS:
            write(run, path, page_size=size)
            texts.append(path.read_bytes())
            path.unlink()
        writer = SPECWriter(Output(Target.parse(path), run[0][1], ".dat"))
        for name, doc in run:
            writer(name, doc)
        writer.close()
        texts.append(path.read_bytes())
        path.unlink()
        assert len(set(texts)) == 1


def test_metadata_is_found_again(tmp_path):
    for name, run in all_runs().items():
        path = tmp_path / f"{name}.dat"
        written = write(run, path)
        start = {k: v for k, v in run[0][1].items() if k not in ("uid", "scan_id")}
        found = spec_readers.metadata(path)
        left_out = [notice for notice in written.notices if "metadata" in notice]
        assert not left_out
        assert found == {**simple(start), **({} if "scan_id" in run[0][1] else {"scan_id": None})}
        comments = "\n".join(spec_readers.spec2nexus_scans(path)[0].comments)
        assert f"uid = {run[0][1]['uid']}" in comments
        assert f"exit_status = {written.status}" in comments


# -- columns -----------------------------------------------------------------------------------


def test_columns_have_apstools_order(tmp_path):
    write(simulated_runs()["sim-scan"], tmp_path / "a.dat")
    (scan,) = spec_readers.spec2nexus(tmp_path / "a.dat")
    assert scan.labels == ["motor1", "Epoch", "Epoch_float", "motor1_setpoint", "det2", "det1"]


ODD_NUMBERS = {
    "float32": (np.float32(0.1), float(np.float32(0.1))),
    "float16": (np.float16(0.1), float(np.float16(0.1))),
    "int8": (np.int8(-7), -7.0),
    "uint64": (np.uint64(2**63), float(2**63)),
    "bool": (True, 1.0),
    "numpy bool": (np.bool_(False), 0.0),
    "0-d": (np.array(2.5), 2.5),
    "one element": (np.array([3.5]), 3.5),
    "list of one": ([4.5], 4.5),
    "negative zero": (-0.0, -0.0),
    "smallest": (5e-324, 5e-324),
    "largest": (1.7976931348623157e308, 1.7976931348623157e308),
    "third": (1 / 3, 1 / 3),
    "infinity": (math.inf, math.inf),
    "minus infinity": (np.float32(-math.inf), -math.inf),
    "wide": (2**53 + 1, float(2**53 + 1)),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ODD_NUMBERS)
def test_every_kind_of_number(tmp_path, reader, kind):
    value, expected = ODD_NUMBERS[kind]
    written = write(run_of({"x": [1.0, value, 2.0], "y": [value, 0.5, value]}), tmp_path / "a.dat")
    (scan,) = READERS[reader](tmp_path / "a.dat")
    assert bits(scan.columns["x"]) == bits([1.0, expected, 2.0])
    assert bits(scan.columns["y"]) == bits([expected, 0.5, expected])
    assert any("beyond 2**53" in notice for notice in written.notices) == (kind == "wide")
    if kind == "wide":
        assert "9007199254740993" in (tmp_path / "a.dat").read_text()


@pytest.mark.parametrize("reader", READERS)
def test_random_bit_patterns(tmp_path, reader):
    patterns = np.random.default_rng(5).integers(0, 2**64, 3000, dtype=np.uint64).view(np.float64)
    patterns = patterns[np.isfinite(patterns)]
    write(run_of({"x": patterns.tolist(), "y": list(patterns)}), tmp_path / "a.dat")
    (scan,) = READERS[reader](tmp_path / "a.dat")
    assert bits(scan.columns["x"]) == bits(patterns)
    assert bits(scan.columns["y"]) == bits(patterns)


@pytest.mark.parametrize("reader", READERS)
def test_nan_reads_as_no_finite_number_anywhere(tmp_path, reader):
    written = write(run_of({"x": [1.0, math.nan, np.float32("nan")]}), tmp_path / "a.dat")
    (scan,) = READERS[reader](tmp_path / "a.dat")
    assert scan.columns["x"].tolist() == [1.0, math.inf, math.inf]
    assert spec_readers.remarks(tmp_path / "a.dat") == ["row 2: x = NaN", "row 3: x = NaN"]
    assert any("NaN" in notice for notice in written.notices)


def test_nan_as_nan_on_request(tmp_path):
    written = write(run_of({"x": [1.0, math.nan]}), tmp_path / "a.dat", missing="nan")
    (scan,) = spec_readers.spec2nexus(tmp_path / "a.dat")
    assert scan.columns["x"][0] == 1.0
    assert np.isnan(scan.columns["x"][1])
    assert any("read as 0" in notice for notice in written.notices)


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_number_is_no_column_or_marked(tmp_path, reader):
    data = {
        "shutter": ["open", "", "half\nopen"],
        "x": [1.5, None, "broken"],
        "wave": [[1, 2], [3, 4], [5, 6]],
        "big": [1.0, 2.0, 10**400],
        "z": [1 + 2j, 0j, 1j],
    }
    written = write(run_of(data), tmp_path / "a.dat")
    (scan,) = READERS[reader](tmp_path / "a.dat")
    assert set(scan.labels) == {"Epoch", "Epoch_float", "x", "big"}
    assert scan.columns["x"].tolist() == [1.5, math.inf, math.inf]
    assert scan.columns["big"].tolist() == [1.0, 2.0, math.inf]
    found = spec_readers.remarks(tmp_path / "a.dat")
    assert "row 1: shutter = open" in found
    assert 'row 2: shutter = ""' in found
    assert 'row 3: shutter = "half\\nopen"' in found
    assert "row 2: x = None" in found
    assert "row 3: x = broken" in found
    assert f"row 3: big = {10**400}" in found
    assert any(line.startswith("row 1: z = ") and "1.0" in line and "2.0" in line for line in found)
    assert any("'wave' is left out" in notice for notice in written.notices)
    assert any("'x' is not always a number" in notice for notice in written.notices)


def test_a_wrong_declaration_loses_no_number(tmp_path):
    keys = {
        "a": {"dtype": "array", "shape": [5]},
        "b": {"dtype": "string"},
        "c": {"dtype": "number", "shape": [1]},
    }
    write(run_of({"a": [1.0, 2.0], "b": [3.0, 4.0], "c": [[5.0], [6.0]]}, keys=keys), tmp_path / "a.dat")
    (scan,) = spec_readers.silx(tmp_path / "a.dat")
    assert [scan.columns[name].tolist() for name in "abc"] == [[1, 2], [3, 4], [5, 6]]


def test_external_fields_are_left_out_with_a_notice(tmp_path):
    run = run_of(
        {"image": ["x/0"], "x": [1.0]}, keys={"image": {"external": "FILESTORE:", "shape": [4, 4]}}
    )
    written = write(run, tmp_path / "a.dat")
    assert any("'image'" in notice and "hdf5" in notice for notice in written.notices)
    assert spec_readers.silx(tmp_path / "a.dat")[0].labels == ["Epoch", "Epoch_float", "x"]


def test_labels_are_cleaned_and_unique(tmp_path):
    names = ["Epoch", "a  b", "a\tb", "a b", "#S 9", "µ/°C", "x" * 300, "per%cent", "", "\u2028"]
    written = write(run_of({name: [float(i)] for i, name in enumerate(names)}), tmp_path / "a.dat")
    for reader in READERS.values():
        (scan,) = reader(tmp_path / "a.dat")
        assert len(set(scan.labels)) == len(names) + 2
        assert [scan.columns[label][0] for label in scan.labels[2:]] == [
            float(i) for i in range(len(names))
        ]
        assert {"Epoch_2", "a b", "a b_2", "a\\tb", "_#S 9", "\\xb5/\\xb0C", "per%cent"} < set(scan.labels)
    assert sum("is labelled" in notice for notice in written.notices) == 8


def test_more_columns_than_readers_take(tmp_path):
    data = {f"field_{i:04d}": [float(i), 0.1] for i in range(700)}
    run = run_of(data, start={"motors": ["field_0699"], "detectors": ["field_0005"]})
    written = write(run, tmp_path / "a.dat")
    assert any("fields are left out" in notice for notice in written.notices)
    for reader in READERS.values():
        (scan,) = reader(tmp_path / "a.dat")
        assert scan.labels[0] == "field_0699"
        assert scan.labels[-1] == "field_0005"
        assert len(scan.labels) <= 500
        assert all(scan.columns[name].tolist() == data[name] for name in scan.labels if name in data)


@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_two_descriptors_of_one_stream(tmp_path, page_size):
    path = tmp_path / "a.dat"
    first, second = run_of({"x": [1.0], "y": [3.0]}), run_of({"x": [5.0, 6.0, 7.0], "w": [8.0, 9.0, 0.0]})
    first[1][1]["configuration"] = {"x": {"data": {"gain": 1}}}
    descriptor = {**second[1][1], "uid": "second", "configuration": {"x": {"data": {"gain": 2}}}}
    events = [("event", {**doc, "descriptor": "second"}) for name, doc in second if name == "event"]
    written = write(
        [*first[:-1], ("descriptor", descriptor), *events, first[-1]], path, page_size=page_size
    )
    for reader in READERS.values():
        (scan,) = reader(path)
        assert scan.columns["x"].tolist() == [1.0, 5.0, 6.0, 7.0]
        assert scan.columns["y"].tolist() == [3.0, math.inf, math.inf, math.inf]
    assert any("'w' is left out" in notice for notice in written.notices)
    assert any("'y' is missing" in notice for notice in written.notices)
    text = path.read_text()
    assert text.index('#U configuration x = {"gain": 1}') < text.index('#U configuration x = {"gain": 2}')


# -- motors ------------------------------------------------------------------------------------


def with_motors(
    run: Any, positions: dict[str, float], stream: str = "label_start_motor", when: float = -0.1
) -> Any:
    """Add a stream with motor positions, its event behind the descriptor of the rows."""
    run = copy.deepcopy(run)
    start = run[0][1]
    descriptor = {
        "uid": f"{stream}-{start['uid']}",
        "run_start": start["uid"],
        "name": stream,
        "time": start["time"],
        "data_keys": {name: {"dtype": "number", "shape": [], "source": "x"} for name in positions},
        "object_keys": {name: [name] for name in positions},
        "configuration": {name: {} for name in positions},
        "hints": {},
    }
    event = {
        "uid": "m",
        "descriptor": descriptor["uid"],
        "seq_num": 1,
        "time": run[2][1]["time"] + when,
        "data": positions,
        "timestamps": dict.fromkeys(positions, 0.0),
        "filled": {},
    }
    return [run[0], ("descriptor", descriptor), run[1], ("event", event), *run[2:]]


def test_motor_positions_of_every_scan_and_a_new_header_when_motors_change(tmp_path):
    path = tmp_path / "a.dat"
    sets = [
        {"b": 2.0, "a": 1 / 3},
        {"a": -1.0, "b": 5e-7},
        {f"m{i:02d}": i / 7 for i in range(20)},
        {},
        {"a": 1.0, "b": 2.0},
    ]
    for number, motors in enumerate(sets, 1):
        run = run_of({"x": [1.0]}, uid=f"run-{number}", start={"scan_id": number})
        write(with_motors(run, motors) if motors else run, path)
    assert path.read_text().count("#F ") == 4
    for reader in READERS.values():
        assert [scan.motors for scan in reader(path)] == sets


def test_positions_from_baseline_and_from_pages_that_come_late(tmp_path):
    run = run_of({"x": [1.0] * 10})
    both = with_motors(with_motors(run, {"a": 1.0}), {"b": 2.0}, "baseline")
    late = with_motors(run, {"a": 1.0}, when=+1.0)
    cases = [
        (with_motors(run, {"b": 2.0}, "baseline"), {}, {"b": 2.0}),
        (both, {}, {"a": 1.0}),
        (both, {"positions": "baseline"}, {"b": 2.0}),
        (with_motors(run, {"b": 2.0}, "baseline"), {"positions": "label_start_motor"}, {}),
        (late, {}, {}),  # read after the first row: not where the motors stood at the start
    ]
    for number, (documents, options, expected) in enumerate(cases):
        for size in (1, 3, 1000):
            path = tmp_path / f"{number}-{size}.dat"
            write(documents, path, page_size=size, **options)
            for reader in READERS.values():
                (scan,) = reader(path)
                assert scan.motors == expected
                assert len(scan.columns["x"]) == 10


def test_headers_of_one_second_are_told_apart(tmp_path):
    path = tmp_path / "a.dat"
    for number, motors in enumerate([{"a": 1.0}, {"b": 2.0}, {"a": 3.0}], 1):
        write(with_motors(run_of({"x": [1.0]}, uid=f"u{number}", start={"scan_id": number}), motors), path)
    assert [scan.motors for scan in spec_readers.spec2nexus(path)] == [{"a": 1.0}, {"b": 2.0}, {"a": 3.0}]


@needs_real_data
def test_motors_of_a_diffractometer(tmp_path):
    run = real_runs()["hklpy-26aac337"]
    write(run, tmp_path / "a.dat")
    uids = {d["uid"]: d["name"] for n, d in run if n == "descriptor"}
    data = next(d["data"] for n, d in run if n == "event" and uids[d["descriptor"]] == "label_start_motor")
    for reader in READERS.values():
        (scan,) = reader(tmp_path / "a.dat")
        assert scan.motors
        for name, value in scan.motors.items():
            assert bits([value]) == bits([data[name]])


# -- scan numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("scan_id", [None, 0, -3, "seven", 2**31, 7.5, True])
def test_a_scan_id_that_is_no_spec_number(tmp_path, scan_id):
    path = tmp_path / "a.dat"
    write(run_of({"x": [1.0]}, uid="first", start={"scan_id": 41}), path)
    written = write(run_of({"x": [2.0]}, uid="second", start={"scan_id": scan_id}), path)
    assert any("scan_id" in notice for notice in written.notices)
    assert spec_readers.metadata(path)["scan_id"] == scan_id
    for reader in READERS.values():
        assert [scan.number for scan in reader(path)] == [41, 42]


def test_a_repeated_scan_id_stays(tmp_path):
    path = tmp_path / "a.dat"
    for number in range(3):
        write(run_of({"x": [float(number)]}, uid=f"run-{number}"), path)
    for reader in READERS.values():
        scans = reader(path)
        assert [scan.number for scan in scans] == [7, 7, 7]
        assert [scan.columns["x"].tolist() for scan in scans] == [[0.0], [1.0], [2.0]]


# -- odd runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
def test_runs_without_rows_do_not_disturb_their_neighbours(tmp_path, reader):
    path = tmp_path / "a.dat"
    write(run_of({"x": [1.0]}, uid="a"), path)
    no_events = run_of({"x": []}, uid="b")
    no_stream = [no_events[0], no_events[-1]]
    no_stream[0] = ("start", {**no_stream[0][1], "uid": "c"})
    for run in (no_events, no_stream):
        assert any("no points" in notice for notice in write(run, path).notices)
    write(run_of({"x": [2.0]}, uid="d"), path)
    scans = READERS[reader](path)
    assert [len(scan.columns.get("x", ())) for scan in scans] == [1, 0, 0, 1]


@pytest.mark.parametrize("stop", [None, {}])
def test_an_unfinished_run_says_so(tmp_path, stop):
    run = run_of({"x": [1.0, 2.0]}, stop=None)
    if stop is not None:
        run.append(("stop", stop))
    written = write(run, tmp_path / "a.dat")
    assert written.status == "unfinished"
    assert "exit_status = unfinished: no stop document" in (tmp_path / "a.dat").read_text()
    assert len(spec_readers.silx(tmp_path / "a.dat")[0].columns["x"]) == 2


def test_an_aborted_run_says_so_and_why(tmp_path):
    write(
        run_of({"x": [1.0]}, stop={"exit_status": "abort", "reason": "beam\n#S 1 dump"}), tmp_path / "a.dat"
    )
    comments = spec_readers.spec2nexus_scans(tmp_path / "a.dat")[0].comments
    assert any(text.endswith("exit_status = abort") for text in comments)
    assert any('reason = "beam\\n#S 1 dump"' in text for text in comments)


def test_other_streams(tmp_path):
    run = simulated_runs()["sim-two-streams"]
    written = write(run, tmp_path / "a.dat")
    assert any("'side' is left out" in notice for notice in written.notices)
    assert written.events == 2
    write(run, tmp_path / "b.dat", stream="side")
    columns, _ = numbers(run, "side")
    (scan,) = spec_readers.pymca(tmp_path / "b.dat")
    assert all(scan.columns[name].tolist() == values for name, values in columns.items())


@pytest.mark.parametrize("login", ["user", "user@host", "a@b@c", "@host", 7, "x  y\n#S 1@z"])
def test_any_login_id(tmp_path, login):
    write(run_of({"x": [1.0]}, start={"login_id": login}), tmp_path / "a.dat")
    assert spec_readers.metadata(tmp_path / "a.dat")["login_id"] == login
    assert len(spec_readers.spec2nexus(tmp_path / "a.dat")) == 1


@pytest.mark.parametrize(
    "start",
    [
        {"plan_args": {"detectors": ["d"], "motors": ["m"]}},
        {"plan_args": {"args": 5}},
        {"plan_args": ["not", "a", "dict"]},
        {"plan_args": {"text": "a\nb", "wave": np.arange(2000)}, "plan_name": "x\ny"},
        {"plan_name": None, "detectors": None, "motors": None, "hints": None},
        {"detectors": "det", "hints": {"dimensions": 5 * [None]}},
    ],
)
def test_any_plan_arguments(tmp_path, start):
    write(run_of({"x": [1.0]}, start=start), tmp_path / "a.dat")
    for reader in READERS.values():
        (scan,) = reader(tmp_path / "a.dat")
        assert scan.columns["x"].tolist() == [1.0]


def test_long_metadata_is_left_out_with_a_notice_and_harms_no_reader(tmp_path):
    start = {
        "long": "x" * 100_000,
        "short": "y",
        "wave": np.arange(3),
        "plan_args": {"num": ["z" * 50] * 1000},
    }
    written = write(run_of({"x": [1.0], "text": ["t" * 20000]}, start=start), tmp_path / "a.dat")
    assert sum("left out" in notice for notice in written.notices) == 4  # long, plan_args twice, text
    found = spec_readers.metadata(tmp_path / "a.dat")
    assert found["short"] == "y"
    assert found["wave"] == [0, 1, 2]
    assert "long" not in found
    assert max(map(len, (tmp_path / "a.dat").read_bytes().splitlines())) <= 8000
    for reader in READERS.values():
        assert len(reader(tmp_path / "a.dat")) == 1


# -- refusals ----------------------------------------------------------------------------------


def test_the_same_run_is_never_twice_in_a_file(tmp_path):
    path = tmp_path / "a.dat"
    run = run_of({"x": [1.0]})
    write(run, path)
    before = path.read_bytes()
    with pytest.raises(RunAlreadyInFile, match="holds run 5eed000 "):
        write(run, path)
    assert path.read_bytes() == before
    write(
        run_of({"x": [1.0]}, uid="other", start={"ref_uid": run[0][1]["uid"]}), path
    )  # a mention is no run


def test_what_is_refused_is_refused_before_the_run_is_read(tmp_path):
    path, run = tmp_path / "a.dat", run_of({"x": [1.0]})
    output = Output(Target.parse(path), run[0][1], ".dat")
    SPECWriter.check(output)
    assert not path.exists()
    write(run, path)
    with pytest.raises(RunAlreadyInFile):
        SPECWriter.check(output)
    SPECWriter.check(Output(Target.parse(path, if_exists="overwrite"), run[0][1], ".dat"))
    SPECWriter.check(Output(Target.parse(path), {**run[0][1], "uid": "other"}, ".dat"))
    path.write_text("no SPEC file\n")
    with pytest.raises(OutputError, match="not a SPEC file"):
        SPECWriter.check(output)
    with pytest.raises(OutputError, match="does not exist"):
        SPECWriter.check(Output(Target.parse(tmp_path / "no" / "a.dat"), run[0][1], ".dat"))


def test_a_mentioned_uid_is_not_taken_for_the_run(tmp_path):
    path = tmp_path / "a.dat"
    write(run_of({"x": [1.0]}, uid="one", start={"note": "#C x.  uid = two", "other_uid": "two"}), path)
    write(run_of({"x": [1.0]}, uid="two"), path)
    assert len(spec_readers.silx(path)) == 2


@pytest.mark.parametrize(
    "content", ["x,y\n1,2\n", "#!/bin/sh\n# text\necho\n", "\x89HDF\r\n\x1a\n", "# a note\n1 2\n"]
)
def test_a_file_that_is_not_spec_is_left_alone(tmp_path, content):
    path = tmp_path / "a.dat"
    path.write_text(content, newline="")
    with pytest.raises(OutputError, match="not a SPEC file"):
        write(run_of({"x": [1.0]}), path)
    assert path.read_bytes() == content.encode()


def test_a_missing_folder_and_a_folder_in_the_way(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write(run_of({"x": [1.0]}), tmp_path / "no" / "a.dat")
    run = run_of({"x": [1.0]})
    folder = tmp_path / "a.dat"
    folder.mkdir()
    writer = SPECWriter(Output(Target(tmp_path, "a.dat"), run[0][1], ".dat"))
    with pytest.raises(OutputError, match="is not a file"):
        writer(*run[0])
    writer.abort()
    assert folder.is_dir()


def test_overwrite_replaces_a_file_of_this_run_only(tmp_path):
    path, run = tmp_path / "a.dat", run_of({"x": [1.0]})
    write(run, path)
    write(run_of({"x": [2.0]}), path, if_exists="overwrite")
    assert [scan.columns["x"].tolist() for scan in spec_readers.silx(path)] == [[2.0]]
    assert path.read_text().startswith(f"#F {path}\n")
    written = write(run_of({"x": [3.0]}, uid="other"), path, if_exists="overwrite")
    assert any("appended to" in notice for notice in written.notices)
    with pytest.raises(RunAlreadyInFile):
        write(run, path, if_exists="overwrite")
    assert [scan.columns["x"].tolist() for scan in spec_readers.silx(path)] == [[2.0], [3.0]]
    assert [item.name for item in tmp_path.iterdir()] == ["a.dat"]


def test_events_without_a_time(tmp_path):
    documents = run_of({"x": [1.5, 2.5]})
    documents[2][1]["time"] = float("nan")
    written = replay("spec", documents, tmp_path)
    lines = written.files[0].read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == [
        "1e999 1e999 1.5",
        "2 1.875 2.5",
    ]
    assert any("no time" in notice for notice in written.notices)
