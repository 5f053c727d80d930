"""The journal of live writers, as a catalog: every run that was measured while one was attached."""

from __future__ import annotations

import glob
from pathlib import Path

from ..errors import NoCatalog
from ._document_files import Msgpack
from ._files import FileCatalog


def open_journal(folder: Path) -> FileCatalog:
    """Return the catalog that a journal's folder is; its files are the user's own, and trusted.

    Raises
    ------
    NoCatalog
        There is no run in it.
    """
    if next(folder.glob("*.msgpack"), None) is None:
        raise NoCatalog(f"there is no journal of live writers in {folder}")
    pattern = str(Path(glob.escape(str(folder)), "*.msgpack"))
    return FileCatalog("journal", [(pattern, Msgpack())], root_map={})
