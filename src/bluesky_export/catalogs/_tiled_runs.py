"""A run in a Tiled server, read by its table and its arrays.

A server that was not set up for Bluesky refuses to give documents (406), and one that was takes
4 to 8 s for 10,000 events: the table of a stream comes in one request, in columns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..documents.pages import Pair, paginate
from ..errors import NoData
from ._base import Run
from ._plain import plain
from ._tiled_descriptors import descriptors_of
from ._tiled_http import Server
from ._tiled_nodes import RUN, STREAM, Node, children, family, spec_version

if TYPE_CHECKING:
    from ._tiled_streams import Stream

_LARGEST = 2**53 - 1  # what bluesky-tiled-plugins cuts integers of metadata to
_MADE_UP = (
    "Tiled does not keep the uids of events nor which external values were filled in; "
    "event uids were made from descriptor and seq_num"
)
_UNFINISHED = "the run has no stop document in Tiled; events that its writer had not sent yet are missing"
_WHERE_ONLY = re.compile(r"(written as (zarr|ragged array)|stored in the internal table instead)\.$")
"""The writer's notes of where it put something, which change nothing."""
_NAMED = 8  # how many values that were cut are named in a note


class TiledRun(Run):
    """One run, from the description its server gives of it.

    Parameters
    ----------
    server : Server
        Where it is.
    node : Mapping
        The run's node, with its metadata.
    """

    def __init__(self, server: Server, node: Node) -> None:
        metadata = plain(node["attributes"]["metadata"])
        self.start = metadata["start"]
        self.stop = metadata.get("stop") or None
        self._server = server
        self._node = node
        self._by_table = (spec_version(node, RUN) or "").startswith("3.")
        notes = [str(note) for note in metadata.get("notes") or []]
        self._writer_notes = [note for note in notes if not _WHERE_ONLY.search(note)]
        self._notes: dict[str, None] = {}
        self._incomplete = False
        self._streams: list[Node] | None = None

    def __repr__(self) -> str:
        return f"<TiledRun {self.uid[:8]} of {self._server.uri}>"

    def descriptors(self) -> list[Mapping[str, Any]]:
        """Return the descriptors of all streams, in order of time, without reading events."""
        if not self._by_table:
            return [doc for name, doc in self._served() if name == "descriptor"]
        return _by_time([doc for docs in self._described().values() for doc in docs])

    def documents(self, page_size: int = 1000, *, timestamps: bool = True) -> Iterator[Pair]:
        """Yield start, descriptors, assets, event pages stream by stream, and stop."""
        if not self._by_table:
            yield from paginate(self._served(), page_size)
            return
        self._look_for_cut_numbers(self.start, "start")
        yield "start", self.start
        nodes, parts = self._nodes_and_parts()
        described = {node["id"]: descriptors_of(node, self.uid) for node in nodes}
        for doc in _by_time([doc for docs in described.values() for doc in docs]):
            for device, known in (doc.get("configuration") or {}).items():
                # Not in data_keys: a limit of 1.8e308 is EPICS's way to say that there is none.
                self._look_for_cut_numbers(known.get("data"), f"configuration of {device}")
            yield "descriptor", doc
        for stream in self._opened(nodes, described, parts):
            yield from stream.assets()
            yield from stream.pages(page_size, timestamps=timestamps)
            self._check_count(stream.name, stream.rows, external=_all_external(described[stream.name]))
        for name in self._recorded.keys() - described.keys():
            self._check_count(name, 0, external=False)
        if self.stop is not None:
            yield "stop", self.stop

    def assets(self) -> Iterator[Pair]:
        """Yield stream resources and stream datums, without reading events."""
        nodes, parts = self._nodes_and_parts()
        described = {node["id"]: descriptors_of(node, self.uid) for node in nodes}
        for stream in self._opened(nodes, described, parts):
            yield from stream.assets()

    def counts(self) -> dict[str, int]:
        """Return the number of events of each stream: the stop document's, else the tables'."""
        recorded = self._recorded
        if not self._by_table:
            return dict(recorded) if recorded else super().counts()
        names = list(self._described())
        if all(name in recorded for name in names):
            return {name: int(recorded[name]) for name in names}
        return {node["id"]: self._rows(node) for node in self._stream_nodes()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What Tiled no longer knows; complete only after :meth:`documents` has been read."""
        always = [_MADE_UP] if self._by_table else []
        if self.stop is None:
            always.append(_UNFINISHED)
        writers = [f"stored in Tiled with a change: {note}" for note in self._writer_notes]
        return (*always, *writers, *self._notes)

    @property
    def incomplete(self) -> bool:
        """Whether Tiled has, or shows this user, fewer events than the stop document counts."""
        return self._incomplete

    # -- streams ---------------------------------------------------------------------------

    def _stream_nodes(self) -> list[Node]:
        if self._streams is not None:
            return self._streams
        return self._take_streams(children(self._server, self._node))

    def _nodes_and_parts(self) -> tuple[list[Node], Mapping[str, Mapping[str, Node]]]:
        """Return the streams, and their parts as far as these come in the same request."""
        found = family(self._server, self._node)
        if found is None or _old_layout({name: node for name, (node, _) in found.items()}):
            return self._stream_nodes(), {}
        streams = self._take_streams({name: node for name, (node, _) in found.items()})
        return streams, {name: parts for name, (_, parts) in found.items()}

    def _take_streams(self, found: dict[str, Node]) -> list[Node]:
        if _old_layout(found):
            found = children(self._server, found["streams"])
        streams = []
        for name, node in found.items():
            metadata = node["attributes"].get("metadata") or {}
            if node["attributes"]["structure_family"] == "container" and "uid" in metadata:
                streams.append(node)
            else:
                self._note(f"{name}: something in the run's folder in Tiled is no stream; it was left out")
        if self.stop is not None:  # a run that goes on may get more of them
            self._streams = streams
        return streams

    def _described(self) -> dict[str, list[dict[str, Any]]]:
        return {node["id"]: descriptors_of(node, self.uid) for node in self._stream_nodes()}

    def _opened(
        self,
        nodes: list[Node],
        described: Mapping[str, list[dict[str, Any]]],
        known: Mapping[str, Mapping[str, Node]],
    ) -> Iterator[Stream]:
        from ._tiled_streams import Stream

        for node in nodes:
            parts = known.get(node["id"])
            if parts is None:
                parts = children(self._server, node, data_sources=True)
            yield Stream(self._server, parts, described[node["id"]], self._note)

    def _rows(self, stream: Node) -> int:
        from ._tiled_streams import table_nodes
        from ._tiled_tables import Table

        parts = children(self._server, stream)
        tables = table_nodes(parts)
        if tables:
            return Table(self._server, tables, self._note, columns=["seq_num"]).rows
        shapes = [node["attributes"]["structure"].get("shape") or [0] for node in parts.values()]
        return max((int(shape[0]) for shape in shapes), default=0)

    @property
    def _recorded(self) -> Mapping[str, Any]:
        counted = (self.stop or {}).get("num_events")
        return counted if isinstance(counted, Mapping) else {}

    # -- what was lost ---------------------------------------------------------------------

    def _note(self, text: str) -> None:
        self._notes[text] = None

    def _check_count(self, stream: str, rows: int, *, external: bool) -> None:
        expected = self._recorded.get(stream)
        if expected is None or expected == rows or (external and not rows):
            return
        self._incomplete |= isinstance(expected, int) and rows < expected
        self._note(
            f"stream {stream}: the stop document counts {expected} events, Tiled has {rows}"
            + ("" if rows else " that you may read")
        )

    def _look_for_cut_numbers(self, value: Any, where: str) -> None:
        found = list(_cut_numbers(value))
        if found:
            listed = ", ".join(found[:_NAMED]) + (", …" if len(found) > _NAMED else "")
            self._note(
                f"{where}: {listed}: a number at the limit to which Tiled's writer cuts larger ones "
                "(2**53-1, 1.7976e308); what was recorded may have been larger"
            )

    # -- servers on MongoDB ----------------------------------------------------------------

    def _served(self) -> Iterator[Pair]:
        """Yield the documents as a server on MongoDB gives them, which has no tables."""
        link = self._node["links"]["self"].replace("/metadata", "/documents", 1)
        content = self._server.content(link, "application/json-seq", {"fill": False})
        for line in content.decode().split("\n"):
            record = line.lstrip("\x1e").strip()
            if record:
                item = json.loads(record)
                if item["name"] == "stop" and not item["doc"]:
                    continue
                yield item["name"], item["doc"]


def _old_layout(found: Mapping[str, Node]) -> bool:
    """Say whether the streams of a run are one level further down, as they were in 2025."""
    return "streams" in found and spec_version(found["streams"], STREAM) is None


def _all_external(descriptors: Sequence[Mapping[str, Any]]) -> bool:
    return all(key.get("external") for key in descriptors[0]["data_keys"].values())


def _by_time(descriptors: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(descriptors, key=lambda doc: float(doc.get("time") or 0))


def _cut_numbers(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _cut_numbers(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _cut_numbers(item, f"{path}[{index}]")
    elif isinstance(value, (int, float)) and abs(value) in (_LARGEST, 1.7976e308):
        yield path


def checked_run(server: Server, node: Node) -> TiledRun:
    """Return the run of a node.

    Raises
    ------
    NoData
        The node has no start document.
    """
    if not ((node["attributes"].get("metadata") or {}).get("start") or {}).get("uid"):
        raise NoData(f"{node['id']} on {server.uri} has no start document")
    return TiledRun(server, node)
