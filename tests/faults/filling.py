"""``python -m tests.faults.filling FOLDER FORMAT``: export while the disk fills at every step in turn.

The disk of FOLDER is filled to its last byte before the Nth write, for N = 1, 2, 3, 5, 8 …, to stay full or
to have space again at the next one. A crash of this process is what the test looks for.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bluesky_export.errors import OutputError
from bluesky_export.formats._h5_file import SafeFile

from ..replaying import replay, run_of


def fill(path: Path) -> None:
    """Write a file until the disk has not one byte left."""
    size = 2**20
    with path.open("ab", buffering=0) as file:
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2


def main(folder: Path, name: str) -> None:
    """Write runs until one comes through although the disk was to be filled."""
    noise: list[str] = []
    sys.unraisablehook = lambda found: noise.append(f"{found.exc_value!r} in {found.object!r}")
    really: Callable[..., int] = SafeFile.write
    state = {"writes": 0, "nth": 0, "stays": True}

    def write(file: SafeFile, buffer: object) -> int:
        state["writes"] += 1
        if state["writes"] == state["nth"]:
            fill(folder / "filler")
        elif state["writes"] == state["nth"] + 1 and not state["stays"]:
            (folder / "filler").unlink()
        return really(file, buffer)

    SafeFile.write = write  # type: ignore[method-assign]
    frames = list(np.random.default_rng(1).random((10, 200, 200)))  # 3.2 MB
    data = {
        "x": [float(row) for row in range(10)],
        "one": frames,
        "two": frames,
        "text": ["é" * 90_000] * 10,
    }
    for stays in (True, False):
        nth, last = 1, 1
        while True:
            state.update(writes=0, nth=nth, stays=stays)
            run = run_of(data, start={"scan_id": nth, "much": "y" * 20_000})
            try:
                files = [str(path) for path in replay(name, run, folder).files]
                result = "written"
            except (OutputError, OSError) as error:
                files, result = [], f"refused {error}"
            gc.collect()
            left = [str(path) for path in folder.iterdir() if path.name != "filler"]
            assert left == files, (nth, stays, result, left)
            assert not noise, noise
            print(nth, stays, result, flush=True)
            for path in folder.iterdir():
                size = path.stat().st_size
                assert path.stat().st_blocks * 512 < size + 100_000, "room was not given back"
                path.unlink()
            if state["writes"] < nth:
                break
            nth, last = nth + last, nth
    print("came through", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
