"""PNG, by Pillow."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from ..corpus import Pairs
from .streams import keys_by_stream, start_of, stop_of


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    with Image.open(path) as image:
        image.load()
        said = image.text
    start, stop = start_of(documents), stop_of(documents)
    assert said["uid"] == start["uid"]
    assert said["scan_id"] == json.dumps(start["scan_id"])
    assert said.get("plan_name") == start.get("plan_name")
    assert said["exit_status"] == (stop["exit_status"] if stop else "unfinished")
    known = set().union(*keys_by_stream(documents).values())
    fields = json.loads(said["fields"])
    assert fields
    assert set(fields) <= known
