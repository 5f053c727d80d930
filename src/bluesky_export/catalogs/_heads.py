"""Catalogs whose start documents are all at hand, to be sorted and searched here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ._base import Catalog, Query, Run
from ._plain import start_time
from ._where import matches


class Head(NamedTuple):
    """A start document as it is stored, and how to get its run."""

    start: Mapping[str, Any]
    run: Callable[[], Run]
    readable: bool = True


class HeadCatalog(Catalog):
    """A catalog that can give the start documents of all its runs at little cost.

    Runs are looked up by the start document as stored; transforms of the catalog show in the
    runs only (databroker does the same).
    """

    @abstractmethod
    def _heads(self) -> Iterable[Head]:
        """Return the heads of all runs there are now, in a fixed order."""

    def _sorted(self) -> list[Head]:
        return sorted(self._heads(), key=lambda head: start_time(head.start))

    def newest(self, n: int, skip: int = 0) -> list[Run]:
        return [head.run() for head in self._sorted()[::-1][skip : skip + n]]

    def by_scan_id(self, first: int, last: int | None = None) -> list[Run]:
        top = first if last is None else last
        return [head.run() for head in self._sorted() if _between(head.start.get("scan_id"), first, top)]

    def by_uid(self, prefix: str, limit: int = 10) -> list[Run]:
        found = [head for head in self._sorted() if str(head.start["uid"]).startswith(prefix)]
        return [head.run() for head in found[:limit]]

    def search(self, query: Query) -> list[Run]:
        return [head.run() for head in self._sorted() if head.readable and matches(head.start, query)]

    def __len__(self) -> int:
        return len(list(self._heads()))


def _between(scan_id: Any, first: int, last: int) -> bool:
    """Compare numbers only: a scan_id of text, or None, lies in no range."""
    if isinstance(scan_id, bool):
        return False
    try:
        return bool(first <= scan_id <= last)
    except TypeError:
        return False
