"""The tiff format: dtypes, layouts, frames that are missing, and what is said."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import fabio
import h5py
import numpy as np
import pytest
import tifffile

from bluesky_export.errors import BadOption, NoData
from bluesky_export.formats import writer_class
from bluesky_export.outputs import Output, Target
from bluesky_export.testing import RunMaker
from bluesky_export.testing._external import IMAGE, datum, frames, measure, resource, write_hdf5
from bluesky_export.testing._kinds import NUMBER, key

from ..fidelity.tiff import described, pixels
from ..replaying import replay, run_of
from ..shell import new_shell

ROOT = Path(__file__).parents[2]
KINDS = {
    **dict.fromkeys(("|u1", "<u2", "<f4"), "imagej"),
    **dict.fromkeys(("|i1", "<i2", "<i4", "<u4", "<f8", "<c8", "<c16"), "ome"),
    **dict.fromkeys(("<i8", "<u8", "<f2"), "plain"),
}


def images(dtype: str, shape: tuple[int, ...] = (5, 7), rows: int = 3) -> list[Any]:
    size = int(np.prod(shape))
    return list((np.arange(rows * size) % 120).reshape(rows, *shape).astype(dtype))


def run_with(values: list[Any], **more: Any) -> list[tuple[str, Any]]:
    shape, dtype = list(values[0].shape), values[0].dtype.str
    keys = {"image": {"dtype": "array", "shape": shape, "dtype_numpy": dtype, "units": "counts"}}
    start = {"motors": ["m"], "plan_name": "scan", **more}
    return run_of({"m": [0.5 * n for n in range(len(values))], "image": values}, keys=keys, start=start)


def beside(written: Any) -> Any:
    return json.loads(written.files[-1].read_text("utf-8"))


@pytest.mark.parametrize(("dtype", "kind"), KINDS.items())
def test_pixels_keep_their_dtype(dtype, kind, tmp_path):
    values = images(dtype)
    if np.dtype(dtype).kind in "fc":
        values[1][0, :2] = [np.nan, -np.inf]
    written = replay("tiff", run_with(values), tmp_path)
    (image,) = beside(written)["images"]
    assert image["metadata"] == kind
    found = pixels(written.files[0], image)
    assert found.dtype == np.dtype(dtype)
    assert found.tobytes() == np.stack(values).tobytes()
    about = described(written.files[0])
    assert (about["uid"], about["scan_id"], about["units"]) == (run_with(values)[0][1]["uid"], 7, "counts")
    assert about["positions"] == {"m": [0.0, 0.5, 1.0]}
    assert about["seq_num"] == [1, 2, 3]
    assert bool([n for n in written.notices if dtype[1:] and "ImageJ and OME have no" in n]) == (
        kind == "plain"
    )
    with tifffile.TiffFile(written.files[0]) as file:
        assert (file.is_imagej, file.is_ome) == (kind == "imagej", kind == "ome")
        assert file.series[0].axes == "TYX"
        if kind == "imagej":
            assert file.imagej_metadata["Labels"][1] == "seq_num=2 m=0.5"


@pytest.mark.parametrize("shape", [(20, 1), (1, 20), (1, 1), (3, 20, 1), (3, 1, 20)])
@pytest.mark.parametrize("dtype", ["|u1", "<u2", "<f4", "<i4"])
def test_frames_that_are_lines(dtype, shape, tmp_path):
    """Of frames a pixel wide tifffile made one page, and told ImageJ of several."""
    values = images(dtype, shape, 5)
    found = tifffile.imread(replay("tiff", run_with(values), tmp_path).files[0])
    assert found.shape == (5, *shape)
    assert found.tobytes() == np.stack(values).tobytes()


def test_a_third_reader(tmp_path):
    values = images("<u2", rows=1)
    (path, _) = replay("tiff", run_with(values), tmp_path).files
    with fabio.open(str(path)) as image:
        assert image.data.dtype == np.uint16
        assert np.array_equal(image.data, values[0])


def test_booleans_are_zero_and_one(tmp_path):
    values = [value > 60 for value in images("<u2")]
    written = replay("tiff", run_with(values), tmp_path)
    found = tifffile.imread(written.files[0])
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.stack(values).astype(np.uint8))
    assert any("image: booleans are written as 0 and 1" in notice for notice in written.notices)


@pytest.mark.skipif(np.longdouble(1).itemsize == 8, reason="no number longer than float64 here")
def test_what_tiff_does_not_have_is_left_out_and_said(tmp_path):
    long = [image.astype(np.longdouble) for image in images("<f8")]
    documents = run_of(
        {"image": images("<u2"), "long": long},
        keys={name: {"dtype": "array", "shape": [5, 7]} for name in ("image", "long")},
    )
    written = replay("tiff", documents, tmp_path)
    assert [image["field"] for image in beside(written)["images"]] == ["image"]
    assert any("left out primary.long: TIFF has no" in notice for notice in written.notices)


def test_colours(tmp_path):
    values = images("|u1", (5, 7, 3))
    written = replay("tiff", run_with(values), tmp_path)
    with tifffile.TiffFile(written.files[0]) as file:
        assert file.series[0].axes == "TYXS"
        assert len(file.pages) == 3
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        assert np.array_equal(file.asarray(), np.stack(values))


def test_frames_of_a_point_are_z(tmp_path):
    values = images("<f8", (2, 5, 7))
    written = replay("tiff", run_with(values), tmp_path)
    with tifffile.TiffFile(written.files[0]) as file:
        assert file.series[0].axes == "TZYX"
        assert np.array_equal(file.asarray(), np.stack(values))


def test_one_file_a_frame(tmp_path):
    values = images("<u2", (2, 5, 7))
    written = replay("tiff", run_with(values), tmp_path, layout="frames")
    *paths, _ = written.files
    ends = [path.name.partition("-primary-image-")[2] for path in paths]
    assert ends == [f"{n:05d}-{k:03d}.tif" for n in (1, 2, 3) for k in (0, 1)]
    for number, path in enumerate(paths):
        found = tifffile.imread(path)
        assert found.dtype == np.uint16
        assert np.array_equal(found, values[number // 2][number % 2])
        assert described(path)["seq_num"] == [number // 2 + 1]
        assert described(path)["positions"] == {"m": [0.5 * (number // 2)]}


def test_numbers_that_repeat_do_not_meet_in_one_file(tmp_path):
    documents = run_with(images("<u2"))
    for name, doc in documents:
        if name == "event":
            doc["seq_num"] = 1
    *paths, _ = replay("tiff", documents, tmp_path, layout="frames").files
    assert len(set(paths)) == 3
    assert [tifffile.imread(path).tolist() for path in paths] == [v.tolist() for v in images("<u2")]


def test_fields_and_streams_whose_names_together_are_the_same(tmp_path):
    run = RunMaker("names", tmp_path)
    run.start()
    values = images("<u2", rows=2)
    for stream, field, value in (("a-b", "c", values[0]), ("a", "b-c", values[1])):
        run.descriptor({field: key("array", [5, 7], dtype_numpy="<u2")}, stream)
        run.event({field: value}, stream)
    run.stop()
    written = replay("tiff", run.made.documents, tmp_path)
    *paths, _ = written.files
    assert len(set(paths)) == 2
    for image, path, value in zip(beside(written)["images"], paths, values, strict=True):
        assert np.array_equal(pixels(path, image)[0], value)


# -- what is missing -----------------------------------------------------------------------------


def test_an_image_file_that_is_gone_is_not_in_the_stack(tmp_path):
    data = frames(4, dtype="<f8")
    run = RunMaker("gone", tmp_path)
    for n, image in enumerate(data):
        np.save(run.folder / f"point_{n}.npy", image)
    (run.folder / "point_2.npy").unlink()
    run.start()
    run.descriptor({"m": NUMBER, "image": {**IMAGE, "shape": [4, 6], "dtype_numpy": "<f8"}})
    uid = resource(run, "point", spec="NPY_SEQ", resource_kwargs={})
    measure(run, list(data), [datum(run, uid, n, datum_kwargs={"index": n}) for n in range(4)])
    run.stop()
    for layout in ("stack", "frames"):
        (tmp_path / layout).mkdir()
        written = replay("tiff", run.made.documents, tmp_path / layout, layout=layout)
        assert written.partial
        assert any("primary.image, rows 2 to 2: not read" in n for n in written.notices), written.notices
        *paths, _ = written.files
        stack = np.concatenate([np.atleast_3d(tifffile.imread(p).T).T for p in paths])
        assert np.array_equal(stack, data[[0, 1, 3]])
        seq_nums = [n for image in beside(written)["images"] for n in image["seq_num"]]
        assert seq_nums == [1, 2, 4] == [n for path in paths for n in described(path)["seq_num"]]


def damaged(folder: Any, bad: tuple[int, ...]) -> RunMaker:
    """Return a run with an HDF5 file some of whose chunks are damaged: seen when they are read."""
    data = frames(5)
    run = RunMaker("damaged", folder)
    path = run.folder / "images.h5"
    write_hdf5(path, data)
    with h5py.File(path) as file:
        chunks = [file["entry/data/data"].id.get_chunk_info(n) for n in bad]
    with path.open("r+b") as raw:
        for chunk in chunks:
            raw.seek(chunk.byte_offset)
            raw.write(b"\xff" * chunk.size)
    run.start()
    run.descriptor({"m": NUMBER, "image": IMAGE})
    uid = resource(run, "images.h5")
    measure(run, list(data[:, None]), [datum(run, uid, n) for n in range(5)])
    run.stop()
    return run


def test_a_damaged_chunk_is_found_while_it_is_written(tmp_path):
    run = damaged(tmp_path, (0, 3))
    (tmp_path / "out").mkdir()
    written = replay("tiff", run.made.documents, tmp_path / "out")
    assert written.partial
    assert np.array_equal(tifffile.imread(written.files[0]), frames(5)[[1, 2, 4]])
    assert described(written.files[0])["seq_num"] == [2, 3, 5]


NO_ROOM = """
import errno, resource, signal, sys
from pathlib import Path
from tests.formats.test_tiff import images, run_with
from tests.replaying import replay

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, run = Path(sys.argv[1]), run_with(images("<u2", (64, 80), rows=1))
(whole, beside) = replay("tiff", run, folder).files
room = whole.stat().st_size - 100
whole.unlink(), beside.unlink()
resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
try:
    replay("tiff", run, folder)
