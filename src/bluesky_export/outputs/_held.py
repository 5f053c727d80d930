"""Files that one process writes and another gives their names: nothing is final before its turn."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import TargetExists
from ._files import Output, marked, sync
from ._names import Target


class HeldOutput(Output):
    """An output whose :meth:`commit` leaves the complete files under their temporary names.

    Attributes
    ----------
    held : dict of Path to Path
        After :meth:`commit`: the final path of each file, and where it is until then.
    """

    held: dict[Path, Path]

    def commit(self) -> list[Path]:
        """Flush every file to the disk, and keep it where it is."""
        for path in self.left:
            self._parts.pop(path).unlink()
        for part in self._parts.values():
            sync(part)
        self.held, self._parts = dict(self._parts), {}
        return list(self.held)


def adopt(
    target: Target, start: Mapping[str, Any], suffix: str, held: Mapping[Path, Path]
) -> tuple[list[Path], list[Path]]:
    """Give held files their final names, by the rules of an output that wrote them itself.

    Parameters
    ----------
    target : Target
        Where they go; its ``taken`` and ``if_exists`` decide.
    start : Mapping
        The run's start document.
    suffix : str
        The format's.
    held : Mapping of Path to Path
        Final paths, and where the complete files are.

    Returns
    -------
    tuple of list of Path
        The files that have their names, and those that were there and were left.

    Raises
    ------
    TargetExists, OutputError
        As :meth:`Output.commit`; then no file has been given its name and the held ones are gone.
    """
    output = Output(target, start, suffix)
    parts, left = dict(held), []
    try:
        for final in list(parts):
            try:
                output.check(final)
            except TargetExists:
                if target.if_exists != "skip":
                    raise
                parts.pop(final).unlink()
                left.append(final)
        output._parts = parts
        return output.commit(), left
    except BaseException:
        for part in parts.values():
            part.unlink(missing_ok=True)
        raise


def sweep(folders: Iterable[Path], mark: str, but: Collection[Path] = ()) -> None:
    """Remove the temporary files that carry a mark: what a process that died had begun.

    Those in ``but`` are still being written.
    """
    for folder in folders:
        for path in marked(folder, mark):
            if path not in but:
                path.unlink(missing_ok=True)
