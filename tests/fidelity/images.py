"""What counts as an image, for the formats that hold nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bluesky_export.testing import Made

from ..checks.streams import events_by_stream, only


def is_image_field(values: list[Any]) -> bool | None:
    """Say whether values are images, one shape for all; None if there is none to tell by."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    try:
        arrays = [np.asarray(value) for value in there]
    except ValueError:  # ragged in one event
        return False
    first = arrays[0].shape
    alike = all(array.dtype.kind in "biufc" and array.shape == first for array in arrays)
    return alike and len(first) >= 2 and 0 not in first


def image_fields(made: Made) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield stream, field and values of the image fields of a run."""
    events = events_by_stream(made.documents)
    keys = {
        (doc.get("name", "primary"), field): data_key
        for doc in only(made.documents, "descriptor")
        for field, data_key in doc["data_keys"].items()
    }
    for (stream, field), data_key in keys.items():
        values = [event["data"].get(field) for event in events[stream]]
        if data_key.get("external") and not any(np.ndim(value) for value in values):
            values = made.external.get((stream, field), [None] * len(values))
        if is_image_field(values):
            yield stream, field, values
