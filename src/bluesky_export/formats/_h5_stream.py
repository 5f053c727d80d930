"""One stream as an HDF5 group that is a netCDF-4 dataset too, for xarray."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import h5py
import numpy as np

from ..documents.columns import Packed
from ..documents.external import ExternalColumn
from ..documents.fields import is_external
from ..documents.pages import Document
from ..documents.tables import Table
from ._h5 import ATTRIBUTE_BYTES, Notice, put_attribute, put_column, safe_name

ROWS = "time"
"""The dimension of the rows, and the coordinate that bears its name."""
GROUPS = ("timestamps", "nulls", "external")
"""Groups in a stream's group; fields do not get these names."""

_MOST_ATTACHED = 4000
"""Datasets at one dimension: HDF5 keeps the list of them in an attribute, of 64 kB at most."""
_NO_COORDINATE = "This is a netCDF dimension but not a netCDF variable."
# What a data key says, as attributes; the rest is in the descriptor. xarray decodes values by
# attributes of some names (dtype, scale_factor, _FillValue …): none of those may be written.
_DECLARED = {
    "units": "units",
    "source": "source",
    "precision": "precision",
    "object_name": "object_name",
    "enum_strs": "enum_strs",
    "dtype": "declared_dtype",
    "dtype_numpy": "declared_dtype_numpy",
    "shape": "declared_shape",
    "external": "external",
}


