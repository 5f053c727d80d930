"""Remove journals that nobody needs any more: of runs that are written, by age and by size.

A run that is not written, or that failed, is never removed. A run whose files are not where they
were written, or of which nothing is known (only callbacks of a session were attached), is kept three
times as long as the others, and never removed for its size.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ._intents import Intent, intents
from ._journal import comments_of, incomplete_of
from ._place import WRITERS

DAY = 86400.0


def clean(folder: Path, days: float, megabytes: float) -> list[Path]:
    """Remove journals, oldest first.

    Parameters
    ----------
    folder : Path
        The journal's folder.
    days : float
        Age of the last change above which a run that is written is removed.
    megabytes : float
        Size of all journals above which the oldest runs that are written are removed.

    Returns
    -------
    list of Path
        What was removed.
    """
    known: dict[str, list[tuple[Path, Intent]]] = {}
    for writer in _writers(folder):
        for intent in intents(writer):
            known.setdefault(intent.run, []).append((writer / f"{intent.run}.json", intent))
    removed = _clean_incomplete(folder, known, days * 3)
    files = sorted(((path, path.stat()) for path in folder.glob("*.msgpack")), key=lambda f: f[1].st_mtime)
    total = sum(status.st_size for _, status in files)
    for path, status in files:
        of_run = known.get(path.stem, [])
        if any(intent.state in ("pending", "failed") for _, intent in of_run):
            continue
        safe = bool(of_run) and all(_is_there(intent) for _, intent in of_run)
        age = time.time() - status.st_mtime
        if age > days * DAY * (1 if safe else 3) or (safe and total > megabytes * 1e6):
            path.unlink(missing_ok=True)
            comments_of(path).unlink(missing_ok=True)
            for file, _ in of_run:
                file.unlink(missing_ok=True)
            total -= status.st_size
            removed.append(path)
    return removed


def _clean_incomplete(folder: Path, known: dict[str, list[tuple[Path, Intent]]], days: float) -> list[Path]:
    """Remove old parts of runs that are not whole, and what is noted of runs without documents."""
    removed = []
    for path in folder.glob("*.incomplete"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > days * DAY:
                path.unlink()
                removed.append(path)
    for path in folder.glob("*.comments"):
        with suppress(FileNotFoundError):
            alone = not any(path.with_suffix(kind).exists() for kind in (".msgpack", ".incomplete"))
            if alone and time.time() - path.stat().st_mtime > days * DAY:
                path.unlink()
    for run, of_run in known.items():
        journal = folder / f"{run}.msgpack"
        if journal.exists() or incomplete_of(journal).exists():
            continue
        for file, intent in of_run:
            with suppress(FileNotFoundError):
                if intent.state == "skipped" and time.time() - file.stat().st_mtime > days * DAY:
                    file.unlink()
    return removed


def _writers(folder: Path) -> Iterator[Path]:
    return (path for path in (folder / WRITERS).glob("*/*") if path.is_dir())


def _is_there(intent: Intent) -> bool:
    """Say whether the files of a run are where they were written, and not shorter."""
    if intent.state == "skipped":
        return True
    try:
        sizes = [Path(path).stat().st_size for path in intent.outcome["files"]]
        if not sizes:
            return False  # a callback of a session's own, which does not tell
    except OSError:
        return False
    return all(size >= before for size, before in zip(sizes, intent.outcome["sizes"], strict=True))
