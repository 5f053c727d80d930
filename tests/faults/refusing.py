"""``python -m tests.faults.refusing SHARE ORDER FORMAT STEP``: export while a share refuses a write.

SHARE is a mounted :mod:`tests.faults.share`, ORDER the file that tells it which write. A crash of this
process is one of the things that the test looks for: HDF5 is known for it.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from bluesky_export.errors import BlueskyExportError

from ..replaying import replay, run_of

ROWS = 400
RUN = {"x": [row / 3 for row in range(ROWS)], "text": ["é" * 10] * ROWS}
EARLIER = run_of(RUN, start={"scan_id": 1}, uid="5eed0000-0000-4000-8000-000000000000")
LATER = run_of(RUN, start={"scan_id": 2, "much": "y" * 20_000})


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(share: Path, order: Path, name: str, how: str, nth: int) -> bool:
    """Export a run while its Nth write fails; say whether it was refused."""
    folder = share / f"{name}-{how}-{nth}"
    folder.mkdir()
    replay(name, EARLIER, folder)
    before = contents(folder)
    order.write_text(f"{nth} {how} {folder}")
    try:
        written = replay(name, LATER, folder)
    except (OSError, BlueskyExportError) as error:
        written, said = None, str(error)
    if written is None:
        assert "No space left" in said or "full" in said, said
        assert contents(folder) == before, (sorted(before), sorted(contents(folder)))
    gc.collect()  # what HDF5 still holds is let go here, or crashes
    order.unlink()
    again = written or replay(name, LATER, folder)  # the cause is gone
    assert again.events == ROWS
    after = contents(folder)
    assert all(after[path].startswith(text) for path, text in before.items()), "an earlier run's file"
    return written is None


def main(share: Path, order: Path, name: str, step: int) -> None:
    """Refuse the first write, then others, until an export comes through as it needs fewer."""
    for how in ("once", "always"):
        nth = 1
        while refused(share, order, name, how, nth):
            print(how, nth, "refused", flush=True)
            nth += step
        print(how, nth, "came through", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
