"""The ``arrow`` format: a table for each stream in an Arrow IPC file (Feather, version 2).

Columns, types and metadata are those of the ``parquet`` format (``%export --help parquet``). The file is
mapped into memory by pyarrow and polars without being read first; pandas reads it with ``read_feather``.
It is not compressed unless ``compression=lz4`` or ``zstd`` is given.
"""

from __future__ import annotations

from typing import IO, Annotated, Any, Literal

from ..outputs import Output
from ._arrow import ARROW_RULES, ArrowWriter
from ._fidelity import fidelity

_ROWS = 65_536


class FeatherWriter(ArrowWriter):
    """Write each stream as an Arrow IPC file."""

    name = "arrow"
    suffix = ".arrow"
    how_to_open = ("in Python: pandas.read_feather('….arrow') or polars.read_ipc; R (arrow)",)
    summary = "an Arrow (Feather) table for each stream, dtypes and metadata kept; for pandas, polars, R"
    fidelity = fidelity(ARROW_RULES)

    def __init__(
        self,
        output: Output,
        *,
        compression: Annotated[Literal["none", "lz4", "zstd"], "codec of the columns"] = "none",
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        self._compression = compression

    def put(self, table: Any, file: IO[bytes]) -> None:
        """Write one table."""
        import pyarrow as pa

        codec = None if self._compression == "none" else self._compression
        with pa.ipc.new_file(
            file, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)
        ) as writer:
            writer.write_table(table, max_chunksize=_ROWS)
