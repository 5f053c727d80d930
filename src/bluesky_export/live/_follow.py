"""One run of one writer, followed in its journal: what a worker does, and may do again from the start."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import RunAlreadyInFile
from ..formats import Writer, Written
from ..outputs import Output, Target
from ._guard import GuardedSink
from ._handoff import COMMENT
from ._intents import Assignment, Intent, failure_of, outcome_of
from ._objects import ObjectSink
from ._pager import OpenRun
from ._router import Router
from ._sink import events_in, message_of, quietly, trace_of
from ._tail import Tail
from ._writing import WriterSink

DEATHS = 5
"""How often a run may take the process down; then it is given up."""


class Followed:
    """Drive one writer through one run, from the beginning of its journal.

    Parameters
    ----------
    writer : Path
        The folder of the writer's intents.
    intent : Intent
        The run.
    assignment : Assignment
        What to write.
    target : Target
        Where to write, the same object for all runs of a writer.
    tell : callable
        Shows a line to the user.

    Attributes
    ----------
    intent : Intent
        As it is on the disk: its ``state`` is not ``pending`` when the run is over.
    seen, given : int
        Events read from the journal, and given to the writer.
    """

    def __init__(
        self,
        writer: Path,
        intent: Intent,
        assignment: Assignment,
        target: Target,
        tell: Callable[[str], None],
        *,
        ended: bool = False,
        last_death: str = "",
    ) -> None:
        self.intent = intent
        self.name = assignment.name
        self.seen = 0
        self.given = 0
        self.ended = ended
        self._folder = writer
        self._assignment = assignment
        self._target = target
        self._last_death = last_death
        self._say = tell
        self._tail: Tail | None = None
        self._router = Router()
        self._run: OpenRun | None = None
        self._sink: GuardedSink | None = None
        self._ending = False
        self._stop: Mapping[str, Any] | None = None
        self._failed: BaseException | None = None
        self._begun = False
        self._journal = Path()

    @property
    def over(self) -> bool:
        """Whether the run is written, skipped or failed."""
        return self.intent.state != "pending"

    def step(self, now: float) -> bool:
        """Go on with the run, as far as its journal goes or for a moment; say whether there is more."""
        if self.over:  # given up before its first turn
            return False
        more: list[bool] = []
        error = quietly(lambda: more.append(self._step(now)))
        if error is not None and not self.over:
            self._settle_failed(error)
        return bool(more and more[0]) and not self.over

    def fail(self, error: BaseException) -> None:
        """Give the run up: documents of it are not in the journal."""
        if self._sink is not None:
            self._sink.fail(error)
            self._finish()
        elif not self.over:
            self._settle_failed(error)

    def _step(self, now: float) -> bool:
        if not self._begun:
            self._begin()
            return True
        if self._tail is None or self._sink_is_ending(now):
            return False
        ended = self.ended  # before the look: what is there when the end is known is all there is
        pairs, more = self._tail.read()
        for name, doc in pairs:
            self._take(name, doc)
            if self._stop is not None:
                break
        if self._run is None:
            if ended and not more:
                raise EOFError("its journal has no start document")
            return more
        if self._stop is not None or (ended and not more and not pairs):
            self._run.flush()
            self._end()
            return False
        if not more:
            self._run.flush()
        if self._sink is not None:
            self._sink.tick(now)
        return more or (ended and bool(pairs))

    def _sink_is_ending(self, now: float) -> bool:
        if self._ending and self._sink is not None:
            self._sink.tick(now)
            if self._sink.done:
                self._ending = False
                self._finish()
            return True
        return False

    def _begin(self) -> None:
        self._begun = True
        if self._already_done():
            return
        self._journal = self._folder.parent.parent.parent / f"{self.intent.run}.msgpack"
        if self.intent.deaths >= DEATHS:
            quietly(self._remove_left_over)
            why = f" (last: {self._last_death})" if self._last_death else ""
            raise RuntimeError(f"the process that writes it died {self.intent.deaths} times at it{why}")
        self._save(attempts=self.intent.attempts + 1, finals={}, outcome={})
        self._tail = Tail(self._journal)

    def _remove_left_over(self) -> None:
        """Remove the temporary files that a process has left which died at this run."""
        tail = Tail(self._journal)
        try:
            ((_, start), *_), _ = tail.read()
        finally:
            tail.close()
        cls = self._assignment.made_of
        if issubclass(cls, Writer):
            Output(self._target, start, cls.suffix).remove_left_over()

    def _already_done(self) -> bool:
        """See whether a process was killed after the files had got their names, or some of them."""
        finals = {Path(path): inode for path, inode in self.intent.finals.items()}
        ours = [path for path, inode in finals.items() if _inode(path) == inode]
        if finals and len(ours) == len(finals):
            self._save(state="written", finals={})
            return True
        for path in ours:  # files of one run appear together
            path.unlink()
        return False

    def _take(self, name: str, doc: Any) -> None:
        if name == COMMENT:
            if self._run is not None:
                self._run.comment(doc)
            return
        self._router.route(name, doc)
        if self._run is None:
            self._sink = self._make_sink(doc)
            self._run = OpenRun([self._sink])
        error = quietly(lambda: self._run.take(name, doc))  # type: ignore[union-attr]
        if error is not None:
            self._run.fail(error)
        self.seen += events_in(name, doc)
        if name == "stop":
            self._stop = doc

    def _make_sink(self, start: Mapping[str, Any]) -> GuardedSink:
        wanted = self._assignment
        cls, streams, fields = wanted.made_of, _tuple(wanted.streams), _tuple(wanted.fields)
        if not issubclass(cls, Writer):  # a callback of the user's, by its path
            overwrite = wanted.if_exists == "overwrite"
            return ObjectSink(
                self, start, make=cls, folder=None, streams=streams, fields=fields, overwrite=overwrite
            )
        return WriterSink(
            self,
            start,
            cls=cls,
            target=self._target,
            keywords=wanted.keywords,
            streams=streams,
            fields=fields,
            committing=self._committing,
        )

    def _end(self) -> None:
        assert self._sink is not None
        self._sink.end(self._router.missing(self.intent.uid, self._stop))
        self._ending = not self._sink.done  # a thread of the callback's own may still write
        if not self._ending:
            self._finish()

    def _finish(self) -> None:
        if self._failed is not None and not self.over:
            path = getattr(self._failed, "path", None)
            again = self.intent.attempts > 1 and isinstance(self._failed, RunAlreadyInFile)
            if again and path is not None:  # it was complete when the process before this one was killed
                self.add_written(self._report(Path(path)), self.intent.start)
            else:
                self._settle_failed(self._failed)
        self.close()

    def _report(self, path: Path) -> Written:
        status = str((self._stop or {}).get("exit_status") or "unfinished")
        name = self._assignment.format or self.name
        return Written(self.intent.uid, self.intent.scan_id, name, (path,), self.seen, (), False, status)

    def close(self) -> None:
        """Close the journal."""
        if self._tail is not None:
            self._tail.close()
            self._tail = None

    # -- the books of its sink -------------------------------------------------------------

    def tell(self, text: str) -> None:
        """Show one line to the user."""
        self._say(text)

    def _committing(self, written: Written, parts: Mapping[Path, Path]) -> None:
        finals = {str(final): part.stat().st_ino for final, part in parts.items()}
        sizes = [part.stat().st_size for part in parts.values()]
        content = outcome_of(written, sizes)
        self._save(finals=finals, outcome=content)

    def add_written(self, written: Written, start: Mapping[str, Any]) -> None:
        """Note that the run was written."""
        self._save(state="written", finals={}, outcome=outcome_of(written))

    def add_skipped(self, why: BaseException, start: Mapping[str, Any]) -> None:
        """Note that there was nothing to write."""
        self._save(state="skipped", outcome=failure_of(why, message_of(why), ""))

    def add_failed(self, error: BaseException, start: Mapping[str, Any]) -> None:
        """Keep what went wrong until the run is over."""
        self._failed = error
        if not isinstance(error, RunAlreadyInFile):
            self._settle_failed(error)

    def _settle_failed(self, error: BaseException) -> None:
        content = failure_of(error, message_of(error), trace_of(error))
        self._save(state="failed", finals={}, outcome=content)
        self.close()

    def _save(self, **changes: Any) -> None:
        self.intent = self.intent.changed(**changes)
        with suppress(OSError):  # the disk is full: the session hears of it in any case
            self.intent.save(self._folder)


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _inode(path: Path) -> int | None:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return None
