"""What each store refuses, and what it alters in the runs that it takes: the corpus, store by store.

Nothing is skipped for a store: a run that is declared here as refused has to be refused, for the
reason given; one that is declared as altered has to come out as altered.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bluesky_export.documents.pages import paginate
from bluesky_export.testing import Made

from ..tiled_stored import as_stored

# -- refused -----------------------------------------------------------------------------------

_SURROGATES = "surrogates not allowed"
_JSON = "is not JSON serializable"
_MSGPACK = {
    "text-surrogates": _SURROGATES,
    "metadata-surrogates": _SURROGATES,
    "metadata-huge-integers": "Integer value out of range",
    "metadata-sets": "can not serialize",
    "metadata-dates": "can not serialize",
}
_NO_DATUM = {"datum-unknown": "unknown Datum"}
# The server that stands in for MongoDB in the tests takes no NaN; MongoDB itself does.
_STAND_IN = dict.fromkeys(
    (
        "nan-inf",
        "none",
        "array-1d",
        "array-ragged",
        "metadata-nan",
        "metadata-descriptor",
        "metadata-stop",
    ),
    "Invalid JSON document",
)
_EIGHT_BYTES = "can only handle up to 8-byte ints"
_SCHEMA = "ValidationError"
_COLUMN = "SQL identifier"
_TILED = {
    "scan-id-text": _SCHEMA,
    "uint64": "too large",
    "int-float": "outside of the range exactly representable",
    "booleans": "tried to convert to boolean",
    "float16": "Server error '500",
    "numpy-zero-d": "Can only convert 1-dimensional array values",
    "complex": "type complex",
    "text-surrogates": _SURROGATES,
    "mixed": "ArrowTypeError",
    "datum-unknown": "unknown Datum",
    "filled": "Can only convert 1-dimensional array values",
    "metadata-none": _SCHEMA,
    "metadata-complex": "not JSON serializable",
    "metadata-surrogates": _SURROGATES,
    "metadata-keys": _SCHEMA,
    "field-slash": _SCHEMA,
    "field-dot": _SCHEMA,
    "field-blank": _COLUMN,
    "field-quotes": _COLUMN,
    "field-unicode": _COLUMN,
    "field-case": "Server error '500",
    "field-formula": _COLUMN,
    "field-long": _COLUMN,
    "field-digits": _COLUMN,
    "field-empty": _SCHEMA,
    "field-groups": "reserved column names",
    "field-like-ours": _SCHEMA,
    "stream-names": "No such entry",
}
REFUSED: Mapping[str, Mapping[str, str]] = {
    "temp_v1": {**_MSGPACK, **_NO_DATUM},
    "temp_v2": {**_MSGPACK, **_NO_DATUM},
    "msgpack": _MSGPACK,
    "packed": {**_MSGPACK, "datum-unknown": "databroker-pack failed"},
    "jsonl": {
        "complex": _JSON,
        "metadata-sets": _JSON,
        "metadata-dates": _JSON,
        "metadata-bytes": _JSON,
        "metadata-complex": _JSON,
    },
    "mongo": {
        **_STAND_IN,
        "uint64": _EIGHT_BYTES,
        "numpy-zero-d": _EIGHT_BYTES,
        "metadata-huge-integers": _EIGHT_BYTES,
        "complex": _JSON,
        "metadata-sets": _JSON,
        "metadata-dates": _JSON,
        "metadata-bytes": _JSON,
        "metadata-complex": _JSON,
        "text-surrogates": _SURROGATES,
        "metadata-surrogates": _SURROGATES,
    },
    "tiled-bluesky": _TILED,
    "tiled-stock": _TILED,
}
"""By store and kind of run: part of what the store, or its own writer, says when it refuses."""


# -- altered -----------------------------------------------------------------------------------

Alter = Callable[[Made], Made]


def no_stream_assets(made: Made) -> Made:
    """databroker 1.x takes stream_resource and stream_datum documents and drops them."""
    kept = [pair for pair in made.documents if not pair[0].startswith("stream_")]
    return Made(kept, {}, made.root_map)


def events_by_time(made: Made) -> Made:
    """databroker-pack sorts the events by time, but for the first one, which it has read by then."""
    start, descriptor, *pages, stop = made.documents
    first, *others = paginate(pages, 1)
    others.sort(key=lambda pair: pair[1]["time"][0])
    return Made([start, descriptor, first, *others, stop])  # type: ignore[list-item]


def events_not_sent(made: Made) -> Made:
    """TiledWriter sends the events of a short run with its stop document: without one, none."""
    names = ("event", "event_page", "resource", "datum", "stream_resource", "stream_datum")
    return Made([pair for pair in made.documents if pair[0] not in names])


def roots_hashed(made: Made) -> Made:
    """databroker-pack replaces roots by a hash; nothing says where files are that were ignored."""
    return replace(made, external={})


def files_not_told_apart(made: Made) -> Made:
    """Tiled keeps that a field's values are in two files, and not which events are in which."""
    return replace(made, external={})


