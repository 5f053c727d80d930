"""TIFF, by tifffile, and by Pillow where it knows the pixels; the metadata by Python's json."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from bluesky_export.formats import Written
from bluesky_export.testing import Made

from .hdf5 import declared
from .images import image_fields, is_image_field
from .metadata import decode, plain
from .reading import Read, Table, each

__all__ = ["RULES", "declared", "leaves_out", "metadata", "pixels", "read", "refuses"]

_PILLOW = {"|u1": "L", "<u2": "I;16", "<f4": "F"}


def metadata(document: Any) -> Any:
    return plain(document)


def refuses(made: Made) -> str | None:
    return None if any(image_fields(made)) else "has no images"


def leaves_out(values: list[Any]) -> bool | None:
    holds = is_image_field(values)
    return None if holds is None else not holds


def read(written: Written) -> Read:
    *stacks, path = written.files
    beside = json.loads(path.read_bytes().decode("utf-8"))
    images = beside["images"]
    assert [image["file"] for image in images] == [stack.name for stack in stacks]
    start = decode(beside["start"])
    tables = {
        name: Table({}, decode(points["time"]), points["seq_num"])
        for name, points in beside["streams"].items()
    }
    for image, stack in zip(images, stacks, strict=True):
        values = pixels(stack, image)
        assert values.dtype.str == image["dtype"] or (values.dtype == "u1" and image["dtype"] == "|b1")
        table = tables[image["stream"]]
        rows: list[Any] = [None] * len(table.time)
        for row, value in zip(image["row"], values, strict=True):
            rows[row] = value
        table.fields[image["field"]] = rows
        assert image["seq_num"] == [table.seq_num[row] for row in image["row"]]
        assert described(stack)["uid"] == start["uid"]
    descriptors = decode(beside["descriptors"])
    return Read(tables, beside["status"], start, decode(beside["stop"]), descriptors)


def pixels(path: Any, image: Any) -> Any:
    """Return what a file holds, the same to both readers."""
    values = tifffile.imread(path).reshape(image["shape"])
    if image["dtype"] in _PILLOW and image["shape"][-1] != 3:
        frames = values.reshape(-1, *values.shape[-2:])
        with Image.open(path) as file:
            assert file.n_frames == len(frames)
            for number, frame in enumerate(frames):
                file.seek(number)
                assert file.mode == _PILLOW[image["dtype"]]
                assert np.array_equal(np.asarray(file), frame, equal_nan=True)
    return values


def described(path: Any) -> Any:
    """Return what the description of a file says of the run."""
    with tifffile.TiffFile(path) as file:
        if file.is_imagej:
            return json.loads(file.imagej_metadata["Info"])
        if file.is_ome:
            return json.loads(tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Description"])
        return file.shaped_metadata[0]["bluesky"]


_SAME = each(lambda value: value)
RULES = {"array": _SAME, "external": _SAME, "unreadable": _SAME, "metadata-other": each(plain)}
