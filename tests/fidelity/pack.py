"""Packs: the documents by msgpack and msgpack-numpy, the detector files by the root map of catalog.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from bluesky_export.documents.assets import Assets
from bluesky_export.documents.pages import paginate
from bluesky_export.documents.tables import Table as Columns
from bluesky_export.formats import Written

from . import msgpack
from .documents import assembled
from .msgpack import metadata
from .reading import Read, Table

__all__ = ["RULES", "metadata", "read"]


def read(written: Written) -> Read:
    documents = written.files[0]
    folder = documents.parents[1]
    source = yaml.safe_load((folder / "catalog.yml").read_text())["sources"]["packed_catalog"]
    assert source["driver"] == "bluesky-msgpack-catalog"
    listed = (folder / "documents_manifest.txt").read_text().splitlines()
    assert str(documents.relative_to(folder)) in listed
    pairs = msgpack.undone(msgpack.pairs(documents))
    found = assembled(pairs)
    root_map = {root: str(Path(folder, place)) for root, place in source["args"]["root_map"].items()}
    for stream, table in found.tables.items():
        _fill(stream, table, pairs, root_map)
    return found


def _fill(stream: str, table: Table, pairs: list[tuple[str, Any]], root_map: dict[str, str]) -> None:
    """Put in what the detector files of the pack hold, which other tests read with databroker."""
    assets, columns = Assets(root_map), Columns(stream)
    mine = {doc["uid"] for name, doc in pairs if name == "descriptor" and doc["name"] == stream}
    for name, doc in paginate(pairs):
        if name in ("resource", "datum_page", "stream_resource", "stream_datum"):
            getattr(assets, name)(doc)
        elif name == "descriptor" and doc["uid"] in mine:
            columns.descriptor(doc)
        elif name == "event_page" and doc["descriptor"] in mine:
            columns.event_page(doc)
    columns.close(assets)
    for field in columns.fields:
        external = columns.external(field, assets)
        if external is None or not columns.data_key(field).get("external") or not external.readable:
            continue
        rows = list(external.read(0, external.rows))
        lost = set(external.missing_rows.tolist())
        table.fields[field] = [None if row in lost else value for row, value in enumerate(rows)]
        external.close()


def _same(values: list[Any]) -> list[Any]:
    return values


RULES = {**msgpack.RULES, "external": _same, "unreadable": _same}
compare = msgpack.compare
