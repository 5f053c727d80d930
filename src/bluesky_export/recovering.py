"""The verb ``recover``: finish what killed sessions left unwritten."""

from __future__ import annotations

from pathlib import Path

from .errors import OutputError
from .interrupts import watch
from .live import Recovered, Say, recover_journal, say_on_stderr
from .outputs import full_path
from .session import journal_folder


def recover(
    folder: str | Path | None = None, *, dry_run: bool = False, say: Say | None = None
) -> Recovered:
    """Finish the files of runs that sessions left behind, and try again what has failed.

    Nothing is touched that a living session is at, and no file is replaced that was not to be.

    Parameters
    ----------
    folder : str or Path, optional
        The journal's folder. Left out: that of the settings.
    dry_run : bool
        Say what would be done, and do nothing.
    say : callable, optional
        Told of each run. Left out: the error stream.

    Returns
    -------
    Recovered
        What was written, and what failed.

    Raises
    ------
    OutputError
        There is no such folder.
    """
    path = full_path(folder) if folder is not None else journal_folder()
    say = say_on_stderr if say is None else say
    if not path.is_dir():
        if folder is not None:
            raise OutputError(f"there is no folder {path}: recover takes the folder of a journal")
        say(f"there is no journal ({path}): nothing to recover")
        return Recovered()
    with watch() as check:
        result = recover_journal(path, say, failed=True, dry_run=dry_run, check=check)
    if not (result.written or result.failed or result.busy or result.planned or result.objects):
        say(f"nothing to recover in {path}")
    return result


__all__ = ["Recovered", "recover"]
