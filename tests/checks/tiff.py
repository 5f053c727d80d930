"""TIFF, by tifffile and json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile

from ..corpus import Pairs
from .streams import events_by_stream, expect, start_of, stop_of


def check(files: list[Path], documents: Pairs) -> None:
    *stacks, path = files
    beside = json.loads(path.read_text("utf-8"))
    assert beside["start"] == start_of(documents)
    assert beside["stop"] == stop_of(documents)
    events = events_by_stream(documents)
    assert beside["images"]
    for image, stack in zip(beside["images"], stacks, strict=True):
        found = tifffile.imread(stack).reshape(image["shape"])
        rows = [events[image["stream"]][row] for row in image["row"]]
        assert image["seq_num"] == [row["seq_num"] for row in rows]
        for value, row in zip(found, rows, strict=True):
            expect(value.tolist(), np.asarray(row["data"][image["field"]]).tolist(), image["field"])
