"""What the documents of a run say, stream by stream."""

from __future__ import annotations

from typing import Any

from ...documents.pages import paginate
from .._kinds import Pairs


def only(documents: Pairs, kind: str) -> list[dict[str, Any]]:
    """Return the documents of a kind."""
    return [doc for name, doc in documents if name == kind]


def start_of(documents: Pairs) -> dict[str, Any]:
    """Return the start document."""
    return documents[0][1]


def stop_of(documents: Pairs) -> dict[str, Any] | None:
    """Return the stop document, None of an unfinished run."""
    return next(iter(only(documents, "stop")), None)


def events_by_stream(documents: Pairs) -> dict[str, list[dict[str, Any]]]:
    """Return single events of each stream, in order, also of streams without events."""
    streams = {doc["uid"]: doc.get("name", "primary") for doc in only(documents, "descriptor")}
    found: dict[str, list[dict[str, Any]]] = {stream: [] for stream in streams.values()}
    for name, doc in paginate(documents, 1):
        if name == "event_page":
            found[streams[doc["descriptor"]]].append(
                {
                    "seq_num": doc["seq_num"][0],
                    "time": doc["time"][0],
                    "uid": doc["uid"][0],
                    "descriptor": doc["descriptor"],
                    "data": {key: column[0] for key, column in doc["data"].items()},
                    "timestamps": {key: column[0] for key, column in doc["timestamps"].items()},
                }
            )
    return found


def keys_by_stream(documents: Pairs) -> dict[str, dict[str, Any]]:
    """Return the data keys of each stream, of all its descriptors."""
    found: dict[str, dict[str, Any]] = {}
    for doc in only(documents, "descriptor"):
        found.setdefault(doc.get("name", "primary"), {}).update(doc["data_keys"])
    return found
