"""Whether Tiled refers to the detector files that a run has here.

What TiledWriter makes of the run's documents is made once more, by the plugins' own means and without a
server, and put beside what the server has. The files themselves are opened only where Tiled refers to ones
of other names: copies of the same bytes are the same files.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from ..catalogs._tiled_external import external_documents
from ..catalogs._tiled_runs import TiledRun
from ..documents.fields import is_external
from ..documents.pages import Document, Pair
from ._spool import Spool
from ._tiled_values import short


@dataclass
class _Files:
    """Where the values of a field are."""

    kinds: set[str] = field(default_factory=set)
    addresses: list[str] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)


Found = dict[tuple[str, str], _Files]
"""By stream and field."""


OTHERS = "values are taken from other detector files than those of the run here"
COPIES = "values are taken from copies of the detector files here, the same byte by byte"
NOT_COMPARED = "values are taken from detector files that were not compared"


def other_files(sent: Spool, stored: TiledRun) -> list[tuple[str, str]]:
    """Find the fields whose values Tiled takes from other files than the run here.

    Returns
    -------
    list of tuple of str
        A field, with where it is taken from, and what is to be said of it.
    """
    keys = {
        (str(doc.get("name", "primary")), key)
        for name, doc in sent.pages()
        if name == "descriptor"
        for key, data_key in doc["data_keys"].items()
        if is_external(data_key)
    }
    if not keys:
        return []
    theirs = {doc["uid"]: doc for doc in stored.descriptors()}
    there = _places(stored.assets(), {uid: str(doc["name"]) for uid, doc in theirs.items()})
    try:
        here = _sent(sent, {str(doc["name"]): doc for doc in reversed(theirs.values())})
    except Exception:  # the plugins raise what they meet; another writer may have known more kinds of file
        return [(f"{stream}.{key}", NOT_COMPARED) for stream, key in sorted(keys)]
    return list(_differing(keys, here, there))


def _differing(keys: set[tuple[str, str]], here: Found, there: Found) -> Iterator[tuple[str, str]]:
    for place in sorted(keys):
        ours, theirs = here.get(place, _Files()), there.get(place, _Files())
        if ours.kinds != theirs.kinds:
            yield ".".join(place), NOT_COMPARED
        elif ours != theirs:
            copied = ours.rows == theirs.rows and _are_copies(ours.addresses, theirs.addresses)
            yield f"{'.'.join(place)} ({short(theirs.addresses)})", COPIES if copied else OTHERS


def _are_copies(here: list[str], there: list[str]) -> bool:
    """Say whether files are the same byte by byte; no, if one of them cannot be read here."""
    if len(here) != len(there):
        return False
    for one, other in zip(here, there, strict=True):
        if one == other:
            continue
        ours, theirs = (urlsplit(address) for address in (one, other))
        if not (ours.scheme == theirs.scheme == "file" and ours.query == theirs.query):
            return False
        try:
            if not filecmp.cmp(unquote(ours.path), unquote(theirs.path), shallow=False):
                return False
        except OSError:
            return False
    return True


def _places(documents: Any, streams: Mapping[str, str]) -> Found:
    """Collect where the values of a run in Tiled are."""
    found: Found = {}
    resources: dict[str, Document] = {}
    for name, doc in documents:
        if name == "stream_resource":
            resources[doc["uid"]] = doc
            stream = _stream_of(doc["uid"], streams)
            files = found.setdefault((stream, doc["data_key"]), _Files())
            files.kinds.add(str(doc["mimetype"]))
            files.addresses.append(_address(doc))
        elif name == "stream_datum":
            key = resources[doc["stream_resource"]]["data_key"]
            found[(streams[doc["descriptor"]], key)].rows.append(dict(doc["indices"]))
    return found


def _stream_of(uid: str, streams: Mapping[str, str]) -> str:
    """Return the stream of a stream resource, which has the descriptor in its uid."""
    return next((name for known, name in streams.items() if f"-{known}-" in uid), "")


def _address(doc: Document) -> str:
    return f"{doc['uri']}{(doc.get('parameters') or {}).get('template', '')}"


def _sent(spool: Spool, stored: Mapping[str, Document]) -> Found:
    """Return where TiledWriter takes the values of a run to be."""
    found: Found = {}
    unsaid: list[str] = []  # what cannot be told of the one cannot be told of the other
    for (stream, key), consolidator in _consolidators(spool).items():
        doc = stored.get(stream)
        if doc is None or key not in doc["data_keys"]:
            continue
        source = asdict(consolidator.get_data_source())
        node = {"id": key, "attributes": {"data_sources": [source], "metadata": {}}}
        made = external_documents(node, doc["data_keys"][key], doc["uid"], "", unsaid.append)
        found.update(_places(made, {doc["uid"]: stream}))
    return found


def _consolidators(spool: Spool) -> dict[tuple[str, str], Any]:
    """Return the plugins' description of each field in files, from the documents of a run."""
    from bluesky_tiled_plugins.writing.consolidators import consolidator_factory
    from bluesky_tiled_plugins.writing.tiled_writer import RunNormalizer

    made: dict[tuple[str, str], Any] = {}
    of_resource: dict[str, Any] = {}
    resources: dict[str, Document] = {}
    descriptors: dict[str, Document] = {}

    def take(name: str, doc: Document) -> None:
        if name == "descriptor":
            descriptors[doc["uid"]] = doc
        elif name == "stream_resource":
            resources[doc["uid"]] = doc
        elif name == "stream_datum":
            uid, described = doc["stream_resource"], descriptors[doc["descriptor"]]
            if uid not in of_resource:
                resource = resources[uid]
                place = (described["name"], resource["data_key"])
                if place in made:
                    made[place].update_from_stream_resource(resource)
                else:
                    made[place] = consolidator_factory(resource, described)
                of_resource[uid] = made[place]
            of_resource[uid].consume_stream_datum(doc)

    normalizer = RunNormalizer()
    normalizer.subscribe(take)
    for name, doc in needed(spool):
        normalizer(name, doc)
    return made


def needed(spool: Spool) -> Iterator[Pair]:
    """Yield the documents as TiledWriter is given them; of events only what refers to files."""
    external: dict[str, set[str]] = {}
    for name, doc in spool.singles():
        if name == "descriptor":
            external[doc["uid"]] = {key for key, known in doc["data_keys"].items() if is_external(known)}
        elif name == "event":
            kept = external[doc["descriptor"]]
            if not kept:
                continue
            parts = ("data", "timestamps", "filled")
            doc = {**doc, **{part: _only(doc.get(part) or {}, kept) for part in parts}}
        yield name, dict(doc)


def _only(values: Mapping[str, Any], kept: set[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in kept}
