"""Data Exchange, by h5py, and the checker written from the reference; the rest as in hdf5."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from bluesky_export.formats import Written
from bluesky_export.testing import Made

from ..checks.dx import check_reference
from ..checks.streams import keys_by_stream, start_of
from .hdf5 import RULES, declared, metadata, read_layout
from .images import image_fields
from .reading import Read

__all__ = ["RULES", "declared", "metadata", "read", "refuses"]


def refuses(made: Made) -> str | None:
    if not any(stream == "primary" for stream, _, _ in image_fields(made)):
        return "has no images for dx"
    start = start_of(made.documents)
    motors = set(start.get("motors") or []) & set(keys_by_stream(made.documents)["primary"])
    return None if len(motors) == 1 else "angle; name it: --option theta="


def read(written: Written) -> Read:
    (path,) = written.files
    check_reference(path)
    found = read_layout(path, "/measurement/bluesky")
    with h5py.File(path) as file:
        for ending in ("", "_white", "_dark"):
            if f"row{ending}" in file["exchange"]:
                _images(file["exchange"], ending, found)
    return found


def _images(exchange: Any, ending: str, found: Read) -> None:
    """Put the frames back to the points they are of."""
    index, frames = exchange[f"row{ending}"], exchange[f"data{ending}"]
    table = found.tables[index.attrs["stream"]]
    values = table.fields.setdefault(index.attrs["field"], [None] * len(table.time))
    table.dtypes[index.attrs["field"]] = frames.dtype
    shape = index.attrs["point_shape"].tolist()
    rows = index[()]
    for row in np.unique(rows):
        values[row] = frames[rows == row].reshape(shape)
