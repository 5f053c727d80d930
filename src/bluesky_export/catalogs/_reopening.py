"""How another process comes by the same run: what to tell it, and what it does with that.

An address is small, can be pickled, and holds no credential: a process elsewhere logs in as anybody
does, with what Tiled or databroker keep for it there.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..errors import NoCatalog, RunNotFound
from ._base import Catalog, Run
from ._document_files import Layout
from ._files import FileRun

_opened: dict[str, Catalog] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class FileAddress:
    """A run in a file of its own."""

    path: str
    layout: Layout
    root_map: tuple[tuple[str, str], ...]

    def find(self) -> Run:
        """Return the run.

        Raises
        ------
        RunUnreadable
            The file cannot be read here.
        """
        start = self.layout.head(self.path)
        if start is None:
            raise RunNotFound(f"{self.path} holds no run")
        return FileRun(self.path, self.layout, start, {}, dict(self.root_map))


@dataclass(frozen=True)
class NamedAddress:
    """A run of a catalog that is opened by what it is called."""

    catalog: str
    uid: str

    def find(self) -> Run:
        """Return the run; the catalog is opened once in a process.

        Raises
        ------
        RunNotFound, NoCatalog, CatalogUnavailable
            It is not to be had here.
        """
        from . import open_catalog

        with _lock:
            if self.catalog not in _opened:
                _opened[self.catalog] = open_catalog(self.catalog)
            catalog = _opened[self.catalog]
        found = [run for run in catalog.by_uid(self.uid) if run.uid == self.uid]
        if not found:
            raise RunNotFound(f"the catalog {catalog.name}, opened again, has no run {self.uid}")
        return found[0]


Address = FileAddress | NamedAddress


def address_of(run: Run, catalog: Catalog) -> Address:
    """Return how another process finds a run.

    Parameters
    ----------
    run : Run
        A run.
    catalog : Catalog
        Where it was selected from.

    Raises
    ------
    NoCatalog
        Nobody else can open it: it lives in this session, or its credentials do.
    """
    if isinstance(run, FileRun) and not run._transforms:
        path = os.path.abspath(run.path)
        return FileAddress(path, run._layout, tuple(run.root_map.items()))
    name = catalog.opened_as or _tiled_address(catalog) or _databroker_name(catalog)
    if name is None:
        raise NoCatalog(
            f"{catalog.name} lives in this session, other processes cannot open it: export without "
            "--workers and --scheduler, or from a catalog that has a name, an address or a folder"
        )
    if "://" in name and _has_credentials(name):
        raise NoCatalog(
            "the address of the catalog has credentials in it, which are not sent to other processes: "
            "set TILED_API_KEY, or make a Tiled profile and give its name"
        )
    return NamedAddress(name, run.uid)


def _tiled_address(catalog: Any) -> str | None:
    """Return the address of the container that a session's Tiled client shows."""
    client_key = getattr(catalog, "session_key", None)
    address = getattr(catalog, "address", None)
    if address is None:
        return None
    if client_key and client_key != os.environ.get("TILED_API_KEY"):
        raise NoCatalog(
            f"the api_key of {catalog.name} was given in this session and is not sent to other processes: "
            "set TILED_API_KEY for them, or make a Tiled profile and give its name to --catalog"
        )
    return str(address)


def _databroker_name(catalog: Catalog) -> str | None:
    from . import _databroker_names

    return catalog.name if catalog.name in _databroker_names() else None


def _has_credentials(address: str) -> bool:
    parts = urlsplit(address)
    return "@" in parts.netloc or "api_key" in parse_qs(parts.query)
