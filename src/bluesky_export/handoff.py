"""``export --bundle``: an export whose files end in one folder or ZIP file that can be checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from . import formats as _formats
from .bundles import Bundle, Kind
from .errors import NoData, UsageError
from .exporting import export
from .outputs import full_path
from .replay import logger
from .results import ExportResult, counted
from .selection import Say, brief
from .session import settings


def export_bundle(
    kind: Kind,
    selectors: Any,
    formats: Any,
    path: str | Path | None = None,
    *,
    images: str | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    dry_run: bool = False,
    say: Say | None = None,
    **given: Any,
) -> ExportResult:
    """Write runs into a bundle: their files, an index, a manifest with sums, and a README.

    Parameters
    ----------
    kind : {"zip", "folder"}
        What the bundle is.
    selectors, formats
        As in :func:`bluesky_export.export`.
    path : str or Path, optional
        The bundle: a name, or an existing folder (or one that ends in ``/``) to put it into under the
        name ``bluesky-export-<date>-<time>``. It may not exist already.
    images : {"copy", "skip"}, optional
        What to do with data in detector files; a link would lead out of the bundle.
    overwrite, skip_existing : bool
        Refused: a bundle is never written over.
    dry_run : bool
        Say what would be written, and write nothing.
    say : callable, optional
        Told, a line each, what the user has to know.
    given : any
        The other parameters of :func:`bluesky_export.export`.

    Returns
    -------
    ExportResult
        The ZIP file, or the files in the folder; false if a run failed.

    Raises
    ------
    BlueskyExportError
        As :func:`bluesky_export.export`; nothing is left behind then.
    """
    tell = say or logger.info
    if kind not in ("zip", "folder"):
        raise UsageError(f"a bundle is a zip or a folder, not {kind!r}")
    if overwrite or skip_existing:
        raise UsageError(
            "a bundle is never written over: no --overwrite and no --skip-existing with --bundle"
        )
    if (images or settings().images) == "link":
        raise UsageError("links lead out of a bundle; add --images copy or --images skip")
    files_only(formats, "--bundle")
    place = _place(kind, path)
    if dry_run:
        result = export(
            selectors, formats, f"{place.parent}/", dry_run=True, images=images, say=logger.debug, **given
        )
        names = [Path("files") / file.name for file in result.planned]
        for name in names:
            tell(f"would write {name} in {place}")
        result.planned, result.bundle = [place], place
        return result
    bundle = Bundle(place, kind)
    try:
        inside = str(bundle.files.parent)
        result = export(
            selectors,
            formats,
            f"{bundle.files}/",
            images=images,
            say=lambda line: tell(line.replace(inside, str(place))),
            **given,
        )
        if not result.written:
            raise NoData(f"nothing was written, and there is no {place.name}: {result.summary()}")
        absent = [(brief(failure.run), failure.format) for failure in result.failed]
        bundle.finish(result.written, result.starts, absent)
    finally:
        bundle.discard()
    files = len({path for one in result.written for path in one.files})  # some formats append
    tell(f"wrote {place} (a bundle of {counted(files, 'file')}; bluesky-export verify {place} checks it)")
    result.bundle = place
    result.written = [
        replace(one, files=tuple(dict.fromkeys(map(bundle.final, one.files)))) for one in result.written
    ]
    return result


def files_only(formats: str | Iterable[str], option: str) -> None:
    """Refuse formats that write to a server where files are to be handed on.

    Raises
    ------
    UsageError
        There is one.
    """
    for name in formats.split(",") if isinstance(formats, str) else formats:
        if _formats.writer_class(name.strip()).addressed:
            raise UsageError(f"{name} writes to a server, and {option} takes files: leave {option} out")


def _place(kind: Kind, path: str | Path | None) -> Path:
    """Return the bundle's final path."""
    text = str(path if path is not None else (settings().directory or "."))
    full = full_path(text)
    if path is None or text.endswith(("/", "\\")) or full.is_dir():
        full = full / f"bluesky-export-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
        return full.with_name(full.name + ".zip") if kind == "zip" else full
    if kind == "zip" and full.suffix.lower() != ".zip":
        full = full.with_name(full.name + ".zip")
    return full
