"""NeXus: the class that writes is apstools' or the user's own, and stays in charge."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import h5py
import pytest
import silx.io.nxdata
from apstools.callbacks import NXWriter, NXWriterAPS

from bluesky_export.errors import BadOption, TargetExists
from bluesky_export.formats import check_options, writer_class
from bluesky_export.formats.nexus import NeXusWriter
from bluesky_export.outputs import Target

from .nexus_files import (
    BLUESKY,
    STREAMS,
    make_run,
    read_metadatum,
    write,
)


class Instrument(NXWriterAPS):
    """What instruments make of NXWriterAPS."""

    instrument_name = "a beamline"
    file_extension = "h5"
    nxdata_signal = "det2"

    def make_file_name(self):
        return Path("/elsewhere") / f"{self.metadata['sample']}_{self.scan_id:04d}.{self.file_extension}"

    def get_sample_title(self):
        return f"{self.plan_name} of {self.metadata['sample']}"

    def write_entry(self):
        nxentry = super().write_entry()
        nxentry["run_number"] = self.scan_id
        return nxentry

    def write_slits(self, parent):
        group = self.create_NX_group(parent, "slits:NXnote")
        slit = self.create_NX_group(group, "guard:NXslit")
        slit["x_gap"] = self.get_stream_link("slit_x")

    def write_source(self, parent):
        nxsource = self.create_NX_group(parent, "source:NXsource")
        nxsource.create_dataset("name", data="a synchrotron")
        return nxsource


class Failing(NXWriter):
    def write_slits(self, parent):
        raise KeyError("no such slit")


class Unlucky(NXWriter):
    def write_source(self, parent):
        raise OSError("the disk is full")


class Needy(NXWriter):
    def __init__(self, beamline):
        super().__init__()


class OneByOne(NXWriter):
    """Looks at single events, as receivers used to."""

    def event(self, doc):
        assert isinstance(doc["seq_num"], int)
        doc["data"]["x"] *= 2
        super().event(doc)


def by_path(cls):
    return f"{__name__}:{cls.__name__}"


def instrument_run():
    run = make_run(
        {"m": [1.0, 2.0], "det": [1.0, 2.0], "det2": [3.0, 4.0]},
        start={"detectors": ["det", "det2"], "motors": ["m"], "sample": "Al", "scan_id": 42},
    )
    baseline = make_run({"slit_x": [0.5, 0.75]}, stream="baseline")
    return [*run[:-1], *baseline[1:-1], run[-1]]


def test_a_users_subclass_is_in_charge(tmp_path):
    written = write(instrument_run(), tmp_path, writer=by_path(Instrument))
    assert written.files == (tmp_path / "Al_0042.h5",)
    assert written.notices == ()
    with h5py.File(written.files[0]) as file:
        assert file.attrs["creator"] == "Instrument"
        assert file.attrs["instrument"] == "a beamline"
        assert file.attrs["file_name"] == str(written.files[0])
        assert file["entry/title"].asstr()[()] == "scan of Al"
        assert file["entry/run_number"][()] == 42
        assert file["entry/instrument/slits/guard/x_gap"][()] == 0.5
        assert file["entry/instrument/source/name"].asstr()[()] == "a synchrotron"
        plot = silx.io.nxdata.get_default(file)
        assert (plot.signal_dataset_name, plot.axes_dataset_names) == ("det2", ["m"])


def test_a_name_that_was_typed_goes_before_the_subclass(tmp_path):
    target = Target(folder=tmp_path, file="typed.hdf")
    assert write(instrument_run(), tmp_path, target=target, writer=by_path(Instrument)).files == (
        tmp_path / "typed.hdf",
    )


def test_a_subclass_cannot_replace_a_file(tmp_path):
    (tmp_path / "Al_0042.h5").write_text("precious")
    with pytest.raises(TargetExists):
        write(instrument_run(), tmp_path, writer=by_path(Instrument))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


class Nameless(NXWriter):
    def make_file_name(self):
        return f"{self.metadata['no such key']}.hdf"


class Climbing(NXWriter):
    def make_file_name(self):
        return f"{self.file_path}/../../etc/S{self.scan_id:05d}"


def test_names_that_a_subclass_gives_stay_in_the_folder(tmp_path):
    written = write(instrument_run(), tmp_path, writer=by_path(Climbing))
    assert written.files == (tmp_path / "S00042.hdf",)
    text_id = instrument_run()
    text_id[0][1]["scan_id"] = "../A 7"
    assert write(text_id, tmp_path, writer=by_path(Climbing)).files == (tmp_path / "A 7.hdf",)


def test_a_subclass_that_finds_no_name_gets_the_usual_one(tmp_path):
    run = instrument_run()
    written = write(run, tmp_path, writer=by_path(Nameless))
    assert written.files[0].name.endswith(f"-S00042-{run[0][1]['uid'][:7]}.hdf")
    assert any("make_file_name failed" in notice for notice in written.notices)


def test_a_failing_hook_loses_only_its_part(tmp_path):
    written = write(instrument_run(), tmp_path, writer=by_path(Failing))
    assert any("write_slits" in notice and "no such slit" in notice for notice in written.notices)
    with h5py.File(written.files[0]) as file:
        assert file[f"{STREAMS}/primary/det/value"][()].tolist() == [1, 2]
        assert "source" in file["entry/instrument"]


def open_hdf5_objects():
    gc.collect()  # files that other tests' readers hold
    return h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_ALL)


def test_nothing_stays_open_or_behind_after_a_failure(tmp_path):
    before = open_hdf5_objects()
    with pytest.raises(OSError, match="disk is full"):
        write(instrument_run(), tmp_path, writer=by_path(Unlucky))
    assert open_hdf5_objects() == before
    assert list(tmp_path.iterdir()) == []


def test_a_subclass_that_wants_single_events_gets_them(tmp_path):
    (path,) = write(make_run({"x": [1.0, 2.0, 3.0]}), tmp_path, pages=2, writer=by_path(OneByOne)).files
    with h5py.File(path) as file:
        assert file[f"{STREAMS}/primary/x/value"][()].tolist() == [2, 4, 6]


def test_aps(tmp_path):
    columns = {"aps_current": [102.0, 101.5], "aps_fill_number": [3, 3], "aps_aps_cycle": ["2026-3"] * 2}
    keys = {"aps_fill_number": {"dtype": "integer"}, "aps_aps_cycle": {"dtype": "string"}}
    run = make_run({"x": [1.0]})
    baseline = make_run(columns, keys=keys, stream="baseline")
    (path,) = write([*run[:-1], *baseline[1:-1], run[-1]], tmp_path, writer="NXWriterAPS").files
    with h5py.File(path) as file:
        assert file.attrs["creator"] == "NXWriterAPS"
        assert file["entry/instrument/source/current"][()] == 102.0
        assert file["entry/run_cycle"].asstr()[()] == "2026-3"
        assert file["entry/instrument/source/energy"].attrs["units"] == "GeV"


def test_a_part_of_a_sample_is_written(tmp_path):
    run = make_run({"x": [1.0]})
    columns = {
        "sample_data_temperature": [300.0, 301.0],
        "sample_data_magnetic_field": [1.0, 1.0],
        "sample_data_magnetic_field_dir": ["X", "X"],
    }
    baseline = make_run(
        columns, keys={"sample_data_magnetic_field_dir": {"dtype": "string"}}, stream="baseline"
    )
    written = write([*run[:-1], *baseline[1:-1], run[-1]], tmp_path)
    assert written.notices == ()
    with h5py.File(written.files[0]) as file:
        assert file["entry/sample/temperature"][()] == 300
        assert file["entry/sample/magnetic_field"].attrs["direction"] == "x"


@pytest.mark.parametrize("as_text", [True, False])
def test_templates_of_the_metadata(as_text, tmp_path):
    templates = [
        [f"{STREAMS}/primary/x/value", "/entry/sample:NXsample/position"],
        ["/entry/sample:NXsample/@kind", "powder"],
        ["/entry/sample:NXsample/mass=", 1.5],
    ]
    value = json.dumps(templates) if as_text else templates
    written = write(make_run({"x": [1.0]}, start={NXWriter.template_key: value}), tmp_path)
    with h5py.File(written.files[0]) as file:
        assert file["entry/sample/position"][()].tolist() == [1]
        assert file["entry/sample"].attrs["kind"] == "powder"
        assert file["entry/sample/mass"][()].tolist() == [1.5]
        assert read_metadatum(file[f"{BLUESKY}/metadata/{NXWriter.template_key}"]) == value
    broken = write(make_run({"x": [1.0]}, start={NXWriter.template_key: "no json"}), tmp_path)
    assert any("write_templates" in notice for notice in broken.notices)


@pytest.mark.parametrize(
    ("writer", "says"),
    [
        ("NoWriter", "module:Class"),
        ("no_such_module:Class", "no_such_module"),
        ("apstools.callbacks:NoClass", "NoClass"),
        ("pathlib:Path", "not a subclass"),
        (by_path(Needy), "without arguments"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused(writer, says, tmp_path):
    with pytest.raises(BadOption, match=says):
        write(instrument_run(), tmp_path, writer=writer)
    assert list(tmp_path.iterdir()) == []


def test_option_is_known_to_the_registry():
    assert writer_class("nexus") is NeXusWriter
    assert check_options("nexus", {"writer": "NXWriterAPS"}) == {"writer": "NXWriterAPS"}


class OwnTable(NXWriter):
    """Has a table of documents of its own, from before there were pages."""

    def __init__(self):
        super().__init__()
        self.xref = {name: getattr(self, name) for name in ("start", "descriptor", "event", "stop")}


def test_a_subclass_that_knows_no_pages_gets_them_all_the_same(tmp_path):
    (path,) = write(make_run({"x": [1.0, 2.0, 3.0]}), tmp_path, pages=1000, writer=by_path(OwnTable)).files
    with h5py.File(path) as file:
        assert file[f"{STREAMS}/primary/x/value"][()].tolist() == [1, 2, 3]
