"""The verbs ``attach_writer``, ``detach_writer`` and their status: live writers on a RunEngine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import formats as _formats
from .errors import UsageError, WriterAttachError
from .formats import Images, Writer, Written
from .live import (
    AttachedWriter,
    FailedRun,
    LiveWriters,
    Say,
    StatusRow,
    StatusTable,
    check_conflicts,
    choose,
    format_writer,
    if_exists_checked,
    live_writers,
    object_writer,
    parse_target,
    preflight,
    say_on_stderr,
    status_table,
    subscribed_writers,
)
from .outputs import Target
from .session import find_run_engine, namespace, settings

DETACH_TIMEOUT = 300.0
"""Seconds that :func:`detach_writer` waits for files, unless told otherwise."""
SILENT_TIMEOUT = 60.0
"""Seconds that it waits for a process that gives no sign, as it does at a share that hangs."""
TELL_AFTER = 2.0
"""Seconds of waiting before the first line of progress; the next ones come after twice that, and so on."""


def attach_writer(
    writer: Any = None,
    path: str | Path | None = None,
    *,
    RE: Any = None,  # noqa: N803
    name: str | None = None,
    streams: str | Iterable[str] | None = None,
    fields: str | Iterable[str] | None = None,
    images: Images | None = None,
    if_exists: str = "refuse",
    options: Mapping[str, Any] | None = None,
    root_map: Mapping[str, str] | None = None,
    also: bool = False,
    variables: Mapping[str, Any] | None = None,
    say: Say | None = None,
) -> AttachedWriter | StatusTable:
    """Have each run from now on written by a writer, while it is measured.

    Parameters
    ----------
    writer : str, object, or class
        The name of a format, of a variable of the session (``$name`` where a format has that
        name as well), or ``MODULE:CLASS``; or a callback object or a writer's class itself. Left
        out: nothing is attached, the status is returned.
    path : str or Path, optional
        A folder; or a file, for a format that appends (spec). Left out: the setting
        ``directory``, else the current folder.
    RE : RunEngine, optional
        Left out: the session's ``RE``.
    name : str, optional
        Template of the file names, in ``str.format`` over the start document.
    streams, fields : str or list of str, optional
        Write these only.
    images : {"copy", "link", "skip"}, optional
        What to do with data in detector files.
    if_exists : {"refuse", "overwrite", "skip"}
        What to do about a file that is there already.
    options : Mapping, optional
        The format's own options.
    root_map : Mapping of str to str, optional
        Where detector files are found from here.
    also : bool
        Write a format that a writer subscribed by the session's startup writes already.
    variables : Mapping, optional
        The user's variables; left out: those of the session.
    say : callable, optional
        Shows a line to the user, now and while the writer is attached (then from another thread).
        Left out: the error stream.

    Returns
    -------
    AttachedWriter or StatusTable
        What is attached: the one that was there already, if it writes the same.

    Raises
    ------
    BlueskyExportError
        In one line: no such format or variable, a folder that cannot be written to, an option
        that does not fit, or no RunEngine.
    """
    variables = namespace() if variables is None else variables
    engine = _engine(RE, variables)
    if writer is None:
        return status(engine)
    say = say_on_stderr if say is None else say
    live = live_writers(engine)
    choice = choose(writer, variables)
    subset = (_names(streams), _names(fields))
    if choice.format_class is not None:
        target = _target(choice.format_class, path, name, if_exists_checked(if_exists), subset)
        common = {
            "images": images or settings().images,
            "root_map": dict(root_map if root_map is not None else settings().root_map),
        }
        wanted = format_writer(choice, target, common, options or {}, subset, say, one_file=name is None)
        asked = (streams, fields, images, root_map, options, name)
        usual = target.template == settings().name_template or target.file or target.address
        wanted.plain = not any(asked) and target.if_exists == "refuse" and bool(usual)
    else:
        given = {"--name": name, "--images": images, "--option": options, "--root-map": root_map}
        for option, value in given.items():
            if value:
                raise UsageError(f"{choice.label} is not one of our formats: it has no {option}")
        wanted = object_writer(choice, path, if_exists_checked(if_exists), subset, say)
    present = live.same(wanted.key)
    if present is not None:
        live.attach(wanted)  # the one that is there; its subscription is mended if need be
        say(f"{present.name} is attached already ({present.where}); nothing was changed")
        return present
    check_conflicts(engine, live, choice, wanted, also=also)
    if choice.format_class is not None and wanted.target is not None:
        preflight(choice.format_class, wanted.target, say)
    attached = live.attach(wanted)
    begins = "" if live.engine_is_idle() is not False else "; it begins with the next run that starts"
    say(f"{attached.name} attached: {attached.where}{begins}")
    return attached


def _target(
    cls: type[Writer], path: str | Path | None, name: str | None, if_exists: Any, subset: tuple[Any, Any]
) -> Target:
    """Return where a format is to write."""
    if cls.addressed:
        given = {"--name": name, "--stream": subset[0], "--fields": subset[1]}
        return Target.at(path, cls.name, given, if_exists=if_exists)
    template = name or settings().name_template
    return parse_target(path, settings().directory or None, template=template, if_exists=if_exists)


def _engine(given: Any, variables: Mapping[str, Any] | None = None) -> Any:
    """Return the RunEngine that was given, or the session's."""
    return find_run_engine(variables if given is None else {"RE": given})


