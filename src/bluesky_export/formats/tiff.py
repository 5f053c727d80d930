"""TIFF: the images of a run, one stack for each image field of each stream.

The rules, in full:

- **Images** are fields with an array of numbers of two dimensions or more in each point, in the
  events or in detector files; ``--stream`` and ``--fields`` narrow them. Numbers, text and arrays of
  one dimension are in no TIFF file: ``hdf5``, ``csv`` and ``json`` hold them. A run without an image
  is refused, with what it has.
- **Files** are ``…-<stream>-<field>.tif``; with ``layout=frames`` one file a frame,
  ``…-<stream>-<field>-<seq_num>.tif``, with ``-<n>`` where a point has several frames.
  A file name that was typed goes to the first stack.
- **Pixels** are as they were measured: same dtype, same bits, no compression. Booleans are 0 and 1
  (uint8), with a notice. What TIFF does not have (float128) is left out, with a notice.
- **Axes** are T (points), Z (the frames of a point, all its leading axes in one), Y, X. Where the last axis
  of uint8 or uint16 frames has three entries behind two others, they are red, green and blue.
- **Metadata** of uint8, uint16 and float32 stacks are ImageJ's (``Info``, a label for each slice); those
  of other dtypes, of uint16 colours, and of stacks over 4 GiB (which are BigTIFF) are OME-XML; int64,
  uint64 and float16, which neither of them has, get tifffile's own, with a notice. In each, the
  description is JSON: uid, scan_id, plan, status, field, units; seq_num, time and motor positions of
  each point.
- **The rest of the metadata** (start, stop, descriptors, and which file holds which points) is beside
  the stacks, in ``…-images.json``; ``metadata=false`` leaves it out.
- **Points without an image** are not in the stack; nothing stands in their place, and ``seq_num`` says
  which ones are there. An image that cannot be read is named, and the result is partial.
- ``--images skip`` leaves out what is in detector files. ``--images link`` is refused: a TIFF file links to
  nothing.

Detector files are read and written frame by frame; images inside events are in memory until the run ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from ..documents.columns import Array
from ..documents.images import ImageColumn, NoImages, images_of
from ..documents.tables import Table
from ..errors import BadOption
from ..outputs import Output
from ._fidelity import converted, fidelity, left_out, never_in
from ._keeping import KeepingWriter
from ._sidecar import put_metadata
from ._tiff_file import dtype_of
from ._tiff_frames import Frames

_ELSEWHERE = never_in("csv, json, hdf5, nexus")
_NO_SCALARS = (
    *("new-field", "float", "nan", "integer", "uint64", "boolean", "narrow", "complex", "int-float"),
    *("none", "text", "line-breaks", "surrogates", "formula", "mixed"),
)


class TIFFWriter(KeepingWriter):
    """Write the images of a run as TIFF stacks, and the metadata beside them."""

    name = "tiff"
    suffix = ".tif"
    how_to_open = (
        "ImageJ (Fiji), or in Python: tifffile.imread('….tif')",
        "metadata: json.load(open('…-images.json'))",
    )
    summary = "the images, one stack a field or one file a frame; for ImageJ, tifffile"
    per_stream = True
    reads_timestamps = False
    holds = frozenset({"images", "streams", "metadata"})
    fidelity = fidelity(
        {
            "streams": never_in("only streams with images have files; csv, json, hdf5, nexus"),
            "no-events": never_in("the metadata tell of the stream"),
            "event-uid": never_in("jsonl, hdf5, nexus"),
            "timestamps": never_in("json, jsonl, hdf5, nexus"),
            **dict.fromkeys(_NO_SCALARS, _ELSEWHERE),
            "array": converted(
                "two dimensions and more are images, exactly; others are left out and named"
            ),
            "ragged": left_out("json, hdf5, nexus"),
            "text-array": left_out("json, hdf5, nexus"),
            "external": converted(
                "images exactly; arrays of one dimension and numbers are left out and named"
            ),
            "unreadable": converted(
                "points that cannot be read are not in the stack; the result is partial"
            ),
            "field-name": converted(
                "in file names as every file system takes them; exactly in the metadata"
            ),
            "metadata-other": converted("as in json"),
        }
    )

    def __init__(
        self,
        output: Output,
        *,
        layout: Annotated[Literal["stack", "frames"], "one file a field, or one file a frame"] = "stack",
        metadata: Annotated[bool, "write the metadata beside the images, as JSON"] = True,
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        if self.images == "link":
            raise BadOption("tiff holds images and cannot link to them; leave out --images, or use hdf5")
        self._layout = layout
        self._metadata = metadata
        self._labels: set[str] = set()
        self._described: list[dict[str, Any]] = []

    @classmethod
    def planned(cls, output: Output, streams: Iterable[str]) -> list[Path]:
        """Return the files that a run will give: which fields have images is not known before."""
        paths = [output.path(stream) for stream in streams]
        stacks = [path.with_name(f"{path.stem}-*{path.suffix}") for path in paths]
        return [*stacks, output.path("images", ".json")]

    def finish(self) -> None:
        """Write the stacks and the metadata."""
        instead: dict[str, NoImages] = {}
        streams: dict[str, Any] = {}
        for table in self._tables.values():
            table.close(self._assets)
            for field in table.fields:
                found = self._put(table, field)
                if found is None:
                    streams[table.name] = {
                        "seq_num": list(table.seq_num.rows()),
                        "time": list(table.time.rows()),
                    }
                else:
                    instead[f"{table.name}.{field}"] = found
        if not self._described:
            raise self._no_images(instead)
        for where, why in instead.items():
            if why.wanted:
                self.notice(f"left out {where}: {why.what}; json, hdf5 and nexus hold what is there")
            self.partial |= why.lost
        if self._metadata:
            put_metadata(self, "images", streams=streams, images=self._described)

    def _put(self, table: Table, field: str) -> NoImages | None:
        """Write the images of a field, or return why it has none."""
        column = images_of(table, field, self._assets, files=self.images == "copy")
        if isinstance(column, NoImages):
            return column
        try:
            dtype = dtype_of(column.dtype)
            if dtype is None:
                return NoImages(f"TIFF has no {column.dtype}", wanted=True)
            if (lost := column.first_readable()) is not None:
                return lost
            if dtype != column.dtype:
                self.notice(f"{column.where}: booleans are written as 0 and 1 (uint8)")
            frames = Frames(table, column, dtype, self.start_doc, self._about(column))
            (self._put_frames if self._layout == "frames" else self._put_stack)(frames)
            if frames.kind == "plain":
                self.notice(
                    f"{column.where}: ImageJ and OME have no {dtype}; tifffile reads it, few others do"
                )
            for sentence in column.lost_text():
                self.partial = True
                self.notice(sentence)
        finally:
            column.close()
        table.forget(field)
        return None

    def _about(self, column: ImageColumn) -> dict[str, Any]:
        return {
            **{key: self.start_doc.get(key) for key in ("uid", "scan_id", "plan_name")},
            "start_time": self.start_doc.get("time"),
            "exit_status": self.status,
            "stream": column.stream,
            "field": column.field,
            "units": column.data_key.get("units"),
            "point_shape": list(column.row_shape),
        }

    def _part(self, label: str) -> Path:
        if self._layout == "stack" and self.output.target.file is not None and not self._labels:
            self._labels.add(label)
            return self.output.part()
        while label in self._labels:  # a-b and c, or a and b-c
            label += "_"
        self._labels.add(label)
        return self.output.part(label)

    def _put_stack(self, frames: Frames) -> None:
        column = frames.column
        path = self._part(f"{column.stream}-{column.field}")
        rows = column.present
        frames.write(path, rows)
        while len(column.present) < len(rows):  # one could not be read after all: without it, then
            rows = column.present
            frames.write(path, rows)
        self._describe(path, frames, rows)

    def _put_frames(self, frames: Frames) -> None:
        column = frames.column
        for row in column.present.tolist():
            values = column.read(row, row + 1)
            if not column.has(row):
                continue
            for number, frame in enumerate(values.reshape(-1, *frames.shape)):
                path = self._part(f"{column.stream}-{column.field}-{frames.name(row, number)}")
                frames.write_one(path, row, number, frame)
                self._describe(path, frames, np.array([row]), frame=number)

    def _describe(self, path: Path, frames: Frames, rows: Array, **more: Any) -> None:
        column = frames.column
        self._described.append(
            {
                "file": self.output.final(path).name,
                "stream": column.stream,
                "field": column.field,
                "dtype": column.dtype.str,
                "shape": list(frames.shape) if more else [len(rows), *column.row_shape],
                "metadata": frames.kind,
                "seq_num": frames.numbers(rows),
                "row": rows.tolist(),
                **more,
            }
        )
