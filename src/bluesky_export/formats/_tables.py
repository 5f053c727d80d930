"""Base of the formats that write at the end of a run, when each column is known as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from ..documents.pages import Document
from ..documents.tables import Table
from ..outputs import Output
from ._base import Writer, Written


class TablesWriter(Writer):
    """Keeps a run's streams as tables of compact columns."""

    masked: ClassVar[bool] = False
    """The format has nulls: None stays None, see :meth:`~bluesky_export.documents.columns.Column.pack`."""

    def __init__(self, output: Output, **common: Any) -> None:
        super().__init__(output, **common)
        self._tables: dict[str, Table] = {}
        self._changing: set[tuple[str, str]] = set()  # fields whose units do

    def descriptor(self, doc: Document) -> None:
        """Take a descriptor."""
        super().descriptor(doc)
        stream = self.stream_of(doc["uid"])
        table = self._tables.setdefault(stream, Table(stream, masked=self.masked))
        table.descriptor(doc)
        if len(table.descriptors) > 1:
            for field in doc["data_keys"]:
                if len(units := table.units(field)) > 1 and (stream, field) not in self._changing:
                    self._changing.add((stream, field))
                    self.notice(units_change(stream, field, units, "nexus and spec keep them apart"))

    def event_page(self, doc: Document) -> None:
        """Take events."""
        super().event_page(doc)
        self._tables[self.stream_of(doc["descriptor"])].event_page(doc)


def units_change(stream: str, field: str, units: list[Any], where: str) -> str:
    """Return the notice of a field whose units are not the same in all of a stream's descriptors."""
    return (
        f"{stream}.{field}: its units change within the stream, from {units[0]!r} to {units[1]!r}; "
        f"the column is given none ({where})"
    )


def primary_first(writer: Writer, files: Iterable[Path], streams: dict[str, Path | None]) -> Written:
    """Return the report of a writer with a file a stream: the primary stream's first."""
    finals = [streams[stream] for stream in sorted(streams, key=lambda stream: stream != "primary")]
    rank = {path: number for number, path in enumerate(finals)}
    return Writer.written(writer, sorted(files, key=lambda path: rank.get(path, len(rank))))
