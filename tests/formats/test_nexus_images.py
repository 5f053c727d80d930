"""NeXus: data in files of their own, copied, linked and left out."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest
import silx.io.nxdata
from apstools.callbacks import NXWriter
from nexusformat.nexus import nxload

from bluesky_export.outputs import Target

from .nexus_files import (
    STREAMS,
    documents,
    make_run,
    write,
)

FRAMES = np.arange(3 * 4 * 5, dtype="u2").reshape(3, 4, 5)


def detector_file(path, frames=FRAMES, dataset="/entry/data/data"):
    with h5py.File(path, "w") as file:
        file.create_dataset(dataset, data=frames, chunks=(1, *frames.shape[1:]), compression="gzip")
    return path


def resource_run(*files, spec="AD_HDF5", paged=False):
    """Return a run whose image field is in these files, three points in each."""
    ids = [f"{n}/{point}" for n in range(len(files)) for point in range(3)]
    run = make_run(
        {"m": [float(n) for n in range(len(ids))], "cam_image": ids},
        keys={
            "cam_image": {"dtype": "array", "shape": [1, 4, 5], "external": "FILESTORE:", "units": "counts"}
        },
        start={"detectors": ["cam_image"], "motors": ["m"]},
    )
    assets = []
    for n, path in enumerate(files):
        kwargs = {"frame_per_point": 1}
        resource = {
            "uid": str(n),
            "spec": spec,
            "root": "/",
            "resource_path": str(path)[1:],
            "resource_kwargs": kwargs,
        }
        assets.append(("resource", {**resource, "path_semantics": "posix", "run_start": run[0][1]["uid"]}))
        page = {
            "resource": str(n),
            "datum_id": ids[3 * n : 3 * n + 3],
            "datum_kwargs": {"point_number": [0, 1, 2]},
        }
        if paged:
            assets.append(("datum_page", page))
        else:
            assets += [
                (
                    "datum",
                    {"resource": str(n), "datum_id": ids[3 * n + k], "datum_kwargs": {"point_number": k}},
                )
                for k in range(3)
            ]
    return [*run[:2], *assets, *run[2:]]


@pytest.mark.parametrize("paged", [False, True])
def test_images_are_copied_with_their_dtype(paged, tmp_path):
    source = detector_file(tmp_path / "cam.h5")
    written = write(resource_run(source, paged=paged), tmp_path)
    assert not written.partial
    with h5py.File(written.files[0]) as file:
        value = file[f"{STREAMS}/primary/cam_image/value"]
        assert value.dtype == np.uint16
        np.testing.assert_array_equal(value[()].reshape(FRAMES.shape), FRAMES)
        assert value.attrs["units"] == "counts"
        assert file[f"{STREAMS}/primary/cam"] == file[f"{STREAMS}/primary/cam_image"]
        plot = silx.io.nxdata.get_default(file)
        assert plot.signal_dataset_name == "cam_image"
        assert file["entry/data"].attrs["axes"].tolist() == ["m"] + ["."] * (value.ndim - 1)
    assert nxload(written.files[0]).plottable_data.nxsignal.nxname == "cam_image"


def test_two_resources_of_a_field_are_one_dataset(tmp_path):
    files = [detector_file(tmp_path / "a.h5"), detector_file(tmp_path / "b.h5", FRAMES + 1000)]
    (path,) = write(resource_run(*files), tmp_path).files
    with h5py.File(path) as file:
        value = file[f"{STREAMS}/primary/cam_image/value"][()]
        np.testing.assert_array_equal(value.reshape(6, 4, 5), np.concatenate([FRAMES, FRAMES + 1000]))


def test_linked_images_are_read_and_their_file_is_not_touched(tmp_path):
    source = detector_file(tmp_path / "cam.h5")
    before = source.read_bytes()
    source.chmod(0o444)
    written = write(resource_run(source), tmp_path, images="link")
    assert source.read_bytes() == before
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in (source, *written.files):
        path.rename(moved / path.name)
    with h5py.File(moved / written.files[0].name) as file:
        value = file[f"{STREAMS}/primary/cam_image/value"]
        np.testing.assert_array_equal(value[()].reshape(FRAMES.shape), FRAMES)
        assert silx.io.nxdata.get_default(file).signal_dataset_name == "cam_image"
        assert file["entry/data/m"][()].tolist() == [0, 1, 2]
    assert nxload(moved / written.files[0].name).plottable_data.nxsignal.nxname == "cam_image"


def test_skipped_images_are_said(tmp_path):
    written = write(resource_run(detector_file(tmp_path / "cam.h5")), tmp_path, images="skip")
    assert any("primary.cam_image" in notice for notice in written.notices)
    with h5py.File(written.files[0]) as file:
        assert "value" not in file[f"{STREAMS}/primary/cam_image"]
        assert file[f"{STREAMS}/primary/m/value"][()].tolist() == [0, 1, 2]
        assert silx.io.nxdata.get_default(file) is not None or "signal" not in file["entry/data"].attrs


@pytest.mark.parametrize("images", ["copy", "link"])
def test_a_missing_file_is_said_at_once_and_the_rest_written(images, tmp_path):
    begin = time.monotonic()
    written = write(resource_run(tmp_path / "gone.h5"), tmp_path, images=images)
    assert time.monotonic() - begin < 5
    assert written.partial
    assert any("gone.h5" in notice for notice in written.notices)
    with h5py.File(written.files[0]) as file:
        assert file[f"{STREAMS}/primary/m/value"][()].tolist() == [0, 1, 2]
        assert file[f"{STREAMS}/primary/cam_image/EPOCH"].shape == (3,)


def test_a_file_of_two_that_is_missing(tmp_path):
    written = write(resource_run(detector_file(tmp_path / "a.h5"), tmp_path / "gone.h5"), tmp_path)
    assert written.partial
    with h5py.File(written.files[0]) as file:
        group = file[f"{STREAMS}/primary/cam_image"]
        np.testing.assert_array_equal(group["value"][:3].reshape(FRAMES.shape), FRAMES)
        assert group[group["value"].attrs["nulls"]][()].tolist() == [3, 4, 5]


def test_files_are_found_by_the_root_map(tmp_path):
    (tmp_path / "here").mkdir()
    source = detector_file(tmp_path / "here" / "cam.h5")
    run = resource_run(source)
    run[2][1].update(root="/ioc", resource_path="cam.h5")
    written = write(run, tmp_path, root_map={"/ioc": str(tmp_path / "here")})
    assert not written.partial


class Located(NXWriter):
    def getResourceFile(self, resource_id):  # noqa: N802
        return str(super().getResourceFile(resource_id)).replace("/ioc/", f"{self.metadata['folder']}/")


def test_files_are_found_as_an_instrument_says(tmp_path):
    source = detector_file(tmp_path / "cam.h5")
    run = resource_run(source)
    run[2][1].update(root="/ioc", resource_path="cam.h5")
    run[0][1]["folder"] = str(tmp_path)
    written = write(run, tmp_path, writer=f"{__name__}:Located")
    assert not written.partial
    with h5py.File(written.files[0]) as file:
        assert file[f"{STREAMS}/primary/cam_image/value"].shape[0] == 3


def test_images_that_are_filled_in_are_written(tmp_path):
    run = resource_run(detector_file(tmp_path / "cam.h5"))
    events = documents(run, "event")
    for frame, event in zip(FRAMES, events, strict=True):
        event["data"]["cam_image"] = frame[np.newaxis]
    for unfilled in (False, True):
        if unfilled:
            events[1]["data"]["cam_image"] = "0/1"
        (path,) = write(run, tmp_path).files
        with h5py.File(path) as file:
            value = file[f"{STREAMS}/primary/cam_image/value"]
            assert value.dtype == np.uint16
            np.testing.assert_array_equal(value[()].reshape(FRAMES.shape), FRAMES)
        path.unlink()


def test_stream_assets(tmp_path):
    source = detector_file(tmp_path / "stream.h5", dataset="/data")
    run = make_run({"m": [1.0, 2.0, 3.0]}, start={"detectors": ["cam"], "motors": ["m"]})
    descriptor = run[1][1]
    descriptor["data_keys"]["cam"] = {
        "source": "file", "dtype": "array", "dtype_numpy": "<u2", "shape": [4, 5], "external": "STREAM:"
    }  # fmt: skip
    resource = {
        "uid": "r", "data_key": "cam", "mimetype": "application/x-hdf5", "uri": f"file://localhost{source}",
        "parameters": {"dataset": "/data"}, "run_start": run[0][1]["uid"],
    }  # fmt: skip
    spans = {"indices": {"start": 0, "stop": 3}, "seq_nums": {"start": 1, "stop": 4}}
    datum = {"uid": "r/0", "stream_resource": "r", "descriptor": descriptor["uid"], **spans}
    assets = [("stream_resource", resource), ("stream_datum", datum)]
    written = write([*run[:2], *assets, *run[2:]], tmp_path)
    assert not written.partial
    with h5py.File(written.files[0]) as file:
        group = file[f"{STREAMS}/primary/cam"]
        np.testing.assert_array_equal(group["value"][()].reshape(FRAMES.shape), FRAMES)
        assert "seq_num" not in group
        assert silx.io.nxdata.get_default(file).signal_dataset_name == "cam"
    flown = [run[0], run[1], *assets, run[-1]]  # no events at all
    written = write(flown, tmp_path, target=Target(folder=tmp_path, file="flown.hdf"))
    with h5py.File(written.files[0]) as file:
        group = file[f"{STREAMS}/primary/cam"]
        np.testing.assert_array_equal(group["value"][()].reshape(FRAMES.shape), FRAMES)
        assert group["seq_num"][()].tolist() == [1, 2, 3]
