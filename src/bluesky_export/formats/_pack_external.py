"""The detector files of one run in a pack: which they are, and under which roots the catalog finds them."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..documents.assets import Assets
from ..documents.pages import Document
from ..outputs import sync


@dataclass
class Root:
    """A folder that detector files are in.

    Attributes
    ----------
    key : str
        What stands for it in the documents: unique to the root and to this export of the run.
    recorded : str
        As the documents have it.
    here : Path
        Where it is seen from this machine.
    stream : bool
        Of a stream resource, whose address begins with ``/key``.
    """

    key: str
    recorded: str
    here: Path
    stream: bool = False
    files: dict[Path, str] = field(default_factory=dict)
    """By file: its path below the root."""


class Roots:
    """The roots of a run's detector files, each with a key as databroker-pack makes them.

    Parameters
    ----------
    assets : Assets
        Knows where roots are seen from here.
    """

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        # As databroker_pack.export_uids has it: no secret, but two packs can be unpacked into one catalog.
        self._salt = secrets.token_hex(32).encode()
        self._known: dict[tuple[str, bool], Root] = {}

    def __iter__(self) -> Iterator[Root]:
        return iter(self._known.values())

    def _root(self, recorded: str, here: Path, stream: bool = False) -> Root:
        if (recorded, stream) not in self._known:
            text = f"{'stream ' if stream else ''}{recorded}".encode("utf-8", "surrogatepass")
            key = hashlib.md5(text + self._salt, usedforsecurity=False).hexdigest()
            self._known[recorded, stream] = Root(key, recorded, here, stream)
        return self._known[recorded, stream]

    def resource(self, doc: Document) -> dict[str, Any]:
        """Return a resource document whose root is a key."""
        recorded, inner = str(doc.get("root") or ""), str(doc.get("resource_path") or "")
        path = self._assets.where(doc)
        here = self._assets.where({"root": recorded, "resource_path": ""})
        if recorded and not inner.startswith("/") and path.is_relative_to(here):
            return {**doc, "root": self._root(recorded, here).key}
        # A path that leaves its root would be looked for where it was, whatever the root map says.
        root = self._root(str(path.parent), path.parent)
        return {**doc, "root": root.key, "resource_path": path.name}

    def stream_resource(self, doc: Document) -> dict[str, Any]:
        """Return a stream resource document whose address begins with a key."""
        if "uri" not in doc:
            return self.resource(doc)
        folder, _, rest = str(doc["uri"]).rpartition("/")
        here = self._assets.where({"uri": f"{folder}/"})
        root = self._root(unquote(urlsplit(folder).path), here, stream=True)
        return {**doc, "uri": f"file://localhost/{root.key}/{rest}"}

    def note(self, doc: Document) -> None:
        """Take note of a document's root without another name for it."""
        if "uri" in doc:
            self.stream_resource(doc)
        else:
            self.resource(doc)

    def take(self, path: Path) -> bool:
        """Enter a file under its root; False if it is in none of them."""
        fitting = [root for root in self if path.is_relative_to(root.here)]
        for root in fitting:
            root.files[path] = str(path.relative_to(root.here))
        return bool(fitting)


def copy_files(root: Root, folder: Path) -> None:
    """Copy the files of a root to a folder, with their paths below the root."""
    for path, inner in root.files.items():
        place = folder / inner
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        sync(place)


def claim_folder(final: Path) -> Path:
    """Make a temporary folder beside a final one."""
    part = final.with_name(f"{final.name}.{os.getpid()}.part")
    part.mkdir()
    return part


def unreadable(paths: Iterable[Path]) -> list[Path]:
    """Return the files that are not there, or may not be read."""
    return [path for path in paths if not (path.is_file() and os.access(path, os.R_OK))]
