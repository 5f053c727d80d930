"""The msgpack format: databroker opens it, and so do we; long pages are cut."""

from __future__ import annotations

import numpy as np
import pytest

from bluesky_export.catalogs import open_catalog
from bluesky_export.documents.pages import page_length
from bluesky_export.errors import NotFaithful
from bluesky_export.exporting import export
from bluesky_export.formats import msgpack as module
from bluesky_export.testing import RUNS

from ..checks.msgpack import check
from ..comparing import same
from ..fidelity.msgpack import pairs
from ..memory_catalog import MemoryCatalog
from ..replaying import replay, run_of


@pytest.mark.parametrize(
    "kind", ["all-streams", "float32", "array-1d", "metadata-arrays", "two-descriptors", "ad-hdf5"]
)
def test_databroker_opens_a_file(kind, tmp_path):
    documents = RUNS[kind].documents(tmp_path / "files")
    check(list(replay("msgpack", documents, tmp_path).files), documents)


@pytest.mark.parametrize("kind", ["metadata-sets", "metadata-dates", "text-surrogates"])
def test_what_msgpack_does_not_have_is_read_back_by_us_and_said(kind, tmp_path):
    documents = RUNS[kind].documents(tmp_path / "files")
    written = replay("msgpack", documents, tmp_path)
    assert any("msgpack has no form of" in notice for notice in written.notices)
    (run,) = open_catalog(f"{tmp_path}/").newest(5)
    assert repr(run.start) == repr(documents[0][1])
    (tmp_path / "again").mkdir()
    again = replay("msgpack", run.documents(), tmp_path / "again")
    assert pairs(again.files[0]) == pairs(written.files[0])


def test_databroker_lists_a_folder_with_odd_runs(tmp_path):
    """One file that databroker cannot open would hide all others of a folder."""
    from databroker._drivers.msgpack import BlueskyMsgpackCatalog

    runs = [RUNS[name].documents(tmp_path / "files") for name in RUNS if name.startswith("metadata-")]
    for documents in runs:
        replay("msgpack", documents, tmp_path)
    catalog = BlueskyMsgpackCatalog(f"{tmp_path}/*.msgpack")
    assert set(catalog) == {documents[0][1]["uid"] for documents in runs}


def test_images_in_the_documents_go_into_short_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAGE_BYTES", 5_000)
    images = [np.full((20, 25), n, "<u2") for n in range(13)]
    documents = run_of({"image": images, "m": [n / 7 for n in range(13)]})
    (path,) = replay("msgpack", documents, tmp_path).files
    pages = [doc for name, doc in pairs(path) if name == "event_page"]
    assert [page_length(page) for page in pages] == [5, 5, 3]
    found = [image for page in pages for image in page["data"]["image"]]
    assert {image.dtype for image in found} == {np.dtype("<u2")}
    assert same(found, images)


def test_what_databroker_does_not_read_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DATABROKER_BYTES", 1_000)
    written = replay("msgpack", run_of({"x": [1.5]}, start={"note": "n" * 2_000}), tmp_path)
    assert written.notices == (
        "databroker does not read start documents beyond a gigabyte, as this one is",
    )


def test_a_run_that_cannot_be_written_leaves_no_file(tmp_path):
    deep = []
    for _ in range(1_500):
        deep = [deep]
    bad = run_of({"x": [1.5]}, start={"deep": deep, "uid": "5eed0000-0000-4000-8000-00000000000b"})
    catalog = MemoryCatalog([run_of({"x": [2.5]}, start={"time": 1.7e9 + 9}), bad])
    result = export("-2:", "msgpack", f"{tmp_path}/", catalog=catalog)
    assert [type(failure.error) for failure in result.failed] == [NotFaithful]
    assert list(tmp_path.iterdir()) == result.files
    assert len(result.files) == 1
