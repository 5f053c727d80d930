"""PNG, by Pillow: a plot has no values to be read back, but it says of which run it is."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from PIL import Image

from bluesky_export.formats import Written, writer_class
from bluesky_export.testing import Made

from ..checks.streams import events_by_stream
from .images import image_fields
from .reading import Read, number

__all__ = ["chunks", "hold_configuration", "hold_start", "hold_stop", "read", "refuses"]


def refuses(made: Made) -> str | None:
    events = events_by_stream(made.documents)
    first = next((stream for stream, rows in events.items() if rows), None)
    stream = "primary" if "primary" in events or first is None else first
    fields = {field for row in events.get(stream, []) for field in row["data"]}
    if any(_numbers([row["data"].get(field) for row in events[stream]]) for field in fields):
        return None
    return None if any(name == stream for name, _, _ in image_fields(made)) else "has nothing to plot"


def _numbers(values: list[Any]) -> bool:
    there = [number(value) for value in values if value is not None]
    kinds = (bool, int, float, np.bool_, np.integer, np.floating)
    return all(isinstance(value, kinds) for value in there) and any(math.isfinite(value) for value in there)


def chunks(path: Any) -> dict[str, str]:
    """Return the text chunks of a file that can be decoded to its last pixel."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        image.load()
        low, high = image.convert("L").getextrema()
        assert low < 128 < high  # ink on paper
        return dict(image.text)


def read(written: Written) -> Read:
    (path,) = written.files
    return Read({}, chunks(path)["exit_status"])


def hold_start(written: Written, start: Any) -> None:
    said = chunks(written.files[0])
    for key in ("uid", "scan_id", "plan_name"):
        if key in start:
            value = start[key]
            assert said[key] == value or json.loads(said[key]) == value, key
        else:
            assert key not in said


def hold_stop(written: Written, stop: Any) -> None:
    _left_out(written, "stop")


def hold_configuration(written: Written, documents: Any) -> None:
    _left_out(written, "configuration")


def _left_out(written: Written, feature: str) -> None:
    declared = writer_class(written.format).fidelity[feature]
    assert (declared.how, declared.said) == ("left out", False)
