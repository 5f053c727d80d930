"""What has to be written, in files beside the journal: any process can finish it.

An :class:`Assignment` is an attached writer of one of our formats; an :class:`Intent` is one run
that it was given, and what became of it. Both are JSON, replaced as a whole.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from .. import formats as _formats
from ..errors import UsageError
from ..formats import Written
from ..outputs import Address, Target
from ._loading import load_path

State = Literal["pending", "written", "skipped", "failed"]


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file, private, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.new")
    fd = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with open(fd, "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(part, path)


def load(path: Path) -> dict[str, Any]:
    """Read a JSON file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True)
class Assignment:
    """An attached writer, as another process needs it.

    Attributes
    ----------
    name : str
        What it is called.
    format : str or None
        The registered format; None for a class by its path, or an object that only its session has.
    path : str
        Where the class of a writer or callback can be imported from, ``module:Class``.
    in_session : bool
        The session itself drives it; other processes only if the session has ended.
    folder, file, template, if_exists : str
        The target.
    streams, fields : list of str or None
        What to write of a run.
    keywords : dict
        Keyword arguments of the writer.
    address : str or None
        Instead of a folder and a file, without the key to it.
    """

    name: str
    format: str | None
    folder: str = ""
    file: str | None = None
    template: str = ""
    if_exists: str = "refuse"
    streams: list[str] | None = None
    fields: list[str] | None = None
    keywords: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    in_session: bool = False
    address: str | None = None

    @property
    def replayable(self) -> bool:
        """Whether another process can write the same."""
        return bool(self.format or self.path)

    @property
    def target(self) -> Target:
        """Where to write."""
        address = None if self.address is None else Address(self.address)
        return Target(
            Path(self.folder),
            self.file,
            self.template,
            self.if_exists,  # type: ignore[arg-type]
            address=address,
        )

    @property
    def made_of(self) -> Any:
        """The writer's class, or that of a callback.

        Raises
        ------
        UsageError
            It cannot be imported, or was an object of the session.
        """
        if self.format is not None:
            return _formats.writer_class(self.format)
        if self.path:
            return load_path(self.path)
        raise UsageError(f"{self.name} was an object of a session that has ended")

    @property
    def appends(self) -> bool:
        """Whether several runs go into one file."""
        return self.replayable and bool(getattr(self.made_of, "appends", False))

    def save(self, path: Path) -> None:
        """Keep it at ``<path>.json``."""
        save(path.with_name(f"{path.name}.json"), asdict(self))

    @classmethod
    def load(cls, path: Path) -> Assignment:
        """Read it from ``<path>.json``."""
        return cls(**load(path.with_name(f"{path.name}.json")))


@dataclass(frozen=True)
class Intent:
    """One run for one writer.

    Attributes
    ----------
    run : str
        The name of the journal's file, without suffix.
    uid, scan_id, time : str, any, float
        From the start document; a scan_id that is no number or text is kept as text.
    state : str
        ``pending``, ``written``, ``skipped`` or ``failed``.
    attempts : int
        How often a process has begun to write it.
    deaths : int
        How often a process died while it was at this run.
    finals : dict of str to int
        What was about to get its final name, with the inode: a process that is killed after that
        has written the run.
    outcome : dict
        Of a written run what :class:`~bluesky_export.formats.Written` tells, and the sizes of the
        files; else ``error``, ``message``, ``traceback``.
    later : bool
        Finished after its session had ended, and not told to anybody yet.
    """

    run: str
    uid: str
    scan_id: Any
    time: float
    state: State = "pending"
    attempts: int = 0
    deaths: int = 0
    finals: dict[str, int] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)
    later: bool = False

    @classmethod
    def of(cls, run: str, start: Mapping[str, Any]) -> Intent:
        """Return the intent for a run that starts."""
        scan_id, when = start.get("scan_id"), start.get("time")
        plain = scan_id is None or type(scan_id) in (int, float, bool)
        return cls(
            run=run,
            uid=str(start["uid"]),
            scan_id=scan_id if plain else str(scan_id),
            time=float(when) if isinstance(when, (int, float)) else 0.0,
        )

    def save(self, writer: Path) -> None:
        """Keep it in the folder ``writer``."""
        save(writer / f"{self.run}.json", asdict(self))

    @classmethod
    def load(cls, path: Path) -> Intent:
        """Read one file."""
        return cls(**load(path))

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)

    def changed(self, **changes: Any) -> Intent:
        """Return a copy with some attributes changed."""
        return replace(self, **changes)

    @property
    def start(self) -> dict[str, Any]:
        """As much of the start document as messages need."""
        return {"uid": self.uid, "scan_id": self.scan_id, "time": self.time}

    @property
    def written(self) -> Written:
        """The report of a written run."""
        found = self.outcome
        return Written(
            uid=self.uid,
            scan_id=self.scan_id,
            format=found["format"],
            files=tuple(Path(path) for path in found["files"]),
            events=found["events"],
            notices=tuple(found["notices"]),
            partial=found["partial"],
            status=found["status"],
            uris=tuple(found.get("uris", ())),
            unchanged=bool(found.get("unchanged")),
        )


def outcome_of(written: Written, sizes: list[int] | None = None) -> dict[str, Any]:
    """Return what is kept of a report; the sizes of its files are looked up unless given."""
    return {
        "format": written.format,
        "files": [str(path) for path in written.files],
        "uris": list(written.uris),
        "unchanged": written.unchanged,
        "sizes": [path.stat().st_size for path in written.files] if sizes is None else sizes,
        "events": written.events,
        "notices": list(written.notices),
        "partial": written.partial,
        "status": written.status,
    }


def failure_of(error: BaseException, message: str, trace: str) -> dict[str, Any]:
    """Return what is kept of an error."""
    return {"error": type(error).__name__, "message": message, "traceback": trace}


def error_of(outcome: Mapping[str, Any]) -> BaseException:
    """Return an error as it was raised in another process, as far as its class is known here."""
    name, message = outcome.get("error", "RuntimeError"), outcome.get("message", "nothing is known of it")
    for module in ("bluesky_export.errors", "builtins"):
        cls = getattr(importlib.import_module(module), name, None)
        if isinstance(cls, type) and issubclass(cls, BaseException):
            try:
                return cls(message) if message else cls()
            except Exception:  # noqa: S112 - UnicodeDecodeError and its like take more arguments
                continue
    return RuntimeError(f"{name}: {message}")


def assignments(session: Path) -> Iterator[Path]:
    """Yield the writers of a session, as paths without suffix."""
    for path in sorted(session.glob("*.json"), key=lambda path: (len(path.name), path.name)):
        yield path.with_suffix("")


def intents(writer: Path) -> list[Intent]:
    """Return the runs that a writer was given, in the order of their start; what is damaged is left out."""
    found = []
    for path in writer.glob("*.json"):
        try:
            found.append(Intent.load(path))
        except (OSError, ValueError, TypeError):
            continue
    return sorted(found, key=lambda intent: intent.time)
