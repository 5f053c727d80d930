"""databroker's MongoDB catalogs ("mongo_normalized"), asked with few queries.

databroker opens a run with a query for each descriptor and counts its events; a list of 20 runs
needs two queries. The collections are those of the catalog's own connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, pairwise
from typing import Any

import pymongo
import pymongo.errors

from ..documents.pages import Pair, pack_events, same_fields
from ..errors import CatalogUnavailable
from ._base import Catalog, Query, Run
from ._plain import plain
from ._stream import lost_assets, transformed
from ._where import mongo_query

_NO_ID = {"_id": False}
_LAST = "\U0010ffff"  # sorts after every character of a uid


class MongoCatalog(Catalog):
    """A ``BlueskyMongoCatalog``, or the result of searching one.

    Parameters
    ----------
    catalog : databroker._drivers.mongo_normalized.BlueskyMongoCatalog
        The catalog; its query, transforms and root_map are respected.
    """

    def __init__(self, catalog: Any) -> None:
        self.catalog = catalog
        self.name = str(catalog.name) if catalog.name else f"MongoDB {_where_is(catalog)}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @contextlib.contextmanager
    def reach(self) -> Iterator[None]:
        """Say in one line that the server cannot be reached."""
        try:
            yield
        except pymongo.errors.PyMongoError as error:
            reason = str(error).split(",")[0].split("(configured timeouts")[0].strip()
            raise CatalogUnavailable(
                f"MongoDB at {_where_is(self.catalog)} does not answer ({reason}): "
                "check that the server runs and that this computer can reach it"
            ) from error

    # ------------------------------------------------------------------------------- questions

    def newest(self, n: int, skip: int = 0) -> list[Run]:
        return self._runs({}, newest_first=True, skip=skip, limit=n) if n > 0 else []

    def by_scan_id(self, first: int, last: int | None = None) -> list[Run]:
        top = first if last is None else last
        # MongoDB compares within a type: a range of numbers matches no text.
        low, high = max(first, -(2**63)), min(top, 2**63 - 1)
        return self._runs({"scan_id": {"$gte": low, "$lte": high}}) if low <= high else []

    def by_uid(self, prefix: str, limit: int = 10) -> list[Run]:
        # A range needs no regular expression, so nothing in the prefix can be taken for one.
        return (
            self._runs({"uid": {"$gte": prefix, "$lt": prefix + _LAST}}, limit=limit) if limit > 0 else []
        )

    def search(self, query: Query) -> list[Run]:
        return self._runs(mongo_query(query))

    def __len__(self) -> int:
        with self.reach():
            return int(self.catalog._run_start_collection.count_documents(self._within({})))

    def _within(self, query: Mapping[str, Any]) -> dict[str, Any]:
        """Return a query that finds only what this catalog holds."""
        if self.catalog._find_kwargs:  # search(query, limit=5): only the catalog knows which five
            return {"$and": [{"uid": {"$in": list(self.catalog)}}, query]}
        own = self.catalog._query
        return {"$and": [own, query]} if own and query else dict(own or query)

    def _runs(
        self, query: Mapping[str, Any], *, newest_first: bool = False, skip: int = 0, limit: int = 0
    ) -> list[Run]:
        order = pymongo.DESCENDING if newest_first else pymongo.ASCENDING
        with self.reach():
            starts = list(
                self.catalog._run_start_collection.find(
                    self._within(query), _NO_ID, sort=[("time", order)], skip=skip, limit=limit
                )
            )
            # 1,000 uids a question: a message of MongoDB's is limited to 48 MB.
            stops = {}
            uids = iter([doc["uid"] for doc in starts])
            while some := list(islice(uids, 1000)):
                for stop in self.catalog._run_stop_collection.find({"run_start": {"$in": some}}, _NO_ID):
                    stops[stop["run_start"]] = stop
        return [MongoRun(self, start, stops.get(start["uid"])) for start in starts]

    def run(self, start: Mapping[str, Any]) -> Run:
        """Return the run of a start document."""
        with self.reach():
            return MongoRun(self, start, self.catalog._get_run_stop(start["uid"]))


def _where_is(catalog: Any) -> str:
    """Return host, port and database, and no password."""
    database = catalog._metadatastore_db
    try:
        servers = database.client.topology_description.server_descriptions()
    except AttributeError:  # not a server: mongomock
        return str(database.name)
    return ",".join(f"{host}:{port}" for host, port in servers) + f"/{database.name}"


class MongoRun(Run):
    """One run, read from the collections."""

    def __init__(
        self, owner: MongoCatalog, start: Mapping[str, Any], stop: Mapping[str, Any] | None
    ) -> None:
        self._owner = owner
        self._transforms = owner.catalog._transforms
        self.start = transformed(self._transforms, "start", start)
        self._stored_uid = start["uid"]
        self._stop = None if stop is None else transformed(self._transforms, "stop", stop)

    @property
    def stop(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """The stop document; asked for again, as long as it was not there."""
        if self._stop is None:
            with self._owner.reach():
                stop = self._owner.catalog._get_run_stop(self._stored_uid)
            self._stop = None if stop is None else transformed(self._transforms, "stop", stop)
        return self._stop

    def descriptors(self) -> list[Mapping[str, Any]]:
        with self._owner.reach():
            stored = self._owner.catalog._get_event_descriptors(self._stored_uid)
        return [transformed(self._transforms, "descriptor", doc) for doc in stored]

    def documents(self, page_size: int = 1000, *, timestamps: bool = True) -> Iterator[Pair]:
        with self._owner.reach():
            yield "start", self.start
            descriptors = self.descriptors()
            for descriptor in descriptors:
                yield "descriptor", descriptor
            known: set[str] = set()  # datum_ids
            for resource in self._owner.catalog._get_resources(self._stored_uid):
                yield from self._assets(resource, known, page_size)
            for descriptor in descriptors:
                yield from self._event_pages(descriptor, known, page_size)
            if self.stop is not None:
                yield "stop", self.stop

    def _assets(self, resource: Mapping[str, Any], known: set[str], page_size: int) -> Iterator[Pair]:
        yield "resource", transformed(self._transforms, "resource", resource)
        for name, page in self._datum_pages(resource["uid"], page_size):
            known.update(page["datum_id"])
            yield name, page

    def _unclaimed_assets(self, wanted: set[str], known: set[str], page_size: int) -> Iterator[Pair]:
        """Yield the resources of datums that events refer to, though no resource names the run.

        Before bluesky 1.6 resources had no ``run_start``. What is not found here either stays
        missing, which the writers say.
        """
        catalog = self._owner.catalog
        datums = catalog._datum_collection.find({"datum_id": {"$in": sorted(wanted)}}, {"resource": True})
        for uid in sorted({str(datum["resource"]) for datum in datums}):
            try:
                resource = catalog._get_resource(uid)  # knows the oldest ones, named by their _id
            except (ValueError, TypeError):
                continue
            yield from self._assets(resource, known, page_size)
        known.update(wanted)  # asked once

    def _datum_pages(self, resource: str, page_size: int) -> Iterator[Pair]:
        rows: list[Mapping[str, Any]] = []
        for datum in self._owner.catalog._datum_collection.find({"resource": resource}, _NO_ID):
            datum = plain(datum)
            if rows and (
                len(rows) == page_size or datum["datum_kwargs"].keys() != rows[0]["datum_kwargs"].keys()
            ):
                yield "datum_page", _datum_page(resource, rows)
                rows = []
            rows.append(datum)
        if rows:
            yield "datum_page", _datum_page(resource, rows)

    def _event_pages(
        self, descriptor: Mapping[str, Any], known: set[str], page_size: int
    ) -> Iterator[Pair]:
        external = [key for key, value in descriptor["data_keys"].items() if value.get("external")]
        for some in _alike(self._events(descriptor), page_size):
            page = pack_events(some)
            columns = [page["data"].get(key, ()) for key in external]
            wanted = {value for column in columns for value in column if isinstance(value, str)} - known
            if wanted:
                yield from self._unclaimed_assets(wanted, known, page_size)
            yield "event_page", page

    def _events(self, descriptor: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the events in the order in which they were stored.

        By time, as the index has them, if that is the same order; a flyer's pages, or a clock that
        was set back, may make it another one.
        """
        collection = self._owner.catalog._event_collection
        query, order = {"descriptor": descriptor["uid"]}, [("time", pymongo.ASCENDING)]
        ids = [doc["_id"] for doc in collection.find(query, {"_id": True}, sort=order)]
        by_time: Iterable[dict[str, Any]] = collection.find(query, sort=order)
        if not _ascending(ids):
            by_time = sorted(by_time, key=lambda doc: doc["_id"])
        unfilled = {key: False for key, value in descriptor["data_keys"].items() if value.get("external")}
        for doc in by_time:
            event = plain(doc)
            del event["_id"]
            event.setdefault("filled", dict(unfilled))  # not stored by older versions
            yield event

    def counts(self) -> dict[str, int]:
        recorded = (self.stop or {}).get("num_events")
        if recorded:
            return dict(recorded)
        found: dict[str, int] = {}
        for descriptor in self.descriptors():
            stream = descriptor.get("name", "primary")
            with self._owner.reach():
                count = self._owner.catalog._get_event_count(descriptor["uid"])
            found[stream] = found.get(stream, 0) + int(count)
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        return lost_assets(self.descriptors(), kept=False)

    @property
    def root_map(self) -> Mapping[str, str]:
        return dict(self._owner.catalog.root_map)


def _alike(events: Iterable[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    """Yield neighbouring events that have the same fields, up to so many at a time."""
    some: list[dict[str, Any]] = []
    for event in events:
        if some and (len(some) == most or not same_fields(some[0], event)):
            yield some
            some = []
        some.append(event)
    if some:
        yield some


def _ascending(ids: list[Any]) -> bool:
    """Say whether ids are in the order in which they were made; if nobody can tell, they are."""
    try:
        return all(one <= next_ for one, next_ in pairwise(ids))
    except TypeError:
        return True


def _datum_page(resource: str, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "resource": resource,
        "datum_id": [row["datum_id"] for row in rows],
        "datum_kwargs": {
            key: [row["datum_kwargs"][key] for row in rows] for key in rows[0]["datum_kwargs"]
        },
    }
