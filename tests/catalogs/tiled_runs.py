"""Put a run into a Tiled server, and find it again."""

from __future__ import annotations

from typing import Any

from bluesky_export.catalogs._base import Run
from bluesky_export.catalogs.tiled import TiledCatalog

from ..corpus import Pairs
from ..fixtures_tiled import store


def put(client: Any, documents: Pairs, **options: Any) -> Run:
    """Store a run and find it again."""
    assert store(client, documents, **options) is None
    (run,) = TiledCatalog(client).by_uid(documents[0][1]["uid"])
    return run


def columns(run: Run) -> dict[str, Any]:
    (page,) = (doc for name, doc in run.documents() if name == "event_page")
    return dict(page["data"])
