"""A field whose units change from one descriptor of a stream to the next: no column has the wrong ones."""

from __future__ import annotations

import json

import h5py
import pyarrow.parquet
import pytest

from bluesky_export.errors import BadOption, NotFaithful
from bluesky_export.testing import RunMaker
from bluesky_export.testing._external import IMAGE, datum, frames, resource, write_hdf5
from bluesky_export.testing._kinds import key

from ..replaying import replay

SAID = "primary.a: its units change within the stream, from 'eV' to 'keV'; the column is given none"


def run_of(folder, units=("eV", "keV"), **start):
    run = RunMaker("units", folder)
    run.start(motors=["a"], **start)
    for unit in units:
        run.descriptor({"a": key("number", units=unit), "b": key("number", units="mm")})
        run.event({"a": 8979.0, "b": 1.5})
    run.stop()
    return run.made.documents


@pytest.mark.parametrize("name", ["hdf5", "json", "parquet", "arrow", "xlsx"])
def test_it_is_said(name, tmp_path):
    written = replay(name, run_of(tmp_path), tmp_path)
    assert [notice for notice in written.notices if SAID in notice], written.notices
    assert not any("primary.b" in notice for notice in written.notices)


@pytest.mark.parametrize("name", ["hdf5", "json", "parquet", "nexus", "spec", "csv"])
def test_nothing_is_said_of_the_same_units(name, tmp_path):
    written = replay(name, run_of(tmp_path, ("eV", "eV")), tmp_path)
    assert not any("units change" in notice for notice in written.notices)


def test_no_column_has_the_wrong_ones(tmp_path):
    documents = run_of(tmp_path)
    with h5py.File(replay("hdf5", documents, tmp_path).files[0]) as file:
        assert "units" not in file["primary/a"].attrs
        assert file["primary/b"].attrs["units"] == "mm"
    (path, *_) = replay("parquet", documents, tmp_path).files
    schema = pyarrow.parquet.read_schema(path)
    assert b"units" not in schema.field("a").metadata
    assert schema.field("b").metadata[b"units"] == b"mm"
    stream = json.loads(replay("json", documents, tmp_path).files[0].read_text())["streams"]["primary"]
    assert stream["fields"]["a"]["units"] is None
    assert [one["units"] for one in stream["configuration"]] == [{"a": "eV"}, {"a": "keV"}]


@pytest.mark.parametrize("units", [("eV", "keV"), ("eV", None), (None, "eV")])
def test_an_energy_is_refused(units, tmp_path):
    options = {"element": "Cu", "edge": "K", "energy": "a", "energy_units": "eV"}
    documents = run_of(tmp_path, units)
    before = list(tmp_path.iterdir())
    with pytest.raises(NotFaithful, match=r"the units of primary.a change within the stream"):
        replay("xdi", documents, tmp_path, **options)
    assert list(tmp_path.iterdir()) == before


def test_an_angle_is_refused(tmp_path):
    run = RunMaker("angles", tmp_path)
    data = frames(2)
    write_hdf5(run.folder / "images.h5", data)
    run.start(motors=["theta"])
    uid = resource(run, "images.h5")
    for row, unit in enumerate(("deg", "rad")):
        run.descriptor({"theta": key("number", units=unit), "image": IMAGE})
        run.event({"theta": 3.0, "image": datum(run, uid, row)}, filled={"image": False})
    run.stop()
    (tmp_path / "out").mkdir()
    with pytest.raises(BadOption, match=r"theta=theta: its units change .* from 'deg' to 'rad'"):
        replay("dx", run.made.documents, tmp_path / "out", theta="theta")
    assert list((tmp_path / "out").iterdir()) == []
