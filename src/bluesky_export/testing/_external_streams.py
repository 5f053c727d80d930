"""Runs whose data are in files that ``stream_resource`` and ``stream_datum`` documents tell of."""

from __future__ import annotations

from typing import Any

from ._external import SHAPE, frames, write_hdf5
from ._kinds import NUMBER, Kinds, RunMaker, key

KINDS = Kinds()


def _key(dtype: str = "<u2", shape: tuple[int, ...] = (1, *SHAPE)) -> dict[str, Any]:
    return key("array", list(shape), external="STREAM:", dtype_numpy=dtype)


def _resource(run: RunMaker, uri: str, field: str, mimetype: str, **parameters: Any) -> str:
    doc = {
        "uid": run.new_uid(),
        "run_start": run.uid,
        "data_key": field,
        "mimetype": mimetype,
        "uri": uri,
        "parameters": parameters,
    }
    return str(run.emit("stream_resource", doc)["uid"])


def _datum(run: RunMaker, of: str, start: int, stop: int, first: int = 1, stream: str = "primary") -> None:
    """Emit a stream datum: entries ``start`` to ``stop`` are the points from ``first`` on."""
    numbers = {"start": first, "stop": first + stop - start}
    run.emit(
        "stream_datum",
        {
            "uid": f"{of}/{start}",
            "stream_resource": of,
            "descriptor": run.descriptor_uid(stream),
            "indices": {"start": start, "stop": stop},
            "seq_nums": numbers,
        },
    )


def _begin(run: RunMaker, field: dict[str, Any]) -> None:
    run.start()
    run.descriptor({"m": NUMBER, "image": field})


def _points(run: RunMaker, images: list[Any]) -> None:
    for row in range(len(images)):
        run.event({"m": row / 7})
    run.made.external["primary", "image"] = images


def _hdf5(run: RunMaker, name: str) -> str:
    uri = f"file://localhost{run.folder / name}"
    return _resource(
        run, uri, "image", "application/x-hdf5", dataset="/entry/data/data", chunk_shape=[1, *SHAPE]
    )


@KINDS.run("stream-hdf5", "a stream's images in one HDF5 file, told of piece by piece", "external")
def _stream_hdf5(run: RunMaker) -> None:
    data = frames(4)
    write_hdf5(run.folder / "stream.h5", data)
    _begin(run, _key())
    uid = _hdf5(run, "stream.h5")
    _datum(run, uid, 0, 1)
    _datum(run, uid, 1, 4, 2)
    _points(run, [image[None] for image in data])
    run.stop()


@KINDS.run("stream-two-hdf5", "a stream's images in two HDF5 files, one after the other", "external")
def _stream_two(run: RunMaker) -> None:
    data = frames(4)
    write_hdf5(run.folder / "a.h5", data[:2])
    write_hdf5(run.folder / "b.h5", data[2:])
    _begin(run, _key())
    _datum(run, _hdf5(run, "a.h5"), 0, 2)
    _datum(run, _hdf5(run, "b.h5"), 2, 4, 3)
    _points(run, [image[None] for image in data])
    run.stop()


@KINDS.run("stream-tiff", "a sequence of TIFF files, one a point", "external")
def _stream_tiff(run: RunMaker) -> None:
    import tifffile

    data = frames(3, dtype="|u1")
    for n, image in enumerate(data):
        tifffile.imwrite(run.folder / f"img_{n:05d}.tif", image)
    _begin(run, _key("|u1"))
    uri = f"file://localhost{run.folder}/"
    parameters = {"template": "img_{:05d}.tif", "join_method": "stack", "chunk_shape": [1, *SHAPE]}
    uid = _resource(run, uri, "image", "multipart/related;type=image/tiff", **parameters)
    _datum(run, uid, 0, 3)
    _points(run, [image[None] for image in data])
    run.stop()


@KINDS.run("stream-file-per-point", "one HDF5 file a point, each a resource of its own", "external")
def _file_per_point(run: RunMaker) -> None:
    data = frames(3)
    _begin(run, _key())
    for n, image in enumerate(data):
        write_hdf5(run.folder / f"point_{n}.h5", image[None])
        _datum(run, _hdf5(run, f"point_{n}.h5"), n, n + 1, n + 1)
    _points(run, [image[None] for image in data])
    run.stop()


@KINDS.run("stream-scalars", "a number a point, in an HDF5 file", "external")
def _scalars(run: RunMaker) -> None:
    import numpy as np

    data = np.linspace(0, 1, 5)
    write_hdf5(run.folder / "numbers.h5", data)
    run.start()
    number = key("number", [1], external="STREAM:", dtype_numpy="<f8")
    run.descriptor({"m": NUMBER, "image": number})
    uri = f"file://localhost{run.folder / 'numbers.h5'}"
    uid = _resource(run, uri, "image", "application/x-hdf5", dataset="/entry/data/data", chunk_shape=[1])
    _datum(run, uid, 0, 5)
    _points(run, list(data))
    run.stop()


@KINDS.run("stream-missing", "stream datums of an HDF5 file that is not there", "unreadable")
def _missing(run: RunMaker) -> None:
    _begin(run, _key())
    _datum(run, _hdf5(run, "gone.h5"), 0, 3)
    _points(run, [None] * 3)
    run.stop()


@KINDS.run("stream-behind", "events whose images no stream datum has told of yet", "external unreadable")
def _behind(run: RunMaker) -> None:
    data = frames(2)
    write_hdf5(run.folder / "stream.h5", data)
    _begin(run, _key())
    _datum(run, _hdf5(run, "stream.h5"), 0, 2)
    _points(run, [*(image[None] for image in data), None])
