"""JSON Lines: the run's documents themselves, ``["name", {document}]``, one a line.

The layout is suitcase-jsonl's, so that databroker's ``BlueskyJSONLCatalog`` opens the files. Pages
are taken apart into ``event`` and ``datum`` documents, which makes the lines of a stream independent
of how they were read; how the lines of streams that interleave follow each other is not. Letters
beyond ASCII are escapes, as suitcase-jsonl has them: databroker fails to open others.

NaN and the infinities are Python's tokens ``NaN``, ``Infinity``, ``-Infinity``, which ``json.loads``
(and so databroker) reads back as floats: lossless before strictly valid. Arrays become nested
lists; what else JSON does not have follows :mod:`bluesky_export.documents.jsontext`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..documents import jsontext
from ..documents.pages import Document, page_to_datums, page_to_events
from ._documents import DocumentsWriter
from ._fidelity import JSON_RULES, converted, fidelity


class JSONLWriter(DocumentsWriter):
    """Write the documents, one a line."""

    name = "jsonl"
    suffix = ".jsonl"
    summary = "the documents themselves, one a line; databroker opens it as a catalog"
    how_to_open = ("one document a line, in Python: [json.loads(line) for line in open('….jsonl')]",)
    fidelity = fidelity(
        {
            "nan": converted("the tokens `NaN`, `Infinity`, `-Infinity`, which Python's json reads"),
            **JSON_RULES,
        }
    )

    def encoded(self, name: str, doc: Any) -> bytes:
        """Return a document as a line of JSON."""
        return jsontext.line([name, doc], notice=self.notice)

    def event_page(self, doc: Document) -> None:
        """Write each event."""
        super().event_page(doc)
        for field, column in doc["data"].items():
            for dtype in _lost(column):
                self.notice(f"{field}: {dtype} values are written as JSON numbers or lists")
        for event in page_to_events(doc):
            self.put("event", event)

    def datum_page(self, doc: Document) -> None:
        """Write each datum."""
        for datum in page_to_datums(doc):
            self.put("datum", datum)


_SAME = ("float64", "int64", "bool", "object")


def _lost(column: Any) -> list[str]:
    """Return the dtypes of numbers that JSON does not keep; those of text are no loss."""
    values = [column] if isinstance(column, np.ndarray) else column
    if not any(issubclass(kind, (np.generic, np.ndarray)) for kind in set(map(type, values))):
        return []
    dtypes = {value.dtype for value in values if isinstance(value, (np.generic, np.ndarray))}
    return sorted(str(dtype) for dtype in dtypes if dtype.kind != "U" and dtype not in _SAME)
