"""``python -m tests.faults.refusing SHARE ORDER FORMAT KIND STEP``: export while a share refuses a write.

SHARE is a mounted :mod:`tests.faults.share`, ORDER the file that tells it which write, KIND the run's:
``numbers``, ``appended`` (to one file) or ``images``. A crash of this process is one of the things that the
test looks for: HDF5 is known for it.
"""

from __future__ import annotations

import gc
import re
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from bluesky_export.errors import BlueskyExportError
from bluesky_export.formats import Written, writer_class
from bluesky_export.outputs import Target
from bluesky_export.testing import RunMaker
from bluesky_export.testing._external import datum, frames, measure, resource, write_hdf5
from bluesky_export.testing._kinds import NUMBER, key
from bluesky_export.testing.kit import replay

from ..replaying import run_of

Run = list[tuple[str, Any]]
Parts = dict[tuple[str, Any], Any]
LOT = re.compile(rb"[0-9a-f]{32}")
"""Names that a pack draws for the folders of detector files."""
OPTIONS = {"dx": {"theta": "m"}}
"""What a format needs to write such a run."""


def numbers(folder: Path) -> list[Run]:
    """Return two runs of numbers and text."""
    data = {"x": [row / 3 for row in range(400)], "text": ["é" * 10] * 400}
    return [
        run_of(data, start={"scan_id": 1}, uid="5eed0000-0000-4000-8000-000000000000"),
        run_of(data, start={"scan_id": 2, "much": "y" * 20_000}),
    ]


def images(folder: Path) -> list[Run]:
    """Return two runs with compressed frames in a detector's file, which no share refuses."""
    shape = (64, 80)
    runs = []
    for name in ("earlier", "later"):
        run = RunMaker(name, folder)
        data = frames(20, len(runs), shape=shape)
        write_hdf5(run.folder / "images.h5", data)
        run.start()
        image = key("array", [1, *shape], external="FILESTORE:", dtype_numpy="<u2")
        run.descriptor({"m": NUMBER, "image": image})
        uid = resource(run, "images.h5")
        measure(run, list(data[:, None]), [datum(run, uid, point) for point in range(len(data))])
        run.stop()
        runs.append(run.made.documents)
    return runs


KINDS = {"numbers": numbers, "appended": numbers, "images": images}


def write(name: str, kind: str, run: Run, folder: Path) -> Written:
    """Export a run."""
    target = Target.parse(f"{folder}/{'all.dat' if kind == 'appended' else ''}")
    return replay(writer_class(name), run, target, **OPTIONS.get(name, {}))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def parts(folder: Path) -> Parts:
    """Return what is in each file, whatever was drawn by lot: datasets of HDF5, lines of others."""
    found: Parts = defaultdict(list)
    for path, text in contents(folder).items():
        name = LOT.sub(b"(lot)", str(path.relative_to(folder)).encode()).decode()
        if not h5py.is_hdf5(path):
            for line, words in enumerate(LOT.sub(b"(lot)", text).split(b"\n")):
                found[name, line].append(words)
            continue
        with h5py.File(path) as file:
            places: list[str] = []
            file.visit(places.append)
            for place in places:
                item = file[place]
                is_dataset = isinstance(item, h5py.Dataset)
                found[name, place].append(repr(np.asarray(item[()]).tolist()) if is_dataset else "group")
    return {key: sorted(values) for key, values in found.items()}


def wanted(name: str, kind: str, runs: list[Run]) -> Parts:
    """Return what is in the files of both runs, None for what differs from one time to the next."""
    looks = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            for run in runs:
                write(name, kind, run, Path(folder))
            looks.append(parts(Path(folder)))
    one, other = looks
    assert one.keys() == other.keys()
    same = {key: value if value == other[key] else None for key, value in one.items()}
    assert sum(value is not None for value in same.values()) > len(same) / 4
    return same


def refused(
    folder: Path,
    order: Path,
    name: str,
    kind: str,
    runs: list[Run],
    right: Parts,
    how: str,
    nth: int,
) -> str:
    """Export the later run while its Nth write fails; say what came of it."""
    earlier, later = runs
    folder.mkdir()
    write(name, kind, earlier, folder)
    before = contents(folder)
    order.write_text(f"{nth} {how} {folder}")
    try:
        written = write(name, kind, later, folder)
    except (OSError, BlueskyExportError) as error:
        written, said = None, str(error)
    if written is None:
        assert "No space left" in said or "full" in said, said
        assert contents(folder) == before, (sorted(before), sorted(contents(folder)))
    gc.collect()  # what HDF5 still holds is let go here, or crashes
    order.unlink()
    again = written or write(name, kind, later, folder)  # the cause is gone
    assert (again.events, again.partial) == (sum(kind == "event" for kind, _ in later), False)
    after = contents(folder)
    grown = [after[path].startswith(text) for path, text in before.items() if path.name != "catalog.yml"]
    assert all(grown), "an earlier run's file"  # a pack's catalog tells of all its runs
    found = parts(folder)
    assert found.keys() == right.keys()
    wrong = [key for key, value in right.items() if value is not None and found[key] != value]
    assert not wrong, (written is None, wrong)
    share_refused = order.with_name(f"{order.name}d")
    if not share_refused.exists():
        return "came through"
    share_refused.unlink()
    # The kernel makes several writes of one; where the first of them went well, the C library goes on.
    return "refused" if written is None else "retried"


def main(share: Path, order: Path, name: str, kind: str, step: int) -> None:
    """Refuse the first write, then others, until an export needs fewer."""
    runs = KINDS[kind](order.parent / f"{order.name}-{kind}")
    right = wanted(name, kind, runs)
    for how in ("once", "always"):
        nth, came = 1, ""
        while came != "came through":
            folder = share / f"{name}-{kind}-{how}-{nth}"
            came = refused(folder, order, name, kind, runs, right, how, nth)
            print(how, nth, came, flush=True)
            nth += step


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5]))
