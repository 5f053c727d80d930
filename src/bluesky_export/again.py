"""``export --failed``: write the runs that live writers could not, now that the cause is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .errors import (
    BlueskyExportError,
    CatalogUnavailable,
    NoCatalog,
    RunAlreadyInFile,
    RunNotFound,
    UsageError,
)
from .exporting import export_to, plans_of, what_if_exists
from .live import FailedRun, live_writers
from .outputs import Target
from .printing import printable
from .replay import logger
from .results import ExportResult, Failure
from .selection import Say, Selection
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
    UsageError
        A name was given, and a run goes to a file that has one, or to a server.
    """
    changes = _Changes(what_if_exists(overwrite, skip_existing), name)
    live = live_writers(find_run_engine(variables))
    failed = live.failed
    if not failed:
        raise RunNotFound("no run has failed: nothing to write again")
    changes.check(failed)
    times = Counter(run.uid for run in failed)  # a run may have failed in several formats
    result = ExportResult(runs=len(times), formats=max(times.values()))
    tell = logger.info if say is None else say
    for run in failed:
        if _again(run, result, catalog, changes, tell):
            live.forget([run])
    tell(result.summary())
    return result


@dataclass
class _Changes:
    """What is to be different from when the writer was attached."""

    if_exists: Literal["overwrite", "skip"] | None
    name: str | None
    taken: set[Path] = field(default_factory=set)
    """Paths that this verb has written: no other run may replace one, or be left for one."""

    def check(self, failed: Iterable[FailedRun]) -> None:
        """Refuse a name where it would be of no use."""
        for run in failed if self.name else ():
            if run.target is not None and (run.target.file or run.target.address):
                raise UsageError(
                    f"{run.writer} writes run {run.scan_id} to {run.target.typed}: leave --name out"
                )

    def target(self, of: Target) -> Target:
        """Return where to write now."""
        return of.replaced(
            template=self.name or of.template,
            if_exists=self.if_exists or of.if_exists,
            taken=self.taken,
            open=set(),
            mark="",
        )


def _again(run: FailedRun, result: ExportResult, catalog: Any, changes: _Changes, say: Say) -> bool:
    """Write one run in one format; say whether it is done."""
    if run.format is None or run.target is None:
        say(f"run {run.scan_id} {run.uid[:7]}: replay it into {run.writer}, an object of the session")
        result.failed.append(Failure(run, run.writer, BlueskyExportError("not one of our formats")))
        return False
    target = changes.target(run.target)
    given = dict(run.settings)

    def write(source: Any) -> ExportResult:
        return export_to(
            target,
            plans_of(run.format or "", given.get("options") or {}),
            Selection((f"uid:{run.uid}",)),
            catalog=source,
            streams=_listed(given.get("streams")),
            fields=_listed(given.get("fields")),
            images=given.get("images"),
            root_map=given.get("root_map"),
            say=say,
        )

    def write_from_journal(error: BlueskyExportError) -> ExportResult:
        if not run.lost:
            with suppress(RunNotFound, NoCatalog):
                return write(JOURNAL)
        why = "the journal does not have all of the run: --catalog NAME names another catalog"
        raise type(error)(f"{error}; {why}") from None

    try:
        try:
            found = write(catalog)
        except (RunNotFound, NoCatalog, CatalogUnavailable) as error:
            if catalog is not None and not run.lost:
                raise
            found = write_from_journal(error)
    except RunAlreadyInFile as error:  # all of it was written, and its folder taken away just then
        say(printable(str(error)))
        result.skipped.append(Path(str(error.path)))
        return True
    except BlueskyExportError as error:
        failure = Failure(run, run.format, error)
        say(printable(f"FAILED {failure}"))
        result.failed.append(failure)
        return False
    result.written += found.written
    result.skipped += found.skipped
    return bool(found)


def _listed(names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else list(names)