except OSError as error:
    assert error.errno == errno.EFBIG, error
    print("refused", list(folder.iterdir()))
"""


def test_no_room_for_the_last_pixels(tmp_path):
    """numpy's ``tofile``, which tifffile calls, says nothing when the last kB cannot be written."""
    done = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "refused []\n", done.stderr


def test_nothing_readable_is_refused(tmp_path):
    run = damaged(tmp_path, (0, 1, 2, 3, 4))
    (tmp_path / "out").mkdir()
    with pytest.raises(NoData, match=r"primary.image \(its files cannot be read: .*images.h5"):
        replay("tiff", run.made.documents, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_points_without_the_field_are_not_lost(tmp_path):
    run = RunMaker("later", tmp_path)
    run.start()
    run.descriptor({"m": NUMBER})
    run.event({"m": 0.5})
    run.descriptor({"m": NUMBER, "image": key("array", [5, 7], dtype_numpy="<u2")})
    run.event({"m": 1.5, "image": images("<u2")[0]})
    run.stop()
    written = replay("tiff", run.made.documents, tmp_path)
    assert not written.partial
    assert described(written.files[0])["seq_num"] == [2]
    assert described(written.files[0])["positions"] == {"m": [1.5]}


# -- options, errors -----------------------------------------------------------------------------


def test_a_run_without_images_says_what_it_has(tmp_path):
    documents = run_of({"x": [1.5], "wave": [[1.0, 2.0]], "text": ["a"]})
    with pytest.raises(NoData) as caught:
        replay("tiff", documents, tmp_path)
    said = str(caught.value)
    assert "has no images for tiff" in said
    assert "primary.wave (arrays of one dimension)" in said
    assert "primary.x (numbers)" in said
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_to_be_copied(tmp_path):
    run = RunMaker("external", tmp_path)
    write_hdf5(run.folder / "images.h5", frames(3))
    run.start()
    run.descriptor({"m": NUMBER, "image": IMAGE, "own": key("array", [5, 7], dtype_numpy="<u2")})
    uid = resource(run, "images.h5")
    for n, own in enumerate(images("<u2")):
        run.event({"m": 0.5, "image": datum(run, uid, n), "own": own}, filled={"image": False})
    run.stop()
    (tmp_path / "out").mkdir()
    with pytest.raises(BadOption, match="cannot link"):
        replay("tiff", run.made.documents, tmp_path / "out", images="link")
    written = replay("tiff", run.made.documents, tmp_path / "out", images="skip")
    assert [image["field"] for image in beside(written)["images"]] == ["own"]
    assert any("left out primary.image" in notice for notice in written.notices)
    assert not written.partial


def test_the_name_that_was_typed_and_no_metadata(tmp_path):
    documents = run_with(images("<u2"))
    cls = writer_class("tif")
    output = Output(Target.parse(tmp_path / "mine.tif"), documents[0][1], cls.suffix)
    writer = cls(output, metadata=False)
    for name, doc in documents:
        writer(name, doc)
    assert [path.name for path in writer.close().files] == ["mine.tif"]


def test_memory_is_bounded(tmp_path):
    run = RunMaker("large", tmp_path)
    path, shape = run.folder / "images.h5", (512, 1024)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("entry/data/data", (96, *shape), "<u2", chunks=(1, *shape))
        for n in range(96):
            data[n] = n
    run.start()
    run.descriptor({"image": {**IMAGE, "shape": [1, *shape]}})
    uid = resource(run, "images.h5")
    for n in range(96):
        run.event({"image": datum(run, uid, n)}, filled={"image": False})
    run.stop()
    (tmp_path / "out").mkdir()
    tracemalloc.start()
    try:
        written = replay("tiff", run.made.documents, tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6 + 4 * 2**20
    with tifffile.TiffFile(written.files[0]) as file:
        assert [page.asarray()[0, 0] for page in file.pages] == list(range(96))


# -- in a session --------------------------------------------------------------------------------

SETUP = """
import databroker
import numpy as np
from bluesky import RunEngine, plans as bp
from ophyd import Component, Device, Signal
from ophyd.sim import motor
db = databroker.temp()
RE = RunEngine({})
_ = RE.subscribe(db.insert)
%load_ext bluesky_export

class Camera(Device):
    image = Component(Signal, value=np.zeros((5, 7), "u2"))
    shots = 0
    def trigger(self):
        self.shots += 1
        self.image.put(np.full((5, 7), self.shots, "u2"))
        return super().trigger()

camera = Camera(name="camera")
"""


def test_live_and_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "live").mkdir()
    with new_shell() as shell:
        shell.run(SETUP)
        shell.run("%attach_writer tiff live/")
        shell.run("uids = RE(bp.scan([camera], motor, -1, 1, 3)) + RE(bp.count([motor]))")
        text = shell.run("%detach_writer")
        (live,) = (tmp_path / "live").glob("*.tif")
        assert str(live) in text
        text = shell.run("files = %export -2 tiff exported.tif")
        exported = tmp_path / "exported.tif"
        assert str(exported) in text
        assert tifffile.imread(exported)[:, 0, 0].tolist() == [1, 2, 3]
        assert live.read_bytes() == exported.read_bytes()
        assert described(live)["positions"] == {"motor": [-1.0, 0.0, 1.0]}
        said = shell.fails("%export -1 tiff")
        assert "has no images for tiff" in said
        assert "layout" in shell.run("%export --help tiff")
        (tmp_path / "other").mkdir()
        assert "-primary-*.tif" in shell.run("%export -2 tiff other/ --dry-run")
