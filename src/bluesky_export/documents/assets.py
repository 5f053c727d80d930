"""External data: from the asset documents of a run to columns that can be read.

Two generations of documents are understood: ``resource`` with ``datum`` (read by databroker's
handlers, plain HDF5 files by ourselves) and ``stream_resource`` with ``stream_datum``, old and
new. See :mod:`~bluesky_export.documents.external` for what comes out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np

from ._dtypes import declared_dtype
from ._sources import HandlerRows, HDF5Rows, ImageRows, StackRows
from .external import ExternalColumn, Nowhere, Segment
from .pages import Document

_PLAIN_HDF5 = {  # specs whose files are one dataset of frames, without a handler's help
    "AD_HDF5": "/entry/data/data",
    "AD_HDF5_SWMR": "/entry/data/data",
    "TPX_HDF5": "/entry/instrument/detector/data",
}
_IMAGES = ("image/tiff", "image/jpeg", "image/png", "application/x-npy")
_OLD_SPECS = {  # of stream resources from before they had a mimetype
    "AD_TIFF": "multipart/related;type=image/tiff",
    "NPY_SEQ": "multipart/related;type=application/x-npy",
}


@dataclass(frozen=True)
class Piece:
    """Some events of one descriptor, in order.

    Attributes
    ----------
    descriptor : Mapping
        The descriptor document.
    rows : int
        Number of events; only looked at if the descriptor does not have the field.
    datum_ids : sequence of str or None
        What the events hold for the field.
    seq_nums : sequence of int or None
        Their numbers.
    """

    descriptor: Document
    rows: int
    datum_ids: Sequence[Any] | None = None
    seq_nums: Sequence[int] | None = None


class Assets:
    """The asset documents of one run, and where their files are.

    Feed it every ``resource``, ``datum_page``, ``stream_resource`` and ``stream_datum`` document,
    in any order; then ask for columns.

    Parameters
    ----------
    root_map : Mapping of str to str, optional
        ``root`` of a resource, or the beginning of a path (whole components) → where it is found
        from here. The longest that fits is taken.
    """

    def __init__(self, root_map: Mapping[str, str] | None = None) -> None:
        self.root_map = dict(root_map or {})
        self._resources: dict[str, Document] = {}
        self._pages: list[Document] = []
        self._datums: dict[str, tuple[int, int]] = {}  # datum id -> page, row
        self._stream_resources: dict[str, Document] = {}
        self._stream_datums: dict[tuple[str, str], list[Document]] = {}  # descriptor, resource
        self._handlers: dict[Any, Any] = {}

    # -- taking documents ------------------------------------------------------------------

    def resource(self, doc: Document) -> None:
        """Take a resource document."""
        self._resources[doc["uid"]] = doc

    def datum_page(self, doc: Document) -> None:
        """Take a page of datum documents."""
        self._datums.update((uid, (len(self._pages), row)) for row, uid in enumerate(doc["datum_id"]))
        self._pages.append(doc)

    def stream_resource(self, doc: Document) -> None:
        """Take a stream resource document."""
        self._stream_resources[doc["uid"]] = doc

    def stream_datum(self, doc: Document) -> None:
        """Take a stream datum document."""
        self._stream_datums.setdefault((doc["descriptor"], doc["stream_resource"]), []).append(doc)

    # -- what there is ---------------------------------------------------------------------

    def is_datum(self, value: Any) -> bool:
        """Say whether an event's value is the id of a datum that was taken."""
        return isinstance(value, str) and value in self._datums

    def in_stream(self, descriptor: str, field: str) -> bool:
        """Say whether a descriptor's field is described by stream datums."""
        return any(key == descriptor and self._data_key(uid) == field for key, uid in self._stream_datums)

    def stream_seq_nums(self, descriptor: str) -> list[int]:
        """Return the numbers of the points that stream datums of a descriptor cover, in order.

        A stream whose fields are all external may have no events at all.
        """
        numbers: set[int] = set()
        for (key, _), datums in self._stream_datums.items():
            if key == descriptor:
                for doc in datums:
                    numbers.update(range(doc["seq_nums"]["start"], doc["seq_nums"]["stop"]))
        return sorted(numbers)

    def _data_key(self, uid: str) -> str | None:
        doc = self._stream_resources.get(uid, {})
        name = doc.get("data_key") or (doc.get("resource_kwargs") or {}).get("data_key")
        return None if name is None else str(name)

    # -- columns ---------------------------------------------------------------------------

    def column(
        self,
        descriptor: Document,
        field: str,
        *,
        datum_ids: Sequence[Any] | None = None,
        seq_nums: Sequence[int] | None = None,
    ) -> ExternalColumn:
        """Return the values of an external field, in the order of the events.

        Parameters
        ----------
        descriptor : Mapping
            The descriptor document.
        field : str
            A key of its ``data_keys``.
        datum_ids : sequence of str, optional
            What the events hold for the field. Not needed for stream resources.
        seq_nums : sequence of int, optional
            ``seq_num`` of the events. For stream resources; without it, the points that the
            stream datums cover, in order.
        """
        return self.joined(field, [Piece(descriptor, 0, datum_ids, seq_nums)])

    def joined(self, field: str, pieces: Sequence[Piece]) -> ExternalColumn:
        """Return the values of an external field over several descriptors of its stream."""
        having = [piece.descriptor["data_keys"][field] for piece in pieces if _has(piece, field)]
        data_key = having[0] if having else {}
        segments: list[Segment] = []
        for piece in pieces:
            if not _has(piece, field):
                if piece.rows:
                    segments.append(Nowhere(piece.rows, "these events do not have the field", absent=True))
                continue
            segments += self._segments(piece, field)
        by_name = {"integer": "i8", "boolean": "?"}
        dtype = declared_dtype(data_key) or np.dtype(by_name.get(data_key.get("dtype", ""), "f8"))
        return ExternalColumn(field, segments, dtype, _declared_shape(data_key))

    def _segments(self, piece: Piece, field: str) -> list[Segment]:
        uid, data_key = piece.descriptor["uid"], piece.descriptor["data_keys"][field]
        declared = _declared_shape(data_key)
        if self.in_stream(uid, field) or piece.datum_ids is None:
            numbers = self.stream_seq_nums(uid) if piece.seq_nums is None else piece.seq_nums
            return self._of_stream(uid, field, data_key, declared, numbers)
        return self._of_datums(piece.datum_ids, data_key, declared)

    # -- resource and datum ----------------------------------------------------------------

    def _of_datums(
        self, datum_ids: Sequence[Any], data_key: Document, declared: tuple[int, ...]
    ) -> list[Segment]:
        runs: list[tuple[str | None, list[Any]]] = []  # consecutive rows of one resource
        for datum_id in datum_ids:
            place = self._datums.get(datum_id) if isinstance(datum_id, str) else None
            uid = None if place is None else str(self._pages[place[0]]["resource"])
            if not runs or runs[-1][0] != uid:
                runs.append((uid, []))
            runs[-1][1].append(place)
        segments: list[Segment] = []
        for uid, places in runs:
            resource = self._resources.get(uid or "")
            if uid is None:
                segments.append(Nowhere(len(places), "the run has no datum document for it"))
            elif resource is None:
                segments.append(Nowhere(len(places), f"the run has no resource document {uid}"))
            else:
                segments += self._of_resource(
                    resource, [self._kwargs(p) for p in places], data_key, declared
                )
        return segments

    def _kwargs(self, place: tuple[int, int]) -> dict[str, Any]:
        page, row = place
        return {key: column[row] for key, column in self._pages[page]["datum_kwargs"].items()}

    def _of_resource(
        self,
        resource: Document,
        datums: list[dict[str, Any]],
        data_key: Document,
        declared: tuple[int, ...],
    ) -> list[Segment]:
        kwargs = dict(resource.get("resource_kwargs") or {})
        spec = str(resource["spec"])
        path = self._path(resource)
        frames = kwargs.get("frame_per_point", 1)
        plain = (
            spec in _PLAIN_HDF5
            and kwargs.keys() <= {"frame_per_point"}
            and isinstance(frames, int)
            and all(d.keys() == {"point_number"} and isinstance(d["point_number"], int) for d in datums)
        )
        if not plain:
            return [HandlerRows(spec, path, kwargs, datums, declared, self._handlers)]
        scalar = data_key.get("dtype") != "array"
        points = [datum["point_number"] for datum in datums]
        return [
            HDF5Rows(path, _PLAIN_HDF5[spec], first, rows, declared, frames, scalar)
            for first, rows in _consecutive(points)
        ]

    def where(self, doc: Document) -> Path:
        """Return where the file of a resource or stream resource lies, seen from here.

        Of many files it is what their names begin with, or their folder.
        """
        return self._source(doc).path if "uri" in doc else self._path(doc)

    def _path(self, resource: Document) -> Path:
        root, inner = str(resource.get("root") or ""), str(resource.get("resource_path") or "")
        mapped = self.root_map.get(root, self.root_map.get(root.rstrip("/")))
        if mapped is not None and root:
            # A mapped root never gives way to an absolute resource_path, as os.path.join would.
            return Path(os.path.abspath(os.path.join(mapped, inner.lstrip("/"))))
        return self._mapped(os.path.join(root, inner))

    def _mapped(self, path: str) -> Path:
        path = os.path.normpath(path)
        fitting = [
            key for key in self.root_map if key and (path == key or path.startswith(key.rstrip("/") + "/"))
        ]
        if fitting:
            key = max(fitting, key=len)
            path = os.path.join(self.root_map[key], path[len(key) :].lstrip("/"))
        return Path(os.path.abspath(path))

    # -- stream resource and stream datum ----------------------------------------------------

    def _of_stream(
        self,
        descriptor: str,
        field: str,
        data_key: Document,
        declared: tuple[int, ...],
        seq_nums: Sequence[int],
    ) -> list[Segment]:
        places = self._stream_places(descriptor, field)
        segments: list[Segment] = []
        rows = [places.get(number) for number in map(int, seq_nums)]
        if len(set(seq_nums)) < len(seq_nums):
            # A rewound scan repeats numbers; which frames are whose, no document says.
            return [Nowhere(len(rows), "points repeat a seq_num, so their frames cannot be told apart")]
        for resource, indices in _group(rows):
            if resource is None:
                segments.append(Nowhere(len(indices), "the run has no stream datum for these points"))
            else:
                doc = self._stream_resources[resource]
                for first, count in _consecutive(indices):
                    segments += self._stream_segments(doc, data_key, declared, first, count)
        return segments

    def _stream_places(self, descriptor: str, field: str) -> dict[int, tuple[str, int]]:
        """Return resource and index within it of each point, by seq_num."""
        places: dict[int, tuple[str, int]] = {}
        before = 0  # points in the field's earlier resources
        for (key, uid), datums in self._stream_datums.items():
            if key != descriptor or self._data_key(uid) != field:
                continue
            # Indices of a second file begin again at 0, or go on (as bluesky-tiled-plugins has it).
            first = min(doc["indices"]["start"] for doc in datums)
            offset = before if before and first >= before else 0
            for doc in datums:
                indices = range(doc["indices"]["start"] - offset, doc["indices"]["stop"] - offset)
                numbers = range(doc["seq_nums"]["start"], doc["seq_nums"]["stop"])
                places.update(zip(numbers, ((uid, index) for index in indices), strict=False))
            before += max(doc["indices"]["stop"] for doc in datums) - offset
        return places

    def _stream_segments(
        self, doc: Document, data_key: Document, declared: tuple[int, ...], first: int, rows: int
    ) -> list[Segment]:
        source = self._source(doc)
        parameters = source.parameters
        multiplier = parameters.get("multiplier") or parameters.get("frame_per_point")
        scalar = data_key.get("dtype") != "array"
        indices = range(first, first + rows)
        if parameters.get("slice"):
            reason = "the parameter 'slice' of its stream resource is not known here"
            return [Nowhere(rows, reason, source.path)]
        if source.mimetype.endswith(_IMAGES):
            if not parameters.get("template"):
                return [StackRows(source.path, first, rows, declared, multiplier, scalar)]
            per_row = _files_per_row(parameters, declared, multiplier)
            paths = [[source.file(row * per_row + k) for k in range(per_row)] for row in indices]
            return [ImageRows(paths, declared)]
        dataset = parameters.get("dataset") or parameters.get("path")
        if source.mimetype != "application/x-hdf5" or not dataset:
            reason = f"no reader for {source.mimetype}"
            return [Nowhere(rows, reason if dataset else f"{reason} without a dataset", source.path)]
        if parameters.get("template"):  # one file a point
            files = [source.file(index) for index in indices]
            return [HDF5Rows(file, str(dataset), 0, 1, declared, multiplier, scalar) for file in files]
        return [HDF5Rows(source.path, str(dataset), first, rows, declared, multiplier, scalar)]

    def _source(self, doc: Document) -> _Source:
        if "uri" in doc:
            uri = urlsplit(str(doc["uri"]))
            raw, parameters = unquote(uri.path), dict(doc.get("parameters") or {})
            mimetype = str(doc.get("mimetype", ""))
        else:
            raw = os.path.join(str(doc.get("root") or ""), str(doc.get("resource_path") or ""))
            parameters = dict(doc.get("resource_kwargs") or {})
            spec = str(doc.get("spec", ""))
            mimetype = str(doc.get("mimetype") or _OLD_SPECS.get(spec, "application/x-hdf5"))
            if mimetype == "application/x-hdf5" and not (parameters.keys() & {"dataset", "path"}):
                parameters["dataset"] = _PLAIN_HDF5.get(spec, "/entry/data/data")
        path = self._mapped(raw) if "uri" in doc else self._path(doc)
        return _Source(path, raw.endswith("/"), mimetype, parameters)


