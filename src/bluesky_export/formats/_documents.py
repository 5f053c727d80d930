"""What the formats share that hold the documents themselves, one behind the other."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from ..documents.pages import Document
from ..outputs import Output
from ._base import Writer
from ._lines import Lines


class DocumentsWriter(Writer):
    """Write each document as it comes; a subclass says how one is encoded, and writes the events."""

    as_it_goes = True
    holds = frozenset({"text", "arrays", "streams", "metadata"})

    def __init__(self, output: Output, **common: Any) -> None:
        super().__init__(output, **common)
        self._file: Lines | None = None

    @abstractmethod
    def encoded(self, name: str, doc: Any) -> bytes:
        """Return one document as it is in the file."""

    def open_part(self) -> Path:
        """Return the temporary file to write to."""
        return self.output.part()

    def put(self, name: str, doc: Any) -> None:
        """Write one document."""
        if self._file is None:
            self._file = Lines(self.open_part())
        self._file.write(self.encoded(name, doc))

    def start(self, doc: Document) -> None:
        """Open the file."""
        super().start(doc)
        self.put("start", doc)

    def descriptor(self, doc: Document) -> None:
        """Write a descriptor."""
        super().descriptor(doc)
        self.put("descriptor", doc)
        for field, key in doc["data_keys"].items():
            if key.get("external"):
                self.not_held(f"{doc.get('name')}.{field}")

    def not_held(self, where: str) -> None:
        """Say that a field's values are in files that this one does not hold."""
        self.notice(f"{where}: the file names its detector files, it does not hold them")

    def resource(self, doc: Document) -> None:
        """Write a resource."""
        self.put("resource", doc)

    def datum_page(self, doc: Document) -> None:
        """Write a page of datums."""
        self.put("datum_page", doc)

    def stream_resource(self, doc: Document) -> None:
        """Write a stream resource."""
        self.put("stream_resource", doc)

    def stream_datum(self, doc: Document) -> None:
        """Write a stream datum."""
        self.put("stream_datum", doc)

    def stop(self, doc: Document) -> None:
        """Write the stop document, the last one."""
        super().stop(doc)
        self.put("stop", doc)

    def flush(self) -> None:
        """Hand what is buffered to the operating system."""
        if self._file is not None:
            self._file.flush()

    def finish(self) -> None:
        """Close the file."""
        self.release()

    def release(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
