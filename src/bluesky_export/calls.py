"""From parsed words to the verbs: what the magics and the shell command have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import options as opt
from .errors import UsageError
from .selection import Say
from .typed import find_format

Progress = Callable[..., Any]
_WITH_FAILED = ("failed", "catalog", "overwrite", "skip_existing", "name", "json")


def call_export(
    words: Sequence[str], *, prog: str, variables: Mapping[str, Any], say: Say, progress: Progress | None
) -> Any:
    """Run ``export`` as typed; return its :class:`~bluesky_export.exporting.ExportResult`."""
    parser = opt.export_parser(prog)
    found = opt.parse(parser, words)
    search = _search(found)
    if found.failed:
        if not opt.in_session(prog):
            raise UsageError(
                f"{prog} --failed is for the session whose writers failed: type %export --failed there, "
                "or, when it has ended, bluesky-export recover"
            )
        if found.words:
            raise UsageError(
                f"{prog} --failed takes no selector, format or path: each run goes where it was meant to"
            )
        given, plain = vars(found), vars(opt.parse(parser, []))
        more = [name for name in given if name not in _WITH_FAILED and given[name] != plain[name]]
        if more:
            listed = ", ".join(f"--{name.replace('_', '-')}" for name in more)
            raise UsageError(
                f"{prog} --failed takes no {listed}: each run is written as it was meant to be, one after "
                "another; --catalog, --name, --overwrite and --skip-existing go with it"
            )
        from .again import export_failed

        return export_failed(
            catalog=found.catalog,
            variables=variables,
            overwrite=found.overwrite,
            skip_existing=found.skip_existing,
            name=found.name,
            say=say,
        )

    if (found.globus_source or found.label) and not found.globus:
        raise UsageError(f"{prog}: --globus-source and --label go with --globus ENDPOINT:/path/")
    transfer = None
    if found.globus:
        from .globus import Plan, hand_over

        transfer = Plan.parse(found.globus, found.globus_source, found.label)  # before anything is written
    searching = any(search[key] for key in ("since", "until", "plan", "where"))
    selectors, formats, path = find_format(found.words, variables, searching, prog)
    if found.globus:
        from .handoff import files_only

        files_only(formats, "--globus")
    if found.bundle:
        from functools import partial

        from .handoff import export_bundle

        export = partial(export_bundle, found.bundle)
    else:
        from .exporting import export  # type: ignore[assignment]

    result = export(
        tuple(selectors),
        formats,
        path,
        **search,
        **_output(found),
        overwrite=found.overwrite,
        skip_existing=found.skip_existing,
        dry_run=found.dry_run,
        workers=found.workers,
        scheduler=found.scheduler,
        say=say,
        progress=progress,
    )
    if transfer is not None and result.files:
        paths = [result.bundle] if result.bundle is not None else result.files
        hand_over(paths, transfer, dry_run=found.dry_run, say=say)
    return result


def call_verify(words: Sequence[str], *, prog: str) -> Any:
    """Run ``verify`` as typed; return what was found."""
    found = opt.parse(opt.verify_parser(prog), words)
    if found.path is None:
        raise UsageError(f"which bundle? {prog} FOLDER or ZIP")
    from .verifying import verify

    return verify(found.path)


def call_runs(words: Sequence[str], *, prog: str, say: Say) -> Any:
    """Run ``runs`` as typed; return a table or the details of one run."""
    found = opt.parse(opt.runs_parser(prog), words)
    from .listing import runs

    return runs(
        tuple(found.words),
        n=found.n,
        columns=found.columns,
        csv=found.csv,
        plot=found.plot,
        **_search(found),
        say=say,
    )


def _search(found: Any) -> dict[str, Any]:
    return {
        "since": found.since,
        "until": found.until,
        "plan": found.plan,
        "where": opt.pairs(found.where, "--where"),
        "all_matches": found.all_matches,
        "catalog": found.catalog,
    }


def _output(found: Any) -> dict[str, Any]:
    return {
        "name": found.name,
        "stream": found.stream,
        "fields": found.fields,
        "images": found.images,
        "options": opt.pairs(found.option, "--option"),
    }


def call_attach(words: Sequence[str], *, prog: str, say: Say) -> Any:
    """Run ``attach_writer`` as typed; return the status table."""
    found = opt.parse(opt.attach_parser(prog), words)
    from .attach import attach_writer, status

    if found.writer is None:
        return status()
    given = _output(found)
    attach_writer(
        found.writer,
        found.path,
        name=given["name"],
        streams=_names(given["stream"]),
        fields=_names(given["fields"]),
        images=given["images"],
        if_exists="overwrite" if found.overwrite else "refuse",
        options=given["options"],
        also=found.also,
        say=say,
    )
    return None


def call_detach(words: Sequence[str], *, prog: str, say: Say) -> Any:
    """Run ``detach_writer`` as typed; return what was written."""
    found = opt.parse(opt.detach_parser(prog), words)
    from .attach import detach_writer

    timeout = {} if found.timeout is None else {"timeout": found.timeout}
    return detach_writer(found.writer, say=say, **timeout)


def _names(given: str | None) -> list[str] | None:
    return None if given in (None, "all") else [name for name in str(given).split(",") if name]


def call_recover(words: Sequence[str], *, prog: str, say: Say) -> Any:
    """Run ``recover`` as typed; return what was written and what failed."""
    found = opt.parse(opt.recover_parser(prog), words)
    from .recovering import recover

    return recover(found.folder, dry_run=found.dry_run, say=say)
