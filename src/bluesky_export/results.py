"""What an export gives back: the files that were written, and the runs that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import BlueskyExportError, CatalogUnavailable
from .formats import Written
from .selection import brief


@dataclass(frozen=True)
class Failure:
    """A run that could not be written in a format; ``run`` has ``uid`` and ``scan_id``."""

    run: Any
    format: str
    error: BlueskyExportError

    @property
    def catalog_gone(self) -> bool:
        """Whether the catalog is gone, and no later run can be read."""
        return isinstance(self.error, CatalogUnavailable) and self.error.gone

    def __str__(self) -> str:
        return f"run {brief(self.run)} to {self.format}: {self.error}"


@dataclass
class ExportResult(Sequence[Path]):
    """The files that were written: a sequence of absolute paths.

    False if a run failed, or if nothing was written, so that ``if not export(...)`` sees it.
    """

    written: list[Written] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    planned: list[Path] = field(default_factory=list)
    planned_uris: list[str] = field(default_factory=list)
    runs: int = 0
    formats: int = 1
    """How many formats were asked for, of each run."""
    bundle: Path | None = None
    """The folder or ZIP file that all files are in, where a bundle was asked for."""
    starts: dict[str, Any] = field(default_factory=dict, repr=False)
    """By uid: the start documents of the runs that were written."""

    @property
    def files(self) -> list[Path]:
        """Absolute paths, in the order of the runs; with a dry run those that would be written."""
        paths = [path for item in self.written for path in item.files] or self.planned
        return list(dict.fromkeys(paths))  # runs that were appended to one file

    @property
    def uris(self) -> list[str]:
        """Where runs are on a server; with a dry run the server that they would be sent to."""
        return [uri for item in self.written for uri in item.uris] or self.planned_uris

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        return self.files[index]

    def __bool__(self) -> bool:
        return not self.failed and bool(self.files or self.uris or self.skipped)

    def __repr__(self) -> str:
        return repr([*map(str, self.files), *self.uris])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show a count: each path was printed when its file was written."""
        printer.text(f"<{self._counted}>")

    @property
    def _counted(self) -> str:
        """What was written, in words: files, or runs on a server."""
        if not self.uris:
            return counted(len(self.files), "file")
        same = sum(item.unchanged for item in self.written)
        return f"{len(self.uris)} on the server" + (f" ({same} unchanged)" if same else "")

    def summary(self) -> str:
        """Return one line: ``exported 5 of 6 runs, 12 files (failed: csv of 557, no data …)``.

        Of several formats a run can be written in some and not in others: one run is told in formats
        (``exported 1 run in 12 of 15 formats, …``), several are told as complete and in part.
        """
        notes = []
        if len(self.failed) == 1:
            (one,) = self.failed
            notes.append(f"failed: {one.format} of {one.run.scan_id}, {one.error}")
        elif self.failed:
            formats: dict[str, list[str]] = {}
            for one in self.failed:  # each was told when it happened
                formats.setdefault(one.format, []).append(str(one.run.scan_id))
            if self.runs == 1:
                notes.append(f"failed: {', '.join(formats)}")
            else:
                notes.append(
                    "failed: " + "; ".join(f"{name} of {_some(ids)}" for name, ids in formats.items())
                )
        if self.skipped:
            notes.append(f"{counted(len(self.skipped), 'file')} skipped, already there")
        partial = [item for item in self.written if item.partial]
        if partial:
            notes.append(f"{len(partial)} partial: some of their data cannot be read from here")
        text = f"exported {self._done()}, {self._counted}"
        return text + (f" ({'; '.join(notes)})" if notes else "")

    def _done(self) -> str:
        """Return what was done: the runs, and where that says too little, in how many formats."""
        failed = Counter(failure.run.uid for failure in self.failed)
        if self.runs == 1 and 0 < failed.total() < self.formats:
            return f"1 run in {self.formats - failed.total()} of {self.formats} formats"
        some = len(failed.keys() & {item.uid for item in self.written})
        text = f"{self.runs - len(failed)} of {counted(self.runs, 'run')}"
        return f"{text} and {some} in part" if some else text


def interrupted_text(done: int, runs: int, result: ExportResult) -> str:
    """Return the line for an export that Ctrl-C has ended."""
    return (
        f"interrupted: {done} of {runs} runs are finished, {len(result.files)} files; "
        "what was unfinished is removed"
    )


def _some(words: Sequence[str], most: int = 10) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def counted(number: int, word: str) -> str:
    """Return ``1 file``, ``2 files``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
