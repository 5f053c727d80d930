"""What the verbs need of a catalog and of a run, and no more."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..documents.pages import Pair


@dataclass(frozen=True)
class Query:
    """A search, to be done by the catalog.

    Attributes
    ----------
    since, until : float or None
        Epoch seconds: ``since <= start["time"] < until``.
    plan : str or None
        Equal to ``start["plan_name"]``.
    where : Mapping
        Keys of the start document, dots for nested ones (``sample.name``), and the values they
        must equal. A value from the command line is text: a catalog has to match the number as
        well where the text reads as one.
    """

    since: float | None = None
    until: float | None = None
    plan: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)


class Run(ABC):
    """One run of a catalog: cheap to have, its data read only by :meth:`documents`."""

    start: Mapping[str, Any]
    """The start document, plain dicts and lists."""
    stop: Mapping[str, Any] | None
    """The stop document; None for an unfinished run."""

    @property
    def uid(self) -> str:
        """The run's uid."""
        return str(self.start["uid"])

    @property
    def scan_id(self) -> Any:
        """The run's scan_id as it was recorded; None if it has none."""
        return self.start.get("scan_id")

    @property
    def status(self) -> str:
        """``success``, ``abort``, ``fail``, or ``unfinished`` without a stop document."""
        return str((self.stop or {}).get("exit_status") or "unfinished")

    @abstractmethod
    def descriptors(self) -> list[Mapping[str, Any]]:
        """Return the descriptors of all streams, in order of time, without reading events."""

    @abstractmethod
    def documents(self, page_size: int = 1000, *, timestamps: bool = True) -> Iterator[Pair]:
        """Yield ``(name, document)``: start, descriptors, assets, event pages, stop.

        Event pages have up to ``page_size`` rows, with arrays as columns where the store has
        columns. External data are not filled in. The stop document is left out if there is none.

        Parameters
        ----------
        page_size : int
            The most rows of a page.
        timestamps : bool
            False if nobody will look at the fields' own timestamps, half of all that is measured:
            ``timestamps`` of a page may then be empty, where it saves the catalog work.
        """

    def counts(self) -> dict[str, int]:
        """Return the number of events of each stream, without reading data if the store knows."""
        names = {doc["uid"]: doc.get("name", "primary") for doc in self.descriptors()}
        found = dict.fromkeys(names.values(), 0)
        for name, doc in self.documents(timestamps=False):
            if name == "event_page":
                found[names[doc["descriptor"]]] += len(doc["seq_num"])
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """What this store no longer knows of the run as it was measured, one sentence each."""
        return ()

    @property
    def incomplete(self) -> bool:
        """Whether events that the run has are not there, or may not be read; known after reading it."""
        return False

    @property
    def root_map(self) -> Mapping[str, str]:
        """Where the catalog's configuration says that external files were moved to."""
        return {}


class Catalog(ABC):
    """A collection of runs.

    Lists are ordered by the time of the start document. A catalog that cannot be reached raises
    :class:`~bluesky_export.errors.CatalogUnavailable` from any method.
    """

    name: str
    """What to call it in messages."""
    opened_as: str | None = None
    """What another process has to be told to open it; None if it was made in this session."""

    @abstractmethod
    def newest(self, n: int, skip: int = 0) -> list[Run]:
        """Return up to ``n`` runs, newest first, after skipping the ``skip`` newest.

        The cost depends on ``n + skip``, not on the size of the catalog, as far as the store
        allows.
        """

    @abstractmethod
    def by_scan_id(self, first: int, last: int | None = None) -> list[Run]:
        """Return all runs with ``first <= scan_id <= last`` (``last`` = ``first`` if left out).

        Oldest first; duplicates of a scan_id are all there.
        """

    @abstractmethod
    def by_uid(self, prefix: str, limit: int = 10) -> list[Run]:
        """Return up to ``limit`` runs whose uid begins with ``prefix``, taken literally."""

    @abstractmethod
    def search(self, query: Query) -> list[Run]:
        """Return the runs that match, oldest first."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of runs."""
