"""Parquet, by pyarrow and pandas."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq

from bluesky_export.formats import Written

from .arrow_tables import RULES, declared, metadata, read_all, refuses
from .reading import Read

__all__ = ["RULES", "declared", "metadata", "read", "refuses"]


def read(written: Written) -> Read:
    for path in written.files:
        assert len(pd.read_parquet(path)) == pq.read_metadata(path).num_rows
    return read_all(written, pq.read_table)
