"""External data into an HDF5 file: copied as they are, or linked relatively, or left out."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..documents._sources import open_hdf5
from ..documents.external import Block, ExternalColumn
from ._h5_file import check, checker

Notice = Callable[[str], None]


def put_external(
    group: h5py.Group,
    name: str,
    external: ExternalColumn,
    images: str,
    final_path: Path,
    notice: Notice,
) -> h5py.Dataset | None:
    """Write an external field under a name that is free in the group.

    - ``copy``: dtype, chunks and filters of the source are kept. Chunks are moved as they are
      where they align, so that a filter need not be installed here; else in bounded memory.
    - ``link``: one whole dataset becomes an external link (it fails loudly once the file is
      gone), parts become a virtual dataset; both by a path relative to the final file's folder.
      What is not HDF5 cannot be linked: its paths are listed as text.
    - ``skip``: nothing is written.

    Rows that cannot be read are filled (``external.fill_value``) and listed in
    ``nulls/<name>``; say so with what ``external.missing`` holds.

    Parameters
    ----------
    group : h5py.Group
        Where.
    name : str
        A name that is free in the group (:func:`~bluesky_export.formats._h5.safe_name`).
    external : ExternalColumn
        The data.
    images : {"copy", "link", "skip"}
        What to do.
    final_path : Path
        Where the file will be in the end: links are relative to its folder.
    notice : callable
        Told what was not done as asked, one sentence each.

    Returns
    -------
    h5py.Dataset or None
        The dataset in *this* file; None if there is none (skipped, nothing readable, a link).
    """
    if images == "skip" or not external.readable:
        return None
    if images == "link":
        dataset = _link(group, name, external, final_path, notice)
    else:
        dataset = _copy(group, name, external)
    rows = external.missing_rows
    if len(rows) and dataset is not None:
        group.require_group("nulls").create_dataset(name, data=rows)
        dataset.attrs["nulls"] = f"nulls/{name}"
    return dataset


# -- link ------------------------------------------------------------------------------------


def _link(
    group: h5py.Group, name: str, external: ExternalColumn, final_path: Path, notice: Notice
) -> h5py.Dataset | None:
    folder = final_path.parent.resolve()
    blocks = external.blocks
    if blocks is None:
        paths = [_relative(path, folder) for path in external.files]
        listed = group.create_dataset(name, data=np.array(paths, object), dtype=h5py.string_dtype())
        listed.attrs["long_name"] = f"files of {external.field}, relative to this file's folder"
        notice(f"{external.field}: HDF5 cannot link files of this kind; their paths are listed instead")
        return listed
    notice(
        f"{external.field}: linked to {_names(external.files)}; keep the files where they are to each other"
    )
    if (
        len(blocks) == 1
        and blocks[0].whole
        and _plain_rows(external, blocks[0])
        and blocks[0].rows == external.rows
    ):
        block = blocks[0]
        group[name] = h5py.ExternalLink(_relative(block.path, folder), block.dataset)
        return None
    return _virtual(group, name, external, blocks, folder)


def _relative(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder, both without symbolic links on the way."""
    return os.path.relpath(path.parent.resolve() / path.name, folder)


def _names(files: list[Path]) -> str:
    shown = ", ".join(path.name for path in files[:3])
    return shown + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _virtual(
    group: h5py.Group, name: str, external: ExternalColumn, blocks: tuple[Block, ...], folder: Path
) -> h5py.Dataset:
    # Rows have an axis for the frames of a point, entries have not: a virtual dataset maps
    # selections of equal size, whatever their shapes.
    layout = h5py.VirtualLayout(external.shape, external.dtype)
    for block in blocks:
        with open_hdf5(block.path) as file:
            shape = file[block.dataset].shape
        # A % begins a block number in the names of a virtual dataset.
        names = (text.replace("%", "%%") for text in (_relative(block.path, folder), block.dataset))
        source = h5py.VirtualSource(*names, shape)
        layout[block.first : block.first + block.rows] = source[block.start : block.stop]
    # Once a file is gone HDF5 reads the fill value in its place, and says nothing.
    kind = external.dtype.kind
    fill = external.dtype.type(
        np.nan if kind in "fc" else np.iinfo(external.dtype).max if kind in "iu" else 0
    )
    dataset = group.create_virtual_dataset(name, layout, fillvalue=fill)
    dataset.attrs["fill_value"] = fill
    dataset.attrs["long_name"] = "virtual: reads fill_value where a linked file is missing"
    return dataset


