"""APS Data Exchange: projections, angles, flats and darks of a tomography run, in HDF5.

The layout is that of the reference (https://dxfile.readthedocs.io: Core Reference, X-ray Tomography):

- ``/implements`` is ``exchange:measurement:process``.
- ``/exchange/data`` are the **projections** (axes ``theta:y:x``): the images of the field that
  ``data=`` names (``field`` or ``stream.field``), else of the first image field of ``primary``, hinted
  ones before others. Their dtype is kept. From HDF5 files chunks are moved as they are, where they fit.
- ``/exchange/theta`` are the **angles** in degrees: of the field that ``theta=`` names, else of the
  motor that was scanned; if there are several, of the one whose units are degrees or radians. Radians
  are converted, with a notice. A run without an angle is refused.
- ``/exchange/data_white`` and ``data_dark`` are **flats and darks**: ``white=`` and ``dark=`` name a stream
  or a field with images of the same size; or ``image_key=`` names a field with 0 for projections, 1 for
  flats, 2 for darks (as in NXtomo) in each point. ``theta_white`` and ``theta_dark`` are the
  angles at which they were taken, if their stream has them. Streams are not guessed by their names.
- Where a point has several frames, all of them are projections in turn and its angle is repeated.
  ``row``, ``row_white`` and ``row_dark`` say which point of its stream a frame is of.
- ``units`` are those of the data key; ``counts``, the reference's default, where it has none.
- ``/measurement/sample`` and ``/measurement/instrument`` have what the start document says of the
  sample, and each device's configuration (``…/<device>/setup``).
- ``/process/actor_1`` is the plan, and ``/process/table`` when it began, ended, and how.
- ``/measurement/bluesky`` has **everything else** in the layout of the ``hdf5`` format: every stream, every
  other field, all documents complete. xarray opens its groups.

A point whose image cannot be read is left out with its angle, named, and the result is partial.
``--images link`` and ``skip`` are refused: the projections are the file.

The tests have a checker written from the reference, as no reader of the format is on PyPI; dxchange's
``read_aps_tomoscan_hdf5``, from its repository, has read such a file once by hand, and equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import h5py
import numpy as np

from ..documents.images import ImageColumn, NoImages, images_of
from ..documents.tables import Table
from ..errors import BadOption, NoData
from ..outputs import Output, stamp
from ._dx_choice import Part, angles, choose_images, choose_theta, find, numbers
from ._dx_exchange import put_part
from ._fidelity import HDF5_RULES, converted, fidelity
from ._h5 import put_mapping, put_text
from .hdf5 import HDF5Writer

_BY_KEY = {0: "", 1: "_white", 2: "_dark"}
_STATUS = {"success": "SUCCESS", "unfinished": "RUNNING"}


class DXWriter(HDF5Writer):
    """Write the projections of a run with their angles, and all of the run beside them."""

    name = "dx"
    suffix = ".dx.h5"
    summary = "APS Data Exchange for tomography: projections, theta, flats, darks; the rest as hdf5"
    how_to_open = ("silx view, HDFView, or in Python: h5py.File('….dx.h5')['exchange/data']",)
    fidelity = fidelity(
        {
            "new-field": converted(
                "NaN or empty in the events that do not have it; the rows are listed in `nulls`"
            ),
            **HDF5_RULES,
            "external": converted("exactly; those in `exchange` as frames, with the rows they are of"),
        }
    )

    def __init__(
        self,
        output: Output,
        *,
        data: Annotated[str | None, "the field of the projections: field or stream.field"] = None,
        theta: Annotated[str | None, "the field of the angles; else the scanned motor"] = None,
        white: Annotated[str | None, "a stream or a field that holds the flats"] = None,
        dark: Annotated[str | None, "a stream or a field that holds the darks"] = None,
        image_key: Annotated[str | None, "a field that is 0, 1, 2 for projections, flats, darks"] = None,
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        if self.images != "copy":
            raise BadOption(f"dx holds the projections: --images {self.images} is not for it, but for hdf5")
        if image_key and (white or dark):
            raise BadOption("image_key=… tells flats and darks apart: white=… and dark=… do not go with it")
        self._data, self._theta, self._image_key = data, theta, image_key
        self._named = {"_white": white, "_dark": dark}
        self._open: list[ImageColumn] = []

    # -- choosing --------------------------------------------------------------------------

    def _projections(self) -> Part:
        table, column = self._images(self._data, "data") if self._data else self._first_images()
        if self._theta:
            found = find({table.name: table}, self._theta)
            if found is None:
                raise NoData(
                    f"theta={self._theta}: stream {table.name} of this run has no such field; "
                    f"its fields: {', '.join(table.fields)}"
                )
            field = found[1]
        else:
            field = choose_theta(self.start_doc, table, self.run_in_words)
        self._theta = field
        theta, said = angles(table, field, self._assets)
        if said:
            self.notice(said)
        return Part(table, column, np.arange(column.rows), theta)

    def _first_images(self) -> tuple[Table, ImageColumn]:
        instead: dict[str, NoImages] = {}
        if (table := self._tables.get("primary")) is not None:
            column, others, instead = choose_images(self.start_doc, table, self._assets, True)
            if column is not None:
                self._open.append(column)
                if others:
                    self.notice(
                        f"the projections are {column.where}; there are images in {', '.join(others)} "
                        "too: option data=FIELD"
                    )
                return table, column
        raise self._no_images(instead, "name an image field of another stream: --option data=STREAM.FIELD")

    def _images(self, name: str, option: str) -> tuple[Table, ImageColumn]:
        found = find(self._tables, name)
        if found is None:
            fields = [f"{table.name}.{field}" for table in self._tables.values() for field in table.fields]
            raise NoData(
                f"{option}={name}: {self.run_in_words} has no such field; its fields: {', '.join(fields)}"
            )
        table, field = found
        column = images_of(table, field, self._assets)
        if isinstance(column, ImageColumn):
            self._open.append(column)
            lost = column.first_readable()
            if lost is None:
                return table, column
            column = lost
        raise NoData(f"{option}={name}: {table.name}.{field} has no images: {column.what}")

    def _beside(self, ending: str, name: str, data: Part) -> Part:
        """Return the flats or darks that an option names."""
        option = ending[1:]
        if name in self._tables:
            table = self._tables[name]
            if data.column.field in table.fields:
                table, column = self._images(f"{name}.{data.column.field}", option)
            else:
                chosen, others, _ = choose_images(self.start_doc, table, self._assets, True)
                if chosen is None or others:
                    what = (
                        f"several image fields ({chosen.field}, {', '.join(others)})"
                        if chosen
                        else "no images"
                    )
                    raise NoData(f"{option}={name}: the stream has {what}; name one: {option}={name}.FIELD")
                self._open.append(chosen)
                column = chosen
        else:
            table, column = self._images(name, option)
        part = Part(table, column, np.arange(column.rows), None)
        if part.frame != data.frame:
            raise BadOption(
                f"{option}={name}: its frames are {part.frame}, the projections {data.frame}; "
                "Data Exchange asks for the same"
            )
        theta = self._theta or ""
        if theta in table.fields and numbers(table, theta, self._assets) is not None:
            part.theta = angles(table, theta, self._assets)[0]
        return part

    def _by_key(self, name: str, data: Part) -> dict[str, Part]:
        keys = numbers(data.table, name, self._assets) if name in data.table.fields else None
        if keys is None:
            raise NoData(
                f"image_key={name}: stream {data.table.name} has no field of that name with a number for "
                f"each point; its fields: {', '.join(data.table.fields)}"
            )
        parts = {}
        for key, ending in _BY_KEY.items():
            rows = np.flatnonzero(keys.reshape(-1) == key)
            if len(rows) or not ending:
                parts[ending] = Part(data.table, data.column, rows, data.theta)
        others = len(keys) - sum(len(part.rows) for part in parts.values())
        if others:
            self.notice(
                f"{data.column.where}: {others} points whose {name} is none of 0, 1, 2 are left out"
            )
        if not len(parts[""].present):
            raise NoData(f"image_key={name}: no point is a projection (0)")
        return parts

    # -- writing ---------------------------------------------------------------------------

    def _put(self, file: h5py.File) -> None:
        for table in self._tables.values():
            table.close(self._assets)
        put_text(file, "implements", "exchange:measurement:process")
        exchange = file.create_group("exchange", track_order=True)
        try:
            self._put_exchange(exchange)
        finally:
            for column in self._open:
                column.close()
        measurement = file.create_group("measurement", track_order=True)
        self._put_sample(measurement)
        self._put_instrument(measurement)
        self._put_process(file)
        super()._put(measurement.create_group("bluesky", track_order=True))

    def _put_exchange(self, exchange: h5py.Group) -> None:
        data = self._projections()
        if self._image_key:
            parts = self._by_key(self._image_key, data)
        else:
            parts = {"": data}
            parts.update(
                {ending: self._beside(ending, name, data) for ending, name in self._named.items() if name}
            )
        put_text(exchange, "description", f"raw data of scan {self.start_doc.get('scan_id')} ({self.uid})")
        for ending, part in parts.items():
            put_part(exchange, ending, part, self.output.path(), self.notice)
            self._exchanged.add((part.table.name, part.column.field))
        for column in {id(part.column): part.column for part in parts.values()}.values():
            for sentence in column.lost_text():
                self.partial = True
                self.notice(sentence)

    def _put_sample(self, measurement: h5py.Group) -> None:
        sample = self.start_doc.get("sample")
        described: dict[Any, Any] = dict(sample) if isinstance(sample, Mapping) else {}
        if isinstance(name := self.start_doc.get("sample_name", sample), str):
            described.setdefault("name", name)
        put_mapping(measurement.create_group("sample", track_order=True), described)

    def _put_instrument(self, measurement: h5py.Group) -> None:
        instrument = measurement.create_group("instrument", track_order=True)
        devices: dict[str, Any] = {}
        for doc in self.descriptors.values():
            for device, configuration in (doc.get("configuration") or {}).items():
                if isinstance(configuration, Mapping):
                    devices.setdefault(device, {"setup": dict(configuration.get("data") or {})})
        for key in ("beamline_id", "instrument_name"):
            if isinstance(name := self.start_doc.get(key), str):
                devices = {"name": name, **devices}
        put_mapping(instrument, devices)

    def _put_process(self, file: h5py.File) -> None:
        def when(doc: Mapping[str, Any] | None) -> str:
            time = (doc or {}).get("time")
            return stamp(time).isoformat() if isinstance(time, (int, float)) else ""

        process = file.create_group("process", track_order=True)
        actor = {
            "name": str(self.start_doc.get("plan_name") or "bluesky"),
            "description": "raw data collection",
            "output_data": "/exchange",
        }
        put_mapping(process.create_group("actor_1", track_order=True), actor)
        table = {
            "actor": "actor_1",
            "start_time": when(self.start_doc),
            "end_time": when(self.stop_doc),
            "status": _STATUS.get(self.status, "FAILED"),
            "message": str((self.stop_doc or {}).get("reason") or ""),
            "reference": "/process/actor_1",
            "description": "raw data collection",
        }
        put_mapping(process.create_group("table", track_order=True), table)
