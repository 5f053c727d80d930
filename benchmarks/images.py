"""An area detector's images: copied, linked, made into TIFF and Data Exchange files."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import _runs, _stores
from ._compete import Contender, Contest

Work = Callable[[str, Path], None]
DATASET = "entry/data/data"
FIELD = "image"


@functools.lru_cache(8)
def frame(number: int, size: int) -> np.ndarray:
    """Return a frame as a detector has it: noise about a level, with a bright place."""
    random = np.random.default_rng(number)
    image = random.poisson(20, (size, size)).astype("<u2")
    image[size // 3 : size // 2, size // 4 : size // 3] += np.uint16(1000 + number)
    return image


def write_file(path: Path, frames: int, size: int, compression: str | None) -> None:
    """Write a file as an area detector's HDF5 plug-in does, a frame a chunk."""
    import h5py

    with h5py.File(path, "w") as file:
        more = {"compression": compression, "compression_opts": 1, "shuffle": True} if compression else {}
        shape = (frames, size, size)
        data = file.create_dataset(DATASET, shape, "<u2", chunks=(1, size, size), **more)
        for number in range(frames):
            data[number] = frame(number, size)


def documents(folder: Path, frames: int, size: int, name: str) -> Iterator[_runs.Pair]:
    """Yield the documents of a scan with a frame a point."""
    uid = _runs.uid_of(f"{folder}/{name}")
    primary, resource = _runs.uid_of(f"{uid}/primary"), _runs.uid_of(f"{uid}/resource")
    yield "start", _runs.start_doc(uid, frames)
    keys = _runs.descriptor(primary, uid, "primary", [_runs.MOTOR, FIELD])
    keys["data_keys"][FIELD] = {
        "dtype": "array", "shape": [1, size, size], "source": "PV:image", "external": "FILESTORE:",
        "dtype_numpy": "<u2", "object_name": FIELD,
    }  # fmt: skip
    yield "descriptor", keys
    doc = {
        "uid": resource, "run_start": uid, "spec": "AD_HDF5", "root": str(folder), "resource_path": name,
        "resource_kwargs": {"frame_per_point": 1}, "path_semantics": "posix",
    }  # fmt: skip
    yield "resource", doc
    ids = [f"{resource}/{point}" for point in range(frames)]
    points = {"point_number": list(range(frames))}
    yield "datum_page", {"resource": resource, "datum_id": ids, "datum_kwargs": points}
    page = _runs._page(primary, 0, {_runs.MOTOR: np.linspace(-1, 1, frames)})
    page["data"][FIELD] = ids
    page["timestamps"][FIELD] = page["time"]
    page["filled"] = {FIELD: [False] * frames}
    yield "event_page", page
    yield "stop", _runs.stop_doc(_runs.uid_of(f"{uid}/stop"), uid, {"primary": frames}, _runs.START + 1e5)


def images(folder: Path, frames: int, size: int, compression: str | None) -> dict[str, Any]:
    """Return a catalog with such a run, and one of two small frames."""
    folder.mkdir(parents=True)
    write_file(folder / "small.h5", 2, 16, compression)
    write_file(folder / "run.h5", frames, size, compression)
    return {
        "kind": "databroker",
        "path": f"{folder}/*.msgpack",
        "small": _stores.write_msgpack(folder, documents(folder, 2, 16, "small.h5")),
        "run": _stores.write_msgpack(folder, documents(folder, frames, size, "run.h5")),
        "folder": str(folder),
        "frames": frames,
        "size": size,
    }


def _file_of(store: dict[str, Any], run: str) -> Path:
    return Path(store["folder"], "small.h5" if run == store["small"] else "run.h5")


# -- contenders --------------------------------------------------------------------------------


def ours(store: dict[str, Any]) -> Work:
    from bluesky_export import export

    catalog = _stores.open_store(store)

    def work(run: str, out: Path) -> None:
        export(run, store["format"], f"{out}/", catalog=catalog, **store["options"])

    return work


def copy(store: dict[str, Any]) -> Work:
    """``cp`` of the detector's file, and its data on the disk, as we see to."""

    def work(run: str, out: Path) -> None:
        shutil.copyfile(_file_of(store, run), out / "copy.h5")
        with (out / "copy.h5").open("rb") as file:
            os.fsync(file.fileno())

    return work


