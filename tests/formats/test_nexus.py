"""NeXus: every run of the corpus and every value, read back with h5py, nexusformat and silx."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest
import silx.io.nxdata
import yaml
from apstools.callbacks import NXWriter
from nexusformat.nexus import nxload

from bluesky_export.documents import jsontext
from bluesky_export.formats.nexus import NeXusWriter
from bluesky_export.outputs import Output, Target

from ..checks.nexus import check_file
from ..corpus import all_runs
from .nexus_files import (
    BLUESKY,
    STREAMS,
    check_values,
    field_group,
    make_run,
    plain,
    read_metadatum,
    write,
)


@pytest.mark.parametrize("name", all_runs())
def test_every_run_of_the_corpus_reads_back_equal(name, tmp_path):
    run = all_runs()[name]
    written = write(run, tmp_path, pages=7)
    (path,) = written.files
    check_file(run, path)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ([2**53 + 1, -5, 0], {"dtype": "integer"}),
        ([np.uint64(2**64 - 1), np.uint64(1)], {"dtype": "integer"}),
        ([np.float32(0.1), np.float32(2)], {}),
        ([np.uint8(200), np.uint8(1)], {"dtype": "integer"}),
        ([True, False], {"dtype": "boolean"}),
        ([math.nan, math.inf, -0.0], {}),
        (["", "ünï ✓", "a\nb\t\"'"], {"dtype": "string"}),
        ([[1, 2], [3, 4]], {"dtype": "array", "shape": [2]}),
        ([np.arange(6, dtype="u2").reshape(2, 3)] * 2, {"dtype": "array", "shape": [2, 3]}),
    ],
)
def test_values_keep_dtype_and_shape(values, key, tmp_path):
    run = make_run({"x": values}, keys={"x": key})
    for pages in (None, 1, 1000):
        folder = tmp_path / str(pages)
        folder.mkdir()
        (path,) = write(run, folder, pages=pages).files
        with h5py.File(path) as file:
            check_values(file[f"{STREAMS}/primary/x/value"], values)


def test_fields_beside_each_other_keep_apart(tmp_path):
    """Names that HDF5 or the layout would confuse."""
    keys = ["a/b", "a_b", "a", ".", "..", " ", "time", "EPOCH", "value", "x:y", "A", "ünï", "x_image", "x"]
    run = make_run({key: [float(n), n + 0.5] for n, key in enumerate(keys)})
    (path,) = write(run, tmp_path).files
    with h5py.File(path) as file:
        for n, key in enumerate(keys):
            assert field_group(file, "primary", key)["value"][()].tolist() == [n, n + 0.5]
        assert silx.io.nxdata.get_default(file) is not None
        # seconds since the first reading, whatever a field is called
        assert file[f"{STREAMS}/primary/x/time"][()].tolist() == [0, 1]
    nxload(path)


def test_none_ragged_and_mixed_values_are_all_there_and_said(tmp_path):
    run = make_run(
        {
            "gap": [1.5, None, 3.0],
            "text": ["a", None, "c"],
            "ragged": [[1.0], [], [1.0, 2.0]],
            "mixed": [1, "one", {"a": None}],
        },
        keys={"text": {"dtype": "string"}, "ragged": {"dtype": "array", "shape": [None]}},
    )
    written = write(run, tmp_path)
    with h5py.File(written.files[0]) as file:
        group = file[f"{STREAMS}/primary"]
        np.testing.assert_array_equal(group["gap/value"][()], [1.5, math.nan, 3.0])
        assert group["text/value"].asstr()[()].tolist() == ["a", "", "c"]
        assert [jsontext.loads(text) for text in group["mixed/value"].asstr()[()]] == [
            1,
            "one",
            {"a": None},
        ]
        assert group["ragged/value"][()].tolist() == [1, 1, 2]
    for field in ("gap", "text", "mixed"):
        assert any(f"primary.{field}:" in notice for notice in written.notices)


def test_text_with_nul_is_not_cut(tmp_path):
    run = make_run(
        {"x": ["a\0b", "c\ud800"]},
        keys={"x": {"dtype": "string"}},
        start={"note": "d\0e", "lone": "\udfff"},
    )
    written = write(run, tmp_path)
    with h5py.File(written.files[0]) as file:
        texts = "".join(file[f"{STREAMS}/primary/x/value"].asstr()[()])
        assert [letter in texts for letter in "abc"] == [True] * 3
        found = {name: read_metadatum(item) for name, item in file[f"{BLUESKY}/metadata"].items()}
        assert (found["note"], found["lone"]) == ("d\0e", "\udfff")


def test_four_runs_give_four_files(tmp_path):
    runs = [make_run({"x": [float(n)]}, start={"scan_id": n}) for n in range(4)]
    files = [write(run, tmp_path).files[0] for run in runs]
    assert len(set(files)) == 4
    for n, (path, run) in enumerate(zip(files, runs, strict=True)):
        assert path.name.endswith(f"S{n:05d}-{run[0][1]['uid'][:7]}.hdf")
        with h5py.File(path) as file:
            assert file[f"{STREAMS}/primary/x/value"][()].tolist() == [n]
            assert file["entry/entry_identifier"].asstr()[()] == run[0][1]["uid"]


def test_interleaved_runs_do_not_mix(tmp_path):
    runs = [make_run({"x": [n + 0.25, n + 0.5]}, start={"scan_id": n}) for n in range(2)]
    writers = [NeXusWriter(Output(Target(folder=tmp_path), run[0][1], ".hdf")) for run in runs]
    for pairs in zip(*runs, strict=True):
        for writer, (name, doc) in zip(writers, pairs, strict=True):
            writer(name, doc)
    for n, writer in enumerate(writers):
        with h5py.File(writer.close().files[0]) as file:
            assert file[f"{STREAMS}/primary/x/value"][()].tolist() == [n + 0.25, n + 0.5]
            assert file[f"{BLUESKY}/metadata/run_start_uid"].asstr()[()] == runs[n][0][1]["uid"]


def contents(path):
    """Return all that a file holds, but for the time of writing and its name."""
    found = {}

    def visit(name, item):
        found[name] = {key: np.asarray(value).tolist() for key, value in item.attrs.items()}
        if isinstance(item, h5py.Dataset):
            found[name] |= {"": (item.shape, str(item.dtype), repr(item[()]))}

    with h5py.File(path) as file:
        file.visititems(visit)
        found["/"] = {
            key: str(file.attrs[key]) for key in file.attrs if key not in ("file_time", "file_name")
        }
    return found


@pytest.mark.parametrize("name", ["sim-grid", "sim-baseline", "sim-two-streams"])
def test_pages_of_any_size_give_equal_files(name, tmp_path):
    found = []
    for pages in (None, 1, 7, 1000):
        folder = tmp_path / str(pages)
        folder.mkdir()
        found.append(contents(write(all_runs()[name], folder, pages=pages).files[0]))
    assert found[0]["entry/instrument/bluesky/events"] is not None
    assert all(other == found[0] for other in found[1:])


class AtOnce(NXWriter):
    """apstools' own NXWriter, without its thread."""

    def writer(self):
        with h5py.File(self.file_name, "w") as self.root:
            self.write_root(self.file_name)


