"""Mends of apstools' NXWriter: ``/entry/instrument/bluesky/streams`` and what belongs to it.

Each field of a stream is a group with ``value``, ``EPOCH`` and ``time``, as apstools has it.

Several descriptors of one stream (its configuration was changed) are joined: events in the order of
their ``seq_num``, the values of a field in one dataset where the data keys agree in dtype and units;
where they do not, those of the later descriptor are in a group of their own, ``<field>_``, with the
``@original_name`` of the field. A
field that was not measured in every event of its stream has a dataset ``seq_num`` which says in
which ones it was.

``/entry/instrument/bluesky/events/<stream>`` holds what is known of the events themselves:
``seq_num``, ``time``, ``uid`` and the ``descriptor`` of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..documents.columns import Packed, pack
from ..outputs import stamp
from ._h5 import put_attribute, put_column, put_external, put_text, safe_name
from ._nxintake import Intake, own_dataset

Array = NDArray[Any]


@dataclass
class _Field:
    """The values of a field over one or more descriptors of a stream."""

    key: str
    uids: list[str]
    entries: list[dict[str, Any]]

    def joins(self, entry: dict[str, Any]) -> bool:
        """Say whether the values of another descriptor's field mean the same."""
        if any(e["external"] and not e["data"] for e in (*self.entries, entry)):
            return False  # stream assets belong to one descriptor
        ours, theirs = self.entries[0]["data_key"], entry["data_key"]
        return all(ours.get(part) == theirs.get(part) for part in ("dtype", "units", "external", "source"))


_VARYING = ("precision", "lower_ctrl_limit", "upper_ctrl_limit", "limits", "dtype_numpy")
"""Parts of a data key that are left out where the descriptors of a stream disagree."""


