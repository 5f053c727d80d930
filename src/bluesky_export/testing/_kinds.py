"""What a kind of run is, and how its documents are made: the same ones each time."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Pairs = list[tuple[str, dict[str, Any]]]
Columns = Mapping[str, tuple[dict[str, Any], Sequence[Any]]]
"""By field: its data key, and its values, one an event."""

_NAMESPACE = uuid.UUID("b1e5c1e5-5eed-4000-8000-00c0ffee0001")
_EPOCH = 1_780_000_000.0
"""May 2026; each kind of run begins at a time of its own after this."""


@dataclass
class Made:
    """The documents of one run, and what they do not say themselves.

    Attributes
    ----------
    documents : list of (str, dict)
        In the order in which a RunEngine would emit them.
    external : dict
        By stream and field: what the detector files hold for each event, None where they cannot be
        read from here.
    root_map : dict of str to str
        With which a moved file is found.
    """

    documents: Pairs
    external: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    root_map: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """One kind of run.

    Attributes
    ----------
    name : str
        Short, for a test's id.
    summary : str
        What is special about it, in one line.
    features : frozenset of str
        Those of :data:`bluesky_export.documents.features.FEATURES` that it is there for.
    build : callable
        Makes the run through a :class:`RunMaker`.
    not_valid : str
        Why event-model's schemas refuse the documents, where that is on purpose; else empty.
    """

    name: str
    summary: str
    features: frozenset[str]
    build: Callable[[RunMaker], None]
    not_valid: str = ""

    def make(self, folder: Path) -> Made:
        """Make the run; its detector files go into a folder of its own inside ``folder``."""
        maker = RunMaker(self.name, folder)
        self.build(maker)
        return maker.made

    def documents(self, folder: Path) -> Pairs:
        """Return the documents of the run."""
        return self.make(folder).documents


def key(dtype: str, shape: Sequence[int | None] = (), **more: Any) -> dict[str, Any]:
    """Return a data key."""
    return {"source": "corpus", "dtype": dtype, "shape": list(shape), **more}


NUMBER = key("number")


class RunMaker:
    """Emits the documents of one run, with uids and times that depend on its name alone.

    Parameters
    ----------
    name : str
        Of the run.
    folder : Path
        Where files may be put; they go into a folder of the run's own, :attr:`folder`.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._parent = folder
        self.made = Made([])
        number = zlib.crc32(name.encode())
        self.scan_id = 1 + number % 9000
        self.clock = self.begin = _EPOCH + number % 10_000_000 + 0.123456
        self._uids = 0
        self._descriptors: dict[str, dict[str, Any]] = {}
        self._counts: dict[str, int] = {}
        self.uid = self.new_uid()

    @property
    def folder(self) -> Path:
        """The folder for this run's files, made when it is asked for."""
        path = self._parent / self.name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def new_uid(self) -> str:
        """Return the next uid of this run."""
        self._uids += 1
        return str(uuid.uuid5(_NAMESPACE, f"{self.name}/{self._uids}"))

    def descriptor_uid(self, stream: str = "primary") -> str:
        """Return the uid of the newest descriptor of a stream."""
        return str(self._descriptors[stream]["uid"])

    def tick(self, seconds: float = 0.7300001) -> float:
        """Let time pass; return the time."""
        self.clock += seconds
        return self.clock

    def emit(self, name: str, doc: dict[str, Any]) -> dict[str, Any]:
        """Add a document."""
        self.made.documents.append((name, doc))
        return doc

    # -- the documents ---------------------------------------------------------------------

    def start(self, *without: str, **metadata: Any) -> None:
        """Emit the start document of a scan of ``m``; ``without`` names what it shall not have."""
        doc = {
            "uid": self.uid,
            "time": self.begin,
            "scan_id": self.scan_id,
            "plan_name": "scan",
            "plan_type": "generator",
            "plan_args": {"detectors": ["det"], "num": 3, "args": ["m", -1, 1]},
            "motors": ["m"],
            "detectors": ["det"],
            "num_points": 3,
            "sample": "Al₂O₃",
            "hints": {"dimensions": [[["m"], "primary"]]},
            **metadata,
        }
        self.emit("start", {name: value for name, value in doc.items() if name not in without})

    def descriptor(
        self,
        data_keys: Mapping[str, dict[str, Any]],
        stream: str = "primary",
        *,
        configuration: Mapping[str, Any] | None = None,
        hints: Mapping[str, Any] | None = None,
    ) -> None:
        """Emit a descriptor; a later one of a stream takes its place."""
        devices = {"m": [f for f in data_keys if f == "m"], "det": [f for f in data_keys if f != "m"]}
        devices = {device: fields for device, fields in devices.items() if fields}
        owner = {field: device for device, fields in devices.items() for field in fields}
        if hints is None:
            hints = {device: {"fields": fields[:1]} for device, fields in devices.items()}
        self._descriptors[stream] = self.emit(
            "descriptor",
            {
                "uid": self.new_uid(),
                "run_start": self.uid,
                "time": self.tick(),
                "name": stream,
                "data_keys": {
                    name: {**data_key, "object_name": owner[name]} for name, data_key in data_keys.items()
                },
                "object_keys": devices,
                "configuration": dict(configuration or {}),
                "hints": dict(hints),
            },
        )
        self._counts.setdefault(stream, 0)

    def event(
        self,
        data: Mapping[str, Any],
        stream: str = "primary",
        *,
        filled: Mapping[str, Any] | None = None,
        time: float | None = None,
    ) -> None:
        """Emit an event."""
        self.tick()
        self._counts[stream] += 1
        self.emit(
            "event",
            {
                "uid": self.new_uid(),
                "descriptor": self.descriptor_uid(stream),
                "seq_num": self._counts[stream],
                "time": self.clock if time is None else time,
                "data": dict(data),
                "timestamps": {name: self.clock - 0.01 * (n + 1) for n, name in enumerate(data)},
                "filled": dict(filled or {}),
            },
        )

    def page(
        self, data: Mapping[str, Sequence[Any]], times: Sequence[float], stream: str = "primary"
    ) -> None:
        """Emit an event page."""
        first = self._counts[stream] + 1
        self._counts[stream] += len(times)
        self.emit(
            "event_page",
            {
                "uid": [self.new_uid() for _ in times],
                "descriptor": self.descriptor_uid(stream),
                "seq_num": list(range(first, first + len(times))),
                "time": list(times),
                "data": {name: list(values) for name, values in data.items()},
                "timestamps": {name: list(times) for name in data},
                "filled": {},
            },
        )

    def stop(self, *without: str, **changes: Any) -> None:
        """Emit the stop document."""
        doc = {
            "uid": self.new_uid(),
            "run_start": self.uid,
            "time": self.tick(),
            "exit_status": "success",
            "reason": "",
            "num_events": dict(self._counts),
            **changes,
        }
        self.emit("stop", {name: value for name, value in doc.items() if name not in without})

    # -- all at once -----------------------------------------------------------------------

    def table(self, columns: Columns, stream: str = "primary", **described: Any) -> None:
        """Emit a descriptor and the events of a stream."""
        self.descriptor({name: data_key for name, (data_key, _) in columns.items()}, stream, **described)
        for row in range(min((len(values) for _, values in columns.values()), default=0)):
            self.event({name: values[row] for name, (_, values) in columns.items()}, stream)

    def scan(self, columns: Columns, /, **metadata: Any) -> None:
        """Emit a whole run: a scan of ``m`` that measured these columns, finished."""
        rows = min((len(values) for _, values in columns.values()), default=3)
        self.start(**metadata)
        self.table({"m": (NUMBER, [-1.0 + 2 * row / 7 for row in range(rows)]), **columns})
        self.stop()


