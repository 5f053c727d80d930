"""The metadata of a run as a JSON file beside files that have no place for all of it."""

from __future__ import annotations

from typing import Any

from ..documents import jsontext
from ._base import Writer


def put_metadata(writer: Writer, part: str = "metadata", **described: Any) -> None:
    """Write ``…-metadata.json``: status, start, stop, descriptors, and what the files are.

    Two formats that have such a file need a ``part`` each: one export may write both.
    """
    whole = {
        "status": writer.status,
        "start": writer.start_doc,
        "stop": writer.stop_doc,
        "descriptors": list(writer.descriptors.values()),
        **described,
    }
    text = jsontext.dumps(whole, notice=writer.notice, indent=2)
    writer.output.part(part, ".json").write_text(text + "\n", encoding="utf-8")
