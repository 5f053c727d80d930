"""Where HDF5 itself has a limit or a type of its own."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import xarray

from bluesky_export.formats import _h5_stream
from bluesky_export.testing import RunMaker
from bluesky_export.testing._external import IMAGE, datum, frames, resource, write_hdf5

from ..replaying import replay, run_of


def test_more_fields_than_a_dimension_has_room_for(tmp_path, monkeypatch):
    """HDF5's list of what is at a dimension is an attribute: 2,050 fields with timestamps did not fit."""
    monkeypatch.setattr(_h5_stream, "_MOST_ATTACHED", 10)
    data = {f"f{number}": [float(number), number + 0.5] for number in range(12)}
    written = replay("hdf5", run_of(data), tmp_path)
    assert [notice for notice in written.notices if "HDF5 has room for 10 datasets" in notice]
    with xarray.open_dataset(
        written.files[0], group="primary", engine="h5netcdf", phony_dims="sort"
    ) as found:
        for field, values in data.items():
            assert found[field].values.tolist() == values


@pytest.mark.parametrize("name", ["hdf5", "nexus"])
def test_complex_images_are_linked(name, tmp_path):
    """Parts become a virtual dataset, whose fill value is complex, too."""
    run = RunMaker("complex", tmp_path)
    data = frames(3).astype("<c8") * (1 + 2j)
    for row in range(2):
        write_hdf5(run.folder / f"images{row}.h5", data)
    run.start()
    run.descriptor({"image": {**IMAGE, "dtype_numpy": "<c8"}})
    for row in range(2):
        uid = resource(run, f"images{row}.h5")
        for point in range(3):
            run.event({"image": datum(run, uid, point)}, filled={"image": False})
    run.stop()
    (tmp_path / "out").mkdir()
    written = replay(name, run.made.documents, tmp_path / "out", images="link")
    with h5py.File(written.files[0]) as file:
        places = []
        file.visit(places.append)
        found = [file[place][()] for place in places if getattr(file[place], "is_virtual", False)]
        assert found
        assert np.array_equal(found[0].reshape(6, *data.shape[1:]), np.concatenate([data, data]))
