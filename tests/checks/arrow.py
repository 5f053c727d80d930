"""Arrow IPC, by polars; the metadata, which polars does not show, by pyarrow."""

from __future__ import annotations

from pathlib import Path

import polars
import pyarrow as pa

from ..corpus import Pairs
from .frames import Opened, check_tables


def _open(path: Path) -> Opened:
    with pa.memory_map(str(path)) as source:
        metadata = pa.ipc.open_file(source).schema.metadata
    said = {key.decode(): value.decode() for key, value in metadata.items()}
    frame = polars.read_ipc(path)
    return said, {name: frame[name].to_list() for name in frame.columns}


def check(files: list[Path], documents: Pairs) -> None:
    check_tables(files, documents, _open)
