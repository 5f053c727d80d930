"""The verb ``export``: selected runs × formats → files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from . import formats as _formats
from .catalogs._base import Run
from .errors import UsageError
from .interrupts import Interrupted, watch
from .meter import Meter
from .outputs import Target, check_folder
from .replay import FormatPlan, Job, logger
from .results import ExportResult, Failure, counted, interrupted_text
from .selection import Say, Selection, select, tell_if_measuring
from .session import find_catalog, namespace, settings


def export(
    selectors: Any = (),
    formats: str | Iterable[str] = (),
    path: str | Path | None = None,
    *,
    catalog: Any = None,
    since: Any = None,
    until: Any = None,
    plan: str | None = None,
    where: Mapping[str, Any] | None = None,
    all_matches: bool = False,
    stream: str | Iterable[str] | None = None,
    fields: str | Iterable[str] | None = None,
    images: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    dry_run: bool = False,
    options: Mapping[str, Any] | None = None,
    root_map: Mapping[str, str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    say: Say | None = None,
    progress: Callable[..., Any] | None = None,
) -> ExportResult:
    """Write runs to files.

    Parameters
    ----------
    selectors : str, int, Run or list
        Which runs, as in the magic: ``-1``, ``554``, ``"554-560"``, ``"-5:"``, a uid, a run object.
    formats : str or list of str
        ``"csv"``, ``"spec"``, ``"csv,nexus"`` …; :func:`bluesky_export.formats.names` has them all.
    path : str or Path, optional
        A file, or a folder (existing, or ending in ``/``); for ``tiled`` an address. Left out: the
        setting ``directory``, else the current folder.
    catalog : any, optional
        A catalog object or its name. Left out: ``cat`` or ``db`` of the session.
    since, until, plan, where, all_matches
        The search; see :class:`bluesky_export.selection.Selection`.
    stream : str or list of str, optional
        Write these streams only; ``"all"`` is every one, as is leaving it out.
    fields : str or list of str, optional
        Write these fields only.
    images : {"copy", "link", "skip"}, optional
        What to do with data in detector files.
    name : str, optional
        Template of the file names, in ``str.format`` over the start document.
    overwrite, skip_existing : bool
        What to do about files that are there already; neither: refuse.
    dry_run : bool
        Say what would be written, and write nothing.
    options : Mapping, optional
        The format's own options.
    root_map : Mapping of str to str, optional
        Where detector files are found from here.
    workers : int, optional
        Write with so many processes on this machine. Left out: one run after another, here. A script
        that gives it needs the guard ``if __name__ == "__main__":``, as for all of Python's processes.
    scheduler : str, optional
        Write with the workers of the dask cluster whose scheduler has this address.
    say : callable, optional
        Told, a line each, what the user has to know. Left out: logged.
    progress : callable, optional
        A maker of tqdm-like progress bars.

    Returns
    -------
    ExportResult
        The absolute paths of the files; false if a run failed.

    Raises
    ------
    BlueskyExportError
        What was typed is wrong, or the one run asked for failed. Where several were asked for,
        each is tried, and the result tells which failed.
    """
    say = say or logger.info
    plans = plans_of(formats, options or {})
    if_exists = what_if_exists(overwrite, skip_existing) or "refuse"
    if any(one.writer.addressed for one in plans):
        _check_alone(plans)
        given = {"--name": name, "--stream": _names(stream), "--fields": _names(fields)}
        target = Target.at(path, plans[0].name, given, if_exists=if_exists)
    else:
        target = Target.parse(
            path,
            settings().directory or None,
            template=name or settings().name_template,
            if_exists=if_exists,
        )
    return export_to(
        target,
        plans,
        Selection(_tuple(selectors), since, until, plan, where or {}, all_matches),
        catalog=catalog,
        streams=_names(stream),
        fields=_names(fields),
        images=images,
        root_map=root_map,
        dry_run=dry_run,
        workers=workers,
        scheduler=scheduler,
        say=say,
        progress=progress,
    )


def what_if_exists(overwrite: bool, skip_existing: bool) -> Literal["overwrite", "skip"] | None:
    """Return what to do about files that are there; None if nothing was said of them."""
    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    return "overwrite" if overwrite else "skip" if skip_existing else None


def export_to(
    target: Target,
    plans: list[FormatPlan],
    chosen: Selection,
    *,
    catalog: Any,
    say: Say,
    streams: list[str] | None = None,
    fields: list[str] | None = None,
    images: str | None = None,
    root_map: Mapping[str, str] | None = None,
    dry_run: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Callable[..., Any] | None = None,
) -> ExportResult:
    """Write what is selected to where it is known to go: :func:`export`, for which all is read."""
    variables = namespace()
    source = find_catalog(catalog, variables)
    tell_if_measuring(chosen, source, variables, say)
    runs = select(chosen, source, variables, say)
    _check_target(target, plans, runs)
    shared: dict[str, Any] = {"images": images or settings().images}
    mapped = dict(root_map or settings().root_map)
    result = ExportResult(runs=len(runs), formats=len(plans))
    with watch() as check:
        job = Job(target, plans, streams, fields, shared, mapped, say, check)
        if dry_run:
            for run in runs:
                job.plan(run, result)
            return result
        if progress:
            job.bar = Meter(progress(total=_events(runs), unit=" events"), target.open)
        try:
            appending = all(one.writer.appends for one in plans)
            if appending and (workers or scheduler):
                what = "sent to a server" if plans[0].writer.addressed else "appended to one file"
                say(f"runs that are {what} are written one after another, without workers")
            if appending or (workers is None and scheduler is None):
                _write_all(job, runs, result)
            else:
                from . import bulk

                bulk.write_all(
                    job, source, runs, result, workers=workers, scheduler=scheduler, events=_events_of
                )
        finally:
            if job.bar is not None:
                job.bar.close()
    done = {one.uid for one in result.written}
    result.starts = {run.uid: run.start for run in runs if run.uid in done}
    if len(runs) == 1 and len(plans) == 1 and result.failed:
        error = result.failed[0].error
        error.result = result
        raise error
    if len(runs) > 1 or result.failed:
        say(result.summary())
    return result


def _write_all(job: Job, runs: Sequence[Run], result: ExportResult) -> None:
    """Write run after run; stop where the catalog has gone, since no later run can be read."""
    done = 0
    try:
        for done, run in enumerate(runs):
            job.check()
            if job.bar is not None:
                job.bar.describe(f"run {done + 1}/{len(runs)}")
            failed = len(result.failed)
            job.write(run, result)
            gone = [one for one in result.failed[failed:] if one.catalog_gone]
            if gone and done + 1 < len(runs):
                rest = runs[done + 1 :]
                sent = any(plan.writer.addressed for plan in job.plans)  # the server or the catalog, then
                why = "nothing can be sent now" if sent else "the catalog has gone"
                job.say(f"stopped: {why}, {counted(len(rest), 'more run')} not tried")
                for missed in rest:
                    result.failed += [Failure(missed, plan.name, gone[0].error) for plan in job.plans]
                return
    except KeyboardInterrupt:
        job.say(interrupted_text(done, len(runs), result))
        raise Interrupted from None


def _tuple(selectors: Any) -> tuple[Any, ...]:
    if isinstance(selectors, str):
        return tuple(selectors.split())
    return tuple(selectors) if isinstance(selectors, (list, tuple)) else (selectors,)


def _names(given: str | Iterable[str] | None) -> list[str] | None:
    if given is None or given == "all":
        return None
    names = given.split(",") if isinstance(given, str) else list(given)
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise UsageError(f"{given!r} names nothing")
    return names


def plans_of(given: str | Iterable[str], options: Mapping[str, Any]) -> list[FormatPlan]:
    """Return the formats that were named, with those of the options that are theirs."""
    if not given:
        raise UsageError(f"which format? one of {', '.join(_formats.names())}")
    names = _names(given) or []
    names = list(dict.fromkeys(_formats.ALIASES.get(name, name) for name in names))
    known = {name: _formats.options(name) for name in names}
    for key in options:
        if not any(key in found for found in known.values()):
            _formats.check_options(names[0], {key: options[key]})  # raises, naming what there is
    return [
        FormatPlan(
            name,
            _formats.writer_class(name),
            _formats.check_options(name, {k: v for k, v in options.items() if k in known[name]}),
        )
        for name in names
    ]


def _check_alone(plans: Sequence[FormatPlan]) -> None:
    """Refuse formats of files beside one that writes to a server: there is one path for all."""
    if len(plans) > 1:
        server = [plan.name for plan in plans if plan.writer.addressed]
        files = [plan.name for plan in plans if not plan.writer.addressed]
        raise UsageError(
            f"{server[0]} writes to a server and {', '.join(files)} to files: export them one by one"
        )


def _check_target(target: Target, plans: Sequence[FormatPlan], runs: Sequence[Run]) -> None:
    """Refuse now what would be wrong for every run."""
    check_folder(target.folder)
    if target.file is None:
        return
    here = f"{target.folder / target.file}"
    if len(plans) > 1:
        names = ", ".join(plan.name for plan in plans)
        raise UsageError(
            f"{here} is one file and {names} are {len(plans)} formats; give a folder (end it with /)"
        )
    if len(runs) > 1 and not plans[0].writer.appends:
        raise UsageError(
            f"{here} is one file and {len(runs)} runs are selected; give a folder (end it with /), "
            "or export to spec, which appends"
        )


def _events(runs: Sequence[Run]) -> int | None:
    """Return how many events there are to read, if all stop documents say it."""
    if all(isinstance((run.stop or {}).get("num_events"), Mapping) for run in runs):
        return sum(map(_events_of, runs))
    return None


def _events_of(run: Run) -> int:
    counts = (run.stop or {}).get("num_events")
    return sum(counts.values()) if isinstance(counts, Mapping) else 0


__all__ = ["ExportResult", "export"]