def all_paths(group, prefix=""):
    """Yield every path of a file, those through links as well."""
    for name in group:
        yield f"{prefix}/{name}"
        if isinstance(group[name], h5py.Group):
            yield from all_paths(group[name], f"{prefix}/{name}")


MENDED = {"/entry/start_time", "/entry/end_time", "/entry/data/EPOCH"}
INVENTED = ("precision", "lower_ctrl_limit", "upper_ctrl_limit")  # where the data key has none


@pytest.mark.parametrize("name", ["sim-scan", "sim-baseline", "sim-count"])
def test_layout_is_that_of_apstools(name, tmp_path):
    """Scripts made for NXWriter's files find everything in its place, with its value."""
    run = all_runs()[name]
    theirs = AtOnce()
    theirs.warn_on_missing_content = False
    theirs.file_name = tmp_path / "theirs.hdf"
    for kind, doc in run:
        theirs.receiver(kind, doc)
    (path,) = write(run, tmp_path).files
    with h5py.File(theirs.file_name) as before, h5py.File(path) as after:
        assert set(before.attrs) <= set(after.attrs)
        for place in all_paths(before):
            old, new = before[place], after[place]
            assert isinstance(new, type(old))
            if place in MENDED:
                continue
            assert {key for key in old.attrs if key not in INVENTED} <= set(new.attrs), place
            if isinstance(old, h5py.Dataset):
                expected, found = old[()], new[()]
                if old.attrs.get("text_format") == "yaml":
                    expected, found = (yaml.load(text, yaml.UnsafeLoader) for text in (expected, found))
                    expected = plain(expected)
                np.testing.assert_array_equal(found, expected, err_msg=place)


def test_plot_and_streams_are_the_same_objects(tmp_path):
    """Links, not copies."""
    (path,) = write(all_runs()["sim-scan"], tmp_path).files
    with h5py.File(path) as file:
        assert file["entry/data/det1"] == file[f"{STREAMS}/primary/det1/value"]
        assert file["entry/data/EPOCH"] == file[f"{STREAMS}/primary/det1/EPOCH"]
        assert file["entry/instrument/detectors/det1/data"] == file[f"{STREAMS}/primary/det1"]
        assert file["entry/instrument/positioners/motor1/value"] == file[f"{STREAMS}/primary/motor1"]
