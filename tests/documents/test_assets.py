"""External data: the frames that a detector wrote, found again through the documents."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from urllib.parse import quote

import h5py
import numpy as np
import pytest
import tifffile

from bluesky_export.documents.assets import Assets, Piece
from bluesky_export.documents.pages import datum_to_page

from ..corpus import needs_real_data, real_data

FRAMES = np.arange(6 * 4 * 5, dtype="u2").reshape(6, 4, 5)


@pytest.fixture(autouse=True)
def no_file_stays_open():
    before = h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    yield
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == before


def descriptor(shape, **more):
    data_key = {"dtype": "array", "shape": shape, "source": "x", "external": "FILESTORE:", **more}
    return {"uid": "d1", "name": "primary", "data_keys": {"img": data_key}}


def write(path, frames=FRAMES, dataset="/entry/data/data", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset(dataset, data=frames, **options)
    return path


def area_detector(assets, path, points, frame_per_point=1, uid="r1", spec="AD_HDF5", root=None):
    """Feed the documents that ophyd's area detector makes; return the datum ids."""
    root = str(path.parent) if root is None else root
    kwargs = {"frame_per_point": frame_per_point}
    assets.resource(
        {"uid": uid, "spec": spec, "root": root, "resource_path": path.name, "resource_kwargs": kwargs}
    )
    for point in points:
        datum = {"resource": uid, "datum_id": f"{uid}/{point}", "datum_kwargs": {"point_number": point}}
        assets.datum_page(datum_to_page(datum))
    return [f"{uid}/{point}" for point in points]


def all_rows(column):
    """Read a column piece by piece, in memory for two rows."""
    pieces = list(column.pieces(2 * max(1, column.dtype.itemsize * int(np.prod(column.row_shape)))))
    return np.concatenate([values for _, values in pieces])