class StreamHooks(Intake):
    """The parts of the file that hold what was measured."""

    def write_streams(self, parent: h5py.Group) -> h5py.Group:
        """Write every stream, those without events as well."""
        streams = self.create_NX_group(parent, "streams:NXnote")
        events = self.create_NX_group(parent, "events:NXcollection")
        for stream, uids in self.streams.items():
            name = safe_name(streams, stream)
            group = self.create_NX_group(streams, f"{name}:NXnote")
            group.attrs["uid"] = uids[0]
            if len(uids) > 1:
                group.attrs["descriptors"] = uids
            if name != stream:
                put_attribute(group, "original_name", stream)
                self.host.notice(f"stream {stream!r} is called {name!r} in the file")
            order = self._order(uids)
            self._write_events(self.create_NX_group(events, f"{name}:NXcollection"), uids, order)
            if not len(order) and not any(self.host.assets.stream_seq_nums(uid) for uid in uids):
                self.host.notice(f"stream {stream} has no events")
            for field in self._fields(uids):
                self._write_field(group, stream, field, uids, order)
            # Images under the name of their detector as well, as apstools has it.
            for key in list(group):
                if key.endswith("_image") and key[:-6] and key[:-6] not in group:
                    group[key[:-6]] = group[key]
        return streams

    def _order(self, uids: list[str]) -> Array:
        """Return the place of each event of a stream, the events taken descriptor by descriptor."""
        numbers = [number for uid in uids for number in self.events[uid].seq_num]
        if len(uids) > 1 and len(set(numbers)) == len(numbers):
            places = np.empty(len(numbers), np.int64)
            places[np.argsort(np.array(numbers), kind="stable")] = np.arange(len(numbers))
            return places
        return np.arange(len(numbers))

    def _fields(self, uids: list[str]) -> list[_Field]:
        fields: dict[str, list[_Field]] = {}
        for uid in uids:
            for key, entry in self.acquisitions[uid]["data"].items():
                known = fields.setdefault(key, [])
                same = next((field for field in known if field.joins(entry)), None)
                if same is None:
                    known.append(_Field(key, [uid], [entry]))
                else:
                    same.uids.append(uid)
                    same.entries.append(entry)
        # Those whose meaning changed come last: the first of a name keeps it.
        firsts = [known[0] for known in fields.values()]
        return firsts + [field for known in fields.values() for field in known[1:]]

    def _write_field(
        self, parent: h5py.Group, stream: str, field: _Field, uids: list[str], order: Array
    ) -> None:
        name = safe_name(parent, field.key)
        group = self.create_NX_group(parent, f"{name}:NXdata")
        self.field_names.setdefault(stream, {})[name] = field.key
        if name != field.key:
            put_attribute(group, "original_name", field.key)
            self.host.notice(f"{field.key!r} is called {name!r} in the file")
        entry, places = self._joined(field, uids, order)
        if entry["external"]:
            self.write_stream_external(group.parent, entry["data"], group, stream, field.key, entry)
        else:
            self.write_stream_internal(group.parent, entry["data"], group, stream, field.key, entry)
        self._write_times(group, f"{stream}.{field.key}", entry["time"])
        self._mark_signal(group)
        numbers = np.empty(len(order), np.int64)
        numbers[order] = [n for uid in uids for n in self.events[uid].seq_num]
        own = numbers[places] if not len(places) or places.max() < len(numbers) else numbers
        if entry["external"] and not entry["data"]:  # in a file of the whole stream
            (uid,) = field.uids
            own = np.array(self.events[uid].seq_num or self.host.assets.stream_seq_nums(uid), np.int64)
        if not np.array_equal(own, numbers):
            group.create_dataset("seq_num", data=own)

    def _joined(self, field: _Field, uids: list[str], order: Array) -> tuple[dict[str, Any], Array]:
        """Return one entry for all descriptors of a field, and the places of its events."""
        starts = dict(
            zip(uids, np.cumsum([0] + [len(self.events[uid].seq_num) for uid in uids]), strict=False)
        )
        rows = np.concatenate(
            [
                starts[uid] + self.rows_of(uid, field.key, len(entry["data"]))
                for uid, entry in zip(field.uids, field.entries, strict=True)
            ]
        )
        if rows.size and rows.max() >= len(order):  # a subclass keeps its events by itself
            order = np.arange(rows.max() + 1)
        places = order[rows]
        if len(field.entries) == 1 and np.all(places[1:] > places[:-1]):
            return field.entries[0], places
        sorted_rows = np.argsort(places, kind="stable")
        joined = dict(field.entries[0])
        keys = [entry["data_key"] for entry in field.entries]
        joined["data_key"] = {
            part: value
            for part, value in keys[0].items()
            if part not in _VARYING or all(key.get(part) == value for key in keys)
        }
        for part in ("data", "time"):
            values = [value for entry in field.entries for value in entry[part]]
            joined[part] = [values[row] for row in sorted_rows]
        return joined, places[sorted_rows]

    def write_stream_internal(
        self,
        parent: h5py.Group,
        d: list[Any],
        subgroup: h5py.Group,
        stream_name: str,
        k: str,
        v: dict[str, Any],
    ) -> None:
        """Write the values of a field that are in the events themselves."""
        packed = pack(d, v.get("data_key"))
        dataset = put_column(subgroup, "value", packed, notice=self._notice_of(stream_name, k))
        dataset.attrs["target"] = dataset.name
        self.add_dataset_attributes(dataset, v, k)
        if stream_name == "baseline" and len(packed):
            for name, row in (("value_start", 0), ("value_end", len(packed) - 1)):
                self.add_dataset_attributes(_put_row(subgroup, name, packed, row), v, k)

    def write_stream_external(
        self,
        parent: h5py.Group,
        d: list[Any],
        subgroup: h5py.Group,
        stream_name: str,
        k: str,
        v: dict[str, Any],
    ) -> None:
        """Write the values of a field that are in files of their own, as ``--images`` says."""
        if d and not any(isinstance(value, str) for value in d):  # filled in already
            self.write_stream_internal(parent, d, subgroup, stream_name, k, v)
            return
        host, label = self.host, f"{stream_name}.{k}"
        if host.images == "skip":
            host.notice(f"{label}: external data were left out, as asked")
            return
        descriptor = v["descriptor"]
        if not d and not host.assets.in_stream(descriptor["uid"], k):
            host.notice(f"{label}: no document says where its external data are")
            host.partial = bool(self.events[descriptor["uid"]].seq_num) or host.partial
            return
        references = [value for value in d if isinstance(value, str)]
        numbers = self.events[descriptor["uid"]].seq_num
        column = host.assets.column(descriptor, k, datum_ids=references or None, seq_nums=numbers or None)
        try:
            if len(references) < len(d):  # some events are filled in already
                read = iter([row for _, rows in column.pieces() for row in rows])
                filled = [next(read) if isinstance(value, str) else value for value in d]
                self.write_stream_internal(parent, filled, subgroup, stream_name, k, v)
            else:
                notice = self._notice_of(stream_name, k)
                dataset = put_external(subgroup, "value", column, host.images, host.output.path(), notice)
                if dataset is not None:
                    self._describe_external(subgroup, dataset, v, k)
                elif host.images == "link" and column.readable:
                    self.linked[subgroup.name] = (column.dtype, column.shape)
        finally:
            column.close()
        for missing in column.missing:
            host.partial = True
            host.notice(
                f"{label}: {missing.stop - missing.first} of {column.rows} points are missing: {missing}"
            )

    def _describe_external(
        self, group: h5py.Group, dataset: h5py.Dataset, v: dict[str, Any], k: str
    ) -> None:
        if h5py.check_string_dtype(dataset.dtype) is not None:
            group.move("value", "files")  # names of files, which HDF5 cannot link, are not the values
            return
        dataset.attrs["target"] = dataset.name
        self.add_dataset_attributes(dataset, v, k)

    def _notice_of(self, stream: str, key: str) -> Callable[[str], None]:
        """Return where to tell of a column, under the name of its field in place of its dataset's."""
        return lambda text: self.host.notice(
            f"{stream}.{key}: {text.removeprefix('value: ').removeprefix(f'{key}: ')}"
        )

    def add_dataset_attributes(
        self, ds: h5py.Dataset, v: dict[str, Any], long_name: str | None = None
    ) -> None:
        """Write what the data key says of a field; nothing that it does not say."""
        key = v.get("data_key", v)
        put_attribute(ds, "units", str(key.get("units") or ""), notice=self.host.notice)
        put_attribute(ds, "source", str(key.get("source") or ""), notice=self.host.notice)
        put_attribute(ds, "long_name", long_name, notice=self.host.notice)
        for part in ("precision", "lower_ctrl_limit", "upper_ctrl_limit"):
            if isinstance(key.get(part), (int, float, np.number)):
                put_attribute(ds, part, key[part], notice=self.host.notice)

    def _write_times(self, group: h5py.Group, label: str, times: list[Any]) -> None:
        value = own_dataset(group, "value")
        if not times and (group.name in self.linked or (value is not None and len(value))):
            return  # a detector's own file has values, and no timestamps
        packed = pack(times, {"dtype": "number"})
        epochs = packed.values
        if packed.kind != "array" or epochs.dtype.kind not in "iuf" or epochs.ndim != 1:
            self.host.notice(f"{label}: its timestamps are no numbers; they were left out")
            return
        if len(packed.nulls):
            self.host.notice(
                f"{label}: {len(packed.nulls)} of {len(epochs)} events have no timestamp for it"
            )
        dataset = put_column(group, "EPOCH", packed)
        dataset.attrs["units"] = "s"
        dataset.attrs["long_name"] = "epoch time (s)"
        dataset.attrs["target"] = dataset.name
        known = epochs[np.isfinite(epochs)]
        first = known[0] if len(known) else 0.0
        dataset = group.create_dataset("time", data=epochs - first)
        dataset.attrs["units"] = "s"
        dataset.attrs["long_name"] = "time since first data (s)"
        dataset.attrs["target"] = dataset.name
        if len(known):
            dataset.attrs["start_time"] = first
            dataset.attrs["start_time_iso"] = stamp(float(first)).isoformat()

    def _mark_signal(self, group: h5py.Group) -> None:
        value = own_dataset(group, "value")
        if value is None and group.name not in self.linked:
            return
        shape = self.linked[group.name][1] if value is None else value.shape
        timed = "time" in group and group["time"].shape == shape[:1]
        group.attrs["signal"] = "value"
        group.attrs["axes"] = ["time" if timed else "."] + ["."] * (len(shape) - 1)

    def _write_events(self, group: h5py.Group, uids: list[str], order: Array) -> None:
        events = [self.events[uid] for uid in uids]
        back = np.argsort(order)
        for name in ("seq_num", "time", "uid"):
            values = [value for of in events for value in getattr(of, name)]
            if any(value is not None for value in values) or not values:
                put_column(group, name, pack([values[row] for row in back], _EVENT_KEYS[name]))
        which = [number for number, of in enumerate(events) for _ in of.seq_num]
        group.create_dataset("descriptor", data=np.array(which, np.int64)[back])
        put_column(group, "descriptors", pack(uids, {"dtype": "string"}))


_EVENT_KEYS = {"seq_num": {"dtype": "integer"}, "time": {"dtype": "number"}, "uid": {"dtype": "string"}}


def _put_row(group: h5py.Group, name: str, packed: Packed, row: int) -> h5py.Dataset:
    """Write one row of a column as a dataset without the axis of the events."""
    value = list(packed.rows())[row] if packed.kind == "ragged" else packed.values[row]
    if isinstance(value, str) or value.dtype.kind == "O":
        dataset = put_text(group, name, value)
        if packed.kind == "mixed":
            dataset.attrs["encoding"] = "json"
    else:
        dataset = group.create_dataset(name, data=value)
    if row in packed.nulls:
        dataset.attrs["null"] = True  # it was None
    dataset.attrs["target"] = dataset.name
    return dataset