def _metadata(change: Callable[[Any], Any], *names: str) -> Alter:
    def alter(made: Made) -> Made:
        return replace(made, documents=[(n, change(d) if n in names else d) for n, d in made.documents])

    return alter


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_each(item, change) for item in value]
    return change(value)


def _cut_infinities(doc: Any) -> Any:
    """bluesky-tiled-plugins cuts large numbers in a list, and infinities are the largest."""
    return {**doc, "inf": [1.7976e308, -1.7976e308]}


def _as_orjson_does(doc: Any) -> Any:
    """What Tiled's client makes JSON of: dates as text, sets and bytes as lists, float32 shortened."""

    def change(value: Any) -> Any:
        if isinstance(value, (datetime.date, datetime.datetime)):
            return value.isoformat()
        if isinstance(value, np.float32):
            return float(str(value))
        return list(value) if isinstance(value, (set, frozenset, bytes)) else value

    return _each(doc, change)


def big_integers_beside_none(made: Made) -> Made:
    """Tiled's tables have floats where an integer is missing; those that are rounded are given as None."""
    made = copy.deepcopy(made)
    for name, doc in made.documents:
        if name == "event" and doc["data"]["integer"] == 2**53 + 1:
            doc["data"]["integer"] = None
    return made


def python_numbers(made: Made) -> Made:
    """JSON and BSON keep the number of a numpy scalar, not its dtype."""

    def change(value: Any) -> Any:
        return value.item() if isinstance(value, np.generic) else value

    return replace(made, documents=[(name, _each(doc, change)) for name, doc in made.documents])


_STREAM_ASSETS = dict.fromkeys(
    (
        "stream-hdf5",
        "stream-two-hdf5",
        "stream-tiff",
        "stream-file-per-point",
        "stream-scalars",
        "stream-missing",
        "stream-behind",
    ),
    no_stream_assets,
)
_WITH_RESOURCES = (
    "ad-hdf5",
    "ad-hdf5-frames",
    "datum-page",
    "several-resources",
    "two-detectors",
    "npy-sequence",
    "file-moved",
    "file-growing",
)
_TILED_ALTERS: Mapping[str, Alter] = {
    **dict.fromkeys(("unfinished", "file-growing", "stream-behind"), events_not_sent),
    **dict.fromkeys(("several-resources", "stream-two-hdf5"), files_not_told_apart),
    "metadata-arrays": _metadata(_as_orjson_does, "start"),
    "metadata-dates": _metadata(_as_orjson_does, "start"),
    "metadata-bytes": _metadata(_as_orjson_does, "start"),
    "metadata-sets": _metadata(_as_orjson_does, "start"),
    "none": big_integers_beside_none,
}
_PYTHON_NUMBERS = dict.fromkeys(("float32", "float16", "numpy-scalars"), python_numbers)
ALTERED: Mapping[str, Mapping[str, Alter]] = {
    "temp_v1": _STREAM_ASSETS,
    "temp_v2": _STREAM_ASSETS,
    "msgpack": _STREAM_ASSETS,
    "packed": {
        **_STREAM_ASSETS,
        **dict.fromkeys(_WITH_RESOURCES, roots_hashed),
        "out-of-order": events_by_time,
    },
    "mongo": {**_STREAM_ASSETS, **_PYTHON_NUMBERS},
    "jsonl": _PYTHON_NUMBERS,
    "tiled-bluesky": _TILED_ALTERS,
    "tiled-stock": _TILED_ALTERS,
}
"""By store and kind of run: what the store makes of it, where that is not the run as it was."""


def as_kept(store: str, kind: str, made: Made) -> Made:
    """Return a run as the store keeps it."""
    alter = ALTERED[store].get(kind)
    if alter is not None:
        made = alter(made)
    if store.startswith("tiled"):
        documents = as_stored(made.documents)
        if kind == "metadata-nan":
            documents[0] = ("start", _cut_infinities(documents[0][1]))
        if kind == "float32":  # a declared dtype is that of the table's column
            for name, doc in documents:
                if name == "event":
                    doc["data"]["declared"] = np.float32(doc["data"]["declared"])
        return replace(made, documents=documents)
    return made
