"""Documents in a form that can be compared: single events, plain numbers, NaN equal to NaN."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from bluesky_export.documents.pages import page_to_events


def singles(documents: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the documents with single events, and values that compare by value and type."""
    out = []
    for name, doc in documents:
        if name == "event_page":
            out += [("event", comparable(event)) for event in page_to_events(doc)]
        else:
            out.append((name, comparable(doc)))
    return out


def comparable(value: Any) -> Any:
    """Return a value that is equal only to the same value of the same kind."""
    if isinstance(value, (np.ndarray, np.generic)):
        return comparable(value.tolist())
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"float {value!r}"
    return f"bool {value}" if isinstance(value, bool) else value