# -- copy ------------------------------------------------------------------------------------


def _plain_rows(external: ExternalColumn, block: Block) -> bool:
    """Say whether rows are entries: no axis of their own for the frames of a point."""
    with open_hdf5(block.path) as file:
        return bool(file[block.dataset].shape[1:] == external.row_shape)


def _copy(group: h5py.Group, name: str, external: ExternalColumn) -> h5py.Dataset:
    blocks = external.blocks
    if blocks:
        with open_hdf5(blocks[0].path) as file:
            source = file[blocks[0].dataset]
            whole = len(blocks) == 1 and blocks[0].whole and source.shape == external.shape
            if not _decodable(source) and whole:
                # HDF5 copies a whole dataset without decoding it; it creates none that it cannot.
                file.copy(source, group, name, without_attrs=True)
                return group[name]
            plan = _Plan.of(source, external, blocks)
            if plan is not None:
                dataset = plan.create(group, name, source)
                if dataset is not None:
                    _move_all(dataset, external, blocks, plan)
                    return dataset
    dataset = group.create_dataset(name, external.shape, external.dtype, fillvalue=external.fill_value)
    for first, values in external.pieces():
        check(dataset)
        dataset[first : first + len(values)] = values
    return dataset


def _decodable(source: Any) -> bool:
    """Say whether the filters of a dataset are installed, loading the usual ones if they are."""
    codes = [code for code, *_ in _filters(source)]
    if not all(h5py.h5z.filter_avail(code) for code in codes):
        with contextlib.suppress(ImportError):
            importlib.import_module("hdf5plugin")  # importing it registers them
    return all(h5py.h5z.filter_avail(code) for code in codes)