class Kinds(dict[str, Kind]):
    """Kinds of run by name, filled by its decorators."""

    def run(
        self, name: str, summary: str, features: str = "", *, not_valid: str = ""
    ) -> Callable[[Callable[[RunMaker], None]], Callable[[RunMaker], None]]:
        """Register a function that emits a whole run."""

        def register(build: Callable[[RunMaker], None]) -> Callable[[RunMaker], None]:
            self.add(Kind(name, summary, frozenset(features.split()), build, not_valid))
            return build

        return register

    def columns(
        self, name: str, summary: str, features: str = "", *, not_valid: str = ""
    ) -> Callable[[Callable[[], Columns]], Callable[[], Columns]]:
        """Register a function that returns the columns of a plain scan."""

        def register(columns: Callable[[], Columns]) -> Callable[[], Columns]:
            def build(run: RunMaker) -> None:
                run.scan(columns())

            self.add(Kind(name, summary, frozenset(features.split()), build, not_valid))
            return columns

        return register

    def add(self, kind: Kind) -> None:
        """Register a kind; a name is given once."""
        if kind.name in self:
            raise ValueError(f"two kinds of run are called {kind.name}")
        self[kind.name] = kind

    @staticmethod
    def joined(parts: Iterable[Kinds]) -> Kinds:
        """Return the kinds of several modules as one mapping."""
        whole = Kinds()
        for part in parts:
            for kind in part.values():
                whole.add(kind)
        return whole
