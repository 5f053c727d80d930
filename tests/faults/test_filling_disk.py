"""A disk that is full after every page of 4 KB in turn: nothing is left, or the file is whole."""

from __future__ import annotations

import pytest

from bluesky_export.errors import BlueskyExportError

from ..replaying import replay, run_of
from ..sampling import drawn
from . import PLAIN
from .filling import fill

PAGE = 4096
FORMATS = [name for name in PLAIN if name not in ("hdf5", "nexus")]
"""Those have a test of their own, in a process that may crash: test_full_disk_hdf5."""
RUN = {
    "x": [row / 3 for row in range(2000)],
    "text": ["é" * 10] * 2000,
}


def every_page(name, folder, step):
    """Return how many exports were refused before there was room."""
    refused = 0
    for pages in range(0, 4000, step):
        fill(folder / "filler")
        with (folder / "filler").open("r+b") as file:
            file.seek(0, 2)
            file.truncate(max(file.tell() - pages * PAGE, 0))
        try:
            written = replay(name, run_of(RUN, start={"scan_id": 1}), folder)
        except (OSError, BlueskyExportError):
            refused += 1
            assert [path.name for path in folder.iterdir()] == ["filler"], (name, pages)
            continue
        (folder / "filler").unlink()
        again = folder.parent / "roomy"
        again.mkdir()
        roomy = replay(name, run_of(RUN, start={"scan_id": 1}), again)
        assert [path.name.partition("-S")[2][:5] for path in roomy.files] == [
            path.name.partition("-S")[2][:5] for path in written.files
        ]
        sizes = [
            abs(a.stat().st_size - b.stat().st_size)
            for a, b in zip(roomy.files, written.files, strict=True)
        ]
        assert max(sizes) < 200, sizes  # but for uids and times of day they are alike
        return refused
    raise AssertionError("there was never room")


@pytest.mark.parametrize("name", drawn("filling disk", FORMATS, 2))
def test_some_pages(small_disk, name):
    assert every_page(name, small_disk, 7) > 1


@pytest.mark.long
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.timeout(3600)
def test_every_page(small_disk, name):
    assert every_page(name, small_disk, 1) > 1