def nxwriter(store: dict[str, Any]) -> Work:
    """Replay into apstools' NXWriter, which copies the images."""
    from .tabular import replay_nexus

    return replay_nexus(store)


def tifffile_stack(store: dict[str, Any]) -> Work:
    """tifffile on frames that are in memory already; what ours reads first."""
    import h5py
    import tifffile

    with h5py.File(_file_of(store, store["run"])) as file:
        frames = file[DATASET][()]

    def work(run: str, out: Path) -> None:  # noqa: ARG001
        path = out / "stack.tif"
        tifffile.imwrite(path, frames, photometric="minisblack", imagej=True)
        with path.open("rb") as file:
            os.fsync(file.fileno())

    return work


# -- what is in the files ----------------------------------------------------------------------


def _checked(store: dict[str, Any], links: bool = False) -> Callable[[Path], None]:
    """Compare some frames, the first and the last among them, with what was measured."""
    wanted = sorted({0, 1, store["frames"] // 2, store["frames"] - 1})

    def check(out: Path) -> None:
        import h5py
        import tifffile

        files = [
            path
            for path in out.iterdir()
            if path.suffix in (".h5", ".hdf", ".hdf5", ".nxs", ".tif", ".tiff")
        ]
        assert len(files) == 1, files
        if files[0].suffix.startswith(".tif"):
            found = tifffile.imread(files[0], key=wanted)
        else:
            with h5py.File(files[0]) as file:
                data = _dataset(file, store)
                assert links or data.file.filename == str(files[0])
                found = np.stack([np.asarray(data[number]).reshape(store["size"], -1) for number in wanted])
        for number, image in zip(wanted, found, strict=True):
            assert image.dtype == np.dtype("<u2")
            assert np.array_equal(image, frame(number, store["size"])), (files[0].name, number)

    return check


def _dataset(file: Any, store: dict[str, Any]) -> Any:
    """Return the dataset that holds all frames, whatever the format calls it."""
    import h5py

    many = store["frames"] * store["size"] ** 2

    def search(group: Any) -> Any:
        for name in group:
            item = group.get(name)
            if isinstance(item, h5py.Dataset):
                if item.shape[0:1] == (store["frames"],) and item.size == many:
                    return item
            elif isinstance(item, h5py.Group):
                found = search(item)
                if found is not None:
                    return found
        return None

    found = search(file)
    assert found is not None, file.filename
    return found


# -- the contests ------------------------------------------------------------------------------


@contextmanager
def suite(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """100 and 1,000 frames of 512², 100 of 2048², uint16, plain and compressed."""
    sizes = [(4, 64)] if quick else [(100, 512), (1000, 512), (100, 2048)]
    contests: list[Contest] = []
    for frames, size in sizes:
        for compression in (None, "gzip"):
            many = f"{frames:,} frames of {size}², {compression or 'plain'}"
            name = f"images-{frames}-{size}-{compression or 'plain'}"
            store = images(folder / name, frames, size, compression)
            for form in ("hdf5", "nexus", "dx"):
                options: dict[str, Any] = {"images": "copy"}
                if form == "dx":
                    options["options"] = {"theta": _runs.MOTOR}
                one = {**store, "format": form, "options": options}
                others = [Contender("floor", "cp of the detector's file", f"{__name__}:copy")]
                if form == "nexus":
                    others.append(
                        Contender("peer", "replay into NXWriter", f"{__name__}:nxwriter", rounds=2)
                    )
                contests.append(_contest(f"{name}-{form}", f"{many} → {form}, copied", one, others))
            one = {**store, "format": "nexus", "options": {"images": "link"}}
            contests.append(_contest(f"{name}-link", f"{many} → nexus, linked", one, [], links=True))
            one = {**store, "format": "tiff", "options": {}}
            floor = Contender("floor", "tifffile, frames in memory", f"{__name__}:tifffile_stack")
            contests.append(_contest(f"{name}-tiff", f"{many} → tiff", one, [floor]))
    yield contests


def _contest(
    name: str, title: str, store: dict[str, Any], others: list[Contender], links: bool = False
) -> Contest:
    given = {**store["options"], **store["options"].get("options", {})}
    words = " ".join(f"--{key} {value}" for key, value in given.items() if key != "options")
    me = Contender("ours", f"%export {store['format']} {words}".strip(), f"{__name__}:ours")
    return Contest(name, title, store, [me, *others], _checked(store, links))


SUITES = {"images": suite}
