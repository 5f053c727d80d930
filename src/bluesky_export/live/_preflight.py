"""Looks at a target before a writer is attached to it: a beamtime is a bad time to find out."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

from ..errors import OutputError, UsageError
from ..formats import Writer
from ..outputs import Output, Target, check_folder, explain
from ..session import settings
from . import _answer
from ._answer import within
from ._sink import Say


def min_free() -> int:
    """Return how many bytes have to be free to attach a writer."""
    return int(settings().min_free) * 1_000_000


def warn_free() -> int:
    """Return how many bytes are so few that it is said."""
    return int(settings().warn_free) * 1_000_000


def parse_target(path: str | Path | None, default: str | None, **kwargs: Any) -> Target:
    """Read what was typed, as :meth:`Target.parse` does; never waits for a share that hangs.

    Raises
    ------
    OutputError
        There can be no such path, or it does not answer.
    """
    where = path if path is not None else (default or ".")
    return within(_answer.FIRST_LOOK, where, lambda: Target.parse(path, default, **kwargs))


def preflight(cls: type[Writer], target: Target, say: Say) -> None:
    """Refuse a target that runs could not be written to.

    Raises
    ------
    CatalogUnavailable, NoCatalog
        Nobody answers at an address, or we are not let in.
    OutputError
        The folder is missing or not writable, its disk is nearly full, or it does not answer.
    UsageError
        One file for a format that needs one for each run, or a template with unknown fields.
    """
    if target.address is not None:
        cls.check(Output(target, {"uid": "not-a-run", "time": 0.0}, cls.suffix))
        return
    if target.file is not None and not cls.appends:
        raise UsageError(
            f"{cls.name} writes a file for each run: give a folder (end it with /) "
            "and, for the names, --name TEMPLATE"
        )
    lines: list[str] = []
    within(_answer.WHOLE_LOOK, target.folder, lambda: _look(cls, target, lines.append))
    for line in lines:
        say(line)


def _look(cls: type[Writer], target: Target, say: Say) -> None:
    check_room(target.folder, say)
    if target.file is None:
        target.stem(_AnyStart(time=0.0, uid="probe", scan_id=0, plan_name="probe"))
    else:
        path = target.folder / target.file
        if path.is_dir():
            raise OutputError(f"{path} is a folder; end it with / to write into it")
        if path.exists() and not os.access(path, os.W_OK):
            raise explain(OSError(errno.EACCES, ""), path)
        # what cannot be appended to later is refused now: no run has this uid
        cls.check(Output(target, {"uid": "not-a-run", "time": 0.0}, cls.suffix))


def check_room(folder: Path, say: Say) -> None:
    """Refuse a folder that cannot be written to or is nearly full; say so when little is left.

    Raises
    ------
    OutputError
        In one line, with what to do.
    """
    check_folder(folder, probe=True)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise explain(error, folder) from error
    if free < min_free():
        raise OutputError(
            f"{folder} has {megabytes(free)} free, less than {megabytes(min_free())}: free space, "
            "give another folder, or lower the limit (%config BlueskyExport.min_free)"
        )
    if free < warn_free():
        say(f"warning: {folder} has only {megabytes(free)} free")


def megabytes(size: int) -> str:
    """Return a size in words."""
    return f"{size / 1e6:,.0f} MB"


class _Any(str):
    """A metadata value that has every key."""

    def __getitem__(self, key: Any) -> _Any:
        return self


class _AnyStart(dict[str, Any]):
    """A start document that has every key, to try a template on."""

    def __missing__(self, key: str) -> _Any:
        return _Any("probe")
