"""The ``parquet`` format: a table for each stream, as Apache Parquet, for pandas, polars, DuckDB, R, Spark.

- Columns, in this order: the scanned motors, ``time`` (the event's, epoch seconds), all other fields,
  the detectors; then ``seq_num`` and ``uid`` of the event, ``descriptor`` (the number of the event's
  descriptor) where the stream has several, and ``<field>_timestamp`` for each field. Where a field has
  the name of one of our columns, ours becomes ``event_time`` …, with a notice. In the metadata of each
  column ``role`` says which it is.
- dtypes are kept: float32, int8, uint64, bool … None is null, in a column of the dtype of the others.
  Arrays are lists (of a fixed size where all events have one shape), nested by dimension. Complex
  numbers are a struct of ``real`` and ``imag``; floats wider than 64 bits are texts of all their digits.
- What no one type holds (text beside numbers, dictionaries) is JSON text in the rules of
  :mod:`bluesky_export.documents.jsontext`, and the column's metadata say ``encoding = json``; so is a
  column of texts with lone surrogates, which UTF-8 does not have.
- Metadata: the file's key-value metadata have ``bluesky.start``, ``bluesky.stop``,
  ``bluesky.descriptors`` as JSON text, ``bluesky.stream`` and ``bluesky.status``; the column's
  (through pyarrow) have ``units`` and ``data_key``.
- A file is written at the end of the run: only then is it known which type holds every value. Until then
  columns are kept compact in memory, 8 bytes a float.
- Fields that are kept in detector files are left out with a notice: ``hdf5`` and ``nexus`` hold them.
"""

from __future__ import annotations

from typing import IO, Annotated, Any, Literal

from ..outputs import Output
from ._arrow import ARROW_RULES, ArrowWriter
from ._fidelity import fidelity

_ROWS = 122_880
"""Rows of a row group, as DuckDB recommends (https://duckdb.org/docs/stable/data/parquet/tips)."""


class ParquetWriter(ArrowWriter):
    """Write each stream as a Parquet file."""

    name = "parquet"
    suffix = ".parquet"
    how_to_open = ("in Python: pandas.read_parquet('….parquet') or polars.read_parquet; DuckDB, R (arrow)",)
    summary = "a Parquet table for each stream, dtypes and metadata kept; for pandas, polars, DuckDB"
    fidelity = fidelity(ARROW_RULES)

    def __init__(
        self,
        output: Output,
        *,
        compression: Annotated[
            Literal["snappy", "zstd", "none"], "how the columns are compressed"
        ] = "snappy",
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        self._compression = compression

    def put(self, table: Any, file: IO[bytes]) -> None:
        """Write one table."""
        import pyarrow.parquet as pq

        pq.write_table(table, file, row_group_size=_ROWS, compression=self._compression)
