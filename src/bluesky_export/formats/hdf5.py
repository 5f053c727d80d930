"""The ``hdf5`` format: every stream, every field, every document of a run in one file.

Layout::

    /                      attributes: uid, scan_id, plan_name, exit_status, start_time, creator
    /<stream>              what xarray.open_dataset(path, group=<stream>, engine="h5netcdf") opens
        time               coordinate of the rows: event time, epoch seconds
        seq_num, uid       of the events; descriptor_index if the stream has several descriptors
        <field>            units, source, … as attributes
        timestamps/<field> when each value was measured, epoch seconds
        nulls/<name>       rows in which a value was None, or its file could not be read
        external/<field>   links to the files of external fields (``--images link``)
    /start, /stop, /descriptors/<stream>/<n>      metadata, to be browsed
    /documents/start, stop, descriptors, assets   the same documents complete, as JSON text

An unfinished run has no ``stop``, and ``exit_status = "unfinished"``. How values, text, names and
JSON are written: :mod:`bluesky_export.documents.columns`, :mod:`bluesky_export.formats._h5`,
:mod:`bluesky_export.documents.jsontext`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from ..documents import jsontext
from ..documents.external import ExternalColumn
from ..documents.pages import Document
from ..outputs import Output, own_version, stamp
from ._fidelity import HDF5_RULES, converted, fidelity
from ._h5 import put_attribute, put_external, put_mapping, put_text, safe_name
from ._h5_file import SafeFile
from ._h5_stream import StreamGroup, put_stream
from ._keeping import KeepingWriter

_OURS = ("start", "stop", "descriptors", "documents")


class HDF5Writer(KeepingWriter):
    """One HDF5 file for a run, for h5py and for xarray."""

    name = "hdf5"
    suffix = ".h5"
    how_to_open = ("HDFView, silx view, or in Python: xarray.open_dataset('….h5', group='primary')",)
    summary = "all streams, fields, images and metadata in one HDF5 file; opens in xarray"
    holds = frozenset({"text", "arrays", "images", "streams", "metadata"})
    fidelity = fidelity(
        {
            "new-field": converted(
                "NaN or empty in the events that do not have it; the rows are listed in `nulls`"
            ),
            **HDF5_RULES,
        }
    )

    def __init__(self, output: Output, **common: Any) -> None:
        super().__init__(output, **common)
        self._path: Path | None = None
        self._safe: SafeFile | None = None
        self._exchanged: set[tuple[str, str]] = set()
        """Stream and field of what a layout built on this one has written already."""

    # -- documents -------------------------------------------------------------------------

    def start(self, doc: Document) -> None:
        """Take the start document; refuse now what could not be written later."""
        super().start(doc)
        self._path = self.output.part()

    # -- writing ---------------------------------------------------------------------------

    def finish(self) -> None:
        """Write the file."""
        assert self._path is not None
        self._safe = SafeFile(self._path, track_order=True)
        try:
            self._put(self._safe.file)
            self._safe.close()
        finally:
            self.release()

    def release(self) -> None:
        """Close the file if it is open still; it is to be thrown away then."""
        if self._safe is not None:
            self._safe.abandon()
            self._safe = None

    def _put(self, file: h5py.Group) -> None:
        """Write the whole layout into a file, or into a group of one."""
        self._put_root(file)
        self._put_streams(file)
        self._put_metadata(file)

    def _put_root(self, file: h5py.Group) -> None:
        for key in ("uid", "scan_id", "plan_name"):
            put_attribute(file, key, self.start_doc.get(key), notice=self.notice)
        put_attribute(file, "exit_status", self.status)
        for key, doc in (("start_time", self.start_doc), ("stop_time", self.stop_doc or {})):
            if isinstance(time := doc.get("time"), (int, float)):
                put_attribute(file, key, stamp(time).isoformat())
        put_attribute(file, "creator", f"bluesky-export {own_version()}")
        put_attribute(file, "format_version", "1")

    def _put_streams(self, file: h5py.Group) -> None:
        if not any(table.descriptors for table in self._tables.values()):
            self.notice("the run has no streams; the file holds its metadata")
        for name, table in self._tables.items():
            table.close(self._assets)
            group = file.create_group(safe_name(file, name, _OURS), track_order=True)
            if group.name.rpartition("/")[2] != name:
                put_attribute(group, "original_name", name)
                self.notice(f"stream {name!r} is the group {group.name}")
            if not table.rows:
                self.notice(f"stream {name} has no events")
            if table.without_event:
                self.notice(
                    f"{name}: {len(table.without_event)} points have external data and no event; "
                    "their time is NaN"
                )
            written = {field for stream, field in self._exchanged if stream == name}
            stream, elsewhere = put_stream(group, table, self.notice, written)
            for field in elsewhere:
                self._put_external(stream, field)
                table.forget(field)
            stream.finish()

    def _put_external(self, stream: StreamGroup, field: str) -> None:
        table = stream.table
        external = table.external(field, self._assets)
        if external is None:
            packed = table.values(field)
            if packed is None:
                stream.notice(f"no event holds a value of field {field}")
            else:
                stream.put_field(field, packed)
            return
        try:
            self._put_files(stream, field, external)
        finally:
            external.close()
        stream.put_external_timestamps(field)

    def _put_files(self, stream: StreamGroup, field: str, external: ExternalColumn) -> None:
        dataset = None
        if self.images == "skip":
            stream.notice(f"{field} is kept in files of its own and was left out (images: skip)")
        elif external.readable:
            copied = self.images == "copy"
            inside = stream.group if copied else stream.group.require_group("external")
            name = stream.external_name(field, inside)
            dataset = put_external(inside, name, external, self.images, self.output.path(), stream.notice)
            if dataset is not None and copied:
                stream.finish_external(dataset, field, external)
        lost = [missing for missing in external.missing if not missing.absent]
        if lost and self.images != "skip":
            self.partial = True
            for missing in lost:
                rows = f"rows {missing.first} to {missing.stop - 1}"
                where = "all rows" if missing.stop - missing.first == external.rows else rows
                stream.notice(f"{field}, {where}: not read: {missing}")
        ids = stream.table.values(field)
        if ids is not None and (lost or self.images == "skip"):
            inside = stream.group.require_group("external")
            put_text(inside, safe_name(inside, f"{field}_datum_id"), ids.values)

    def _put_metadata(self, file: h5py.Group) -> None:
        documents = file.create_group("documents", track_order=True)
        self._put_document(file, documents, "start", self.start_doc)
        if self.stop_doc is not None:
            self._put_document(file, documents, "stop", self.stop_doc)
        browse = file.create_group("descriptors", track_order=True)
        for table in self._tables.values():
            inside = browse.create_group(safe_name(browse, table.name), track_order=True)
            for number, doc in enumerate(table.descriptors):
                put_mapping(inside.create_group(str(number), track_order=True), doc)
        self._put_list(documents, "descriptors", list(self.descriptors.values()))
        if self._asset_documents:
            self._put_list(documents, "assets", [list(pair) for pair in self._asset_documents])

    def _put_document(self, file: h5py.Group, documents: h5py.Group, name: str, doc: Document) -> None:
        put_mapping(file.create_group(name, track_order=True), doc)
        put_text(documents, name, jsontext.dumps(doc, notice=self.notice))
        documents[name].attrs["encoding"] = "json"

    def _put_list(self, documents: h5py.Group, name: str, docs: list[Any]) -> None:
        put_text(documents, name, [jsontext.dumps(doc, notice=self.notice) for doc in docs])
        documents[name].attrs["encoding"] = "json"