class _Plan:
    """How the chunks of the sources become those of the copy."""

    def __init__(self, external: ExternalColumn, per_row: int, source_chunks: tuple[int, ...]) -> None:
        self.shape = external.shape
        self.per_row = per_row  # entries of the source to a row of the copy
        self.source_chunks = source_chunks
        depth = source_chunks[0]
        if len(external.shape) == len(source_chunks) + 1:
            # A row has an axis of its own for its entries: the same bytes, one more dimension.
            if depth % per_row == 0:
                leading: tuple[int, ...] = (depth // per_row, per_row)
            elif per_row % depth == 0:
                leading = (1, depth)
            else:
                leading = (1, per_row)
            self.framed = True
        else:
            leading, self.framed = (depth,), False
        self.chunks = (*leading, *source_chunks[1:])
        self.same_bytes = int(np.prod(leading)) == depth

    @classmethod
    def of(cls, source: Any, external: ExternalColumn, blocks: tuple[Block, ...]) -> _Plan | None:
        """Return the plan, or None if the first source is not chunked."""
        if source.chunks is None or source.is_virtual:
            return None
        return cls(external, (blocks[0].stop - blocks[0].start) // blocks[0].rows, source.chunks)

    def create(self, group: h5py.Group, name: str, source: Any) -> h5py.Dataset | None:
        """Create the dataset with the source's dtype, chunks and filters."""
        settings = source.id.get_create_plist()
        settings.set_chunk(self.chunks)
        space = h5py.h5s.create_simple(self.shape, self.shape)
        try:
            identifier = h5py.h5d.create(group.id, None, source.id.get_type(), space, settings)
        except (OSError, ValueError, RuntimeError):
            return None
        dataset = h5py.Dataset(identifier)
        group[name] = dataset
        return dataset


def _move_all(
    dataset: h5py.Dataset, external: ExternalColumn, blocks: tuple[Block, ...], plan: _Plan
) -> None:
    written = 0
    for block in blocks:
        _fill(dataset, external, written, block.first)
        with open_hdf5(block.path) as file:
            source = file[block.dataset]
            if not _move(dataset, source, block, plan):
                _rewrite(dataset, external, block.first, block.first + block.rows)
        written = block.first + block.rows
    _fill(dataset, external, written, external.rows)


def _fill(dataset: h5py.Dataset, external: ExternalColumn, start: int, stop: int) -> None:
    """Write the fill value where it is not what HDF5 reads from chunks that were never written."""
    if start < stop and not np.array_equal(dataset.fillvalue, external.fill_value, equal_nan=True):
        _rewrite(dataset, external, start, stop)


def _rewrite(dataset: h5py.Dataset, external: ExternalColumn, start: int, stop: int) -> None:
    step = external.rows_within(32 * 2**20)
    for first in range(start, stop, step):
        last = min(first + step, stop)
        values = external.read(first, last)
        check(dataset)
        dataset[first:last] = values


def _move(dataset: h5py.Dataset, source: Any, block: Block, plan: _Plan) -> bool:
    """Move whole chunks without decoding them; say whether that was possible."""
    depth = plan.source_chunks[0]
    target_start = block.first * plan.per_row
    ends = block.first + block.rows == dataset.shape[0]
    if (
        not plan.same_bytes
        or source.is_virtual
        or source.chunks != plan.source_chunks
        or source.dtype != dataset.dtype
        or _filters(source) != _filters(dataset)
        or block.start % depth
        or target_start % depth
        or (block.stop % depth and not ends)
    ):
        return False
    check_file = checker(dataset)
    chunks = _Chunks(source)
    for offset in _offsets(block, source):
        try:
            mask, raw = chunks.read(offset)
        except (OSError, RuntimeError, ValueError):
            if _never_written(source, offset):
                continue  # reads as the fill value, there and here
            return False  # read row by row, to say which rows are lost
        entry = target_start + offset[0] - block.start
        if plan.framed:
            target = (entry // plan.per_row, entry % plan.per_row, *offset[1:])
        else:
            target = (entry, *offset[1:])
        check_file()
        dataset.id.write_direct_chunk(target, raw, mask)
    return True


class _Chunks:
    """Reads chunks as they are in the file, all into the same memory.

    New memory for each costs as much as reading it and writing it.
    """

    def __init__(self, source: h5py.Dataset) -> None:
        self._source = source
        self._room = np.empty(source.dtype.itemsize * math.prod(source.chunks), np.uint8)

    def read(self, offset: tuple[int, ...]) -> tuple[int, Any]:
        """Return the filter mask and the bytes of a chunk, which are good until the next is read."""
        try:
            return self._source.id.read_direct_chunk(offset, out=self._room)  # type: ignore[no-any-return]
        except ValueError:  # a filter made more of it than it was; else it says again what is wrong
            return self._source.id.read_direct_chunk(offset)  # type: ignore[no-any-return]


def _never_written(source: Any, offset: tuple[int, ...]) -> bool:
    """Say whether there is no such chunk. HDF5 goes through all of them to tell: do not ask for each."""
    return bool(source.id.get_chunk_info_by_coord(offset).byte_offset is None)


def _offsets(block: Block, source: Any) -> Iterator[tuple[int, ...]]:
    ranges = [range(block.start, block.stop, source.chunks[0])]
    ranges += [
        range(0, size, chunk) for size, chunk in zip(source.shape[1:], source.chunks[1:], strict=True)
    ]
    yield from product(*ranges)


def _filters(dataset: Any) -> list[Any]:
    settings = dataset.id.get_create_plist()
    return [settings.get_filter(number) for number in range(settings.get_nfilters())]
