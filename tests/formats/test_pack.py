"""Packs: opened again by databroker-unpack, by databroker, and by us; added to whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from bluesky_export.catalogs import open_catalog
from bluesky_export.errors import OutputError, RunAlreadyInFile
from bluesky_export.exporting import export
from bluesky_export.formats import _pack_folder, writer_class
from bluesky_export.formats._pack_folder import PackFolder
from bluesky_export.outputs import Output, Target
from bluesky_export.testing import RUNS

from ..comparing import same
from ..corpus import needs_real_data, real_data
from ..memory_catalog import MemoryCatalog
from ..replaying import replay, run_of

IMAGES = ["ad-hdf5", "ad-hdf5-frames", "npy-sequence", "several-resources", "two-detectors", "file-moved"]


def uid(n):
    return f"5eed0000-0000-4000-8000-00000000000{n}"


def catalog_of(count):
    return MemoryCatalog(
        [run_of({"x": [n + 0.5, n / 3]}, uid=uid(n), start={"time": 1.7e9 + n}) for n in range(count)]
    )


def snapshot(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def unpacked(folder: Path, tmp_path: Path, code: str) -> str:
    """Run the real databroker-unpack, and then a program of databroker 1.x that opens the catalog."""
    here = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path / "home")}
    here.pop("PYTHONWARNINGS", None)
    program = Path(sys.executable).with_name("databroker-unpack")
    done = subprocess.run(
        [program, "inplace", folder, "mine"], env=here, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    code = f"import databroker, numpy\ncatalog = databroker.catalog['mine']\n{code}"
    done = subprocess.run([sys.executable, "-c", code], env=here, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.sample(2)  # starts databroker anew, which takes seconds
@pytest.mark.parametrize("kind", ["ad-hdf5", "npy-sequence"])
def test_databroker_unpack_and_databroker_read_it_with_its_images(kind, tmp_path):
    made = RUNS[kind].make(tmp_path / "detectors")
    replay("pack", made.documents, tmp_path)
    shutil.rmtree(tmp_path / "detectors")  # the copies are read, then, wherever they are now
    (tmp_path / "packed").rename(tmp_path / "given away")
    (((_, field), truth),) = made.external.items()
    code = (
        f"run = catalog[{made.documents[0][1]['uid']!r}]\n"
        "pages = [doc for name, doc in run.documents(fill='yes') if name == 'event_page']\n"
        f"images = [image for page in pages for image in page['data'].get({field!r}, ())]\n"
        f"numpy.save({str(tmp_path / 'found.npy')!r}, numpy.stack(images))\n"
        "print(len(catalog), run.metadata['stop']['exit_status'])"
    )
    assert unpacked(tmp_path / "given away", tmp_path, code).split() == ["1", "success"]
    truth = np.stack(truth)
    found = np.load(tmp_path / "found.npy")
    assert found.dtype == truth.dtype
    np.testing.assert_array_equal(found.reshape(truth.shape), truth)


@pytest.mark.parametrize(
    "kind", [*IMAGES, "stream-hdf5", "stream-two-hdf5", "stream-tiff", "stream-scalars"]
)
def test_our_catalog_reads_the_copies_in_another_place(kind, tmp_path):
    made = RUNS[kind].make(tmp_path / "detectors")
    written = replay("pack", made.documents, tmp_path, root_map=made.root_map)
    assert not written.partial
    shutil.rmtree(tmp_path / "detectors")
    (tmp_path / "packed").rename(tmp_path / "elsewhere")
    (tmp_path / "out").mkdir()
    result = export("-1", "hdf5", tmp_path / "out", catalog=open_catalog(f"{tmp_path}/elsewhere/"))
    assert not result.written[0].partial
    with h5py.File(result.files[0]) as file:
        for (stream, field), truth in made.external.items():
            np.testing.assert_array_equal(file[f"{stream}/{field}"][()], np.stack(truth))


def test_intake_alone_opens_a_pack_that_was_moved(tmp_path, monkeypatch):
    import intake

    folder = tmp_path / "made here"
    export("-2:", "pack", folder, catalog=catalog_of(2), say=print)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("plain", "given away", "proposal [x] 1", "Übung µ", "what?"):
        folder = folder.rename(tmp_path / name)
        catalog = intake.open_catalog(str(folder / "catalog.yml"))["packed_catalog"]
        assert sorted(catalog) == [uid(0), uid(1)], name
        assert catalog[uid(1)].primary.read()["x"].values.tolist() == [1.5, 1 / 3]
        assert len(open_catalog(f"{folder}/")) == 2


@pytest.mark.sample(2)  # starts databroker anew, which takes seconds
def test_one_export_of_many_runs_is_one_pack(tmp_path):
    result = export("-3:", "pack", tmp_path / "july", catalog=catalog_of(3))
    folder = tmp_path / "july"
    assert [path.name for path in result.files if path.suffix == ".msgpack"] == [
        f"{uid(n)}.msgpack" for n in range(3)
    ]
    assert {folder / "catalog.yml", folder / "documents_manifest.txt"} < set(result.files)
    listed = (folder / "documents_manifest.txt").read_text().splitlines()
    assert listed == [f"documents/{uid(n)}.msgpack" for n in range(3)]
    out = unpacked(
        folder, tmp_path, "print(sorted(catalog))\nprint(catalog[-1].primary.read()['x'].values)"
    )
    assert out.splitlines() == [str([uid(n) for n in range(3)]), "[2.5        0.66666667]"]
    assert len(open_catalog(f"{folder}/")) == 3


def test_a_second_export_adds_and_touches_nothing(tmp_path):
    catalog = catalog_of(3)
    export("-3:-1", "pack", tmp_path / "p", catalog=catalog)
    before = snapshot(tmp_path / "p")
    export("-1", "pack", tmp_path / "p", catalog=catalog)
    after = snapshot(tmp_path / "p")
    new = after.keys() - before.keys()
    assert new == {f"documents/{uid(2)}.msgpack"}
    assert {k for k in before if before[k] != after[k]} == {"documents_manifest.txt"}
    with pytest.raises(RunAlreadyInFile, match="holds run 5eed000 already; add --overwrite"):
        export("-1", "pack", tmp_path / "p", catalog=catalog)
    assert export("-2:", "pack", tmp_path / "p", catalog=catalog, skip_existing=True).skipped
    assert snapshot(tmp_path / "p") == after


@pytest.mark.sample(2)  # starts databroker anew, which takes seconds
def test_a_pack_of_databroker_pack_is_added_to(tmp_path):
    from ..fixtures_databroker import REFUSED, msgpack, pack

    with msgpack([run_of({"x": [1.5]}, uid=uid(7))]) as source:
        REFUSED["packed"] = {}
        pack(tmp_path / "theirs", source, [uid(7)])
    export("-1", "pack", tmp_path / "theirs", catalog=catalog_of(1))
    out = unpacked(tmp_path / "theirs", tmp_path, "print(sorted(catalog))")
    assert out.strip() == str([uid(0), uid(7)])


@needs_real_data
def test_a_real_pack_is_added_to(tmp_path):
    shutil.copytree(real_data() / "packed-simple", tmp_path / "theirs")
    for path in tmp_path.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    made = RUNS["ad-hdf5"].make(tmp_path / "detectors")
    replay("pack", made.documents, tmp_path / "theirs")
    catalog = open_catalog(f"{tmp_path}/theirs/")
    assert len(catalog) == 4
    (tmp_path / "out").mkdir()
    result = export("-4:", "hdf5", tmp_path / "out", catalog=catalog)
    assert len(result.files) == 4
    assert not any(written.partial for written in result.written)


def test_within_another_folder_it_is_called_packed_or_by_its_name(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    export("-2:", "pack", f"{tmp_path}/", catalog=catalog_of(2))
    assert PackFolder.is_one(tmp_path / "packed")
    export("-2:", "pack", f"{tmp_path}/", catalog=catalog_of(2), name="{plan_name}")
    assert len(list((tmp_path / "count" / "documents").iterdir())) == 2


def test_other_things_are_never_clobbered(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "notes.txt").write_text("mine")
    jsonl = tmp_path / "jsonl"
    jsonl.mkdir()
    content = {"sources": {"packed_catalog": {"driver": "bluesky-jsonl-catalog", "args": {}}}}
    (jsonl / "catalog.yml").write_text(yaml.dump(content))
    before = snapshot(tmp_path)
    for place, said in {
        "file": "is a file; a pack is a folder",
        "": "has files that are no pack's",
        "jsonl": "not that of a pack of msgpack documents",
    }.items():
        with pytest.raises(OutputError, match=said):
            export("-1", "pack", f"{tmp_path}/{place}", catalog=catalog_of(1))
    assert snapshot(tmp_path) == before


@pytest.mark.sample(2)  # starts databroker anew, which takes seconds
def test_links_are_listed_and_found_where_they_are(tmp_path):
    made = RUNS["ad-hdf5"].make(tmp_path / "detectors")
    written = replay("pack", made.documents, tmp_path, images="link")
    folder = tmp_path / "packed"
    assert not (folder / "external_files").exists()
    (manifest,) = folder.glob("external_files_manifest_*.txt")
    listed = [Path(line) for line in manifest.read_text().splitlines()]
    assert [path.is_absolute() and path.is_file() for path in listed] == [True]
    assert any("listed, not copied" in notice for notice in written.notices)
    code = "print(catalog[-1].primary.read()['image'].shape)"
    assert unpacked(folder, tmp_path, code).strip().startswith("(")


def test_skipped_images_leave_the_documents_as_they_are(tmp_path):
    from ..fidelity.msgpack import pairs

    made = RUNS["ad-hdf5"].make(tmp_path / "detectors")
    written = replay("pack", made.documents, tmp_path, images="skip")
    assert same(
        [doc for name, doc in pairs(written.files[0]) if name == "resource"],
        [doc for name, doc in made.documents if name == "resource"],
    )
    assert not list((tmp_path / "packed").glob("external*"))
    assert not written.partial
    assert any("are not in the pack" in notice for notice in written.notices)


def test_overwrite_replaces_one_run(tmp_path):
    export("-2:", "pack", tmp_path / "p", catalog=catalog_of(2))
    before = snapshot(tmp_path / "p")
    changed = MemoryCatalog([run_of({"x": [9.5]}, uid=uid(1))])
    export("-1", "pack", tmp_path / "p", catalog=changed, overwrite=True)
    after = snapshot(tmp_path / "p")
    assert {k for k in after if after[k] != before.get(k)} == {f"documents/{uid(1)}.msgpack"}
    assert before.keys() == after.keys()


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("at", range(1, 12))
def test_a_failure_at_any_step_leaves_nothing_of_the_run(at, there, tmp_path, monkeypatch):
    """Each change of the file system in turn fails, as on a disk that is full."""
    made = RUNS["ad-hdf5"].make(tmp_path / "detectors")
    (tmp_path / "out").mkdir()
    if there:
        export("-1", "pack", tmp_path / "out" / "p", catalog=catalog_of(1))
    before = snapshot(tmp_path / "out")
    calls = 0

    def failing(real):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == at:
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        return call

    target = Target.parse(tmp_path / "out" / "p")
    cls = writer_class("pack")
    writer = cls(Output(target, made.documents[0][1], ""), images="copy")
    for name, doc in made.documents:
        writer(name, doc)
    for name in ("sync", "rename_new", "claim"):
        monkeypatch.setattr(_pack_folder, name, failing(getattr(_pack_folder, name)))
    monkeypatch.setattr(_pack_folder.os, "rename", failing(os.rename))
    failed = True
    with contextlib.suppress(OutputError):
        writer.close()
        failed = False
    monkeypatch.undo()
    if failed:
        writer.abort()
        assert snapshot(tmp_path / "out") == before
    else:  # there are no more steps than these
        assert 8 < calls < at


def test_runs_that_are_added_at_once_are_all_entered(tmp_path):
    (tmp_path / "p").mkdir()
    runs = [run_of({"x": [n / 3]}, uid=uid(n)) for n in range(8)]
    threads = [threading.Thread(target=replay, args=("pack", run, tmp_path / "p")) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (tmp_path / "p" / "packed").rename(tmp_path / "q")
    listed = (tmp_path / "q" / "documents_manifest.txt").read_text().splitlines()
    assert sorted(listed) == [f"documents/{uid(n)}.msgpack" for n in range(8)]
    assert len(open_catalog(f"{tmp_path}/q/")) == 8
    assert not list((tmp_path / "q").rglob("*.part"))


def test_missing_files_are_named_and_their_place_is_kept(tmp_path):
    made = RUNS["file-missing"].make(tmp_path / "detectors")
    written = replay("pack", made.documents, tmp_path)
    assert written.partial
    (resource,) = [doc for name, doc in made.documents if name == "resource"]
    source = yaml.safe_load((tmp_path / "packed" / "catalog.yml").read_text())["sources"]["packed_catalog"]
    assert list(source["metadata"]["original_roots"].values()) == [resource["root"]]
    assert list(source["args"]["root_map"].values()) == [resource["root"].rstrip("/")]


@pytest.mark.sample(2)  # starts databroker anew, which takes seconds
def test_a_path_that_leaves_its_root_is_copied_too(tmp_path):
    made = RUNS["ad-hdf5"].make(tmp_path / "detectors")
    documents = []
    for name, doc in made.documents:
        if name == "resource":
            whole = str(Path(doc["root"], doc["resource_path"]))
            doc = {**doc, "root": "/nowhere", "resource_path": whole}
        documents.append((name, doc))
    written = replay("pack", documents, tmp_path)
    assert not written.partial
    shutil.rmtree(tmp_path / "detectors")
    code = "print(catalog[-1].primary.read()['image'].shape)"
    assert unpacked(tmp_path / "packed", tmp_path, code).strip().startswith("(")
