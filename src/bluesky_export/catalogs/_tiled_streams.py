"""The event pages of one stream, from its table and its arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..documents.fields import is_external
from ..documents.pages import Pair
from ._tiled_arrays import ArrayColumn, regular
from ._tiled_external import external_documents
from ._tiled_http import Server
from ._tiled_nodes import Node
from ._tiled_tables import Column, Notice, Table, stored_names

TABLE = "internal"


def table_nodes(parts: Mapping[str, Node]) -> list[Node]:
    """Return the internal table among a stream's parts: one node, or several if it was wide."""
    tables = [node for node in parts.values() if node["attributes"]["structure_family"] == "table"]
    ours = [node for node in tables if node["id"] == TABLE or node["id"].startswith(f"{TABLE}_")]
    return sorted(ours, key=lambda node: node["id"])


class Stream:
    """One stream of a run, ready to be read.

    Parameters
    ----------
    server : Server
        Where it is.
    parts : Mapping
        The children of its node, asked for with their data sources.
    descriptors : sequence of Mapping
        Its descriptors.
    notice : callable
        Takes one sentence for the user.
    """

    def __init__(
        self,
        server: Server,
        parts: Mapping[str, Node],
        descriptors: Sequence[Mapping[str, Any]],
        notice: Notice,
    ) -> None:
        self._server = server
        self._parts = parts
        self._descriptors = descriptors
        self._notice = notice
        self.name = str(descriptors[0].get("name"))
        self._keys: Mapping[str, Mapping[str, Any]] = descriptors[0]["data_keys"]
        self.rows = 0
        """Events read; known when :meth:`pages` has begun."""

    def assets(self) -> Iterator[Pair]:
        """Yield stream resources and stream datums."""
        for key, data_key in self._keys.items():
            node = self._parts.get(key)
            if is_external_node(data_key, node):
                run = str(self._descriptors[0]["run_start"])
                yield from external_documents(
                    node,  # type: ignore[arg-type]
                    data_key,
                    str(self._descriptors[0]["uid"]),
                    run,
                    self._notice,
                )

    def pages(self, page_size: int, *, timestamps: bool = True) -> Iterator[Pair]:
        """Yield event pages of up to ``page_size`` rows; without ``timestamps`` those are not asked for."""
        nodes = table_nodes(self._parts)
        stored = stored_names(nodes)
        wanted = stored if timestamps else [name for name in stored if not self._is_stamp(name)]
        table = Table(self._server, nodes, self._notice, None if wanted in (stored, []) else wanted)
        arrays = self._arrays()
        self.rows = table.rows or max((array.rows for array in arrays.values()), default=0)
        if not self.rows:
            return
        arrays = {key: array for key, array in arrays.items() if self._complete(key, array)}
        numbers, times = self._numbers_and_times(table)
        columns = self._columns(table, stored)
        stamps = self._timestamps(table, [*columns, *arrays], times) if timestamps else {}
        self._say_what_is_not_there(table, {*columns, *arrays})
        order = [key for key in self._keys if key in columns or key in arrays]
        filled = [key for key in order if is_external(self._keys[key])]
        owners = self._owners(times)
        for start, stop in _cuts(owners, page_size):
            descriptor = str(self._descriptors[owners[start]]["uid"])
            yield (
                "event_page",
                {
                    "descriptor": descriptor,
                    # As bluesky-tiled-plugins' exporter makes them up.
                    "uid": [f"event-{descriptor}-{number}" for number in numbers[start:stop].tolist()],
                    "time": times[start:stop],
                    "seq_num": numbers[start:stop],
                    "data": {
                        key: columns[key][start:stop]
                        if key in columns
                        else regular(arrays[key].read(start, stop))
                        for key in order
                    },
                    "timestamps": {key: stamps[key][start:stop] for key in order if timestamps},
                    "filled": {key: [True] * (stop - start) for key in filled},
                },
            )

    # -- columns ---------------------------------------------------------------------------

    def _numbers_and_times(self, table: Table) -> tuple[NDArray[Any], NDArray[Any]]:
        if "seq_num" in table and "time" in table:
            return np.asarray(table.column("seq_num")), np.asarray(table.column("time"), np.float64)
        self._notice(f"stream {self.name}: Tiled has neither numbers nor times of its events")
        return np.arange(1, self.rows + 1), np.full(self.rows, np.nan)

    def _columns(self, table: Table, stored: Collection[str]) -> dict[str, Column]:
        columns = {}
        for key, data_key in self._keys.items():
            if self._is_stamp(key) and key in stored:
                # The writer puts the timestamps of x into a column ts_x, over the values of ts_x.
                self._notice(
                    f"field {key}: its values were lost when the run was stored in Tiled, which put "
                    f"the timestamps of {key.removeprefix('ts_')} in their place"
                )
            elif key in table:
                columns[key] = table.column(key, data_key)
        return columns

    def _is_stamp(self, column: str) -> bool:
        return column.startswith("ts_") and column.removeprefix("ts_") in self._keys

    def _timestamps(
        self, table: Table, keys: Sequence[str], times: NDArray[Any]
    ) -> dict[str, NDArray[Any] | list[Any]]:
        stamps: dict[str, NDArray[Any] | list[Any]] = {}
        for key in keys:
            if f"ts_{key}" in table:
                stamps[key] = table.column(f"ts_{key}")
            else:
                stamps[key] = times
                self._notice(f"field {key}: Tiled has no timestamps of it; those of its events are given")
        return stamps

    def _arrays(self) -> dict[str, ArrayColumn]:
        found = {}
        for key, data_key in self._keys.items():
            node = self._parts.get(key)
            if node is None or is_external_node(data_key, node):
                continue
            if node["attributes"]["structure_family"] in ("array", "ragged"):
                found[key] = ArrayColumn(self._server, node, data_key, self._notice)
        return found

    def _complete(self, key: str, array: ArrayColumn) -> bool:
        if array.rows >= self.rows:
            return True
        self._notice(
            f"field {key}: Tiled has {array.rows} values for {self.rows} events and not which events "
            "they belong to; it was left out"
        )
        return False

    def _say_what_is_not_there(self, table: Table, found: set[str]) -> None:
        for key, data_key in self._keys.items():
            if key not in found and key not in self._parts and not self._is_stamp(key):
                kind = "external field" if is_external(data_key) else "field"
                self._notice(f"{kind} {key}: Tiled has no values of it in stream {self.name}")
        known = {"seq_num", "time", *self._keys, *(f"ts_{key}" for key in self._keys)}
        for name in table.names:
            if name not in known and not name.startswith("ts_"):
                self._notice(f"field {name}: no descriptor in Tiled says what it is; it was left out")

    # -- descriptors -----------------------------------------------------------------------

    def _owners(self, times: NDArray[Any]) -> NDArray[Any]:
        """Return for each event the index of its descriptor: the last one not after it."""
        owners = np.zeros(len(times), np.int64)
        for index, descriptor in enumerate(self._descriptors[1:], start=1):
            owners[times >= descriptor["time"]] = index
        if len(self._descriptors) > 1:
            self._notice(
                f"stream {self.name}: which of its {len(self._descriptors)} descriptors an event belongs "
                "to is told by its time"
            )
        return owners


def is_external_node(data_key: Mapping[str, Any], node: Node | None) -> bool:
    """Say whether a node stands for files of their own."""
    return node is not None and is_external(data_key)


def _cuts(owners: NDArray[Any], page_size: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows that belong to one descriptor, of up to ``page_size`` rows."""
    changes = (np.flatnonzero(np.diff(owners)) + 1).tolist()
    for start, stop in zip([0, *changes], [*changes, len(owners)], strict=True):
        for first in range(start, stop, page_size):
            yield first, min(first + page_size, stop)