@pytest.mark.parametrize(
    ("frame_per_point", "declared", "expected"),
    [
        (1, [4, 5], FRAMES),
        (1, [1, 4, 5], FRAMES[:, None]),
        (2, [2, 4, 5], FRAMES.reshape(3, 2, 4, 5)),
        (2, [4, 5], FRAMES.reshape(3, 2, 4, 5)),
        (1, [0, 0], FRAMES),  # declared before the detector knew
        (1, [], FRAMES),
    ],
)
@pytest.mark.parametrize("spec", ["AD_HDF5", "AD_HDF5_SWMR"])
def test_area_detector(tmp_path, frame_per_point, declared, expected, spec):
    path = write(tmp_path / "a.h5")
    assets = Assets()
    ids = area_detector(assets, path, range(6 // frame_per_point), frame_per_point, spec=spec)
    column = assets.column(descriptor(declared), "img", datum_ids=ids)
    assert column.missing == []
    assert column.shape == expected.shape
    assert column.dtype == "uint16"
    np.testing.assert_array_equal(all_rows(column), expected)
    assert column.files == [path]
    (block,) = column.blocks
    assert (block.path, block.dataset, block.start, block.stop, block.whole) == (
        path,
        "/entry/data/data",
        0,
        6,
        True,
    )


def test_handlers_agree(tmp_path):
    """What we read from plain HDF5 files is what databroker's handler gives."""
    from area_detector_handlers.handlers import AreaDetectorHDF5Handler

    path = write(tmp_path / "a.h5")
    assets = Assets()
    ids = area_detector(assets, path, [2, 0], 2)
    column = assets.column(descriptor([2, 4, 5]), "img", datum_ids=ids)
    with AreaDetectorHDF5Handler(str(path), frame_per_point=2) as handler:
        expected = np.stack([np.asarray(handler(point_number=point)) for point in (2, 0)])
    np.testing.assert_array_equal(all_rows(column), expected)


def test_events_decide_the_order_and_several_resources_follow_each_other(tmp_path):
    one, other = write(tmp_path / "a.h5", FRAMES[:3]), write(tmp_path / "b.h5", FRAMES[3:])
    assets = Assets()
    a = area_detector(assets, one, range(3), uid="a")
    b = area_detector(assets, other, range(3), uid="b")
    ids = [a[0], b[2], b[1], a[1], a[2], b[0]]
    column = assets.column(descriptor([4, 5]), "img", datum_ids=ids)
    np.testing.assert_array_equal(all_rows(column), FRAMES[[0, 5, 4, 1, 2, 3]])
    assert [(b.first, b.rows, b.path.name, b.start) for b in column.blocks] == [
        (0, 1, "a.h5", 0),
        (1, 1, "b.h5", 2),
        (2, 1, "b.h5", 1),
        (3, 2, "a.h5", 1),
        (5, 1, "b.h5", 0),
    ]


@pytest.mark.parametrize(
    ("root", "root_map"),
    [
        ("/ioc", {"/ioc": "{here}"}),
        ("/ioc/", {"/ioc": "{here}"}),
        ("/ioc", {"/ioc/": "{here}"}),
        ("/ioc/data", {"/ioc": "{there}"}),
        ("label", {"label": "{here}"}),
        ("/ioc", {"/": "/nowhere", "/ioc": "{here}", "/io": "/nowhere"}),
    ],
)
def test_root_map(tmp_path, root, root_map):
    write(tmp_path / "data" / "a.h5")
    filled = {key: value.format(here=tmp_path / "data", there=tmp_path) for key, value in root_map.items()}
    assets = Assets(filled)
    ids = area_detector(assets, tmp_path / "data" / "a.h5", range(6), root=root)
    column = assets.column(descriptor([4, 5]), "img", datum_ids=ids)
    assert column.missing == []
    np.testing.assert_array_equal(all_rows(column), FRAMES)


def lost(column):
    return [(m.first, m.stop, m.path and m.path.name, m.reason) for m in column.missing]


def test_a_missing_file_is_said_and_the_others_are_read(tmp_path):
    one = write(tmp_path / "a.h5")
    assets = Assets()
    ids = area_detector(assets, one, [0, 1], uid="a")
    ids += area_detector(assets, tmp_path / "gone.h5", [0, 1], uid="b")
    ids += ["unknown/7"]
    column = assets.column(descriptor([4, 5]), "img", datum_ids=ids)
    assert lost(column) == [
        (2, 4, "gone.h5", "no such file"),
        (4, 5, None, "the run has no datum document for it"),
    ]
    assert column.missing_rows.tolist() == [2, 3, 4]
    assert column.shape == (5, 4, 5)
    np.testing.assert_array_equal(all_rows(column)[:2], FRAMES[:2])
    assert not all_rows(column)[2:].any()


def test_nothing_can_be_read(tmp_path):
    assets = Assets()
    ids = area_detector(assets, tmp_path / "gone.h5", [0, 1])
    column = assets.column(descriptor([4, 5], dtype_numpy="<u4"), "img", datum_ids=ids)
    assert not column.readable
    assert column.blocks is None
    assert (column.shape, column.dtype) == ((2, 4, 5), np.uint32)
    assert lost(column) == [(0, 2, "gone.h5", "no such file")]


def test_files_that_are_not_what_they_should_be(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5 at all")
    write(tmp_path / "other.h5", dataset="/elsewhere")
    for name, reason in [("text.h5", "OSError: "), ("other.h5", "has no dataset /entry/data/data")]:
        assets = Assets()
        ids = area_detector(assets, tmp_path / name, [0])
        column = assets.column(descriptor([4, 5]), "img", datum_ids=ids)
        ((first, stop, path, said),) = lost(column)
        assert (first, stop, path) == (0, 1, name)
        assert said.startswith(reason)


def test_a_file_that_is_not_complete_yet(tmp_path):
    assets = Assets()
    ids = area_detector(assets, write(tmp_path / "a.h5", FRAMES[:4]), range(6))
    column = assets.column(descriptor([4, 5]), "img", datum_ids=ids)
    assert lost(column) == [(4, 6, "a.h5", "holds 4 of 6 points; is it still being written?")]
    np.testing.assert_array_equal(all_rows(column)[:4], FRAMES[:4])
    (block,) = column.blocks
    assert (block.rows, block.start, block.stop) == (4, 0, 4)


def test_a_file_that_another_process_is_writing_with_swmr(tmp_path):
    path = tmp_path / "a.h5"
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import h5py, numpy, sys\n"
            f"file = h5py.File({str(path)!r}, 'w', libver='latest')\n"
            "frames = numpy.arange(120, dtype='u2').reshape(6, 4, 5)\n"
            "shapes = {'chunks': (1, 4, 5), 'maxshape': (None, 4, 5)}\n"
            "file.create_dataset('/entry/data/data', data=frames, **shapes)\n"
            "file.swmr_mode = True\n"
            "print('ready', flush=True)\n"
            "sys.stdin.read()\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout.readline() == "ready\n"
        assets = Assets()
        ids = area_detector(assets, path, range(6))
        column = assets.column(descriptor([4, 5]), "img", datum_ids=ids)
        np.testing.assert_array_equal(all_rows(column), FRAMES)
        assert column.missing == []
    finally:
        writer.communicate("")
    assert writer.returncode == 0


def test_frames_of_another_kind_are_not_mixed_in(tmp_path):
    assets = Assets()
    ids = area_detector(assets, write(tmp_path / "a.h5"), [0], uid="a")
    ids += area_detector(assets, write(tmp_path / "b.h5", FRAMES.astype("f4")), [0], uid="b")
    ids += area_detector(assets, write(tmp_path / "c.h5", FRAMES[:, :2]), [0], uid="c")
    column = assets.column(descriptor([4, 5]), "img", datum_ids=ids)
    assert column.dtype == "uint16"
    assert [(first, path) for first, _, path, _ in lost(column)] == [(1, "b.h5"), (2, "c.h5")]


def test_tiff_files_through_a_handler(tmp_path):
    for number in (0, 1, 3):
        tifffile.imwrite(tmp_path / f"img_{number:03d}.tiff", FRAMES[number])
    assets = Assets()
    kwargs = {"template": "%s%s_%03d.tiff", "filename": "img", "frame_per_point": 1}
    assets.resource(
        {
            "uid": "r",
            "spec": "AD_TIFF",
            "root": str(tmp_path),
            "resource_path": "",
            "resource_kwargs": kwargs,
        }
    )
    page = {"resource": "r", "datum_id": list("abcd"), "datum_kwargs": {"point_number": [0, 1, 2, 3]}}
    assets.datum_page(page)
    column = assets.column(descriptor([4, 5]), "img", datum_ids=list("abcd"))
    values = all_rows(column)
    np.testing.assert_array_equal(values[[0, 1, 3]], FRAMES[[0, 1, 3]])
    assert lost(column) == [(2, 3, "img_002.tiff", "no such file")]
    assert column.blocks is None
    assert [path.name for path in column.files] == [f"img_{n:03d}.tiff" for n in range(4)]


def test_a_spec_without_handler(tmp_path):
    assets = Assets()
    ids = area_detector(assets, tmp_path / "a", [0], spec="MY_OWN")
    column = assets.column(descriptor([4, 5]), "img", datum_ids=ids)
    assert lost(column) == [(0, 1, "a", "no handler for 'MY_OWN' is installed")]


@needs_real_data
def test_a_packed_run(tmp_path):
    import msgpack
    import msgpack_numpy

    folder = real_data() / "packed-simple"
    path = folder / "documents" / "4e22852d-33b1-49d2-bf73-2b1478a8f0b4.msgpack"
    root = "f8483b80395561ac779a5425da6646ca"
    assets = Assets({root: str(folder / "external_files" / root)})
    ids = []
    with open(path, "rb") as file:
        for name, doc in msgpack.Unpacker(file, object_hook=msgpack_numpy.decode):
            if name in ("resource", "datum_page"):
                getattr(assets, name)(doc)
            elif name == "descriptor":
                described = doc
            elif name == "event_page":
                ids += doc["data"]["img"]
    column = assets.column(described, "img", datum_ids=ids)
    expected = np.load(folder / "external_files" / root / "4d0d22_0.npy")
    np.testing.assert_array_equal(all_rows(column), expected[None])
    assert column.dtype == expected.dtype
    assert column.missing == []
    column.close()


# -- stream resource, stream datum -----------------------------------------------------------


def stream(assets, uri, mimetype, parameters, ranges, uid="s1", data_key="img"):
    assets.stream_resource(
        {"uid": uid, "uri": uri, "mimetype": mimetype, "parameters": parameters, "data_key": data_key}
    )
    for number, (indices, seq_nums) in enumerate(ranges):
        assets.stream_datum(
            {
                "uid": f"{uid}/{number}",
                "stream_resource": uid,
                "descriptor": "d1",
                "indices": {"start": indices[0], "stop": indices[1]},
                "seq_nums": {"start": seq_nums[0], "stop": seq_nums[1]},
            }
        )


HDF5 = "application/x-hdf5"


@pytest.mark.parametrize(
    ("declared", "parameters", "points", "expected"),
    [
        ([4, 5], {}, 6, FRAMES),
        ([1, 4, 5], {}, 6, FRAMES[:, None]),
        ([2, 4, 5], {}, 3, FRAMES.reshape(3, 2, 4, 5)),
        ([4, 5], {"multiplier": 2}, 3, FRAMES.reshape(3, 2, 4, 5)),
        ([1, 4, 5], {"multiplier": 1}, 6, FRAMES[:, None]),
        ([4, 5], {"multiplier": 1, "swmr": True, "chunk_shape": [1, 4, 5]}, 6, FRAMES),
    ],
)
def test_hdf5_stream(tmp_path, declared, parameters, points, expected):
    path = write(tmp_path / "a file é.h5", dataset="/entry/data/d")
    assets = Assets()
    half = points // 2
    ranges = [((0, half), (1, half + 1)), ((half, points), (half + 1, points + 1))]
    uri = "file://localhost" + quote(str(path))
    stream(assets, uri, HDF5, {"dataset": "/entry/data/d", **parameters}, ranges)
    for numbers in (None, range(1, points + 1)):
        column = assets.column(descriptor(declared), "img", seq_nums=numbers)
        assert column.missing == []
        np.testing.assert_array_equal(all_rows(column), expected)
        assert column.files == [path]


def test_scalars_in_a_stream(tmp_path):
    path = write(tmp_path / "a.h5", np.arange(3.0), dataset="/x")
    assets = Assets()
    stream(assets, f"file://localhost{path}", HDF5, {"path": "/x"}, [((0, 3), (1, 4))])
    for shape in ([], [1]):
        column = assets.column(descriptor(shape, dtype="number"), "img", seq_nums=[1, 2, 3])
        np.testing.assert_array_equal(all_rows(column), [0.0, 1.0, 2.0])


def test_points_are_found_by_seq_num_not_by_place(tmp_path):
    path = write(tmp_path / "a.h5", dataset="/d")
    assets = Assets()
    stream(assets, f"file://{path}", HDF5, {"dataset": "/d"}, [((0, 2), (1, 3)), ((2, 3), (5, 6))])
    column = assets.column(descriptor([4, 5]), "img", seq_nums=[5, 1, 3])
    np.testing.assert_array_equal(all_rows(column)[:2], FRAMES[[2, 0]])
    assert lost(column) == [(2, 3, None, "the run has no stream datum for these points")]
    assert assets.stream_seq_nums("d1") == [1, 2, 5]
    repeated = assets.column(descriptor([4, 5]), "img", seq_nums=[1, 1])
    assert not repeated.readable
    assert "repeat a seq_num" in repeated.missing[0].reason


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_second_stream_resource(tmp_path, goes_on):
    """Its indices begin again at 0, or go on where those of the first end: both are in use."""
    one, other = write(tmp_path / "a.h5", FRAMES[:4], "/d"), write(tmp_path / "b.h5", FRAMES[4:], "/d")
    assets = Assets()
    stream(assets, f"file://{one}", HDF5, {"dataset": "/d"}, [((0, 4), (1, 5))], "s1")
    second = (4, 6) if goes_on else (0, 2)
    stream(assets, f"file://{other}", HDF5, {"dataset": "/d"}, [(second, (5, 7))], "s2")
    column = assets.column(descriptor([4, 5]), "img", seq_nums=range(1, 7))
    assert column.missing == []
    np.testing.assert_array_equal(all_rows(column), FRAMES)


def test_old_stream_resource(tmp_path):
    path = write(tmp_path / "data" / "a.h5")
    assets = Assets({"/ioc": str(tmp_path)})
    assets.stream_resource(
        {
            "uid": "s1",
            "spec": "AD_HDF5_SWMR",
            "root": "/ioc",
            "resource_path": "data/a.h5",
            "resource_kwargs": {"path": "/entry/data/data"},
            "data_key": "img",
        }
    )
    ranges = {"indices": {"start": 0, "stop": 6}, "seq_nums": {"start": 1, "stop": 7}}
    assets.stream_datum({"uid": "x", "stream_resource": "s1", "descriptor": "d1", **ranges})
    column = assets.column(descriptor([4, 5]), "img")
    np.testing.assert_array_equal(all_rows(column), FRAMES)
    assert column.files == [path]


@pytest.mark.parametrize(
    ("declared", "parameters", "names", "expected"),
    [
        (
            [1, 4, 5],
            {"template": "img_{:05d}.tif", "chunk_shape": [1, 4, 5]},
            "img_{:05d}.tif",
            FRAMES[:, None],
        ),
        ([4, 5], {"template": "/%s_%03d.tif", "filename": "x"}, "x_{:03d}.tif", FRAMES),
        (
            [2, 4, 5],
            {"template": "i{:d}.tif", "chunk_shape": [1, 4, 5]},
            "i{:d}.tif",
            FRAMES.reshape(3, 2, 4, 5),
        ),
        ([2, 4, 5], {"template": "i{:d}.tif", "multiplier": 2}, "i{:d}.tif", FRAMES.reshape(3, 2, 4, 5)),
    ],
)
def test_tiff_sequence(tmp_path, declared, parameters, names, expected):
    for number, frame in enumerate(FRAMES):
        tifffile.imwrite(tmp_path / names.format(number), frame)
    assets = Assets()
    mimetype = "multipart/related;type=image/tiff"
    points = len(expected)
    stream(assets, f"file://localhost{tmp_path}/", mimetype, parameters, [((0, points), (1, points + 1))])
    column = assets.column(descriptor(declared), "img", seq_nums=range(1, points + 1))
    assert column.missing == []
    np.testing.assert_array_equal(all_rows(column), expected)


def test_tiff_stack_in_one_file(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", FRAMES, photometric="minisblack")
    assets = Assets()
    stream(assets, f"file://{tmp_path}/stack.tif", "image/tiff", {}, [((1, 5), (1, 5))])
    column = assets.column(descriptor([4, 5]), "img", seq_nums=[1, 2, 3, 4])
    np.testing.assert_array_equal(all_rows(column), FRAMES[1:5])
    column.close()


def test_hdf5_one_file_a_point(tmp_path):
    for number, frame in enumerate(FRAMES[:3]):
        write(tmp_path / f"f_{number}.h5", frame[None], "/d")
    assets = Assets()
    parameters = {"template": "f_{:d}.h5", "dataset": "/d"}
    stream(assets, f"file://{tmp_path}/", HDF5, parameters, [((0, 3), (1, 4))])
    column = assets.column(descriptor([1, 4, 5]), "img", seq_nums=[1, 2, 3])
    np.testing.assert_array_equal(all_rows(column), FRAMES[:3, None])


@pytest.mark.parametrize(
    ("mimetype", "parameters", "reason"),
    [
        ("text/csv", {}, "no reader for text/csv without a dataset"),
        (HDF5, {}, "no reader for application/x-hdf5 without a dataset"),
        (
            HDF5,
            {"dataset": "/d", "slice": ":,0"},
            "the parameter 'slice' of its stream resource is not known here",
        ),
    ],
)
def test_what_has_no_reader_is_said(tmp_path, mimetype, parameters, reason):
    assets = Assets()
    stream(assets, f"file://{tmp_path}/a", mimetype, parameters, [((0, 1), (1, 2))])
    column = assets.column(descriptor([4, 5]), "img", seq_nums=[1])
    assert lost(column) == [(0, 1, "a", reason)]


def test_events_without_the_field_are_absent_not_lost(tmp_path):
    assets = Assets()
    ids = area_detector(assets, write(tmp_path / "a.h5"), [0, 1])
    without = {"uid": "d0", "name": "primary", "data_keys": {}}
    column = assets.joined("img", [Piece(without, 2), Piece(descriptor([4, 5]), 2, ids)])
    assert [(m.first, m.stop, m.absent) for m in column.missing] == [(0, 2, True)]
    np.testing.assert_array_equal(all_rows(column)[2:], FRAMES[:2])
    (block,) = column.blocks
    assert block.first == 2


@needs_real_data
def test_ophyd_async_documents(tmp_path):
    """The run of bluesky-tiled-plugins: two HDF5 datasets and a TIFF sequence."""
    one = np.arange(3.0)
    two = np.arange(3 * 13 * 17, dtype="i8").reshape(3, 13, 17)
    three = np.arange(3 * 10 * 15, dtype="u1").reshape(3, 10, 15)
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        file["/entry/data/data_1"], file["/entry/data/data_2"] = one, two
    (tmp_path / "tiff_files").mkdir()
    for number, frame in enumerate(three):
        tifffile.imwrite(tmp_path / "tiff_files" / f"img_{number:05d}.tif", frame)
    text = (real_data() / "btp_external_assets.json").read_text()
    text = text.replace("{{ uuid }}", str(uuid.UUID(int=1))[:23]).replace(
        "{{ root_path }}", str(tmp_path)[1:]
    )
    assets, descriptors = Assets(), {}
    for item in json.loads(text):
        if item["name"] == "descriptor":
            descriptors[item["doc"]["name"]] = item["doc"]
        elif item["name"].startswith("stream"):
            getattr(assets, item["name"])(item["doc"])
    for stream_name, field, expected in [
        ("primary", "det-key1", one),
        ("primary", "det-key2", two[:, None]),
        ("secondary", "det-key3", three[:, None]),
    ]:
        column = assets.column(descriptors[stream_name], field)
        assert column.missing == []
        assert column.dtype == expected.dtype
        np.testing.assert_array_equal(all_rows(column), expected)
