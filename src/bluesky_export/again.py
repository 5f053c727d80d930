"""``export --failed``: write the runs that live writers could not, now that the cause is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import BlueskyExportError, CatalogUnavailable, NoCatalog, RunAlreadyInFile, RunNotFound
from .exporting import export
from .live import FailedRun, live_writers
from .replay import logger
from .results import ExportResult, Failure
from .selection import Say
from .session import JOURNAL, find_run_engine


def export_failed(
    *,
    catalog: Any = None,
    variables: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    name: str | None = None,
    say: Say | None = None,
) -> ExportResult:
    """Export each run that an attached writer failed on, as it was meant to be written.

    Parameters
    ----------
    catalog : any, optional
        A catalog object or its name. Left out: ``cat`` or ``db`` of the session, and the journal
        for runs that it does not have, and the journal has whole.
    variables : Mapping, optional
        The user's variables.
    overwrite : bool
        Replace files that are there.
    skip_existing : bool
        Leave files that are there; their runs count as written.
    name : str, optional
        A template for the names, in the place of the one given when attaching.
    say : callable, optional
        Told, a line each, what the user has to know.

    Returns
    -------
    ExportResult
        What was written; runs that failed again stay in the list of failed runs.

    Raises
    ------
    RunNotFound
        No run has failed.
    """
    live = live_writers(find_run_engine(variables))
    failed = live.failed
    if not failed:
        raise RunNotFound("no run has failed: nothing to write again")
    times = Counter(run.uid for run in failed)  # a run may have failed in several formats
    result = ExportResult(runs=len(times), formats=max(times.values()))
    tell = say or logger.info
    for run in failed:
        changes = {"overwrite": overwrite, "skip_existing": skip_existing, "name": name}
        if _again(run, result, catalog, changes, tell):
            live.forget([run])
    tell(result.summary())
    return result


def _again(
    run: FailedRun, result: ExportResult, catalog: Any, changes: Mapping[str, Any], say: Say
) -> bool:
    """Write one run in one format; say whether it is done."""
    if run.format is None or run.target is None:
        say(f"run {run.scan_id} {run.uid[:7]}: replay it into {run.writer}, an object of the session")
        result.failed.append(Failure(run, run.writer, BlueskyExportError("not one of our formats")))
        return False
    target = run.target
    given = dict(run.settings)
    overwrite, skip_existing = changes["overwrite"], changes["skip_existing"]

    def write(source: Any) -> ExportResult:
        return export(
            f"uid:{run.uid}",
            run.format or "",
            target.typed,
            catalog=source,
            stream=given.get("streams"),
            fields=given.get("fields"),
            images=given.get("images"),
            root_map=given.get("root_map"),
            options=given.get("options"),
            name=None if target.address is not None else changes["name"] or target.template,
            overwrite=overwrite or (not skip_existing and target.if_exists == "overwrite"),
            skip_existing=skip_existing or (not overwrite and target.if_exists == "skip"),
            say=say,
        )

    try:
        try:
            found = write(catalog)
        except (RunNotFound, NoCatalog, CatalogUnavailable) as error:
            if run.lost:
                why = f"{error}; the journal does not have all of the run: add --catalog NAME"
                raise type(error)(why) from None
            if catalog is not None:
                raise
            found = write(JOURNAL)
    except RunAlreadyInFile as error:  # all of it was written, and its folder taken away just then
        say(str(error))
        result.skipped.append(Path(str(error.path)))
        return True
    except BlueskyExportError as error:
        failure = Failure(run, run.format, error)
        say(f"FAILED {failure}")
        result.failed.append(failure)
        return False
    result.written += found.written
    result.skipped += found.skipped
    return bool(found)
