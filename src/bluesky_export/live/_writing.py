"""A run of one of our formats: one fresh writer, in whatever process and thread it is driven."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..documents.pages import Document
from ..documents.subset import Subset
from ..errors import BlueskyExportError, NoData, TargetExists
from ..formats import Writer, Written
from ..outputs import Output, Target, explain
from ._guard import Books, GuardedSink, Lane, missing_text
from ._sink import events_in

FLUSH_EVERY = 0.5
"""Seconds; a reader of a growing file sees an event no later than this."""


class WriterSink(GuardedSink):
    """Drive one fresh :class:`~bluesky_export.formats.Writer` through one run.

    Parameters
    ----------
    attached : Books
        Whose run it is.
    start : Mapping
        The start document.
    cls : type of Writer
        The format.
    target : Target
        Where to write.
    keywords : Mapping
        Keyword arguments for ``cls``.
    streams, fields : iterable of str or None
        What to write of the run.
    lane : Lane or None
        Shared by the runs that go into one file.
    committing : callable, optional
        Told what is about to be written under its final name: the report, and final path → part.
    """

    def __init__(
        self,
        attached: Books,
        start: Mapping[str, Any],
        *,
        cls: type[Writer],
        target: Target,
        keywords: Mapping[str, Any],
        streams: tuple[str, ...] | None,
        fields: tuple[str, ...] | None,
        lane: Lane | None = None,
        committing: Callable[[Written, Mapping[Path, Path]], object] | None = None,
    ) -> None:
        super().__init__(attached, start, lane)
        self._committing = committing
        self._cls = cls
        self._target = target
        self._keywords = keywords
        self._subset = Subset(streams, fields)
        self._writer: Writer | None = None
        self._dirty = False
        self._flushed = 0.0

    def _consume(self, name: str, doc: Document) -> int:
        if self._writer is None:
            output = Output(self._target, self.start, self._cls.suffix, before_commit=self._before_commit)
            if self._target.mark:  # that of this writer, whichever process writes
                output.remove_left_over()
            self._cls.check(output)
            self._writer = self._cls(output, **self._keywords)
        given = 0
        for part_name, part in self._subset.one(name, doc):
            self._writer(part_name, part)
            self._dirty = True
            given += events_in(part_name, part)
        return given

    def _before_commit(self, parts: Mapping[Path, Path]) -> None:
        if self._committing is not None and self._writer is not None:
            self._committing(self._writer.written(parts), parts)

    def _flush(self, now: float) -> None:
        if self._writer is not None and self._dirty and now - self._flushed >= FLUSH_EVERY:
            self._flushed, self._dirty = now, False
            self._writer.flush()

    def _close(self, missing: dict[str, int]) -> bool:
        writer = self._writer
        assert writer is not None  # made for the start document, without which there is no run
        absent = self._subset.missing()
        if absent and not writer.descriptors:
            raise NoData(f"this run has no {', no '.join(absent)}")
        for what in absent:
            writer.notice(f"this run has no {what}")
        for sentence in missing_text(missing):
            writer.partial = True
            writer.notice(sentence)
        self.attached.add_written(writer.close(), self.start)
        self._writer = None  # a finished writer may hold the whole run in memory
        return True

    def _abort(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            before = set(writer.notices)
            writer.abort()
            for notice in writer.notices:
                if notice not in before:  # what it could not clean up
                    self.attached.tell(notice)

    def _explain(self, error: BaseException) -> BaseException:
        """Say what to do about a system error, as ``%export`` does."""
        if isinstance(error, OSError) and error.errno and not isinstance(error, BlueskyExportError):
            path = self._writer.output.path() if self._writer else self._target.folder
            explained = explain(error, path)
            explained.__cause__ = error
            return explained
        return error

    def _is_skip(self, error: BaseException) -> bool:
        """Treat an existing file as a run to skip where the user asked for that."""
        return super()._is_skip(error) or (
            isinstance(error, TargetExists) and self._target.if_exists == "skip"
        )
