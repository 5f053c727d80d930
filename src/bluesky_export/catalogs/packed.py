"""A folder of document files: packed by databroker-pack, or just files that somebody copied.

databroker-pack writes ``catalog.yml`` with the paths of the machine it ran on; what counts here is
where the folder is now. Nothing of databroker is imported for it.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import NoCatalog, UsageError
from ..outputs import full_path
from ._base import Catalog
from ._document_files import Jsonl, Layout, Msgpack
from ._files import FileCatalog
from ._plain import one_line

CATALOG_FILES = ("catalog.yml", "catalog.yaml")
_OURS = {"paths", "root_map", "name", "metadata"}
"""The arguments of a source that mean the same without databroker."""


def open_folder(folder: str | Path) -> Catalog:
    """Return the catalog that a folder is.

    Parameters
    ----------
    folder : str or Path
        With a ``catalog.yml`` (databroker-pack's, or one for intake), or with ``*.msgpack`` or
        ``*.jsonl`` files in it or in its folder ``documents``.

    Raises
    ------
    NoCatalog
        The folder is not there, or holds neither.
    """
    path = full_path(folder)
    if not path.is_dir():
        raise NoCatalog(f"{folder} is no folder: --catalog takes a folder, a catalog's name or a Tiled URI")
    try:
        return _opened(path)
    except PermissionError as error:
        where = error.filename or path
        raise NoCatalog(f"{path}: no permission to read {where}; ask its owner for it") from None


def _opened(path: Path) -> Catalog:
    for name in CATALOG_FILES:
        if (path / name).is_file():
            return _described(path, path / name)
    layouts = _layouts()
    files = [
        (_pattern(path / sub, f"*{suffix}"), layout)
        for sub in ("", "documents")
        for suffix, layout in layouts.items()
        if next((path / sub).glob(f"*{suffix}"), None) is not None
    ]
    if not files:
        raise NoCatalog(
            f"{path} holds no catalog: neither catalog.yml nor documents (*.msgpack, *.jsonl) are in it"
        )
    return FileCatalog(str(path), files, root_map={})


def _layouts() -> dict[str, Layout]:
    return {".msgpack": Msgpack(trusted=False), ".jsonl": Jsonl()}


def _pattern(folder: Path, name: str) -> str:
    """Return a pattern in which only ``name`` has wildcards: a folder may be called ``[2026]``."""
    return str(Path(glob.escape(str(folder)), name))


def _described(folder: Path, file: Path) -> Catalog:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise NoCatalog(f"{file} cannot be read: {one_line(error)}") from error
    sources = content.get("sources") if isinstance(content, dict) else None
    if not isinstance(sources, dict) or not sources:
        raise NoCatalog(f"{file} describes no catalog: it has no sources")
    if "packed_catalog" not in sources and len(sources) > 1:
        raise UsageError(
            f"{file} describes {len(sources)} catalogs ({', '.join(map(str, sources))}), not one"
        )
    name = "packed_catalog" if "packed_catalog" in sources else next(iter(sources))
    source = sources[name]
    arguments = source.get("args") or {}
    layout = _layout_of(str(source.get("driver")))
    if layout is None or arguments.keys() - _OURS:
        return _through_intake(file, name)
    return FileCatalog(
        str(folder),
        [(pattern, layout) for pattern in _patterns(folder, source)],
        root_map=_root_map(folder, arguments.get("root_map") or {}),
    )


def _layout_of(driver: str) -> Layout | None:
    for kind, layout in _layouts().items():
        if driver == f"bluesky-{kind[1:]}-catalog" or driver.startswith(f"databroker._drivers.{kind[1:]}."):
            return layout
    return None


def _patterns(folder: Path, source: Mapping[str, Any]) -> list[str]:
    """Return where the documents are now.

    ``relative_paths`` if the packer wrote them (databroker-unpack goes by them as well), else the
    paths as they stand if they are relative or lead somewhere, else their last two parts here.
    """
    relative = (source.get("metadata") or {}).get("relative_paths")
    if relative:
        return [_below(folder, path) for path in _listed(relative)]
    patterns = []
    for text in _listed((source.get("args") or {}).get("paths") or []):
        path = _expand(folder, text)
        here = _below(folder, str(Path(*Path(text).parts[-2:])))
        found = next(glob.iglob(path), None) is not None
        patterns.append(here if not found and next(glob.iglob(here), None) is not None else path)
    if not patterns:
        raise NoCatalog(f"{folder}: its catalog.yml names no files of documents")
    return patterns


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value]


def _below(folder: Path, pattern: str) -> str:
    path = Path(pattern)
    return pattern if path.is_absolute() else str(Path(glob.escape(str(folder)), path))


def _expand(folder: Path, text: str) -> str:
    """Return a path of an intake file, ``{{ CATALOG_DIR }}`` filled in, relative ones from there."""
    filled = re.sub(r"\{\{\s*CATALOG_DIR\s*\}\}/*", "", text)
    return _below(folder, filled)


def _root_map(folder: Path, recorded: Mapping[str, Any]) -> dict[str, str]:
    """Return where external files are now; where nothing is known to be, what was recorded."""
    out = {}
    for root, place in recorded.items():
        text = re.sub(r"\{\{\s*CATALOG_DIR\s*\}\}/*", "", str(place))
        path = Path(folder, text)  # an absolute place stays what it is
        here = folder / "external_files" / Path(text).name
        out[str(root)] = str(here if not path.exists() and here.exists() else path)
    return out


def _through_intake(file: Path, name: str) -> Catalog:
    """Open a source of another kind (MongoDB, transforms …) as databroker itself would."""
    import intake

    from .databroker import wrap

    try:
        found = wrap(intake.open_catalog(str(file))[name])
    except Exception as error:  # drivers raise anything
        raise NoCatalog(f"{file}: its source {name} cannot be opened: {one_line(error)}") from error
    if found is None:
        raise NoCatalog(f"{file}: its source {name} is no catalog of Bluesky runs")
    return found
