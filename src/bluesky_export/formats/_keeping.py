"""Base of the formats that write at the end of a run and read the detector files it refers to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..documents.assets import Assets
from ..documents.images import NoImages
from ..documents.pages import Document
from ..errors import NoData
from ..outputs import Output
from ._tables import TablesWriter


class KeepingWriter(TablesWriter):
    """Keeps a run's streams as tables, and what the asset documents say."""

    def __init__(self, output: Output, **common: Any) -> None:
        super().__init__(output, **common)
        self._assets = Assets(self.root_map)
        self._asset_documents: list[tuple[str, Document]] = []

    def resource(self, doc: Document) -> None:
        """Take a resource."""
        self._asset("resource", doc)

    def datum_page(self, doc: Document) -> None:
        """Take references into a resource."""
        self._asset("datum_page", doc)

    def stream_resource(self, doc: Document) -> None:
        """Take a stream resource."""
        self._asset("stream_resource", doc)

    def stream_datum(self, doc: Document) -> None:
        """Take references into a stream resource."""
        self._asset("stream_datum", doc)

    def _asset(self, name: str, doc: Document) -> None:
        getattr(self._assets, name)(doc)
        self._asset_documents.append((name, doc))

    def _no_images(self, instead: Mapping[str, NoImages], hint: str = "") -> NoData:
        """Return the error for a run without an image, which names what it has."""
        first = sorted(instead, key=lambda name: not instead[name].wanted)[:_NAMED]
        listed = ", ".join(f"{name} ({instead[name].what})" for name in first) or "no fields"
        more = f" and {len(instead) - _NAMED} more" if len(instead) > _NAMED else ""
        return NoData(
            f"{self.run_in_words} has no images for "
            f"{self.name}; it has: {listed}{more}{'; ' if hint else ''}{hint}"
        )


_NAMED = 6
