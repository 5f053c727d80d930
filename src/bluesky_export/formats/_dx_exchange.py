"""The ``exchange`` group of a Data Exchange file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from ..documents.columns import Array
from ..documents.external import ExternalColumn
from ..documents.frames import SelectedFrames
from ._dx_choice import Part
from ._h5 import put_attribute
from ._h5_external import put_external
from ._h5_file import check

Notice = Callable[[str], None]


def put_part(group: h5py.Group, ending: str, part: Part, final_path: Path, notice: Notice) -> None:
    """Write ``data``, its angles and its rows, with an ending for flats and darks.

    Points whose images cannot be read are left out with their angles: nothing is put in their place.

    Parameters
    ----------
    group : h5py.Group
        ``/exchange``.
    ending : str
        Empty, ``_white`` or ``_dark``.
    part : Part
        What to write.
    final_path : Path
        Where the file will be in the end.
    notice : callable
        Told what is to be said, one sentence each.
    """
    name, column = f"data{ending}", part.column
    rows: Array | None = None
    while rows is None or len(part.present) < len(rows):  # again, if one could not be read after all
        if rows is not None:
            del group[name]
        rows = part.present
        if isinstance(column.source, ExternalColumn):
            source = SelectedFrames(column.source, rows)
            put_external(group, name, source, "copy", final_path, notice)
        else:
            _put_array(group, name, part, rows)
    each, dataset = part.frames_per_point, group[name]
    if each > 1:
        notice(f"{column.where}: the {each} frames of a point have one angle, repeated")
    put_attribute(dataset, "units", str(column.data_key.get("units") or "counts"), notice=notice)
    put_attribute(dataset, "description", column.where, notice=notice)
    dataset.attrs["axes"] = f"theta{ending}:y:x"
    if part.theta is not None:
        theta = group.create_dataset(f"theta{ending}", data=np.repeat(part.theta[rows], each))
        theta.attrs["units"] = "deg"
        theta.attrs["description"] = f"angle of each frame of {name}"
    index = group.create_dataset(f"row{ending}", data=np.repeat(rows, each))
    index.attrs["description"] = f"row of each frame of {name} in its stream in /measurement/bluesky"
    put_attribute(index, "stream", column.stream, notice=notice)
    put_attribute(index, "field", column.field, notice=notice)
    index.attrs["point_shape"] = np.array(column.row_shape)


def _put_array(group: h5py.Group, name: str, part: Part, rows: Array) -> None:
    shape = (len(rows) * part.frames_per_point, *part.frame)
    dataset = group.create_dataset(
        name, shape, part.column.dtype, chunks=(1, *part.frame) if shape[0] else None
    )
    first = 0
    for piece in part.column.pieces(rows):
        frames = piece.reshape(-1, *part.frame)
        check(dataset)
        dataset[first : first + len(frames)] = frames
        first += len(frames)
