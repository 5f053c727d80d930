"""The dx format: what becomes projections, angles, flats and darks; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from bluesky_export.documents import jsontext
from bluesky_export.errors import BadOption, NoData
from bluesky_export.testing import RunMaker
from bluesky_export.testing._external import IMAGE, SHAPE, datum, frames, resource, write_hdf5
from bluesky_export.testing._external_streams import _datum as stream_datum
from bluesky_export.testing._external_streams import _resource as stream_resource
from bluesky_export.testing._kinds import key

from ..checks.dx import check_reference
from ..replaying import replay
from ..shell import new_shell

ANGLE = key("number", units="deg")
DATA, WHITE, DARK = frames(6), frames(2, 10), frames(3, 20)
THETA = [0.0, 30.0, 60.5, 90.0, 120.0, 150.0]


class Tomography(RunMaker):
    """A run with a rotation, and images in HDF5 files as area detectors write them."""

    def open(self, **start: Any) -> None:
        hints = {"dimensions": [[["theta"], "primary"]]}
        self.start(**{"motors": ["theta"], "hints": hints, "plan_name": "tomo_scan", **start})

    def images(self, data: Any, stream: str = "primary", angles: Any = None, **more: Any) -> None:
        """Emit a stream whose images are in a file of its own."""
        write_hdf5(self.folder / f"{stream}.h5", data)
        angles = THETA[: len(data)] if angles is None else angles
        columns = {"theta": (ANGLE, angles), **more}
        configuration = {
            "det": {"data": {"exposure": 0.25}, "timestamps": {"exposure": 1.0}, "data_keys": {}}
        }
        keys = {name: data_key for name, (data_key, _) in columns.items()}
        self.descriptor({**keys, "image": IMAGE}, stream, configuration=configuration)
        uid = resource(self, f"{stream}.h5")
        for row in range(len(data)):
            values = {name: column[row] for name, (_, column) in columns.items()}
            self.event({**values, "image": datum(self, uid, row)}, stream, filled={"image": False})


@pytest.fixture
def run(tmp_path: Path) -> Tomography:
    return Tomography("tomo", tmp_path)


def write(run: RunMaker, **options: Any) -> Any:
    folder = run.folder / "out"
    folder.mkdir(exist_ok=True)
    written = replay("dx", run.made.documents, folder, **options)
    check_reference(written.files[0])
    return written


def whole(run: Tomography, **start: Any) -> None:
    run.open(**start)
    run.images(DATA)
    run.images(WHITE, "flats", [0.0, 150.0])
    run.images(DARK, "darks", [0.0] * 3)
    run.stop()


def test_a_tomography_run(run):
    whole(run, sample={"name": "bone", "mass": 0.5, "odd": None}, beamline_id="2-BM")
    written = write(run, white="flats", dark="darks")
    assert written.files[0].name.endswith(".dx.h5")
    assert not written.partial
    with h5py.File(written.files[0]) as file:
        exchange = file["exchange"]
        for name, values in (("data", DATA), ("data_white", WHITE), ("data_dark", DARK)):
            assert exchange[name].dtype == np.uint16
            assert np.array_equal(exchange[name][()], values)
            assert exchange[name].attrs["units"] == "counts"
        assert exchange["theta"][()].tolist() == THETA
        assert exchange["theta_white"][()].tolist() == [0.0, 150.0]
        assert exchange["theta_dark"][()].tolist() == [0.0] * 3
        assert file["measurement/sample/name"].asstr()[()] == "bone"
        assert file["measurement/sample/mass"][()] == 0.5
        assert file["measurement/instrument/name"].asstr()[()] == "2-BM"
        assert file["measurement/instrument/det/setup/exposure"][()] == 0.25
        assert file["process/actor_1/name"].asstr()[()] == "tomo_scan"
        assert file["process/table/status"].asstr()[()] == "SUCCESS"
        inner = file["measurement/bluesky"]
        start = jsontext.loads(inner["documents/start"].asstr()[()])
        assert start == run.made.documents[0][1]
        assert inner["primary/theta"][()].tolist() == THETA
        assert len(inner["flats/timestamps/image"]) == 2


def test_chunks_are_moved_as_they_are(run):
    whole(run)
    (path,) = write(run).files
    with h5py.File(path) as file, h5py.File(run.folder / "primary.h5") as detector:
        mine, theirs = file["exchange/data"], detector["entry/data/data"]
        assert mine.chunks == theirs.chunks == (1, *SHAPE)
        assert mine.compression == theirs.compression == "gzip"
        for n in range(len(DATA)):
            assert mine.id.read_direct_chunk((n, 0, 0)) == theirs.id.read_direct_chunk((n, 0, 0))


def test_streams_are_not_guessed(run):
    whole(run)
    (path,) = write(run).files
    with h5py.File(path) as file:
        assert "data_white" not in file["exchange"]
        assert np.array_equal(file["measurement/bluesky/flats/image"][()], WHITE[:, None])


def test_an_image_key(run):
    run.open()
    keys = [2, 1, 0, 0, 3, 1]
    run.images(DATA, which=(key("integer"), keys))
    run.stop()
    written = write(run, image_key="which")
    with h5py.File(written.files[0]) as file:
        exchange = file["exchange"]
        for ending, number in (("", 0), ("_white", 1), ("_dark", 2)):
            rows = np.flatnonzero(np.array(keys) == number)
            assert np.array_equal(exchange[f"data{ending}"][()], DATA[rows])
            assert exchange[f"theta{ending}"][()].tolist() == [THETA[row] for row in rows]
            assert exchange[f"row{ending}"][()].tolist() == rows.tolist()
    assert any("1 points whose which is none of 0, 1, 2" in notice for notice in written.notices)


def test_flats_in_a_field_and_data_in_another_stream(run):
    run.open()
    run.images(DATA, "tomo", flat=(key("array", SHAPE, dtype_numpy="<u2"), list(frames(6, 40))))
    run.stop()
    with pytest.raises(NoData, match=r"no images for dx; .*data=STREAM.FIELD"):
        write(run)
    (path,) = write(run, data="tomo.image", white="tomo.flat", theta="theta").files
    with h5py.File(path) as file:
        assert np.array_equal(file["exchange/data"][()], DATA)
        assert np.array_equal(file["exchange/data_white"][()], frames(6, 40))


def test_two_image_fields_are_said(run):
    run.open()
    run.images(DATA, second=(key("array", [2, 3], dtype_numpy="<u2"), [np.ones((2, 3), "u2")] * 6))
    run.stop()
    written = write(run)
    assert any("the projections are primary." in n and "option data=FIELD" in n for n in written.notices)


# -- angles --------------------------------------------------------------------------------------


def scan_of(run: Tomography, units: dict[str, str | None], **start: Any) -> None:
    run.start(motors=list(units), hints={"dimensions": [[list(units), "primary"]]}, **start)
    keys = {name: key("number", **({"units": unit} if unit else {})) for name, unit in units.items()}
    run.descriptor({**keys, "image": key("array", SHAPE, dtype_numpy="<u2")})
    for row in range(3):
        run.event({**{name: THETA[row] + n for n, name in enumerate(units)}, "image": DATA[row]})
    run.stop()


def test_radians_become_degrees(run):
    scan_of(run, {"m": "rad"})
    written = write(run)
    with h5py.File(written.files[0]) as file:
        assert file["exchange/theta"][()].tolist() == np.rad2deg(THETA[:3]).tolist()
        assert file["measurement/bluesky/primary/m"][()].tolist() == THETA[:3]
    assert any("m is in rad and was written in degrees" in notice for notice in written.notices)


def test_the_motor_that_turns_is_the_angle(run):
    scan_of(run, {"x": "mm", "rot": "degrees", "y": None})
    (path,) = write(run).files
    with h5py.File(path) as file:
        assert file["exchange/theta"][()].tolist() == [value + 1 for value in THETA[:3]]


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ({"x": "mm"}, r"none of the scanned motors, x \(mm\), is the angle"),
        ({"a": None, "b": None}, "a and b could be the angle"),
        ({"a": "deg", "b": "deg"}, "a and b could be the angle"),
        ({}, "no scanned motor is the angle"),
    ],
)
def test_without_an_angle_the_option_is_named(run, units, said):
    scan_of(run, units)
    with pytest.raises(NoData, match=said + r"; name it: --option theta=FIELD \(fields: "):
        write(run)
    assert list((run.folder / "out").iterdir()) == []
    if units:
        name = list(units)[-1]
        written = write(run, theta=name)
        assert (units[name] == "deg") or any("readers take theta for degrees" in n for n in written.notices)


def test_an_angle_from_a_detector_file(run):
    run.open(motors=[], hints={})
    write_hdf5(run.folder / "panda.h5", np.array(THETA))
    angle = key("number", [1], external="STREAM:", dtype_numpy="<f8", units="deg")
    run.descriptor({"image": key("array", SHAPE, dtype_numpy="<u2"), "angle": angle})
    uri = f"file://localhost{run.folder / 'panda.h5'}"
    uid = stream_resource(
        run, uri, "angle", "application/x-hdf5", dataset="/entry/data/data", chunk_shape=[1]
    )
    stream_datum(run, uid, 0, 6)
    for image in DATA:
        run.event({"image": image})
    run.stop()
    (path,) = write(run, theta="angle").files
    with h5py.File(path) as file:
        assert file["exchange/theta"][()].tolist() == THETA


def test_frames_of_one_point_have_one_angle(run):
    run.open()
    run.descriptor({"theta": ANGLE, "image": key("array", [2, *SHAPE], dtype_numpy="<u2")})
    for row in range(3):
        run.event({"theta": THETA[row], "image": DATA[2 * row : 2 * row + 2]})
    run.stop()
    written = write(run)
    with h5py.File(written.files[0]) as file:
        assert np.array_equal(file["exchange/data"][()], DATA)
        assert file["exchange/theta"][()].tolist() == [value for value in THETA[:3] for _ in range(2)]
    assert any("the 2 frames of a point have one angle" in notice for notice in written.notices)


# -- what is missing, what is refused ------------------------------------------------------------


def test_a_projection_that_is_gone_goes_with_its_angle(run):
    for n, image in enumerate(DATA):
        np.save(run.folder / f"point_{n}.npy", image)
    (run.folder / "point_2.npy").unlink()
    run.open()
    run.descriptor({"theta": ANGLE, "image": {**IMAGE, "shape": list(SHAPE)}})
    uid = resource(run, "point", spec="NPY_SEQ", resource_kwargs={})
    for n, angle in enumerate(THETA):
        datum_id = datum(run, uid, n, datum_kwargs={"index": n})
        run.event({"theta": angle, "image": datum_id}, filled={"image": False})
    run.stop()
    written = write(run)
    assert written.partial
    assert any("primary.image, rows 2 to 2: not read" in notice for notice in written.notices)
    with h5py.File(written.files[0]) as file:
        assert np.array_equal(file["exchange/data"][()], DATA[[0, 1, 3, 4, 5]])
        assert file["exchange/theta"][()].tolist() == [THETA[row] for row in (0, 1, 3, 4, 5)]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (
            {"data": "imag"},
            NoData,
            r"data=imag: run \d+ \(.*\) has no such field; its fields: primary.theta",
        ),
        ({"data": "theta"}, NoData, "primary.theta has no images: numbers"),
        ({"theta": "rot"}, NoData, "theta=rot: stream primary of this run has no such field"),
        ({"theta": "image"}, BadOption, "has not one number for each point"),
        ({"white": "flat"}, NoData, "white=flat: run"),
        ({"dark": "small"}, BadOption, r"its frames are \(2, 3\), the projections \(4, 6\)"),
        ({"image_key": "theta", "dark": "darks"}, BadOption, "do not go with it"),
        ({"image_key": "key"}, NoData, "image_key=key: stream primary has no field of that name"),
        ({"images": "link"}, BadOption, "--images link is not for it"),
        ({"images": "skip"}, BadOption, "--images skip is not for it"),
    ],
)
def test_options_that_do_not_fit(run, options, error, said):
    run.open()
    run.images(DATA)
    run.descriptor({"x": key("array", [2, 3], dtype_numpy="<u2")}, "small")
    run.event({"x": np.ones((2, 3), "u2")}, "small")
    run.stop()
    with pytest.raises(error, match=said):
        write(run, **options)
    assert list((run.folder / "out").iterdir()) == []


# -- in a session --------------------------------------------------------------------------------

SETUP = """
import databroker
import numpy as np
from bluesky import RunEngine, plans as bp, plan_stubs as bps, preprocessors as bpp
from ophyd.sim import SynSignal, motor
db = databroker.temp()
RE = RunEngine({})
_ = RE.subscribe(db.insert)
%load_ext bluesky_export
shots = iter(range(100))
camera = SynSignal(name="camera", func=lambda: np.full((4, 5), next(shots), "u2"))

