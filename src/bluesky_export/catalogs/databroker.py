"""Catalogs of databroker 1.x: a v1 ``Broker``, a v2 catalog, and what searching them gives.

Each kind of store is read its own way: document files by :mod:`._files`, MongoDB by
:mod:`._mongo`, anything else through what every databroker catalog and run has.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from ..documents.pages import Pair
from ..errors import CatalogUnavailable
from ._base import Catalog, Query, Run
from ._document_files import Jsonl, Layout, Msgpack
from ._files import FileCatalog, FileRun, Known
from ._heads import Head, HeadCatalog
from ._plain import one_line, plain, start_time
from ._stream import GeneratorRun, StreamRun
from ._where import mongo_query

_DRIVERS: dict[str, Callable[[], Layout]] = {
    "databroker._drivers.msgpack": Msgpack,
    "databroker._drivers.jsonl": Jsonl,
}
_FILE_CATALOGS = ("BlueskyMsgpackCatalog", "BlueskyJSONLCatalog")


def inherits(obj: Any, module: str, name: str) -> bool:
    """Say whether an object is of a class, by the class's name: nothing is imported."""
    return any(kind.__module__ == module and kind.__name__ == name for kind in type(obj).__mro__)


def wrap(obj: Any) -> Catalog | None:
    """Return our catalog for a databroker v1 Broker or v2 catalog, None for anything else."""
    if inherits(obj, "databroker.v1", "Broker"):
        return wrap(obj.v2)
    if not inherits(obj, "databroker.v2", "Broker"):
        return None
    for module, layout in _DRIVERS.items():
        if _reads_files(obj, module):
            return _file_catalog(obj, sys.modules[module], layout())
    if inherits(obj, "databroker._drivers.mongo_normalized", "BlueskyMongoCatalog"):
        from ._mongo import MongoCatalog

        return MongoCatalog(obj)
    if inherits(obj, "databroker.in_memory", "BlueskyInMemoryCatalog"):
        return MemoryCatalog(obj)
    return AnyBrokerCatalog(obj)


def wrap_run(obj: Any) -> Run | None:
    """Return our run for a databroker BlueskyRun or v1 Header, None for anything else."""
    if inherits(obj, "databroker.v1", "Header"):
        obj = obj._data_source
    if not inherits(obj, "databroker.core", "BlueskyRun"):
        return None
    if inherits(obj, "databroker.core", "BlueskyRunFromGenerator"):
        made_with = obj._captured_init_kwargs
        return _generator_run(obj._get_run_start(), made_with, obj.fillers["yes"].root_map)
    # The entry's catalog knows quicker ways to the same run than the run itself does.
    if inherits(
        getattr(obj, "catalog_object", None), "databroker._drivers.mongo_normalized", "BlueskyMongoCatalog"
    ):
        from ._mongo import MongoCatalog

        return MongoCatalog(obj.catalog_object).run(obj._get_run_start())
    return PageReaderRun(obj)


def name_of(catalog: Any) -> str:
    """Return what messages call a databroker catalog."""
    return str(catalog.name) if catalog.name else f"databroker {type(catalog).__name__}"


# ------------------------------------------------------------------------------ document files


def _reads_files(catalog: Any, module: str) -> bool:
    """Say whether a catalog loads its files as the driver does, and not in a way of its own."""
    for name in _FILE_CATALOGS:
        if inherits(catalog, module, name):
            return type(catalog)._load is getattr(sys.modules[module], name)._load
    return False


def _file_catalog(catalog: Any, driver: Any, layout: Layout) -> FileCatalog:
    # Not of a search's result: where a file holds another run by now, which does not match, databroker has
    # the file's new time and the old run.
    known = partial(_loaded, catalog, driver.gen) if not catalog._query else None
    return FileCatalog(
        name_of(catalog),
        [(str(path), layout) for path in catalog.paths],
        root_map=catalog.root_map,
        transforms=catalog._transforms,
        accept=_acceptance(catalog._query),
        known=known,
    )


def _loaded(catalog: Any, gen: Callable[..., Any]) -> Known:
    """Return the start documents that databroker has read, by file, and the times of the files then.

    Not of a file out of which it has read two runs: it does not say which was the last.
    """
    starts, entries = catalog._uid_to_run_start_doc, list(catalog._entries.items())
    found = {
        made_with["gen_args"][0]: starts[uid]
        for uid, entry in entries
        if (made_with := entry._captured_init_kwargs["args"])["gen_func"] is gen
    }
    if len(found) < len(entries):
        files = [entry._captured_init_kwargs["args"]["gen_args"][:1] for _, entry in entries]
        read = Counter(path for one in files for path in one)
        found = {path: start for path, start in found.items() if read[path] == 1}
    return found, catalog._filename_to_mtime


