"""Small things in an HDF5 file, of which a run's metadata are hundreds: scalars and groups.

What h5py's ``create_dataset`` and ``create_group`` would write, without what they ask anew each time.
A scalar is kept in its own header (HDF5's compact storage): elsewhere HDF5 fills the space of a text,
reads it again, and writes it.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5p, h5s, h5t

TEXT = h5py.string_dtype()

_TEXT_TYPE = h5t.py_create(TEXT, logical=True)
_SCALAR = h5s.create(h5s.SCALAR)


def _links(encoding: int) -> Any:
    made = h5p.create(h5p.LINK_CREATE)
    made.set_char_encoding(encoding)
    return made


def _datasets() -> Any:
    made = h5p.create(h5p.DATASET_CREATE)
    made.set_layout(h5d.COMPACT)
    made.set_obj_track_times(False)
    return made


def _groups() -> Any:
    made = h5p.create(h5p.GROUP_CREATE)
    made.set_link_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
    made.set_attr_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
    made.set_obj_track_times(False)
    return made


_DATASETS, _GROUPS = _datasets(), _groups()
_ASCII, _UTF8 = _links(h5t.CSET_ASCII), _links(h5t.CSET_UTF8)


def new_group(group: h5py.Group, name: str) -> h5py.Group:
    """Make a group that keeps the order of what is in it; the name is a safe one."""
    links = _ASCII if name.isascii() else _UTF8
    return h5py.Group(h5g.create(group.id, name.encode(), lcpl=links, gcpl=_GROUPS))


def new_text(group: h5py.Group, name: str, text: str) -> h5py.Dataset:
    """Write one text that HDF5 can hold, under a name that is safe."""
    array = np.empty((), TEXT)
    array[()] = text
    return _new(group, name, _TEXT_TYPE, array)


def new_scalar(group: h5py.Group, name: str, value: np.ndarray) -> h5py.Dataset:
    """Write one number or truth value, an array of no dimension, under a name that is safe."""
    return _new(group, name, h5t.py_create(value.dtype, logical=True), value)


def new_text_attribute(obj: Any, name: str, text: str) -> None:
    """Give an object an attribute of text that HDF5 can hold, instead of one that it may have."""
    array = np.empty((), TEXT)
    array[()] = text
    encoded = name.encode()
    if h5a.exists(obj.id, encoded):
        h5a.delete(obj.id, encoded)
    h5a.create(obj.id, encoded, _TEXT_TYPE, _SCALAR).write(array)


def _new(group: h5py.Group, name: str, kind: Any, value: np.ndarray) -> h5py.Dataset:
    dataset = h5d.create(group.id, name.encode(), kind, _SCALAR, dcpl=_DATASETS)
    dataset.write(h5s.ALL, h5s.ALL, value)
    return h5py.Dataset(dataset)
