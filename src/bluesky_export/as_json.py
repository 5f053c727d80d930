"""The results of the verbs for programs: one JSON object each, the form of ``--json``."""

from __future__ import annotations

from typing import Any

from .details import RunDetails
from .documents import jsontext
from .errors import BlueskyExportError
from .listing import RunTable
from .results import ExportResult, Failure


def text(report: dict[str, Any]) -> str:
    """Return a report as strictly valid JSON text."""
    return jsontext.dumps(report, indent=2)


def export_report(result: ExportResult) -> dict[str, Any]:
    """Return what an export wrote and what it could not, by run and format."""
    return {
        "ok": bool(result),
        "runs": result.runs,
        "files": [str(path) for path in result.files],
        "uris": result.uris,
        "written": [
            {
                "uid": one.uid,
                "scan_id": one.scan_id,
                "format": one.format,
                "files": [str(path) for path in one.files],
                "uris": list(one.uris),
                "unchanged": one.unchanged,
                "events": one.events,
                "status": one.status,
                "partial": one.partial,
                "notices": list(one.notices),
            }
            for one in result.written
        ],
        "failed": [_failure(one) for one in result.failed],
        "skipped": [str(path) for path in result.skipped],
        "planned": [str(path) for path in result.planned],
        "summary": result.summary(),
    }


def runs_report(found: RunTable | RunDetails) -> dict[str, Any]:
    """Return a table's rows, or one run in full with its documents' metadata."""
    if isinstance(found, RunTable):
        rows = [
            {
                "uid": run.uid,
                "scan_id": run.scan_id,
                "time": run.start.get("time"),
                "cells": dict(zip(found.columns, row, strict=True)),
            }
            for run, row in zip(found.runs, found.rows, strict=True)
        ]
        return {"columns": list(found.columns), "runs": rows}
    run = found.run
    counts = run.counts()
    streams: dict[str, dict[str, Any]] = {}
    for descriptor in run.descriptors():
        name = str(descriptor.get("name", "primary"))
        stream = streams.setdefault(name, {"events": counts.get(name, 0), "fields": {}})
        stream["fields"].update(descriptor["data_keys"])
    return {
        "uid": run.uid,
        "scan_id": run.scan_id,
        "status": run.status,
        "start": run.start,
        "stop": run.stop,
        "streams": streams,
        "external_files": [{"path": path, "readable": readable} for path, readable in found.files],
        "notes": list(run.notes),
    }


def error_report(error: BlueskyExportError) -> dict[str, Any]:
    """Return what went wrong, and if that was one run's export, what is known of it."""
    report: dict[str, Any] = {"ok": False}
    if isinstance(error.result, ExportResult):
        report = export_report(error.result)
    return {**report, "error": {"kind": type(error).__name__, "message": str(error)}}


def _failure(one: Failure) -> dict[str, Any]:
    return {
        "uid": one.run.uid,
        "scan_id": one.run.scan_id,
        "format": one.format,
        "kind": type(one.error).__name__,
        "message": str(one.error),
    }
