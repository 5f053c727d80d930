"""Arrow IPC, by pyarrow and pandas."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from bluesky_export.formats import Written

from .arrow_tables import RULES, declared, metadata, read_all, refuses
from .reading import Read

__all__ = ["RULES", "declared", "metadata", "read", "refuses"]


def _open(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def read(written: Written) -> Read:
    for path in written.files:
        assert len(pd.read_feather(path)) == len(_open(path))
    return read_all(written, _open)
