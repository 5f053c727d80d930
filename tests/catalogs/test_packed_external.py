"""Detector files in a folder made by databroker-pack: found there by its root map, wherever it is."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest

from bluesky_export.catalogs import open_catalog
from bluesky_export.exporting import export
from bluesky_export.testing import RUNS, Made

from ..fidelity import hold
from ..fixtures_databroker import msgpack, quiet

KINDS = ("ad-hdf5", "ad-hdf5-frames", "datum-page", "several-resources", "two-detectors", "npy-sequence")


def pack_with_files(folder: Path, source: object, made: list[Made]) -> None:
    """Do what ``databroker-pack --copy-external --uids`` does."""
    with quiet():
        import databroker_pack
        from databroker._drivers.msgpack import BlueskyMsgpackCatalog
        from suitcase.utils import MultiFileManager

        catalog = BlueskyMsgpackCatalog([pattern for pattern, _ in source._files])
        uids = [one.documents[0][1]["uid"] for one in made]
        root_map = {}
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # progress bars
            artifacts, external, failures, _ = databroker_pack.export_uids(
                catalog, uids, folder, external=None
            )
            assert not failures
            for (_, root, unique), files in external.items():
                place, _, lost = databroker_pack.copy_external_files(
                    folder / "external_files", root, unique, files
                )
                assert not lost
                root_map[unique] = place.relative_to(folder)
        manager = MultiFileManager(folder)
        databroker_pack.write_documents_manifest(manager, folder, sorted(artifacts["all"]))
        databroker_pack.write_msgpack_catalog_file(manager, folder, ["./documents/*.msgpack"], root_map)
        manager.close()


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory):
    """A packed folder that was moved, the detector's own files gone; and what was packed."""
    folder = tmp_path_factory.mktemp("packed")
    made = {name: RUNS[name].make(folder / "detectors") for name in KINDS}
    with msgpack([one.documents for one in made.values()]) as source:
        pack_with_files(folder / "packed", source, list(made.values()))
    shutil.rmtree(folder / "detectors")
    (folder / "packed").rename(folder / "moved")
    return open_catalog(str(folder / "moved")), made


LINKED = [name for name in KINDS if name != "npy-sequence"]  # HDF5 links lead to HDF5 files


@pytest.mark.parametrize(
    ("run", "images"), [*((run, "copy") for run in KINDS), *((run, "link") for run in LINKED)]
)
def test_images_come_out_of_the_folder(packed, run, images, tmp_path):
    catalog, made = packed
    uid = made[run].documents[0][1]["uid"]
    result = export(f"uid:{uid}", "hdf5,nexus", f"{tmp_path}/", catalog=catalog, images=images)
    assert [written.format for written in result.written] == ["hdf5", "nexus"]
    for written in result.written:
        assert not written.partial
        hold(written, Made(made[run].documents, made[run].external))
