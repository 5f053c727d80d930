"""Data in detector files: copied, linked so that the folder can move, or skipped, for every such run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from bluesky_export.testing import RUNS, Kind

from .fidelity import hold
from .fidelity.hdf5 import original, rows_of
from .replaying import replay

FORMATS = ("hdf5", "nexus")
EXTERNAL = {name: kind for name, kind in RUNS.items() if {"external", "unreadable"} & kind.features}
EXTERNAL.pop("filled")  # its images are in the events
IN_HDF5 = [
    name
    for name, kind in EXTERNAL.items()
    if "unreadable" not in kind.features and name not in ("npy-sequence", "stream-tiff")
]


def images(path: Path) -> dict[str, h5py.Dataset]:
    """Return the rows, chunks, filter and dtype of each field of the primary stream that has images."""
    found = {}
    with h5py.File(path) as file:
        group = file["primary"] if "primary" in file else file["entry/instrument/bluesky/streams/primary"]
        links = group["external"] if isinstance(group.get("external"), h5py.Group) else ()
        for inside, name in [(group, name) for name in group] + [(links, name) for name in links]:
            item = inside.get(name)
            dataset = item.get("value") if isinstance(item, h5py.Group) else item
            if isinstance(dataset, h5py.Dataset) and original(item, name) in ("image", "left", "right"):
                dtype, chunks = dataset.dtype, dataset.chunks
                found[original(item, name)] = (rows_of(dataset), dtype, chunks, dataset.compression)
    return found


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", EXTERNAL.values(), ids=EXTERNAL)
def test_copies_need_no_detector_file(kind: Kind, name: str, tmp_path: Path) -> None:
    made = kind.make(tmp_path / "detectors")
    before = {path: path.read_bytes() for path in (tmp_path / "detectors").rglob("*") if path.is_file()}
    written = replay(name, made.documents, tmp_path, root_map=made.root_map, images="copy")
    assert {path: path.read_bytes() for path in before} == before
    if (tmp_path / "detectors").exists():
        shutil.rmtree(tmp_path / "detectors")
    hold(written, made)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("run", IN_HDF5)
def test_copies_keep_dtype_chunks_and_compression(run: str, name: str, tmp_path: Path) -> None:
    made = RUNS[run].make(tmp_path / "detectors")
    (path,) = replay(name, made.documents, tmp_path, root_map=made.root_map).files
    found = images(path)
    assert found
    for field, (rows, dtype, chunks, compression) in found.items():
        truth = made.external["primary", field]
        assert dtype == np.asarray(truth[0]).dtype
        assert compression == "gzip"
        # one frame a chunk, as the detector wrote them
        assert int(np.prod(chunks)) == int(np.prod(np.shape(truth[0])[-2:]))
        np.testing.assert_array_equal(np.stack(rows), np.stack(truth))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("run", IN_HDF5)
def test_links_move_with_the_folder(run: str, name: str, tmp_path: Path) -> None:
    whole = tmp_path / "before"
    made = RUNS[run].make(whole / "detectors")
    (whole / "exported").mkdir()
    written = replay(name, made.documents, whole / "exported", root_map=made.root_map, images="link")
    (path,) = written.files
    whole.rename(tmp_path / "after")
    moved = tmp_path / "after" / path.relative_to(whole)
    hold(replace(written, files=(moved,)), made)
    assert images(moved).keys() == {field for _, field in made.external}
    shutil.rmtree(tmp_path / "after" / "detectors")
    for field, (rows, *_) in images(moved).items():  # linked, then, not copied
        assert not np.array_equal(np.stack(rows), np.stack(made.external["primary", field])), field


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("run", EXTERNAL)
def test_skipped_images_are_said(run: str, name: str, tmp_path: Path) -> None:
    made = RUNS[run].make(tmp_path / "detectors")
    written = replay(name, made.documents, tmp_path, root_map=made.root_map, images="skip")
    (path,) = written.files
    assert images(path) == {}
    for _, field in made.external:
        assert any(field in notice for notice in written.notices), written.notices
