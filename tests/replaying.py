"""Replay documents through a writer, as the verbs do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bluesky_export.formats import Written, writer_class
from bluesky_export.outputs import Target
from bluesky_export.testing import kit


def replay(
    name: str, documents: Iterable[tuple[str, Any]], folder: Path, *, page_size: int = 1000, **options: Any
) -> Written:
    """Write one run's documents in a format; return what was written."""
    target = Target.parse(str(folder) + "/")
    return kit.replay(writer_class(name), documents, target, page_size=page_size, **options)


def run_of(
    data: dict[str, list[Any]],
    *,
    stream: str = "primary",
    start: dict[str, Any] | None = None,
    keys: dict[str, dict[str, Any]] | None = None,
    stop: dict[str, Any] | bool | None = True,
    uid: str = "5eed0000-0000-4000-8000-000000000001",
) -> list[tuple[str, dict[str, Any]]]:
    """Return the documents of a run with one stream that holds these columns."""
    rows = max((len(column) for column in data.values()), default=0)
    dtypes = {float: "number", int: "integer", bool: "boolean", str: "string", list: "array"}
    described = {
        field: {
            "source": "test",
            "dtype": dtypes.get(type(column[0]) if column else float, "number"),
            "shape": [],
            **(keys or {}).get(field, {}),
        }
        for field, column in data.items()
    }
    documents: list[tuple[str, dict[str, Any]]] = [
        ("start", {"uid": uid, "time": 1700000000.25, "scan_id": 7, "plan_name": "count", **(start or {})}),
        (
            "descriptor",
            {
                "uid": f"d-{uid}",
                "run_start": uid,
                "time": 1700000000.5,
                "name": stream,
                "data_keys": described,
                "object_keys": {field: [field] for field in data},
                "configuration": {},
                "hints": {},
            },
        ),
    ]
    for row in range(rows):
        documents.append(
            (
                "event",
                {
                    "uid": f"e{row}-{uid}",
                    "descriptor": f"d-{uid}",
                    "seq_num": row + 1,
                    "time": 1700000001.125 + row,
                    "data": {field: column[row] for field, column in data.items()},
                    "timestamps": dict.fromkeys(data, 1700000001.0 + row),
                    "filled": {},
                },
            )
        )
    if stop:
        end = {"uid": f"s-{uid}", "run_start": uid, "time": 1700000100.0, "exit_status": "success"}
        end["num_events"] = {stream: rows}
        documents.append(("stop", {**end, **(stop if isinstance(stop, dict) else {})}))
    return documents
