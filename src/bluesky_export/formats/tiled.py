"""tiled: a copy of the run in a Tiled server, as bluesky-tiled-plugins' TiledWriter stores it.

PATH is the address of the server or of a container in it (``http://host:8000/api/v1``,
``…/api/v1/metadata/path``), or the name of a Tiled profile. The key is best not typed at all: set
``TILED_API_KEY``, log in (``tiled login``), or keep it in the profile. One that is typed
(``?api_key=…``) stays in the memory of the session: it is in no file, name, log or message.

A run is copied when it has ended, whole: ``--stream``, ``--fields``, ``--name`` do not go with it.
After that it is read back and compared with what was sent. What Tiled keeps in another form is said
(None as NaN, integers among floats as floats, shorter arrays filled up with NaN, data keys ``time`` and
``seq_num`` renamed); what Tiled refuses, or does not give back as it was, is an error that says what,
and nothing of the run stays there. Not kept, as in all of Tiled: the uids of events, and which values
were filled in.

- The same run again changes nothing. Another run under the same uid is an error, with ``--overwrite``
  as well, and so is one that another writer has not finished. What an upload of ours left that broke off
  is replaced: from another machine, where it cannot be seen whether it goes on, when it began an hour ago
  (``patience=0``: at once).
- TiledWriter cuts whole numbers beyond 2**53 in the metadata. A run with such numbers is refused, or with
  ``cut=true`` stored, and each cut number told. In the limits of data keys, where EPICS has such
  numbers for "none", they are told alone.
- Detector files stay where they are: Tiled refers to them, and its server has to be able to read them
  there. Their values are not compared. A run that is there already and refers to other files is another
  run; copies that can be read here, and are the same byte by byte, are said.
- A run is refused before anything of it is sent, if a stream does not take the frames of a file one by one
  from the first on (it begins later in it, or leaves some out): Tiled takes that for granted, and would
  show other frames. ``nexus``, ``hdf5`` and ``pack`` hold such a run.
- An unfinished run is stored as far as it went. When it has its end later, it is another run to Tiled.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit, urlunsplit

from ..documents.fields import is_external
from ..documents.pages import Document
from ..errors import NoData, NotFaithful, OutputError, UsageError
from ..outputs import Address, Output
from ._base import Writer, Written
from ._spool import Spool

_PLAIN = re.compile(r"[0-9A-Za-z_-]+")


class TiledServerWriter(Writer):
    """Keep the documents of a run until it has ended, then send it to a server."""

    name = "tiled"
    suffix = ""
    summary = "a copy in a Tiled server, compared after it was sent"
    appends = True
    addressed = True
    holds = frozenset({"text", "arrays", "streams", "metadata"})

    def __init__(
        self,
        output: Output,
        *,
        cut: Annotated[bool, "let numbers of metadata beyond 2**53 be cut, and tell which"] = False,
        patience: Annotated[
            float, "minutes after which an upload from another machine that has not ended is replaced"
        ] = 60.0,
        **common: Any,
    ) -> None:
        super().__init__(output, **common)
        if self.images == "skip":
            raise UsageError("Tiled refers to detector files, and copies none: leave --images skip out")
        self._address = _address(output)
        if not patience >= 0:
            raise UsageError(f"patience={patience} is no number of minutes: patience=60")
        self._cut = cut
        self._patience = patience
        self._spool = Spool()

    @classmethod
    def planned(cls, output: Output, streams: Iterable[str]) -> list[Path]:  # noqa: ARG003
        """Return no files: a run gives none."""
        return []

    @classmethod
    def check(cls, output: Output) -> None:
        """See whether the server answers and lets us in, before the run is read.

        Raises
        ------
        NoCatalog, CatalogUnavailable, UsageError
            There is no such profile or address, nobody answers, or the key is not accepted.
        """
        from ._tiled_server import enter

        enter(_address(output))

    # -- documents -------------------------------------------------------------------------

    def start(self, doc: Document) -> None:
        """Keep it.

        Raises
        ------
        NotFaithful
            The uid, which becomes part of an address, could lead elsewhere.
        """
        super().start(doc)
        if not _PLAIN.fullmatch(self.uid):
            raise NotFaithful(f"Tiled cannot have a run with the uid {self.uid!r}")
        self._spool.put("start", doc)

    def descriptor(self, doc: Document) -> None:
        """Keep it."""
        super().descriptor(doc)
        self._spool.put("descriptor", doc)
        for field, key in doc["data_keys"].items():
            if is_external(key):
                self.notice(
                    f"{doc.get('name')}.{field}: Tiled refers to the detector's files where they are; "
                    "that its server can read them was not checked"
                )

    def event_page(self, doc: Document) -> None:
        """Keep it."""
        super().event_page(doc)
        self._spool.put("event_page", doc)

    def resource(self, doc: Document) -> None:
        """Keep it, with the root that it has here."""
        self._spool.put("resource", self._rooted(doc))

    def _rooted(self, doc: Document) -> Document:
        root = str(doc.get("root") or "")
        mapped = self.root_map.get(root, self.root_map.get(root.rstrip("/")))
        return {**doc, "root": os.path.abspath(mapped)} if root and mapped is not None else doc

    def datum_page(self, doc: Document) -> None:
        """Keep it."""
        self._spool.put("datum_page", doc)

    def stream_resource(self, doc: Document) -> None:
        """Keep it, with the address that its files have here."""
        parts = urlsplit(str(doc.get("uri") or ""))
        fitting = [
            root for root in self.root_map if f"{parts.path}/".startswith(f"{quote(root).rstrip('/')}/")
        ]
        if "uri" in doc and fitting:
            root = max(fitting, key=len)
            path = quote(self.root_map[root].rstrip("/")) + parts.path[len(quote(root).rstrip("/")) :]
            doc = {**doc, "uri": urlunsplit((*parts[:2], path, *parts[3:]))}
        elif "uri" not in doc:
            doc = self._rooted(doc)
        self._spool.put("stream_resource", doc)

    def stream_datum(self, doc: Document) -> None:
        """Keep it."""
        self._spool.put("stream_datum", doc)

    def stop(self, doc: Document) -> None:
        """Keep it."""
        super().stop(doc)
        self._spool.put("stop", doc)

    # -- the end ---------------------------------------------------------------------------

    def close(self) -> Written:
        """Send the run, compare it, and say what became of it.

        Raises
        ------
        BlueskyExportError
            As :meth:`bluesky_export.formats._tiled_upload.Upload.run`; and before anything is sent,
            where Tiled would show other frames of the detector's files.
        """
        from ._tiled_frames import misplaced
        from ._tiled_server import connect, disconnect
        from ._tiled_upload import Upload

        if not self.start_doc:
            raise NoData("no start document: nothing to write")
        if self.partial:
            raise OutputError(
                f"run {self.uid[:7]} was not sent to Tiled: documents of it are missing here ("
                f"{self.notices[-1]})"
            )
        if (wrong := misplaced(self._spool)) is not None:
            raise NotFaithful(
                f"run {self.uid[:7]} was not sent to Tiled: {wrong}; export it as nexus, hdf5 or pack"
            )
        client = connect(self._address)
        try:
            upload = Upload(
                client,
                self._spool,
                self.uid,
                finished=self.stop_doc is not None,
                cut=self._cut,
                patience=self._patience * 60,
            )
            comparison, unchanged = upload.run()
        finally:
            disconnect(client)
        for sentence in comparison.sentences():
            self.notice(sentence)
        self.release()
        return replace(self.written(()), uris=(upload.uri,), unchanged=unchanged)

    def release(self) -> None:
        """Let go of the documents."""
        self._spool.close()


def _address(output: Output) -> Address:
    if output.target.address is None:
        raise UsageError(
            "tiled writes to a server: give its address (http://…) or the name of a Tiled profile"
        )
    return output.target.address
