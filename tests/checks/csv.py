"""CSV, by Python's csv, pandas and json."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..corpus import Pairs
from .json import decoded
from .streams import events_by_stream, expect, keys_by_stream, start_of, stop_of

_ESCAPED = re.compile(r"[\x00\ud800-\udfff]")


def check(files: list[Path], documents: Pairs) -> None:
    sidecar = json.loads(files[-1].read_bytes(), parse_constant=_refuse)
    expect(decoded(sidecar["start"]), decoded(start_of(documents)), "start")
    expect(decoded(sidecar["stop"]), decoded(stop_of(documents)), "stop")
    assert sidecar["status"] == ((stop_of(documents) or {}).get("exit_status") or "unfinished")
    keys = keys_by_stream(documents)
    tables = 0
    for stream, events in events_by_stream(documents).items():
        table = sidecar["tables"][stream]
        assert table["events"] == len(events)
        if not events:
            assert table["file"] is None
            continue
        tables += 1
        (path,) = [file for file in files if file.name == table["file"]]
        left_out = set(table["left_out"])
        for field, key in keys[stream].items():
            external = bool(key.get("external"))
            array = field in events[0]["data"] and np.ndim(events[0]["data"][field]) > 0
            assert (field in left_out) == (external or array), f"{stream}.{field}"
        _rows(path, events, set(keys[stream]) - left_out)
        assert len(pd.read_csv(path, low_memory=False)) == len(events)
    assert len(files) == tables + 1


def _refuse(token: str) -> Any:
    raise AssertionError(f"{token} is not JSON")


def _rows(path: Path, events: list[dict[str, Any]], fields: set[str]) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    assert len(rows) == len(events)
    assert len(set(header)) == len(header) == len(fields) + 1
    own = "event_time" if "time" in fields else "time"
    for row, event in zip(rows, events, strict=True):
        cells = dict(zip(header, row, strict=True))
        assert float(cells[own]) == event["time"]
        for field in fields:
            _cell(cells[_text(field)], event["data"].get(field), f"{path.name} {field}")


def _text(text: str) -> str:
    text = _ESCAPED.sub(lambda m: ascii(m.group())[1:-1], text)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r", "'")) else text


def _cell(cell: str, value: Any, what: str) -> None:
    value = (
        value.item()
        if isinstance(value, np.generic) or (np.shape(value) == () and hasattr(value, "item"))
        else value
    )
    if value is None or np.ndim(value):  # an array in a column that began with numbers: said in a notice
        assert cell == "", what
    elif isinstance(value, bool):
        assert cell == str(value).lower(), what
    elif isinstance(value, float):
        assert repr(float(cell)) == repr(value), what
    elif isinstance(value, int):
        assert int(cell) == value, what
    else:
        assert cell == _text(str(value)), what
