"""One family of errors, rooted in :class:`BlueskyExportError`.

Each error says what happened, where, and what to type next, in one line. A magic prints that
line (IPython calls ``_render_traceback_``); the Python functions raise. Each class also inherits
the fitting built-in, so that ``except FileExistsError`` does what it says.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousRun",
    "BadOption",
    "BlueskyExportError",
    "CatalogUnavailable",
    "ExportFailed",
    "NoCatalog",
    "NoData",
    "NoRunEngine",
    "NotFaithful",
    "OutputError",
    "RunAlreadyInFile",
    "RunNotFound",
    "RunUnreadable",
    "TargetExists",
    "UnknownFormat",
    "UsageError",
    "WorkersUnavailable",
    "WriterAttachError",
]


class BlueskyExportError(Exception):
    """The root of all errors that bluesky_export raises on purpose."""

    result: object = None
    """What an export of one run has to report beside the error."""

    def __str__(self) -> str:
        # KeyError would show the repr of its argument.
        return " ".join(str(arg) for arg in self.args)

    def _render_traceback_(self) -> list[str]:
        """Give IPython the one line to print in place of a traceback."""
        from .printing import printable

        return [printable(f"{type(self).__name__}: {self}")]


class UsageError(BlueskyExportError, ValueError):
    """What was typed cannot be understood."""


class BadOption(UsageError):
    """An option is unknown to the format, or its value does not fit."""


class UnknownFormat(BlueskyExportError, LookupError):
    """No such format, or the package that it needs is not installed."""


class RunNotFound(BlueskyExportError, KeyError):
    """A selector matches no run of the catalog."""


class RunUnreadable(BlueskyExportError, OSError):
    """The store holds the run in a form that cannot be read: a damaged or forbidden file."""


class AmbiguousRun(BlueskyExportError, LookupError):
    """A uid prefix matches more than one run."""


class NoCatalog(BlueskyExportError, LookupError):
    """The session has no catalog to read runs from."""


class CatalogUnavailable(BlueskyExportError, ConnectionError):
    """The catalog cannot be reached or refuses to answer."""

    @property
    def gone(self) -> bool:
        """Whether no other run of the catalog can be read either."""
        return True


class NoRunEngine(BlueskyExportError, LookupError):
    """The session has no RunEngine to attach a writer to."""


class NoData(BlueskyExportError, ValueError):
    """The run holds nothing that this format can write."""


class NotFaithful(BlueskyExportError, ValueError):
    """A value cannot be written as it was measured, and the format has no rule for it."""


class OutputError(BlueskyExportError, OSError):
    """A folder is missing or not writable, or the disk is full."""


class TargetExists(OutputError, FileExistsError):
    """A file is there already and neither ``--overwrite`` nor ``--skip-existing`` was given.

    Parameters
    ----------
    message : str
        The line to print.
    path : Path, optional
        The file.
    """

    def __init__(self, message: str, path: object = None) -> None:
        super().__init__(message)
        self.path = path


class RunAlreadyInFile(TargetExists):
    """A file that is appended to holds this run already."""


class ExportFailed(BlueskyExportError, RuntimeError):
    """A writer broke on a run; the original exception is the ``__cause__``."""


class WriterAttachError(BlueskyExportError, RuntimeError):
    """A live writer cannot be attached or detached now."""


class WorkersUnavailable(BlueskyExportError, ConnectionError):
    """The dask cluster does not answer, or its workers cannot do the work."""
