"""Workbooks, by pandas, through calamine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ..corpus import Pairs
from .json import decoded
from .streams import events_by_stream, expect, keys_by_stream, start_of


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    sheets = pd.read_excel(
        path, sheet_name=None, dtype=object, keep_default_na=False, na_values=[], engine="calamine"
    )
    metadata = sheets["metadata"]
    entries = {
        (row.document, row.key): row.value
        for row in metadata.itertuples()
        if row.type in ("text", "integer")
    }
    for key, value in start_of(documents).items():
        if type(value) in (str, int) and value != "":
            expect(entries["start", key], value, key)
    keys = keys_by_stream(documents)
    for stream, events in events_by_stream(documents).items():
        sheet = sheets[stream]
        assert len(sheet) == len(events)
        left_out = {
            field
            for field, key in keys[stream].items()
            if key.get("external") or any(np.ndim(event["data"].get(field)) for event in events)
        }
        own = "event_time" if "time" in keys[stream] else "time"
        assert set(sheet.columns) == {own, *(set(keys[stream]) - left_out)}
        assert sheet[own].tolist() == [event["time"] for event in events]
        for field in set(keys[stream]) - left_out:
            for cell, event in zip(sheet[field], events, strict=True):
                _cell(cell, decoded(event["data"].get(field)), f"{stream}.{field}")


def _cell(cell: object, value: object, what: str) -> None:
    if value is None or value == "":
        assert cell == "", what
    elif isinstance(value, float) and not np.isfinite(value):
        assert repr(value) == cell, what
    elif isinstance(value, bool):
        assert cell is value, what
    elif isinstance(value, (int, float)):
        assert float(str(cell)) == float(value), what
    else:
        assert str(value) == cell, what
