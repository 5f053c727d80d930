"""A run whose documents come as one stream, in the order in which they were emitted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..documents.pages import Pair, paginate
from ..errors import NotFaithful
from ._base import Run
from ._joining import join_pages
from ._plain import plain

Transforms = Mapping[str, Callable[[Any], Any]]
_TRANSFORMED = ("start", "stop", "resource", "descriptor")
STREAM_ASSETS_LOST = (
    "external data of {fields} are described by stream_resource documents, which this catalog does "
    "not keep: where the files are is not known here"
)


def transformed(transforms: Transforms, name: str, doc: Any) -> Any:
    """Return a document after the catalog's own transform (databroker's ``transforms``), plain."""
    function = transforms.get(name)
    return plain(doc if function is None else function(doc))


def lost_assets(descriptors: Iterable[Mapping[str, Any]], kept: bool) -> tuple[str, ...]:
    """Return the note on fields whose stream_resource documents the store has dropped."""
    fields = sorted(
        {
            key
            for doc in descriptors
            for key, declared in doc["data_keys"].items()
            if str(declared.get("external") or "").startswith("STREAM:")
        }
    )
    return (STREAM_ASSETS_LOST.format(fields=", ".join(fields)),) if fields and not kept else ()


class StreamRun(Run):
    """A run that can be read from its first document to its last one.

    Parameters
    ----------
    start : Mapping
        The start document as stored.
    transforms : Mapping of str to callable
        What the catalog's configuration does to start, stop, resource and descriptor documents.
    root_map : Mapping of str to str
        Where external files were moved to.
    """

    def __init__(
        self, start: Mapping[str, Any], transforms: Transforms, root_map: Mapping[str, str]
    ) -> None:
        self._stored_start = start
        self.start = transformed(transforms, "start", start)
        self._transforms = transforms
        self._root_map = root_map
        self._stop: Mapping[str, Any] | None = None
        self._kept: tuple[list[Mapping[str, Any]], bool] | None = None

    @abstractmethod
    def _stored(self) -> Iterator[Pair]:
        """Yield the documents as stored."""

    @abstractmethod
    def _find_stop(self) -> Mapping[str, Any] | None:
        """Return the stop document as stored, if there is one by now."""

    def _outline(self) -> Iterator[Pair]:
        """Yield the documents that are no events."""
        return self._stored()

    @property
    def stop(self) -> Mapping[str, Any] | None:  # type: ignore[override]
        """The stop document; looked for again, as long as it was not there."""
        if self._stop is None:
            stored = self._find_stop()
            self._stop = None if stored is None else transformed(self._transforms, "stop", stored)
        return self._stop

    def documents(self, page_size: int = 1000, *, timestamps: bool = True) -> Iterator[Pair]:
        return paginate(join_pages(self._modern(), page_size, timestamps=timestamps), page_size)

    def _modern(self) -> Iterator[Pair]:
        ended = self.stop is not None  # before reading, as in _scan
        descriptors: list[Mapping[str, Any]] = []
        assets = False
        for position, (name, doc) in enumerate(self._stored()):
            if (name == "start") is not (position == 0):
                raise NotFaithful(
                    f"run {self.uid}: its documents begin without a start document or hold two"
                )
            if name == "event_page":
                yield name, doc
            elif name in _TRANSFORMED:
                doc = transformed(self._transforms, name, doc)
                if name == "descriptor":
                    descriptors.append(doc)
                yield name, doc
            elif name == "bulk_events":  # bluesky before 1.6
                for events in doc.values():
                    for event in events:
                        yield "event", event
            elif name == "bulk_datum":
                yield (
                    "datum_page",
                    {
                        "resource": doc["resource"],
                        "datum_id": list(doc["datum_ids"]),
                        "datum_kwargs": _columns(doc["datum_kwarg_list"]),
                    },
                )
            else:
                assets = assets or name == "stream_resource"
                yield name, doc
        if ended:
            self._kept = descriptors, assets  # not to be looked for again

    def descriptors(self) -> list[Mapping[str, Any]]:
        return sorted(self._scan()[0], key=lambda doc: doc["time"])

    def _scan(self) -> tuple[list[Mapping[str, Any]], bool]:
        """Return the descriptors, and whether stream_resource documents are there."""
        if self._kept is not None and self._stop is not None:
            return self._kept
        self._stop = self.stop  # before the scan: a run that ends during it is scanned again
        found: list[Mapping[str, Any]] = []
        assets = False
        for name, doc in self._outline():
            if name == "descriptor":
                found.append(transformed(self._transforms, name, doc))
            assets = assets or name == "stream_resource"
        self._kept = found, assets
        return self._kept

    def counts(self) -> dict[str, int]:
        recorded = (self.stop or {}).get("num_events")
        return dict(recorded) if recorded else super().counts()

    @property
    def notes(self) -> tuple[str, ...]:
        return lost_assets(*self._scan())

    @property
    def root_map(self) -> Mapping[str, str]:
        return dict(self._root_map)


def _columns(rows: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    keys = rows[0].keys() if rows else ()
    if any(row.keys() != keys for row in rows):
        raise NotFaithful("a bulk_datum document has rows with different keys")
    return {key: [row[key] for row in rows] for key in keys}


class GeneratorRun(StreamRun):
    """A run of a catalog in memory: a function that yields its documents."""

    def __init__(
        self,
        start: Mapping[str, Any],
        generate: Callable[[], Iterable[Pair]],
        transforms: Transforms,
        root_map: Mapping[str, str],
    ) -> None:
        super().__init__(start, transforms, root_map)
        self._generate = generate

    def _stored(self) -> Iterator[Pair]:
        for name, doc in self._generate():
            yield str(name), plain(doc)

    def _find_stop(self) -> Mapping[str, Any] | None:
        return next((doc for name, doc in self._generate() if name == "stop"), None)