def _has(piece: Piece, field: str) -> bool:
    return field in piece.descriptor.get("data_keys", {})


def _declared_shape(data_key: Document) -> tuple[int, ...]:
    return tuple(n if isinstance(n, int) and n >= 0 else 0 for n in data_key.get("shape") or ())


class _Source(NamedTuple):
    path: Path
    folder: bool
    mimetype: str
    parameters: dict[str, Any]

    def file(self, index: int) -> Path:
        """Return a file of a sequence: the URI and its template, put together as they are."""
        if not (template := self.parameters.get("template")):
            return self.path
        from bluesky_tiled_plugins.utils import compile_template

        name = compile_template(template, self.parameters.get("filename", "")).format(index)
        return Path(f"{self.path}{'/' if self.folder else ''}{name.lstrip('/') if self.folder else name}")


def _files_per_row(parameters: Mapping[str, Any], declared: tuple[int, ...], multiplier: int | None) -> int:
    """Return how many files make a point, as bluesky-tiled-plugins' consolidators have it."""
    if given := parameters.get("files_per_datum"):
        return int(given)
    if multiplier:
        return int(multiplier)  # one frame a file
    chunk = tuple(parameters.get("chunk_shape") or ())
    if not declared or not declared[0]:
        return 1
    whole_frames = len(chunk) == len(declared) and chunk[1:] == declared[1:] and declared[0] % chunk[0] == 0
    joined = bool(chunk) and parameters.get("join_method") == "concat"
    frames_in_file = chunk[0] if joined or whole_frames else declared[0]
    return max(declared[0] // frames_in_file, 1)


def _consecutive(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first index and the length of each run of consecutive indices."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and sum(runs[-1]) == index:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs


def _group(rows: Sequence[tuple[str, int] | None]) -> list[tuple[str | None, list[int]]]:
    """Return consecutive rows of one resource together, with their indices in it."""
    groups: list[tuple[str | None, list[int]]] = []
    for row in rows:
        uid, index = row if row is not None else (None, 0)
        if not groups or groups[-1][0] != uid:
            groups.append((uid, []))
        groups[-1][1].append(index)
    return groups
