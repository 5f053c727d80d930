"""Catalogs whose start documents are all at hand, to be sorted and searched here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from ._base import Catalog, Query, Run
from ._where import matches

Head = tuple[float, Any, Any, Mapping[str, Any]]
"""The time to sort a run by, what decides between runs of one time (no two have the same), what its
run is opened by, and its start document as it is stored. A bare tuple: there may be many thousands."""


class HeadCatalog(Catalog):
    """A catalog that can give the start documents of all its runs at little cost.

    Runs are looked up by the start document as stored; transforms of the catalog show in the
    runs only (databroker does the same). Only runs that are asked for are opened.
    """

    @abstractmethod
    def _heads(self) -> Iterable[Head]:
        """Return the heads of all runs there are now."""

    @abstractmethod
    def _open(self, head: Head) -> Run:
        """Return the run of a head."""

    def _readable(self, head: Head) -> bool:
        """Say whether a start document was there: else a search does not find the run."""
        return True

    def _sorted(self) -> list[Head]:
        return sorted(self._heads())

    def newest(self, n: int, skip: int = 0) -> list[Run]:
        return [self._open(head) for head in self._sorted()[::-1][skip : skip + n]]

    def by_scan_id(self, first: int, last: int | None = None) -> list[Run]:
        top = first if last is None else last
        return [
            self._open(head) for head in self._sorted() if _between(head[-1].get("scan_id"), first, top)
        ]

    def by_uid(self, prefix: str, limit: int = 10) -> list[Run]:
        found = [head for head in self._sorted() if str(head[-1]["uid"]).startswith(prefix)]
        return [self._open(head) for head in found[:limit]]

    def search(self, query: Query) -> list[Run]:
        return [
            self._open(head) for head in self._sorted() if self._readable(head) and matches(head[-1], query)
        ]

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
