"""NeXus: the default plot, as silx and nexusformat find it."""

from __future__ import annotations

import h5py
import silx.io.nxdata
from nexusformat.nexus import nxload

from .nexus_files import (
    make_run,
    plot_of,
    write,
)


def test_plot_of_a_scan_of_two_motors(tmp_path):
    hints = {"dimensions": [[["slow"], "primary"], [["fast"], "primary"]]}
    columns = {"fast": [0.0, 1.0, 0.0, 1.0], "det": [4.0, 5.0, 6.0, 7.0], "slow": [0.0, 0.0, 1.0, 1.0]}
    run = make_run(columns, start={"detectors": ["det"], "motors": ["slow", "fast"], "hints": hints})
    signal, axes, attributes = plot_of(run, tmp_path)
    assert (signal, axes) == ("det", ["slow"])
    assert attributes["fast_indices"] == 0


def test_plot_of_a_count_is_over_time(tmp_path):
    run = make_run(
        {"det": [1, 2]}, keys={"det": {"dtype": "integer"}}, start={"detectors": ["det"], "motors": []}
    )
    assert plot_of(run, tmp_path)[:2] == ("det", ["time"])


def test_plot_of_arrays_has_an_axis_for_each_dimension(tmp_path):
    run = make_run(
        {"m": [0.0, 1.0, 2.0], "det": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]},
        keys={"det": {"dtype": "array", "shape": [2]}},
        start={"detectors": ["det"], "motors": ["m"]},
    )
    (path,) = write(run, tmp_path).files
    with h5py.File(path) as file:
        assert file["entry/data"].attrs["axes"].tolist() == ["m", "."]
        assert silx.io.nxdata.get_default(file).signal.shape == (3, 2)
    assert nxload(path).plottable_data.nxsignal.nxname == "det"


def test_text_detectors_are_no_signal(tmp_path):
    run = make_run(
        {"label": ["a", "b"], "det": [1.0, 2.0]},
        keys={"label": {"dtype": "string"}},
        start={"detectors": ["label", "det"]},
    )
    assert plot_of(run, tmp_path)[0] == "det"
