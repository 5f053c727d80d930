"""One TIFF file, through tifffile: which metadata it gets, and its pages one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile

from ..documents.columns import Array

Kind = Literal["imagej", "ome", "plain"]

CLASSIC = 2**32 - 2**25
"""Bytes of pixels that a TIFF file of 32-bit offsets has room for, as tifffile reckons."""
_IMAGEJ = ("u1", "u2", "f4")
_OME = (*_IMAGEJ, "i1", "i2", "i4", "u4", "f8", "c8", "c16")
_TIFF = (*_OME, "i8", "u8", "f2")


def dtype_of(dtype: np.dtype[Any]) -> np.dtype[Any] | None:
    """Return the dtype that pixels have in a file: uint8 for booleans, None for what TIFF does not have."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return dtype if dtype.str[1:] in _TIFF else None


@dataclass
class Pages:
    """The pages of one file.

    Attributes
    ----------
    shape : tuple of int
        Points, frames of a point where there are several, then a frame: rows, columns, and three
        colours where the frames have them.
    dtype : numpy.dtype
        Of a pixel; one that :func:`dtype_of` gave.
    colour : bool
        The last axis is red, green, blue.
    about : dict
        What the description says, of plain JSON types.
    labels : sequence of str
        A few words for each frame, ASCII.
    times : sequence of float
        When each frame was measured, seconds since the start of the run.
    uuid : str
        Of an OME file: the same for the same frames.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    colour: bool
    about: dict[str, Any]
    uuid: str
    labels: Sequence[str] = field(default_factory=list)
    times: Sequence[float] = field(default_factory=list)

    @property
    def axes(self) -> str:
        """The axes as ImageJ and OME name them."""
        frame = "YXS" if self.colour else "YX"
        return {0: "", 1: "T", 2: "TZ"}[len(self.shape) - len(frame)] + frame

    @property
    def kind(self) -> Kind:
        """ImageJ's metadata where ImageJ has the dtype, else OME's, else tifffile's own."""
        code = self.dtype.str[1:]
        # tifffile makes one page of frames that are a pixel wide, and still tells ImageJ of several.
        fits = code == "u1" if self.colour else code in _IMAGEJ and self.shape[-1] > 1
        if fits and self._bytes < CLASSIC:
            return "imagej"
        return "ome" if code in _OME else "plain"

    @property
    def _bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def write(self, path: Path, frames: Iterable[Array]) -> None:
        """Write the file: tifffile makes it without pixels, which are then put where it says.

        tifffile gives pixels to numpy's ``tofile``, which does not say why a write failed, and nothing
        at all where it was that of the last 4 kB or less; and its file is closed without a look at what
        that says. On a disk that is full for a moment these were zeros.

        Parameters
        ----------
        path : Path
            A new file.
        frames : iterable of array
            All the pixels in turn, in pieces of any shape.

        Raises
        ------
        OSError
            The file cannot be written.
        ValueError
            There are more pixels than :attr:`shape` has, or fewer.
        """
        kind = self.kind
        big = self.dtype.byteorder == ">"
        with path.open("wb") as file:
            with tifffile.TiffWriter(
                file,
                bigtiff=self._bytes >= CLASSIC,
                byteorder=">" if big else "<",
                imagej=kind == "imagej",
                ome=kind == "ome",
            ) as layout:
                offset, _ = layout.write(
                    shape=self.shape,
                    dtype=self.dtype,
                    photometric="rgb" if self.colour else "minisblack",
                    metadata=self._metadata(kind),
                    software="bluesky-export",
                    returnoffset=True,
                )
            file.seek(offset)
            done = sum(file.write(np.ascontiguousarray(frame, self.dtype).data) for frame in frames)
            if done != self._bytes:
                raise ValueError(f"{done} bytes of pixels where there should be {self._bytes}")

    def _metadata(self, kind: Kind) -> dict[str, Any]:
        if kind == "plain":
            return {"axes": self.axes, "bluesky": self.about}
        text = json.dumps(self.about)  # ASCII: the others would have to be told its encoding
        if kind == "imagej":
            return {"axes": self.axes, "Info": text, **({"Labels": self.labels} if self.labels else {})}
        plane = {"DeltaT": list(self.times), "DeltaTUnit": ["s"] * len(self.times)}
        timed = bool(self.times) and all(map(math.isfinite, self.times))
        return {
            "axes": self.axes,
            "UUID": f"urn:uuid:{self.uuid}",
            "Description": text,
            **({"Plane": plane} if timed else {}),
        }
