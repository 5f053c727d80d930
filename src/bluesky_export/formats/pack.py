"""pack: a folder as databroker-pack makes it, to be given away and opened again.

::

    FOLDER/documents/UID.msgpack             the documents of a run: the format msgpack
    FOLDER/external_files/KEY/…              copies of its detector files
    FOLDER/external_files_manifest_KEY.txt   their list
    FOLDER/documents_manifest.txt            the list of the files of documents
    FOLDER/catalog.yml                       what intake, databroker and databroker-unpack open

``databroker-unpack inplace FOLDER NAME`` makes it the databroker catalog NAME; ``--catalog FOLDER/``
opens it here. intake opens ``catalog.yml`` by itself, also where the folder was moved to; detector files
are found then by databroker-unpack and here alone. databroker-unpack takes brackets and braces in the
name of a folder for a pattern, and then finds no run. PATH is the folder: a new one, or a pack that is
there already, which the runs are added to. Within any other folder the pack is a folder ``packed``, or
what ``--name`` says. A run is added whole or not at all, and none that is there is touched; with
``--overwrite`` its documents are replaced, and the detector files of the earlier copy stay.

- ``--images copy`` (the default) copies each detector file. As databroker-pack does, the ``root`` of a
  resource is replaced by a key; ``root_map`` in catalog.yml says that the key's files are in
  ``external_files/KEY``, and ``original_roots`` what the root was. The address of a stream resource
  begins with ``/KEY``.
- ``--images link`` lists the files, with their absolute paths, in
  ``external_files_manifest_KEY.txt`` (for rsync or Globus), and the key's root is where they are now.
- ``--images skip`` leaves resources as they are, and lists nothing.

Files that HDF5 files refer to in turn (external links, virtual datasets) are not followed. Events are
written in pages; the rules for values are those of ``msgpack``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..documents.assets import Assets
from ..documents.external import ExternalColumn
from ..documents.fields import is_external
from ..documents.pages import Document
from ..documents.tables import Table
from ..errors import NoData, OutputError
from ..outputs import Output, claim, default_template
from ._base import Written
from ._fidelity import converted, fidelity
from ._pack_external import Root, Roots, claim_folder, copy_files, unreadable
from ._pack_folder import Addition, PackFolder
from .msgpack import FORMS, MsgpackWriter

NAME = "packed"
"""The folder within one that is no pack."""


class PackWriter(MsgpackWriter):
    """Add a run to a folder of packed runs."""

    name = "pack"
    suffix = ""
    summary = "a folder as databroker-pack makes it, with the detector files; added to"
    how_to_open = ("databroker-unpack inplace FOLDER NAME, then in Python: databroker.catalog['NAME']",)
    appends = True
    holds = frozenset({"text", "arrays", "images", "streams", "metadata"})
    fidelity = fidelity(
        {
            **FORMS,
            "external": converted(
                "the detector files themselves, copied; their root is a key of the pack's"
            ),
            "unreadable": converted("the files that are there are copied; the others are named"),
        }
    )

    def __init__(self, output: Output, **common: Any) -> None:
        super().__init__(output, **common)
        self._folder = PackFolder(_place(output))
        self._overwrite = output.target.if_exists == "overwrite"
        self._assets = Assets(self.root_map)
        self._roots = Roots(self._assets)
        self._tables: dict[str, Table] = {}
        self._filled: set[tuple[str, str]] = set()
        self._part: Path | None = None
        self._folders: list[Path] = []
        self._done: list[Path] = []

    # -- where ------------------------------------------------------------------------------

    @classmethod
    def planned(cls, output: Output, streams: Iterable[str]) -> list[Path]:  # noqa: ARG003
        """Return the file of documents that a run will give, and those that enter it."""
        folder = PackFolder(_place(output))
        names = ("catalog.yml", "documents_manifest.txt", "external_files*")
        return [folder.file_of(output.uid), *(folder.path / name for name in names)]

    @classmethod
    def check(cls, output: Output) -> None:
        """Refuse a folder that is no pack, or has the run, before the run is read.

        Raises
        ------
        RunAlreadyInFile, OutputError
            As :meth:`bluesky_export.formats._pack_folder.PackFolder.check`.
        """
        folder = PackFolder(_place(output))
        if not os.path.lexists(folder.path):
            try:
                output.check(folder.path)
            except OutputError:
                if not folder.path.is_dir():  # it is where another run has made the pack since
                    raise
        folder.check(output.uid, output.target.if_exists == "overwrite")

    def open_part(self) -> Path:
        """Return the temporary file for the documents, in folders that are made if need be."""
        self._folder.check(self.uid, self._overwrite)
        self._folder.prepare()
        self._part = claim(self._folder.file_of(self.uid), self.output.target.mark)
        return self._part

    # -- documents -------------------------------------------------------------------------

    def descriptor(self, doc: Document) -> None:
        """Write a descriptor, and remember the fields that are in files."""
        super().descriptor(doc)
        if any(is_external(key) for key in doc["data_keys"].values()):
            stream = self.stream_of(doc["uid"])
            self._tables.setdefault(stream, Table(stream)).descriptor(doc)

    def not_held(self, where: str) -> None:
        """Say what becomes of a field's files, unless they are copied."""
        if self.images == "link":
            self.notice(f"{where}: its detector files are listed, not copied (images: link)")
        elif self.images == "skip":
            self.notice(f"{where}: its detector files are not in the pack (images: skip)")

    def event_page(self, doc: Document) -> None:
        """Write events, and remember which files their images are in."""
        super().event_page(doc)
        table = self._tables.get(self.stream_of(doc["descriptor"]))
        keys = self.descriptors[doc["descriptor"]]["data_keys"]
        if table is None or not any(map(is_external, keys.values())):
            return
        outside = {}
        for field, column in doc["data"].items():
            if is_external(keys.get(field, {})):
                ids = [value if isinstance(value, str) else None for value in column]
                if any(ids):
                    outside[field] = ids
                else:  # filled in: the values are in the events, and no file is asked for
                    self._filled.add((table.name, field))
        table.event_page({**doc, "data": outside, "timestamps": {}})

    def resource(self, doc: Document) -> None:
        """Write a resource, under the pack's own root."""
        self._assets.resource(doc)
        super().resource(doc if self.images == "skip" else self._roots.resource(doc))

    def datum_page(self, doc: Document) -> None:
        """Write references into a resource."""
        self._assets.datum_page(doc)
        super().datum_page(doc)

    def stream_resource(self, doc: Document) -> None:
        """Write a stream resource, under the pack's own root where its files are copied."""
        self._assets.stream_resource(doc)
        if self.images == "copy":
            doc = self._roots.stream_resource(doc)
        elif self.images == "link" and "uri" in doc:
            self._roots.note(doc)
        elif self.images == "link":
            doc = self._roots.resource(doc)
        super().stream_resource(doc)

    def stream_datum(self, doc: Document) -> None:
        """Write references into a stream resource."""
        self._assets.stream_datum(doc)
        super().stream_datum(doc)

    # -- the end ---------------------------------------------------------------------------

    def close(self) -> Written:
        """Copy the detector files, give all files their names, and enter the run."""
        if not self.start_doc:
            raise NoData("no start document: nothing to write")
        if not self._done:
            self.finish()
            assert self._part is not None  # made for the start document
            run = Addition(self._part)
            if self.images != "skip":
                self._take_files()
                for root in self._roots:
                    self._enter(root, run)
            self._done = self._folder.add(run, self.uid, self._overwrite)
            self._part, self._folders = None, []
        return self.written(self._done)

    def _take_files(self) -> None:
        """Find the files of each external field; say which are not there."""
        for stream, table in self._tables.items():
            table.close(self._assets)
            for field in table.fields:
                if not is_external(table.data_key(field)) or (stream, field) in self._filled:
                    continue
                column = table.external(field, self._assets)
                if column is not None:
                    try:
                        self._take(f"{stream}.{field}", column)
                    finally:
                        column.close()

    def _take(self, where: str, column: ExternalColumn) -> None:
        for lost in column.missing:
            if not lost.absent:
                self.partial = True
                rows = f"rows {lost.first} to {lost.stop - 1}"
                self.notice(f"{where}, {rows}: cannot be read from here: {lost}")
        paths = [*column.files, *(lost.path for lost in column.missing if lost.path is not None)]
        paths = list(dict.fromkeys(paths))
        gone = unreadable(paths)
        known = {lost.path for lost in column.missing}
        for path in gone:
            if path not in known:
                self.partial = True
                self.notice(f"{where}: {path}: no such file, or no permission to read it")
        for path in paths:
            if path not in gone and not self._roots.take(path):
                self.partial = True
                self.notice(f"{where}: {path} is in none of the run's roots; it was not copied")

    def _enter(self, root: Root, run: Addition) -> None:
        """Copy or list the files of a root, and say where the catalog finds them."""
        run.roots[root.key] = root.recorded
        place = str(root.here)
        if root.files and self.images == "copy":
            folder = claim_folder(self._folder.external() / root.key)
            self._folders.append(folder)
            copy_files(root, folder)
            run.external[root.key] = folder
            place = f"external_files/{root.key}"
        if root.files:
            names = {path: f"{place}/{inner}" for path, inner in root.files.items()}
            run.manifests[root.key] = sorted(
                str(path) if self.images == "link" else name for path, name in names.items()
            )
        if not root.stream:
            run.root_map[root.key] = place
        elif self.images == "copy":
            run.root_map[f"/{root.key}"] = place

    def abort(self) -> None:
        """Remove what is unfinished, and the folders that were made for it. Safe to call twice."""
        super().abort()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        if self._part is not None:
            self._part.unlink(missing_ok=True)
        self._part, self._folders = None, []
        self._folder.leave()


def _place(output: Output) -> Path:
    """Return the folder that is meant: a pack that is there, the one that was named, or one within."""
    target = output.target
    if PackFolder.is_one(target.folder):
        return target.folder
    if target.file is not None or target.template != default_template:
        return output.path()
    return target.folder / NAME
