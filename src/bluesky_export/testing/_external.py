"""Runs whose data are in detector files that ``resource`` and ``datum`` documents tell of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ._kinds import NUMBER, Kinds, RunMaker, key

KINDS = Kinds()

SHAPE = (4, 6)
IMAGE = key("array", [1, *SHAPE], external="FILESTORE:", dtype_numpy="<u2")
_DATASET = "/entry/data/data"


def frames(count: int, first: int = 0, dtype: str = "<u2", shape: tuple[int, ...] = SHAPE) -> Any:
    """Return images, each pixel of which is another number."""
    import math

    import numpy as np

    size = math.prod(shape)
    whole = np.arange((first + count) * size) * 7 % 60_000
    return whole.reshape(first + count, *shape)[first:].astype(dtype)


def write_hdf5(path: Path, data: Any, dataset: str = _DATASET) -> None:
    """Write images as an area detector's HDF5 plug-in does."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset(
            dataset,
            data=data,
            chunks=(1, *data.shape[1:]),
            maxshape=(None, *data.shape[1:]),
            compression="gzip",
        )


def resource(run: RunMaker, path: str, root: str | None = None, **changes: Any) -> str:
    """Emit a resource document; return its uid."""
    doc = {
        "uid": run.new_uid(),
        "run_start": run.uid,
        "spec": "AD_HDF5",
        "root": str(run.folder) if root is None else root,
        "resource_path": path,
        "resource_kwargs": {"frame_per_point": 1},
        "path_semantics": "posix",
        **changes,
    }
    return str(run.emit("resource", doc)["uid"])


def datum(run: RunMaker, of: str, point: int, **changes: Any) -> str:
    """Emit a datum document; return its id."""
    doc = {"resource": of, "datum_id": f"{of}/{point}", "datum_kwargs": {"point_number": point}, **changes}
    return str(run.emit("datum", doc)["datum_id"])


def measure(run: RunMaker, images: list[Any], ids: list[str], field: str = "image") -> None:
    """Emit the events that refer to datums, and keep what they stand for."""
    for row, datum_id in enumerate(ids):
        run.event({"m": row / 7, field: datum_id}, filled={field: False})
    run.made.external["primary", field] = images


def _begin(run: RunMaker, **keys: Any) -> None:
    run.start()
    run.descriptor({"m": NUMBER, **(keys or {"image": IMAGE})})


def _point(data: Any) -> list[Any]:
    """Return the frames as events have them: one to a point, with an axis of their own."""
    return [frame[None] for frame in data]


@KINDS.run("ad-hdf5", "images in an HDF5 file of an area detector", "external")
def _ad_hdf5(run: RunMaker) -> None:
    data = frames(3)
    write_hdf5(run.folder / "images.h5", data)
    _begin(run)
    uid = resource(run, "images.h5")
    measure(run, _point(data), [datum(run, uid, n) for n in range(3)])
    run.stop()


@KINDS.run("ad-hdf5-frames", "several frames a point", "external")
def _frames(run: RunMaker) -> None:
    data = frames(6)
    write_hdf5(run.folder / "images.h5", data)
    _begin(run, image=key("array", [2, *SHAPE], external="FILESTORE:", dtype_numpy="<u2"))
    uid = resource(run, "images.h5", resource_kwargs={"frame_per_point": 2})
    measure(run, list(data.reshape(3, 2, *SHAPE)), [datum(run, uid, n) for n in range(3)])
    run.stop()


@KINDS.run("datum-page", "the datums of an HDF5 file in one page", "external")
def _datum_page(run: RunMaker) -> None:
    data = frames(3, dtype="<f4")
    write_hdf5(run.folder / "images.h5", data)
    _begin(run, image=key("array", [1, *SHAPE], external="FILESTORE:", dtype_numpy="<f4"))
    uid = resource(run, "images.h5")
    ids = [f"{uid}/{n}" for n in range(3)]
    run.emit(
        "datum_page", {"resource": uid, "datum_id": ids, "datum_kwargs": {"point_number": list(range(3))}}
    )
    measure(run, _point(data), ids)
    run.stop()