def _acceptance(query: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool] | None:
    """Return the filter of a search result, in the engine with which databroker made it."""
    if not query:
        return None
    import mongoquery

    return mongoquery.Query(query).match  # type: ignore[no-any-return]


def _generator_run(
    start: Mapping[str, Any], made_with: Mapping[str, Any], root_map: Mapping[str, str]
) -> Run:
    """Return the run of a generator of documents; of a file, if that is what it reads."""
    function, transforms = made_with["gen_func"], made_with["transforms"]
    for module, layout in _DRIVERS.items():
        if function is getattr(sys.modules.get(module), "gen", None):
            return FileRun(made_with["gen_args"][0], layout(), start, transforms, root_map)
    generate = partial(function, *made_with["gen_args"], **made_with["gen_kwargs"])
    return GeneratorRun(start, generate, transforms, root_map)


class MemoryCatalog(HeadCatalog):
    """A databroker catalog whose entries are in memory, each with a generator of documents."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog
        self.name = name_of(catalog)

    def _heads(self) -> list[Head]:
        try:
            self._catalog.force_reload()  # new runs show only after it
        except Exception as error:  # a driver that is not ours, and whatever it reads
            raise CatalogUnavailable(f"{self.name} cannot be read again: {one_line(error)}") from error
        starts = self._catalog._uid_to_run_start_doc
        entries = list(self._catalog._entries.items())
        return [
            (start_time(starts[uid]), number, entry, starts[uid])
            for number, (uid, entry) in enumerate(entries)
        ]

    def _open(self, head: Head) -> Run:
        _, _, entry, start = head
        return _generator_run(start, entry._captured_init_kwargs["args"], self._catalog.root_map)


# ------------------------------------------------------------------------ any other databroker


class PageReaderRun(StreamRun):
    """A run of any databroker catalog, through the readers that the catalog gave it."""

    def __init__(self, run: Any) -> None:
        super().__init__(run._get_run_start(), run._transforms, run.fillers["yes"].root_map)
        self._run = run

    def _find_stop(self) -> Mapping[str, Any] | None:
        return self._run._get_run_stop()  # type: ignore[no-any-return]

    def _outline(self) -> Iterator[Pair]:
        yield "start", self._stored_start
        for doc in self._run._get_event_descriptors() or []:
            yield "descriptor", plain(doc)

    def _stored(self) -> Iterator[Pair]:
        yield from self._outline()
        for resource in self._run._get_resources() or []:
            yield "resource", plain(resource)
            for page in self._run._get_datum_pages(resource["uid"]):
                yield "datum_page", plain(page)
        for descriptor in self._run._get_event_descriptors() or []:
            for page in self._run._get_event_pages(descriptor["uid"]):
                yield "event_page", plain(page)
        stop = self._find_stop()
        if stop is not None:
            yield "stop", stop


class AnyBrokerCatalog(HeadCatalog):
    """A databroker catalog of a kind that we know nothing of: every look opens all its runs."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog
        self.name = name_of(catalog)

    def _heads(self) -> list[Head]:
        return self._heads_of(self._catalog)

    def _heads_of(self, catalog: Any) -> list[Head]:
        try:
            catalog.force_reload()
            runs = [catalog[uid] for uid in list(catalog)]
        except Exception as error:  # a driver that is not ours, and whatever it reads
            raise CatalogUnavailable(f"{self.name} does not answer: {one_line(error)}") from error
        starts = [run._get_run_start() for run in runs]
        return [
            (start_time(start), number, run, start)
            for number, (run, start) in enumerate(zip(runs, starts, strict=True))
        ]

    def _open(self, head: Head) -> Run:
        return PageReaderRun(head[2])

    def search(self, query: Query) -> list[Run]:
        """Return the runs that match, oldest first; found by the catalog itself."""
        asked = mongo_query(query)
        found = self._heads_of(self._catalog.search(asked)) if asked else self._heads()
        return [self._open(head) for head in sorted(found)]

    def __len__(self) -> int:
        return len(self._catalog)
