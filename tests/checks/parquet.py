"""Parquet, by DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb

from ..corpus import Pairs
from .frames import Opened, check_tables


def _open(path: Path) -> Opened:
    with duckdb.connect() as connection:
        said = connection.execute(
            "select decode(key), decode(value) from parquet_kv_metadata(?)", [str(path)]
        ).fetchall()
        rows = connection.execute("select * from read_parquet(?)", [str(path)])
        names = [column[0] for column in rows.description]
        found = rows.fetchall()
    columns = {name: [row[number] for row in found] for number, name in enumerate(names)}
    return dict(said), columns


def check(files: list[Path], documents: Pairs) -> None:
    check_tables(files, documents, _open)
