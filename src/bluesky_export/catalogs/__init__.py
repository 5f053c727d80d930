"""Where runs are: one small Catalog and Run over databroker, Tiled and folders of documents.

An object of the session is recognised by the names of its classes, so that nothing is imported
for it: whatever it is, its own modules are loaded already.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import BlueskyExportError, CatalogUnavailable, NoCatalog
from ._base import Catalog, Query, Run
from ._plain import one_line, start_time

__all__ = ["Catalog", "Query", "Run", "open_catalog", "wrap_catalog", "wrap_run", "wrap_runs"]


def _packages(obj: Any) -> set[str]:
    """Return the top-level packages that an object's classes come from."""
    return {kind.__module__.partition(".")[0] for kind in type(obj).__mro__}


def wrap_catalog(obj: Any) -> Catalog | None:
    """Return a session's object as a catalog, None if it is none.

    Parameters
    ----------
    obj : object
        A databroker v1 ``Broker`` or v2 catalog, a Tiled client, a :class:`Catalog`, or anything.
    """
    if isinstance(obj, Catalog):
        return obj
    packages = _packages(obj)
    if "databroker" in packages:
        from .databroker import wrap

        return wrap(obj)
    if packages & {"tiled", "bluesky_tiled_plugins"}:
        from .tiled import TiledCatalog, is_tiled

        return TiledCatalog(obj) if is_tiled(obj) else None
    return None


def wrap_run(obj: Any) -> Run | None:
    """Return a session's object as one run, None if it is none.

    Parameters
    ----------
    obj : object
        A databroker ``BlueskyRun``, a v1 ``Header``, a run of a Tiled client, a :class:`Run`, or
        anything.
    """
    if isinstance(obj, Run):
        return obj
    packages = _packages(obj)
    if "databroker" in packages:
        from .databroker import wrap_run as wrap_databroker_run

        return wrap_databroker_run(obj)
    if packages & {"tiled", "bluesky_tiled_plugins"}:
        from .tiled import wrap_run as wrap_tiled_run

        return wrap_tiled_run(obj)
    return None


def wrap_runs(obj: Any) -> list[Run] | None:
    """Return the runs that a session's object stands for, None if it stands for none.

    Parameters
    ----------
    obj : object
        One run; a list, tuple or set of runs, in its order; the result of a search (a databroker
        catalog, v1 ``Results``, a Tiled client): all its runs, oldest first. A text is a uid and
        no run, and so is a list of them. An iterator is left alone: reading it would use it up.
    """
    if isinstance(obj, (str, bytes, Mapping)) and not _packages(obj) & {"tiled", "databroker"}:
        return None
    run = wrap_run(obj)
    if run is not None:
        return [run]
    if {kind.__name__ for kind in type(obj).__mro__ if kind.__module__ == "databroker.v1"} & {"Results"}:
        return _of_results(obj)
    catalog = wrap_catalog(obj)
    if catalog is not None:
        return catalog.search(Query())
    if isinstance(obj, (list, tuple, set, frozenset)):
        return _of_items(obj)
    return None


def _of_results(results: Any) -> list[Run] | None:
    if results._data_key is None:
        return wrap_runs(results._catalog)
    found = _of_items(results) or []  # only these have the field that was asked for
    return sorted(found, key=lambda run: start_time(run.start))


def _of_items(items: Iterable[Any]) -> list[Run] | None:
    runs = []
    for item in items:
        run = wrap_run(item)
        if run is None:
            return None
        runs.append(run)
    return runs or None


def open_catalog(text: str) -> Catalog:
    """Open what ``--catalog`` names.

    Parameters
    ----------
    text : str
        The URI of a Tiled server (``http://…``, ``https://…``); a folder, as a path with a slash
        or ``~`` in it; else a name: of a databroker catalog, of a Tiled profile, of a folder here,
        the first of these that there is.

    Raises
    ------
    NoCatalog
        There is nothing of that name; the message lists what there is.
    CatalogUnavailable
        It is there and cannot be opened.
    """
    found = _open(text)
    found.opened_as = os.path.abspath(os.path.expanduser(text)) if Path(text).is_dir() else text
    return found


def _open(text: str) -> Catalog:
    if text.startswith(("http://", "https://")):
        from .tiled import open_tiled

        return open_tiled(text)
    if os.sep in text or "/" in text or text.startswith(("~", ".")):
        from .packed import open_folder

        return open_folder(text)
    brokers = _databroker_names()
    if text in brokers:
        return _named_broker(text)
    profiles = _tiled_profiles()
    if text in profiles:
        from .tiled import open_tiled

        return open_tiled(text)
    if Path(text).is_dir():
        from .packed import open_folder

        return open_folder(text)
    known = [f"databroker: {', '.join(brokers)}"] if brokers else []
    known += [f"Tiled profiles: {', '.join(profiles)}"] if profiles else []
    raise NoCatalog(
        f"there is no catalog, Tiled profile or folder {text!r}; "
        f"known here: {'; '.join(known) if known else 'none'} "
        "(a Tiled server is named by its http:// address)"
    )


def _databroker_names() -> list[str]:
    import databroker

    databroker.catalog.force_reload()  # a configuration file may be new
    return sorted(map(str, databroker.catalog))


def _named_broker(name: str) -> Catalog:
    import databroker

    try:
        catalog = wrap_catalog(databroker.catalog[name])
    except BlueskyExportError:
        raise
    except Exception as error:  # drivers raise anything
        raise CatalogUnavailable(
            f"the databroker catalog {name} cannot be opened: {one_line(error)}"
        ) from error
    if catalog is None:
        raise NoCatalog(f"{name} is a catalog of intake, but not one of Bluesky runs")
    catalog.name = name
    return catalog


def _tiled_profiles() -> list[str]:
    from tiled.profiles import list_profiles

    return sorted(list_profiles())
