"""A folder as databroker-pack makes it: runs are added to it whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ..errors import OutputError, RunAlreadyInFile
from ..outputs import claim, clean_name, explain, own_version, rename_new, second_name, sync
from ._spec_file import fcntl

DRIVER = "bluesky-msgpack-catalog"
SOURCE = "packed_catalog"
"""The name that databroker-unpack asks for."""
DOCUMENTS = "./documents/*.msgpack"
_FROM_HERE = (
    "{{ CATALOG_DIR|replace('[', '[[]')|replace('*', '[*]')|replace('?', '[?]') }}/documents/*.msgpack"
)
"""What intake makes the present folder of, by Jinja, with the signs of patterns in its name escaped."""
CATALOG = "catalog.yml"
MANIFEST = "documents_manifest.txt"
EXTERNAL = "external_files"
LOCK_SECONDS = 30.0


@dataclass
class Addition:
    """What one run adds to a folder.

    Attributes
    ----------
    documents : Path
        The finished file of documents, under its temporary name.
    external : dict of str to Path
        By unique id: a folder of copied detector files, under its temporary name.
    manifests : dict of str to list of str
        By unique id: the lines of its manifest of external files.
    root_map : dict of str to str
        What the catalog has to know to find them.
    roots : dict of str to str
        By unique id: the root that was measured.
    """

    documents: Path
    external: dict[str, Path] = field(default_factory=dict)
    manifests: dict[str, list[str]] = field(default_factory=dict)
    root_map: dict[str, str] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)


class PackFolder:
    """A folder of packed runs.

    Parameters
    ----------
    path : Path
        Absolute; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: list[Path] = []
        self._kept: list[Path] = []
        """Second names of files that were replaced: on a full disk they can be put back, not rewritten."""

    def __repr__(self) -> str:
        return f"<pack {self.path}>"

    @staticmethod
    def is_one(path: Path) -> bool:
        """Say whether a folder is a pack, of whatever kind of documents."""
        try:
            return SOURCE in _sources(_loaded(path / CATALOG))
        except (OutputError, OSError):
            return False

    def file_of(self, uid: str) -> Path:
        """Return where the documents of a run are."""
        return self.path / "documents" / f"{clean_name(uid)}.msgpack"

    def check(self, uid: str, overwrite: bool = False) -> None:
        """Refuse what could not be added.

        Raises
        ------
        RunAlreadyInFile
            The folder has the run.
        OutputError
            It is no pack that msgpack documents can be added to.
        """
        file = self.file_of(uid)
        if os.path.lexists(self.path):
            if not self.path.is_dir():
                raise OutputError(f"{self.path} is a file; a pack is a folder: give another name")
            self._catalog()
        if os.path.lexists(file) and not overwrite:
            raise RunAlreadyInFile(
                f"{self.path} holds run {uid[:7]} already; add --overwrite or --skip-existing, "
                "or give another folder",
                file,
            )

    def _catalog(self) -> dict[str, Any]:
        """Return what catalog.yml says, or what it is going to say."""
        file = self.path / CATALOG
        names = os.listdir(self.path)  # one look: another run may be adding its files meanwhile
        if CATALOG not in names:
            others = [name for name in names if not _is_ours(name)]
            if others:
                raise OutputError(
                    f"{self.path} has files that are no pack's ({others[0]}): give the name of a new folder"
                )
            return self._fresh()
        content: dict[str, Any] = _loaded(file)
        source = _sources(content).get(SOURCE)
        patterns = ((source or {}).get("metadata") or {}).get("relative_paths") or []
        if source is None or source.get("driver") != DRIVER:
            raise OutputError(f"{file} is not that of a pack of msgpack documents: give another folder")
        if DOCUMENTS not in patterns and "documents/*.msgpack" not in patterns:
            raise OutputError(
                f"{file} lists its documents one by one, so that none can be added: give another folder"
            )
        return content

    def _fresh(self) -> dict[str, Any]:
        source = {
            "driver": DRIVER,
            "args": {"paths": [_FROM_HERE], "root_map": {}},
            "metadata": {
                "generated_by": {"library": "bluesky_export", "version": own_version()},
                "relative_paths": [DOCUMENTS],
            },
        }
        return {"sources": {SOURCE: source}}

    # -- making and leaving ------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the folders that are missing."""
        for folder in (self.path, self.path / "documents"):
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise explain(error, folder) from error
            self._made.append(folder)

    def external(self) -> Path:
        """Return the folder for detector files, made if need be."""
        folder = self.path / EXTERNAL
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            self._made.append(folder)
        return folder

    def leave(self) -> None:
        """Remove the folders that were made for a run that is given up, if nothing is in them."""
        for folder in reversed(self._made):
            with contextlib.suppress(OSError):  # another run has put something there
                folder.rmdir()
        self._made.clear()

    # -- adding ------------------------------------------------------------------------------

    def add(self, run: Addition, uid: str, overwrite: bool = False) -> list[Path]:
        """Give the files of a run their names, and enter it: all of it, or nothing.

        Returns
        -------
        list of Path
            The files, that of the documents first.
        """
        final = self.file_of(uid)
        with _locked(self.path):
            self.check(uid, overwrite)
            undo: list[Callable[[], None]] = []
            try:
                files = self._add(run, final, undo, overwrite)
            except BaseException as error:
                for step in reversed(undo):
                    with contextlib.suppress(OSError):  # the first error is the one to tell
                        step()
                if isinstance(error, OSError) and not isinstance(error, OutputError):
                    raise explain(error, final, "finish") from error
                raise
            finally:
                self._drop_kept()
            self._made.clear()
            return files

    def _add(
        self, run: Addition, final: Path, undo: list[Callable[[], None]], overwrite: bool
    ) -> list[Path]:
        sync(run.documents)
        entered = self._entered(run)
        others: list[Path] = []
        for key, part in run.external.items():
            place = self.path / EXTERNAL / key
            os.rename(part, place)
            undo.append(partial(os.rename, place, part))
            others += sorted(path for path in place.rglob("*") if path.is_file())
        manifests = []
        for key, lines in run.manifests.items():
            manifest = self.path / f"external_files_manifest_{key}.txt"
            self._put(manifest, "\n".join(lines), undo)
            manifests.append(manifest)
        self._put(self.path / CATALOG, entered, undo)
        if overwrite and os.path.lexists(final):
            kept = final.with_name(f"{final.name}.{os.getpid()}.old")
            os.rename(final, kept)
            undo.append(partial(os.rename, kept, final))
            rename_new(run.documents, final)
            undo.append(partial(os.rename, final, run.documents))
            self._list(final, undo)
            kept.unlink()
        else:
            rename_new(run.documents, final)
            undo.append(partial(os.rename, final, run.documents))
            self._list(final, undo)
        return [final, self.path / CATALOG, self.path / MANIFEST, *manifests, *others]

    def _entered(self, run: Addition) -> str:
        content = self._catalog()
        source = content["sources"][SOURCE]
        arguments = source["args"]
        arguments["root_map"] = {**(arguments.get("root_map") or {}), **run.root_map}
        if run.roots:
            metadata = source.setdefault("metadata", {})
            metadata["original_roots"] = {**(metadata.get("original_roots") or {}), **run.roots}
        return str(yaml.safe_dump(content))

    def _list(self, final: Path, undo: list[Callable[[], None]]) -> None:
        """Add a run's file to the manifest of documents, a path a line."""
        manifest = self.path / MANIFEST
        known = manifest.read_text(encoding="utf-8").splitlines() if manifest.exists() else []
        line = str(final.relative_to(self.path))
        self._put(manifest, "".join(f"{one}\n" for one in dict.fromkeys([*known, line])), undo)

    def _put(self, path: Path, text: str, undo: list[Callable[[], None]]) -> None:
        """Replace one of the pack's own small files, in one step."""
        part = claim(path)
        try:
            part.write_text(text, encoding="utf-8")
            sync(part)
            if not path.exists():
                undo.append(path.unlink)
            elif (kept := second_name(path)) is not None:
                self._kept.append(kept)
                undo.append(partial(os.replace, kept, path))
            else:
                undo.append(partial(_put_back, path, path.read_bytes()))
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def _drop_kept(self) -> None:
        while self._kept:
            with contextlib.suppress(OSError):  # one name too many harms nobody
                self._kept.pop().unlink(missing_ok=True)


def _is_ours(name: str) -> bool:
    """Say whether a name in a folder may be of a pack that is being made."""
    known = ("documents", EXTERNAL, MANIFEST)
    return name in known or name.startswith(f"{EXTERNAL}_manifest_") or name.endswith(".part")


def _put_back(path: Path, content: bytes) -> None:
    """Write a file again, on a file system where it could not be kept under another name."""
    part = claim(path)
    try:
        part.write_bytes(content)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _loaded(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise OutputError(
            f"{file} cannot be read ({str(error).splitlines()[0]}): give another folder"
        ) from None


def _sources(content: Any) -> Mapping[str, Any]:
    sources = content.get("sources") if isinstance(content, dict) else None
    return sources if isinstance(sources, dict) else {}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one session at a time add to a folder; the lock leaves no file behind."""
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    until = time.monotonic() + LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                    break  # a file system without locks (some network shares): it is still usable
                if time.monotonic() > until:
                    raise OutputError(
                        f"{folder} is being added to by another session; try again when it has ended"
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
