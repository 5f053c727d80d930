"""What is in a file, the time of writing aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

_STAMPS = {"file_time", "file_name", "date", "creation_time", "timestamp"}
_STAMPS |= {"DIMENSION_LIST", "REFERENCE_LIST"}  # where in the file an axis is


def file_content(path: Path) -> Any:
    """Return what a file holds: its bytes; of HDF5 each item, as written under the same name.

    HDF5 files of one content differ in their bytes. Attributes that say when a file was written, and
    under which name, are left out.
    """
    import h5py

    return _hdf5(path) if h5py.is_hdf5(path) else path.read_bytes()


def _hdf5(path: Path) -> dict[str, Any]:
    import h5py

    found: dict[str, Any] = {}

    def put(name: str, item: Any) -> None:
        for key, value in item.attrs.items():
            if key not in _STAMPS:
                found[f"{name}@{key}"] = _bits(value)
        if isinstance(item, h5py.Dataset):
            found[name] = (item.dtype, item.shape, _bits(item[()]))

    with h5py.File(path) as file:
        put("/", file)
        file.visititems(put)
    return found


def _bits(value: Any) -> Any:
    """Return what is equal exactly if every bit is."""
    array = np.asarray(value)
    return array.tolist() if array.dtype.hasobject else (array.dtype, array.tobytes())


def assert_same(found: Any, expected: Any, what: str) -> None:
    """Assert that two contents are equal, and say which item is not.

    Raises
    ------
    AssertionError
        They are not.
    """
    if isinstance(expected, dict) and found != expected:
        keys = sorted(k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k))
        key = keys[0]
        raise AssertionError(f"{what}: {keys[:5]}, {found.get(key)!r:.300} for {expected.get(key)!r:.300}")
    assert found == expected, what