@bpp.run_decorator(md={"plan_name": "tomo", "motors": ["motor"]})
def tomo():
    for angle in (0, 90, 180):
        yield from bps.mv(motor, angle)
        yield from bps.trigger_and_read([camera, motor])
    yield from bps.trigger_and_read([camera], name="flat")
"""


def test_live_and_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "live").mkdir()
    with new_shell() as shell:
        shell.run(SETUP)
        shell.run("%attach_writer dx live/ --option white=flat")
        shell.run("uids = RE(tomo()) + RE(bp.count([camera]))")
        shell.run("%detach_writer")
        shell.run("%export -2 dx exported.h5 --option white=flat")
        (live,) = (tmp_path / "live").iterdir()
        for path in (live, tmp_path / "exported.h5"):
            check_reference(path)
            with h5py.File(path) as file:
                first = file["exchange/data"][0, 0, 0]
                assert file["exchange/data"][:, 0, 0].tolist() == [first, first + 1, first + 2]
                assert file["exchange/theta"][()].tolist() == [0, 90, 180]
                assert file["exchange/data_white"][:, 0, 0].tolist() == [first + 3]
        assert "no scanned motor is the angle; name it: --option theta=FIELD" in shell.fails(
            "%export -1 dx"
        )
        assert "image_key" in shell.run("%export --help dx")