@KINDS.run("several-resources", "one field whose images are in two files", "external")
def _several(run: RunMaker) -> None:
    data = frames(4)
    write_hdf5(run.folder / "a.h5", data[:2])
    write_hdf5(run.folder / "b.h5", data[2:])
    _begin(run)
    ids = []
    for name in "ab":
        uid = resource(run, f"{name}.h5")
        ids += [datum(run, uid, n) for n in range(2)]
    measure(run, _point(data), ids)
    run.stop()


@KINDS.run("two-detectors", "two image fields beside numbers", "external")
def _two(run: RunMaker) -> None:
    data = {"left": frames(3), "right": frames(3, 5, "|u1")}
    keys = {name: {**IMAGE, "dtype_numpy": values.dtype.str} for name, values in data.items()}
    _begin(run, **keys)
    ids = {}
    for name, values in data.items():
        write_hdf5(run.folder / f"{name}.h5", values)
        uid = resource(run, f"{name}.h5")
        ids[name] = [datum(run, uid, n) for n in range(3)]
        run.made.external["primary", name] = _point(values)
    for row in range(3):
        run.event(
            {"m": row / 7, **{name: ids[name][row] for name in data}}, filled=dict.fromkeys(data, False)
        )
    run.stop()


@KINDS.run("npy-sequence", "one NumPy file a point, read through databroker's handler", "external")
def _npy(run: RunMaker) -> None:
    import numpy as np

    data = frames(3, dtype="<f8")
    for n, image in enumerate(data):
        np.save(run.folder / f"point_{n}.npy", image)
    _begin(run, image=key("array", list(SHAPE), external="FILESTORE:", dtype_numpy="<f8"))
    uid = resource(run, "point", spec="NPY_SEQ", resource_kwargs={})
    ids = [datum(run, uid, n, datum_kwargs={"index": n}) for n in range(3)]
    measure(run, list(data), ids)
    run.stop()


# -- files that are not where, or what, the documents say --------------------------------------


@KINDS.run("file-moved", "an HDF5 file that a root map finds again", "external")
def _moved(run: RunMaker) -> None:
    data = frames(3)
    write_hdf5(run.folder / "moved" / "images.h5", data)
    root = f"/ioc/{run.name}"
    run.made.root_map[root] = str(run.folder / "moved")
    _begin(run)
    uid = resource(run, "images.h5", root)
    measure(run, _point(data), [datum(run, uid, n) for n in range(3)])
    run.stop()


@KINDS.run("file-missing", "an HDF5 file that is not there", "unreadable")
def _missing(run: RunMaker) -> None:
    _begin(run)
    uid = resource(run, "gone.h5")
    measure(run, [None] * 3, [datum(run, uid, n) for n in range(3)])
    run.stop()


@KINDS.run("file-unreadable", "a file that is not HDF5, whatever its name says", "unreadable")
def _unreadable(run: RunMaker) -> None:
    (run.folder / "images.h5").write_bytes(b"not an HDF5 file\n" * 100)
    _begin(run)
    uid = resource(run, "images.h5")
    measure(run, [None] * 3, [datum(run, uid, n) for n in range(3)])
    run.stop()


@KINDS.run("file-growing", "an HDF5 file that has two of the four images so far", "external unreadable")
def _growing(run: RunMaker) -> None:
    data = frames(2)
    write_hdf5(run.folder / "images.h5", data)
    _begin(run)
    uid = resource(run, "images.h5")
    measure(run, [*_point(data), None, None], [datum(run, uid, n) for n in range(4)])


@KINDS.run("datum-unknown", "events that refer to datums that no document tells of", "unreadable")
def _unknown(run: RunMaker) -> None:
    _begin(run)
    measure(run, [None] * 3, [f"nowhere/{n}" for n in range(3)])
    run.stop()


@KINDS.run("filled", "images that were put into the events already", "external array")
def _filled(run: RunMaker) -> None:
    data = frames(3)
    _begin(run)
    for row, image in enumerate(_point(data)):
        run.event({"m": row / 7, "image": image}, filled={"image": True})
    run.made.external["primary", "image"] = _point(data)
    run.stop()