class StreamGroup:
    """The group of one stream.

    ``time`` is the coordinate of the rows (epoch seconds, float64); the other dimensions have the
    names that the data key declares in ``dims``, else ``<field>_dim_<n>``.
    """

    def __init__(self, group: h5py.Group, table: Table, notice: Notice) -> None:
        self.group, self.table, self._notice = group, table, notice
        self._fields = table.fields
        self._taken = {"seq_num", "uid", "descriptor_index", ROWS, *GROUPS}
        self._dimensions: dict[str, h5py.Dataset] = {}
        times = table.time.values
        if table.time.kind != "array" or times.dtype != np.float64:
            times = np.full(table.rows, np.nan)
            self.notice("event times are no numbers; they are NaN in the file")
        self._rows = group.create_dataset(ROWS, data=times)
        self._rows.make_scale(ROWS)
        self._attached = 0  # datasets, to that
        # "s" is no calendar to xarray: the floats come back as they are, not as datetime64[ns].
        self._rows.attrs["units"] = "s"
        self._rows.attrs["long_name"] = "time of the event, seconds since 1970-01-01T00:00:00Z"
        if table.rows:
            self._put("seq_num", table.seq_num, {"long_name": "number of the event"})
        if len(table.descriptors) > 1:
            index = Packed("array", table.descriptor_index)
            self._put("descriptor_index", index, {"long_name": "number of the event's descriptor"})

    def notice(self, text: str) -> None:
        """Tell the user, naming the stream."""
        self._notice(f"{self.table.name}: {text}")

    def _put(self, name: str, packed: Packed, attrs: Mapping[str, Any]) -> h5py.Dataset:
        dataset = put_column(self.group, name, packed, attrs)
        self._attach_rows(dataset)
        return dataset

    def finish(self) -> None:
        """Write what is large and needed by no field."""
        if len(self.table.uid.nulls) < self.table.rows:
            self._put("uid", self.table.uid, {"long_name": "uid of the event"})

    # -- fields ----------------------------------------------------------------------------

    def put_field(self, field: str, packed: Packed) -> h5py.Dataset:
        """Write the values that the events hold."""
        name = safe_name(self.group, field, self._taken)
        data_key = self.table.data_key(field)
        dataset = put_column(self.group, name, packed, self._attributes(data_key), notice=self.notice)
        self._original_name(dataset, field, name)
        if packed.shapes is None:
            self.attach(dataset, field, data_key)
        else:
            dataset.dims[0].attach_scale(self._dimension(f"{name}_element", len(dataset)))
            lengths = self.group[dataset.attrs["ragged"]]
            lengths.attrs["sample_dimension"] = f"{name}_element"
            self._attach_rows(lengths)
            if lengths.ndim > 1:
                lengths.dims[1].attach_scale(self._dimension(f"{name}_axis", lengths.shape[1]))
        if (stamps := self.table.timestamps(field)) is not None:
            self._put_timestamps(field, name, stamps)
        return dataset

    def external_name(self, field: str, inside: h5py.Group) -> str:
        """Return the name for an external field's data."""
        return safe_name(inside, field, self._taken if inside == self.group else ())

    def finish_external(self, dataset: h5py.Dataset, field: str, external: ExternalColumn) -> None:
        """Give copied data their attributes and dimensions."""
        name = dataset.name.rpartition("/")[2]
        data_key = self.table.data_key(field)
        for key, value in self._attributes(data_key).items():
            put_attribute(dataset, key, value, notice=self.notice)
        files = [str(path) for path in external.files]
        if sum(map(len, files)) < ATTRIBUTE_BYTES // 8:  # all are in documents/assets anyway
            put_attribute(dataset, "source_files", files, notice=self.notice)
        self._original_name(dataset, field, name)
        self.attach(dataset, field, data_key)

    def put_external_timestamps(self, field: str) -> None:
        """Write the timestamps of an external field."""
        if (stamps := self.table.timestamps(field)) is not None:
            self._put_timestamps(field, field, stamps)

    def _put_timestamps(self, field: str, name: str, stamps: Packed) -> None:
        inside = self.group.require_group("timestamps")
        dataset = put_column(inside, safe_name(inside, name), stamps, {"units": "s"})
        self._original_name(dataset, field, dataset.name.rpartition("/")[2], quiet=True)
        self._attach_rows(dataset)

    def _original_name(self, dataset: h5py.Dataset, field: str, name: str, quiet: bool = False) -> None:
        if name != field:
            put_attribute(dataset, "original_name", field)
            if not quiet:
                self.notice(f"field {field!r} is called {name!r} in the file")

    @staticmethod
    def _attributes(data_key: Document) -> dict[str, Any]:
        found = {name: data_key[key] for key, name in _DECLARED.items() if data_key.get(key) is not None}
        if "since" in str(found.get("units", "")):
            found["declared_units"] = found.pop("units")  # xarray would take it for a calendar
        return found

    # -- dimensions ------------------------------------------------------------------------

    def _attach_rows(self, dataset: h5py.Dataset) -> None:
        """Give a dataset's first axis the dimension of the rows, while that has room for it."""
        if self._attached == _MOST_ATTACHED:
            self.notice(
                f"HDF5 has room for {_MOST_ATTACHED} datasets at the dimension {ROWS}: the others are not "
                "attached to it; the values of all are there"
            )
        elif self._attached < _MOST_ATTACHED:
            dataset.dims[0].attach_scale(self._rows)
        self._attached += 1

    def attach(self, dataset: h5py.Dataset, field: str, data_key: Document) -> None:
        """Give every axis of a dataset its dimension."""
        self._attach_rows(dataset)
        name = dataset.name.rpartition("/")[2]
        declared = [d for d in data_key.get("dims") or () if isinstance(d, str)]
        shape = dataset.shape[1:]
        if len(declared) != len(shape) or len(set(declared)) < len(declared):
            declared = [""] * len(shape)
        for axis, (wanted, size) in enumerate(zip(declared, shape, strict=True), 1):
            dataset.dims[axis].attach_scale(self._dimension(wanted, size, f"{name}_dim_{axis - 1}"))

    def _dimension(self, wanted: str, size: int, otherwise: str | None = None) -> h5py.Dataset:
        known = self._dimensions.get(wanted)
        if known is not None and known.shape[0] == size:
            return known
        usable = bool(wanted) and wanted == safe_name(self.group, wanted, self._reserved())
        name = wanted if usable else safe_name(self.group, otherwise or wanted, self._reserved())
        scale = self.group.create_dataset(name, (size,), dtype=">f4")  # no data: takes no space
        scale.make_scale(f"{_NO_COORDINATE}{size:10d}")
        self._dimensions[name] = scale
        return scale

    def _reserved(self) -> set[str]:
        """Names that are, or will be, those of a field."""
        return self._taken | set(self._fields)


def put_stream(
    group: h5py.Group, table: Table, notice: Notice, written: Collection[str] = ()
) -> tuple[StreamGroup, list[str]]:
    """Write a stream's events; return the group and the fields that are kept elsewhere.

    Of those fields whose values are ``written`` already, only the timestamps.
    """
    stream = StreamGroup(group, table, notice)
    elsewhere = []
    for field in table.fields:
        if field in written:
            stream.put_external_timestamps(field)
            table.forget(field)
            continue
        packed = table.values(field)
        outside = is_external(table.data_key(field)) and (packed is None or packed.kind == "text")
        if packed is None or outside:
            elsewhere.append(field)
        else:
            stream.put_field(field, packed)
            table.forget(field)
    return stream, elsewhere
