"""Whether a run that was sent to Tiled, and the run that is there, are one and the same.

What bluesky-tiled-plugins' TiledWriter (2.0.12) and the server change on purpose is known here
(``RunNormalizer``, ``_RunWriter``); whatever else is not as it was sent is a difference. The values of
detector files are not compared: Tiled refers to the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Any

from ..catalogs._base import Run
from ..documents.fields import is_external
from ..documents.pages import Document, Pair, page_to_events
from ._spool import Spool
from ._tiled_values import Comparison, Differs

_RESERVED = ("time", "seq_num")  # columns of the table: data keys of these names get another
_PAGE = 1000
_OF_DESCRIPTORS = ("uid", "time", "name", "hints")
_OF_DATA_KEYS = ("dtype_str", "dtype_descr")  # become dtype_numpy


def renamed(key: str) -> str:
    """Return the name that a field has in Tiled."""
    return f"{key}_" if key in _RESERVED else key


def compare(sent: Spool, stored: Run) -> Comparison:
    """Compare a run with what Tiled has of it.

    Returns
    -------
    Comparison
        What was converted.

    Raises
    ------
    Differs
        They are not the same run, or something is not as it was sent.
    """
    comparison = Comparison()
    theirs: dict[str, Document] = {}
    descriptors: dict[str, Document] = {}
    stop: Document | None = None
    start = stored.start
    for doc in stored.descriptors():
        theirs[doc["uid"]] = doc
    first: set[str] = set()
    for name, doc in sent.pages():
        if name == "start":
            kept = {
                key: value for key, value in doc.items() if key not in ("tiled_access_tags", "tiled_specs")
            }
            comparison.mapping("start", kept, start)
        elif name == "descriptor":
            descriptors[doc["uid"]] = doc
            if doc["uid"] not in theirs:
                raise Differs(f"the descriptor {doc['uid']} of stream {doc.get('name')} is not in Tiled")
            _descriptor(comparison, doc, theirs[doc["uid"]], again=doc.get("name", "primary") in first)
            first.add(str(doc.get("name", "primary")))
        elif name == "stop":
            stop = doc
    if theirs.keys() - descriptors.keys():
        raise Differs("there are more descriptors in Tiled")
    if (stop is None) is not (stored.stop is None):
        raise Differs("only one of them has a stop document")
    if stop is not None and stored.stop is not None:
        comparison.mapping("stop", stop, stored.stop)
    streams = {uid: str(doc.get("name", "primary")) for uid, doc in descriptors.items()}
    for stream in dict.fromkeys(streams.values()):
        ours = _events(sent.pages(), streams, stream)
        _stream(comparison, stream, ours, _events(stored.documents(_PAGE), streams, stream), descriptors)
    return comparison


def _descriptor(comparison: Comparison, sent: Document, stored: Document, *, again: bool) -> None:
    where = f"descriptor of {sent.get('name', 'primary')}"
    for key in _OF_DESCRIPTORS:
        if sent.get(key) and not (again and key == "hints"):
            comparison.value(f"{where}.{key}", sent[key], stored.get(key))
    if not again:  # of a later one Tiled keeps the configuration
        _data_keys(comparison, f"{where}.data_keys", sent["data_keys"], stored["data_keys"])
    configured = stored.get("configuration") or {}
    for device, known in (sent.get("configuration") or {}).items():
        place = f"{where}.configuration.{device}"
        if device not in configured:
            raise Differs(f"{place} is not in Tiled")
        for part in ("data", "timestamps"):
            for key, value in (known.get(part) or {}).items():
                have = configured[device].get(part) or {}
                if key not in have:
                    raise Differs(f"{place}.{part}.{key} is not in Tiled")
                comparison.value(f"{place}.{part}.{key}", value, have[key])
        if not again:
            _data_keys(
                comparison,
                f"{place}.data_keys",
                known.get("data_keys") or {},
                configured[device].get("data_keys") or {},
            )


def _data_keys(
    comparison: Comparison, where: str, sent: Mapping[str, Any], stored: Mapping[str, Any]
) -> None:
    """Compare data keys; Tiled's have more in them than was sent."""
    for key, data_key in sent.items():
        name = renamed(key) if where.endswith(".data_keys") and key not in stored else key
        if name not in stored:
            raise Differs(f"{where}.{key} is not in Tiled")
        for item, value in data_key.items():
            if item in _OF_DATA_KEYS or (value is None and item in ("shape", "external")):
                continue
            if item not in stored[name]:
                raise Differs(f"{where}.{key}.{item} is not in Tiled")
            comparison.value(f"{where}.{key}.{item}", value, stored[name][item])


def _events(documents: Iterable[Pair], streams: Mapping[str, str], stream: str) -> Iterator[Document]:
    for name, doc in documents:
        if name == "event_page" and streams.get(doc["descriptor"]) == stream:
            yield from page_to_events(doc)


def _stream(
    comparison: Comparison,
    stream: str,
    sent: Iterable[Document],
    stored: Iterable[Document],
    descriptors: Mapping[str, Document],
) -> None:
    for number, (ours, theirs) in enumerate(zip_longest(sent, stored)):
        if ours is None or theirs is None:
            raise Differs(
                f"stream {stream} has {'more' if ours is None else 'fewer'} than {number} events in Tiled"
            )
        where = f"{stream}, event {ours['seq_num']}"
        comparison.value(f"{where}: seq_num", ours["seq_num"], theirs["seq_num"])
        comparison.value(f"{where}: time", ours["time"], theirs["time"])
        keys = descriptors[ours["descriptor"]]["data_keys"]
        filled = ours.get("filled") or {}
        for key, value in ours["data"].items():
            if key not in keys:
                comparison.became(
                    f"{stream}.{key}", "a field that the descriptor does not have is left out"
                )
                continue
            if (is_external(keys[key]) and not filled.get(key)) or filled.get(key) is False:
                continue  # a reference to a file
            place = f"{stream}.{key}"
            name = renamed(key)
            if name not in theirs["data"]:
                raise Differs(f"{place} is not in Tiled")
            try:
                comparison.value(place, value, theirs["data"][name])
                comparison.value(f"{place}: timestamp", ours["timestamps"][key], theirs["timestamps"][name])
            except Differs as error:
                raise Differs(f"event {ours['seq_num']}: {error}") from None
