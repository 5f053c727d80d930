"""The png format: what is in the figure is what was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import LogNorm

from bluesky_export.documents.pages import paginate
from bluesky_export.errors import BadOption, NoData
from bluesky_export.formats.png import PNGWriter
from bluesky_export.outputs import Output, Target
from bluesky_export.testing import RUNS, Made, RunMaker
from bluesky_export.testing._kinds import key

from ..checks.streams import events_by_stream
from ..corpus import simulated_runs
from ..fidelity import refuses
from ..fidelity.png import chunks
from ..replaying import replay, run_of
from ..shell import new_shell


def figure_of(documents: Any, folder: Path, **options: Any) -> tuple[Any, PNGWriter]:
    writer = PNGWriter(Output(Target(folder), documents[0][1], ".png"), **options)
    for name, doc in paginate(documents, 3):
        writer(name, doc)
    return writer.figure(), writer


def column(documents: Any, field: str, stream: str = "primary") -> list[Any]:
    return [event["data"][field] for event in events_by_stream(documents)[stream]]


def lines(figure: Any) -> dict[str, Any]:
    return {axes.get_ylabel(): axes.lines[0].get_xydata().T for axes in figure.axes}


@pytest.mark.parametrize("run", ["sim-scan", "sim-list-scan", "sim-baseline"])
def test_a_scan_is_drawn_against_its_motor(run, tmp_path):
    documents = simulated_runs()[run]
    figure, _ = figure_of(documents, tmp_path)
    (motor,) = documents[0][1]["motors"]
    detectors = documents[0][1]["detectors"]
    drawn = lines(figure)
    assert list(drawn) == detectors
    for detector, (x, y) in drawn.items():
        assert x.tolist() == [float(value) for value in column(documents, motor)]
        assert y.tolist() == [float(value) for value in column(documents, detector)]
    assert figure.axes[-1].get_xlabel() == motor
    title = figure.get_suptitle()
    assert f"scan {documents[0][1]['scan_id']}" in title
    assert documents[0][1]["plan_name"] in title
    assert documents[0][1]["uid"][:7] in title


def test_a_count_is_drawn_against_time(tmp_path):
    documents = simulated_runs()["sim-count"]
    figure, _ = figure_of(documents, tmp_path)
    ((x, y),) = lines(figure).values()
    began = documents[0][1]["time"]
    assert x.tolist() == [event["time"] - began for event in events_by_stream(documents)["primary"]]
    assert y.tolist() == column(documents, "det1")
    assert figure.axes[0].get_xlabel() == "time (s)"


def grid(snaking: bool, events: int = 12, **start: Any) -> Any:
    hints = {"gridding": "rectilinear", "dimensions": [[["slow"], "primary"], [["fast"], "primary"]]}
    slow = [float(n // 4) for n in range(12)]
    fast = [float(3 - n % 4 if snaking and n // 4 % 2 else n % 4) for n in range(12)]
    data = {"slow": slow, "fast": fast, "det": [10.0 * s + f for s, f in zip(slow, fast, strict=True)]}
    described = {
        "shape": [3, 4],
        "snaking": [False, snaking],
        "hints": hints,
        "motors": ["slow", "fast"],
        "detectors": ["det"],
    }
    return run_of({name: values[:events] for name, values in data.items()}, start={**described, **start})


@pytest.mark.parametrize("snaking", [False, True])
@pytest.mark.parametrize("events", [12, 10])
def test_a_grid_scan_is_a_map(snaking, events, tmp_path):
    documents = grid(snaking, events)
    figure, _ = figure_of(documents, tmp_path)
    axes = figure.axes[0]
    (mesh,) = [item for item in axes.collections if isinstance(item, QuadMesh)]
    expected = np.full((3, 4), np.nan)
    points = zip(*(column(documents, name) for name in ("slow", "fast", "det")), strict=True)
    for slow, fast, det in points:
        expected[int(slow), int(fast)] = det
    assert np.array_equal(mesh.get_array().filled(np.nan), expected, equal_nan=True)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("fast", "slow")
    corners = mesh.get_coordinates()
    assert corners[0, 0].tolist() == [-0.5, -0.5]
    assert corners[-1, -1].tolist() == [3.5, 2.5]


def test_a_grid_of_the_run_engine_is_a_map(tmp_path):
    documents = simulated_runs()["sim-grid"]
    figure, _ = figure_of(documents, tmp_path)
    (mesh,) = [item for item in figure.axes[0].collections if isinstance(item, QuadMesh)]
    values = np.array(column(documents, "det1"), float).reshape(documents[0][1]["shape"])
    assert np.array_equal(mesh.get_array(), values)


@pytest.mark.parametrize(
    "changes",
    [{"shape": [3, 3]}, {"hints": {"dimensions": [[["slow"], "primary"], [["fast"], "primary"]]}}],
)
def test_points_that_are_on_no_grid_are_drawn_where_they_are(changes, tmp_path):
    documents = grid(False, **changes)
    figure, _ = figure_of(documents, tmp_path)
    (points,) = [item for item in figure.axes[0].collections if isinstance(item, PathCollection)]
    expected = np.array([column(documents, "fast"), column(documents, "slow")]).T
    assert np.array_equal(points.get_offsets(), expected)
    assert points.get_array().tolist() == column(documents, "det")


def pictures(count: int, shape: tuple[int, int] = (6, 8)) -> Any:
    images = [(np.arange(48).reshape(6, 8) + n)[: shape[0], : shape[1]].astype("<u2") for n in range(count)]
    keys = {"image": {"dtype": "array", "shape": list(shape), "dtype_numpy": "<u2"}}
    start = {"motors": ["m"], "detectors": ["image"]}
    return images, run_of({"m": [n / 2 for n in range(count)], "image": images}, keys=keys, start=start)


def test_images_are_a_contact_sheet(tmp_path):
    images, documents = pictures(5)
    figure, writer = figure_of(documents, tmp_path)
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["m 0", "m 0.5", "m 1", "m 1.5", "m 2"]
    for axes, image in zip(shown, images, strict=True):
        assert np.array_equal(axes.images[0].get_array(), image)
    assert not writer.notices


def test_of_many_images_some_are_shown_and_it_is_said(tmp_path):
    images, documents = pictures(100)
    figure, writer = figure_of(documents, tmp_path)
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(shown) == 36
    assert np.array_equal(shown[0], images[0])
    assert np.array_equal(shown[-1], images[-1])
    assert any("36 of 100 images are shown" in notice for notice in writer.notices)


def test_gaps_and_logarithms(tmp_path):
    values = [1.0, float("nan"), float("inf"), -2.0, 100.0]
    documents = run_of({"m": [0.0, 1.0, 2.0, 3.0, 4.0], "det": values}, start={"motors": ["m"]})
    figure, _ = figure_of(documents, tmp_path, log=True)
    (_, y) = lines(figure)["det"]
    assert np.array_equal(y, [1.0, np.nan, np.nan, -2.0, 100.0], equal_nan=True)
    assert figure.axes[0].get_yscale() == "log"
    figure, writer = figure_of(run_of({"det": [-1.0, 0.0]}), tmp_path, log=True)
    assert figure.axes[0].get_yscale() == "linear"
    assert any("det has no positive value" in notice for notice in writer.notices)
    figure, _ = figure_of(grid(False), tmp_path, log=True)
    assert isinstance(figure.axes[0].collections[0].norm, LogNorm)


def test_chosen_fields(tmp_path):
    documents = simulated_runs()["sim-scan"]
    figure, _ = figure_of(documents, tmp_path, y="motor1_setpoint,det1", x="seq_num")
    drawn = lines(figure)
    assert list(drawn) == ["motor1_setpoint", "det1"]
    assert drawn["det1"][0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    figure, _ = figure_of(simulated_runs()["sim-baseline"], tmp_path, stream="baseline", y="motor2")
    assert lines(figure)["motor2"][1].tolist() == column(
        simulated_runs()["sim-baseline"], "motor2", "baseline"
    )
    with pytest.raises(BadOption, match=r"y=nothing: no such field; fields of primary: .*det1"):
        figure_of(documents, tmp_path, y="nothing")
    with pytest.raises(BadOption, match="x=nothing: no field with numbers"):
        figure_of(documents, tmp_path, x="nothing")
    with pytest.raises(
        NoData, match=r"stream=side: this run has no such stream; it has primary \(5 points\)"
    ):
        figure_of(documents, tmp_path, stream="side")
    with pytest.raises(BadOption, match="20 to 1200"):
        figure_of(documents, tmp_path, dpi=5)


def test_nothing_to_draw(tmp_path):
    with pytest.raises(
        NoData, match=r"nothing to plot in stream primary; its streams: primary \(2 points\)"
    ):
        replay("png", run_of({"text": ["a", "b"]}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_images_that_cannot_be_read_are_named(tmp_path):
    made = RUNS["file-growing"].make(tmp_path)
    (tmp_path / "out").mkdir()
    written = replay("png", made.documents, tmp_path / "out", y="image")
    assert written.partial
    assert any("image" in notice and "rows 2 to 3" in notice for notice in written.notices), written.notices
    made = RUNS["file-missing"].make(tmp_path)
    with pytest.raises(BadOption, match="y=image: neither numbers nor images"):
        replay("png", made.documents, tmp_path / "out", y="image")


@pytest.mark.parametrize(
    "text", ["$x^{", "$\\frac{1}{", "\ud800\x00", "日本語 λ", "a\nb\t" * 80, "%s {0}", ""]
)
def test_texts_are_drawn_as_they_are(text, tmp_path):
    run = RunMaker("texts", tmp_path)
    run.start(sample=text, plan_name=text)
    run.descriptor({"m": key("number", units=text), text or "_": key("number", units=text)})
    for row in range(3):
        run.event({"m": row / 2, text or "_": float(row)})
    run.stop()
    written = replay("png", run.made.documents, tmp_path)
    said = chunks(written.files[0])["plan_name"]
    assert said == text or json.loads(said) == text


@pytest.mark.parametrize("run", RUNS)
def test_lines_are_the_values_of_the_run(run, tmp_path):
    """Every line of every figure of the corpus."""
    made: Made = RUNS[run].make(tmp_path)
    if refuses("png", made) is not None:
        with pytest.raises(NoData):
            figure_of(made.documents, tmp_path)
        return
    figure, writer = figure_of(made.documents, tmp_path, root_map=made.root_map)
    drawn = json.loads(writer._chunks()["fields"])
    assert drawn
    events = events_by_stream(made.documents)
    rows = events["primary"] if "primary" in events else next(iter(filter(None, events.values())))
    rows = sorted(rows, key=lambda row: list(writer.descriptors).index(row["descriptor"]))
    for axes, field in zip(figure.axes, drawn, strict=False):
        for line in axes.lines:
            truth = made.external.get(("primary", field)) or [row["data"].get(field) for row in rows]
            values = np.array([np.nan if value is None else value for value in truth], float).reshape(-1)
            expected = np.where(np.isfinite(values), values, np.nan)
            assert np.array_equal(line.get_ydata(), expected, equal_nan=True), field


def test_in_a_session(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "live").mkdir()
    with new_shell() as shell:
        shell.run(
            "import databroker\nfrom bluesky import RunEngine, plans as bp\n"
            "from ophyd.sim import det1, motor\ndb = databroker.temp()\nRE = RunEngine({})\n"
            "_ = RE.subscribe(db.insert)\n%load_ext bluesky_export"
        )
        shell.run("%attach_writer png live/\nuids = RE(bp.scan([det1], motor, -1, 1, 5))\n%detach_writer")
        shell.run("%export -1 png mine.png")
        shell.run("%export -1 png log.png --option log=true --option y=det1")
        (live,) = (tmp_path / "live").iterdir()
        assert live.read_bytes() == (tmp_path / "mine.png").read_bytes()
        assert chunks(live)["uid"] == shell.ns["uids"][0]
        assert live.read_bytes() != (tmp_path / "log.png").read_bytes()


def test_pyplot_is_left_alone():
    code = (
        "import sys\nfrom bluesky_export.formats._plot_figure import draw\n"
        "from bluesky_export.formats._plot_model import Axis, Panel\nimport numpy as np\n"
        "ones = np.ones(3)\npanel = Panel('line', 'y', 'y', ones, Axis('x', ones))\n"
        "draw(['t'], [panel], log=False, dpi=50, notice=print).canvas.draw()\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "False", done.stderr
