"""The frames of one image field as TIFF pages, and what is said of each of them."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ..documents import jsontext
from ..documents.columns import Array
from ..documents.fields import fields_of
from ..documents.images import ImageColumn
from ..documents.pages import Document
from ..documents.tables import Table
from ._tiff_file import Pages


class Frames:
    """What is written of one field.

    Parameters
    ----------
    table : Table
        Its stream.
    column : ImageColumn
        Its images.
    dtype : numpy.dtype
        Of the pixels in the file.
    start : Mapping
        The run's start document.
    about : Mapping
        What the description says of the run.
    """

    def __init__(
        self, table: Table, column: ImageColumn, dtype: np.dtype[Any], start: Document, about: Document
    ) -> None:
        self.column, self.dtype, self._about = column, dtype, about
        shape = column.row_shape
        self.colour = len(shape) > 2 and shape[-1] == 3 and dtype.str[1:] in ("u1", "u2")
        self.shape = shape[-3:] if self.colour else shape[-2:]
        self.count = int(np.prod(shape[: -len(self.shape)], dtype=np.int64))
        self.kind = ""
        self._numbers = list(table.seq_num.rows())
        self._times = list(table.time.rows())
        began = start.get("time")
        self._began = began if isinstance(began, (int, float)) else float("nan")
        self._positions = dict(_positions(table, start))

    def numbers(self, rows: Array) -> list[Any]:
        """Return the seq_num of some rows."""
        return [self._numbers[row] for row in rows.tolist()]

    def name(self, row: int, frame: int) -> str:
        """Return what file names have of a frame."""
        number = self._numbers[row]
        name = f"{number:05d}" if isinstance(number, (int, np.integer)) else f"row{row:05d}"
        return f"{name}-{frame:03d}" if self.count > 1 else name

    def write(self, path: Path, rows: Array) -> None:
        """Write a stack of some rows."""
        shape = (len(rows), *((self.count,) if self.count > 1 else ()), *self.shape)
        pages = self._pages(shape, rows, range(self.count))
        whole = self.column.in_memory
        if whole is not None and len(rows) == self.column.rows:
            pages.write(path, self._pixels(whole).reshape(shape))
        else:
            with closing(self._one_by_one(rows)) as frames:  # also if the disk is full: it reads ahead
                pages.write(path, frames)

    def write_one(self, path: Path, row: int, frame: int, values: Array) -> None:
        """Write a single frame."""
        self._pages(self.shape, np.array([row]), [frame]).write(path, [self._pixels(values)])

    def _pixels(self, values: Array) -> Array:
        return values if values.dtype == self.dtype else values.astype(self.dtype)

    def _one_by_one(self, rows: Array) -> Generator[Array]:
        with closing(self.column.pieces(rows)) as pieces:
            for piece in pieces:
                yield from self._pixels(piece).reshape(-1, *self.shape)

    def _pages(self, shape: tuple[int, ...], rows: Array, frames: Any) -> Pages:
        numbers, times = self.numbers(rows), [self._times[row] for row in rows.tolist()]
        positions = {
            motor: [values[row] for row in rows.tolist()] for motor, values in self._positions.items()
        }
        about = {**self._about, "seq_num": numbers, "time": times, "positions": positions}
        labels = [
            self._label(n, {motor: values[at] for motor, values in positions.items()}, frame)
            for at, n in enumerate(numbers)
            for frame in frames
        ]
        elapsed = [
            time - self._began if time is not None else float("nan") for time in times for _ in frames
        ]
        name = f"{about['stream']}/{about['field']}/{numbers}/{list(frames)}"
        plain = jsontext.encode(about)
        mark = uuid.uuid5(uuid.NAMESPACE_OID, f"{about['uid']}/{name}".encode("utf-8", "replace").decode())
        pages = Pages(shape, self.dtype, self.colour, plain, str(mark), labels, elapsed)
        self.kind = pages.kind
        return pages

    def _label(self, number: Any, positions: dict[str, Any], frame: int) -> str:
        words = [f"seq_num={number}"]
        words += [f"frame={frame}"] if self.count > 1 else []
        words += [f"{motor}={value}" for motor, value in positions.items()]
        return " ".join(words).encode("ascii", "backslashreplace").decode().replace("\n", " ")


def _positions(table: Table, start: Document) -> Iterator[tuple[str, list[Any]]]:
    for motor in {motor: None for doc in table.descriptors for motor in fields_of(start, doc).motors}:
        packed = table.values(motor)
        if packed is not None and packed.kind == "array" and np.ndim(packed.values) == 1:
            yield motor, [None if value is None else value.item() for value in packed.rows()]
