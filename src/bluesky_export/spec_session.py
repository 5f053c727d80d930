"""What users of apstools' SPEC writer type: ``spec_comment()`` and a new file by its title.

An instrument's startup takes them over under the names that its users know::

    from bluesky_export import new_spec_file as newSpecFile, spec_comment
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Any

from .attach import attach_writer, detach_writer
from .errors import WriterAttachError
from .live import (
    FIRST_LOOK,
    WHOLE_LOOK,
    AttachedWriter,
    LiveWriters,
    Say,
    live_writers,
    parse_target,
    say_on_stderr,
    within,
)
from .outputs import explain
from .session import find_run_engine, settings

_FORMAT = "spec"


def spec_comment(comment: str, doc: str | None = None, *, RE: Any = None) -> None:  # noqa: N803
    """Write a comment into the SPEC files of the attached writers, where the scan is now.

    It may be called at the prompt and in a plan, and returns at once. Without an open run the
    comment stands in the header of the next scan, in whichever file that is.

    Parameters
    ----------
    comment : str
        The text; each of its lines is a ``#C`` line with the time.
    doc : str, optional
        ``"stop"`` puts it at the end of the scan. Any other kind of document, as apstools has
        them, is the same as left out.
    RE : RunEngine, optional
        Left out: the session's ``RE``.

    Raises
    ------
    WriterAttachError
        No SPEC writer is attached.
    """
    live = live_writers(find_run_engine(None if RE is None else {"RE": RE}))
    if not _spec_writers(live):
        raise WriterAttachError("no SPEC file is being written; begin one: %attach_writer spec NAME.dat")
    live.comment(str(comment), "stop" if doc == "stop" else "event")


def new_spec_file(
    title: str,
    scan_id: int | None = None,
    RE: Any = None,  # noqa: N803
    *,
    say: Say | None = None,
) -> Path:
    """Have the runs to come written to a SPEC file of this title: ``{month}_{day}_{title}.dat``.

    The attached SPEC writer, with its options, goes on in that file; a run that is open is
    finished in the old one. Without one, a writer is attached.

    Parameters
    ----------
    title : str
        What the file is to be called; all but ASCII letters, digits and ``_`` become ``_``.
    scan_id : int, optional
        The number before that of the first scan, where a RunEngine is given and the file is
        new. Default: 0, so that the first scan is 1.
    RE : RunEngine, optional
        Given, its ``RE.md["scan_id"]`` is set: for a file that exists, to the highest number in
        it. Left out, the session's ``RE`` goes on counting.
    say : callable, optional
        Shows a line to the user. Left out: the error stream.

    Returns
    -------
    Path
        The file, in the folder of the setting ``directory`` (a template is filled in with what
        ``RE.md`` has now), else in the current one. It is made by the first scan.

    Raises
    ------
    BlueskyExportError
        The file cannot be written, or several SPEC writers are attached.
    """
    from apstools.utils import cleanupText

    from .formats._spec_survey import survey

    engine = find_run_engine(None if RE is None else {"RE": RE})
    say = say or say_on_stderr
    present = _spec_writers(live_writers(engine))
    if len(present) > 1:
        names = ", ".join(one.name for one in present)
        raise WriterAttachError(
            f"several SPEC writers are attached ({names}): which one? Detach the others"
        )
    folder = _folder(engine)
    path = folder / f"{datetime.now():%m_%d}_{cleanupText(title)}.dat"
    old = present[0] if present else None
    here = (
        old is not None and old.target is not None and old.target.folder / (old.target.file or "") == path
    )
    there = within(FIRST_LOOK, folder, path.exists)
    exists = there or here
    highest = within(WHOLE_LOOK, path, lambda: survey(path).highest) if there else 0
    if not here:
        given = dict(old.settings) if old is not None else {}
        attach_writer(_FORMAT, path, RE=engine, say=say, also=old is not None, **given)
        if old is not None:
            detach_writer(old, RE=engine, say=say)
    if RE is not None and exists:  # runs that were measured just now may not be in the file yet
        RE.md["scan_id"] = max(highest, RE.md.get("scan_id", 0)) if here else highest
    elif RE is not None:
        RE.md["scan_id"] = scan_id or 0
    say(f"SPEC file name : {path}")
    how = "appended to" if exists else "created"
    say(f"File will be {how} by the next bluesky scan.")
    return path


def _folder(engine: Any) -> Path:
    """Return the folder of the setting ``directory``; a template is filled in with ``RE.md``, and made."""
    directory = settings().directory
    if "{" not in directory:
        return Path(directory or ".").expanduser().absolute()
    target = parse_target(None, directory, template="name")
    known = {"uid": "", **getattr(engine, "md", {}), "time": time.time()}
    folder = (target.folder / target.stem(known)).parent

    def make() -> None:
        try:
            if target.folder.is_dir():  # folders from a template are made; the one that was typed is not
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain(error, folder) from error

    within(FIRST_LOOK, folder, make)
    return folder


def _spec_writers(live: LiveWriters) -> list[AttachedWriter]:
    return [one for one in live.attached if one.format == _FORMAT and not one.detaching]


__all__ = ["new_spec_file", "spec_comment"]