def _names(given: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if given is None or given == "all":
        return None
    names = given.split(",") if isinstance(given, str) else list(given)
    return tuple(name.strip() for name in names if name.strip())


@dataclass
class Detached(Sequence[Path]):
    """What writers had written when they were detached: a sequence of absolute paths.

    Attributes
    ----------
    writers : list of AttachedWriter
        Those that are detached.
    deferred : list of AttachedWriter
        Those that finish the runs that are open, and then end by themselves.
    """

    writers: list[AttachedWriter] = field(default_factory=list)
    deferred: list[AttachedWriter] = field(default_factory=list)

    @property
    def written(self) -> list[Written]:
        """A report for each run that was written."""
        return [item for one in (*self.writers, *self.deferred) for item in one.written]

    @property
    def failed(self) -> list[FailedRun]:
        """The runs that could not be written."""
        return [run for one in (*self.writers, *self.deferred) for run in one.failed]

    @property
    def uris(self) -> list[str]:
        """Where runs are on a server, of writers that write no files."""
        return [uri for item in self.written for uri in item.uris]

    @property
    def files(self) -> list[Path]:
        """Absolute paths, each once, in the order of writing."""
        return list(dict.fromkeys(path for item in self.written for path in item.files))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: Any) -> Any:
        return self.files[index]

    def __iter__(self) -> Iterator[Path]:
        return iter(self.files)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Show a count: what was written is printed while detaching."""
        printer.text(f"<{_count(len(self), 'file')}>")

    def __repr__(self) -> str:
        return repr([str(path) for path in self.files])


def detach_writer(
    name: str | AttachedWriter = "all",
    *,
    RE: Any = None,  # noqa: N803
    timeout: float | None = DETACH_TIMEOUT,
    progress: Callable[[int], object] | None = None,
    say: Say | None = None,
) -> Detached:
    """Have writers stop, after the runs that have begun; wait for their files.

    Parameters
    ----------
    name : str or AttachedWriter
        A writer's name, a format (all its writers), or ``"all"``.
    RE : RunEngine, optional
        Left out: the session's ``RE``.
    timeout : float or None
        Seconds to wait for pending files; None waits for ever (Ctrl-C ends the waiting, not the
        writing). While a plan runs, or is paused, it does not wait at all.
    progress : callable, optional
        Called now and then while waiting, with the number of events not yet written. Left out:
        a line now and then.
    say : callable, optional
        Shows a line to the user. Left out: the error stream.

    Returns
    -------
    Detached
        The files that were written.

    Raises
    ------
    WriterAttachError
        No such writer is attached, or the files were not finished in time; they go on being
        written, and calling this again waits again.
    """
    engine = _engine(RE)
    say = say_on_stderr if say is None else say
    live = live_writers(engine)
    writers = _named(live, engine, name)
    if not writers:
        say("no writer is attached")
        return Detached()
    live.begin_detaching(writers)
    result = Detached()
    until = None if timeout is None else time.monotonic() + timeout
    waiting = _Waiting(live, progress, say)
    for writer in writers:
        finished = _wait(live, writer, until, waiting)
        (result.writers if finished else result.deferred).append(writer)
    if not live.attached:
        live.join(10.0)
    for writer in result.writers:
        say(_report(writer))
    for writer in result.deferred:
        say(f"{writer.name}: the run that is open is written to its end, then the writer is detached")
    return result


def _named(live: LiveWriters, engine: Any, name: str | AttachedWriter) -> list[AttachedWriter]:
    attached = live.attached
    if isinstance(name, AttachedWriter):
        name = name.name
    if name == "all":
        return attached
    plain = _formats.ALIASES.get(name, name)
    found = [one for one in attached if one.name == name] or [
        one for one in attached if plain in (one.name, one.format)
    ]
    if found:
        return found
    if any(name in (other.name, other.format) for other in subscribed_writers(engine, live.receive)):
        raise WriterAttachError(
            f"{name} was subscribed by the session's startup, not by %attach_writer: "
            "RE.unsubscribe(its token)"
        )
    names = ", ".join(one.name for one in attached) or "none"
    raise WriterAttachError(f"no writer {name!r} is attached; attached: {names}")


@dataclass
class _Waiting:
    live: LiveWriters
    progress: Callable[[int], object] | None
    say: Say
    told: float = field(default_factory=time.monotonic)
    pause: float = TELL_AFTER

    def look(self, writer: AttachedWriter) -> None:
        left = self.live.waiting_for(writer)
        if self.progress is not None:
            self.progress(left)
        elif time.monotonic() - self.told >= self.pause:
            self.told = time.monotonic()
            self.pause = min(2 * self.pause, 60.0)
            if writer.sinks or left:
                runs, events = _count(len(writer.sinks), "run"), _count(left, "event")
                self.say(f"waiting for {writer.name}: {runs}, {events} left")
            else:
                self.say(f"waiting for {writer.name} to end: every run is written ({writer.process})")


def _wait(live: LiveWriters, writer: AttachedWriter, until: float | None, waiting: _Waiting) -> bool:
    """Wait for a writer's files; False if a run is open, which only the user can end."""
    begin = time.monotonic()
    while not writer.detached.wait(0.05):
        idle = live.engine_is_idle()
        if idle is False or (idle is None and live.open_runs):
            return False
        waiting.look(writer)
        if until is not None and time.monotonic() > until:
            raise WriterAttachError(
                f"{writer.name} is still writing {_count(len(writer.sinks), 'run')} "
                f"({live.waiting_for(writer):,} events left); it goes on in the background. "
                f"Wait again with: %detach_writer {writer.name}"
            )
        if min(writer.silent, time.monotonic() - begin) > SILENT_TIMEOUT:
            raise WriterAttachError(
                f"{writer.name}: no sign of its process for {writer.silent:.0f} s: {writer.where} does not "
                f"answer, or it is at a large file. It goes on in the background, and the journal keeps "
                f"the {_count(len(writer.sinks), 'run')}. Wait again with: %detach_writer {writer.name}"
            )
        live.wake()
    return True


def _report(writer: AttachedWriter) -> str:
    places = [place for item in writer.written for place in (*item.files, *item.uris)]
    text = f"{writer.name} detached: {_count(writer.runs, 'run')}, {_count(writer.events, 'event')}"
    if writer.failed:
        text += f", {_count(len(writer.failed), 'run')} FAILED"
    return text + "".join(f"\n  {place}" for place in dict.fromkeys(places))


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def status(RE: Any = None) -> StatusTable:  # noqa: N803
    """Return how the attached writers are doing, and what else is subscribed that writes files."""
    engine = _engine(RE)
    return status_table(live_writers(engine), engine)


def failed_runs(RE: Any = None) -> list[FailedRun]:  # noqa: N803
    """Return the runs that attached writers could not write, oldest first."""
    engine = _engine(RE)
    return live_writers(engine).failed


def forget_failed(failed: Iterable[FailedRun], RE: Any = None) -> None:  # noqa: N803
    """Strike off failed runs, once they are written by other means."""
    engine = _engine(RE)
    live_writers(engine).forget(failed)


__all__ = [
    "Detached",
    "StatusRow",
    "StatusTable",
    "attach_writer",
    "detach_writer",
    "failed_runs",
    "forget_failed",
    "status",
]
