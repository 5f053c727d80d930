"""What this session has: its RunEngine, its catalog, its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from traitlets import Dict, Enum, Float, Int, TraitError, Unicode
from traitlets.config import Configurable

from .catalogs import open_catalog, wrap_catalog
from .catalogs._base import Catalog
from .errors import NoCatalog, NoRunEngine, UsageError
from .iconfig import SECTION, instrument_section, setting_names
from .outputs import default_template, full_path

JOURNAL = "journal"
"""Names the journal of live writers where a catalog is asked for."""
CATALOG_NAMES = ("cat", "db")
RUN_ENGINE_NAMES = ("RE",)


class BlueskyExport(Configurable):
    """Settings: ``%config BlueskyExport.directory = "/data"`` or ``c.BlueskyExport…`` in a profile."""

    catalog = Unicode(
        "", help="catalog to use in place of cat or db: a variable, a name, a URI, a folder"
    ).tag(config=True)
    directory = Unicode(
        "",
        help="folder that files go to if no path is typed, a template as for names: "
        "/data/{start[proposal_id]}; empty: the current one",
    ).tag(config=True)
    name_template = Unicode(
        default_template, help="file name without suffix, in str.format over the start document"
    ).tag(config=True)
    images = Enum(
        ["copy", "link", "skip"], default_value="copy", help="what to do with data in detector files"
    ).tag(config=True)
    root_map = Dict(
        value_trait=Unicode(),
        key_trait=Unicode(),
        help="where detector files are found from here: recorded root or beginning of a path -> folder",
    ).tag(config=True)
    min_free = Int(200, min=0, help="MB that have to be free to attach a writer; fewer are warned of").tag(
        config=True
    )
    warn_free = Int(1000, min=0, help="MB below which it is said, once, while a writer is attached").tag(
        config=True
    )
    journal = Unicode(
        "",
        help="folder of the journal of live writers, on a local disk; empty: "
        "bluesky-export in $XDG_STATE_HOME, else /var/tmp/bluesky-export-UID",
    ).tag(config=True)
    journal_days = Float(
        14.0, help="days after which the journals of runs that are written are removed"
    ).tag(config=True)
    journal_size = Float(
        5000.0, help="MB of journals above which the oldest runs that are written are removed"
    ).tag(config=True)
    journal_memory = Float(
        500.0, help="MB of memory that live writers may use while the journal's disk is full"
    ).tag(config=True)
    globus_source = Unicode("", help="UUID of the Globus endpoint that has this machine's files").tag(
        config=True
    )
    globus_paths = Dict(
        value_trait=Unicode(),
        key_trait=Unicode(),
        help="what the Globus endpoint calls folders: beginning of a path here -> path there",
    ).tag(config=True)


_settings: list[BlueskyExport] = []
_read: list[Any] = []
"""The section of the instrument's iconfig that the settings have."""
_last: list[tuple[Any, Catalog]] = []


def settings() -> BlueskyExport:
    """Return the settings of this session.

    What was set in a profile or by ``%config`` comes first, then the instrument's iconfig, then the
    defaults.

    Raises
    ------
    UsageError
        The instrument's iconfig has a setting that is unknown, or a value that does not fit.
    """
    if not _settings:
        _settings.append(BlueskyExport())
    section = instrument_section(namespace())
    if section is not None and not (_read and _read[0] is section):
        _read_section(_settings[0], section)
        _read[:] = [section]
    return _settings[0]


def _read_section(instance: BlueskyExport, section: Any) -> None:
    typed = instance.config.get(type(instance).__name__, {})
    found = setting_names(section, type(instance).class_own_traits(config=True))
    for name, value in found.items():
        if name in typed:
            continue
        try:
            setattr(instance, name, value)
        except TraitError as error:
            raise UsageError(f"{SECTION} in iconfig: {name.upper()}: {error}") from None


def set_settings(instance: BlueskyExport | None) -> None:
    """Make these the settings of the session; None forgets them, and the catalog."""
    _settings[:] = [instance] if instance is not None else []
    _read.clear()
    _last.clear()


def journal_folder() -> Path:
    """Return where live writers keep their journal.

    The setting ``BlueskyExport.journal``, else ``$XDG_STATE_HOME/bluesky-export``, else
    ``/var/tmp/bluesky-export-<uid>``: a folder that survives a restart, and is not in the home
    folder, which is often on a network share.
    """
    given = settings().journal
    if given:
        return full_path(given)
    state = os.environ.get("XDG_STATE_HOME")
    if state:
        return Path(state) / "bluesky-export"
    return Path(f"/var/tmp/bluesky-export-{os.getuid()}")  # noqa: S108 - made private, and checked


def namespace() -> Mapping[str, Any]:
    """Return the user's variables: those of IPython if it runs, else those of ``__main__``."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        return shell.user_ns  # type: ignore[no-any-return]
    return vars(sys.modules["__main__"])


def find_run_engine(variables: Mapping[str, Any] | None = None) -> Any:
    """Return the session's RunEngine.

    Raises
    ------
    NoRunEngine
        No variable ``RE`` with the methods of a RunEngine.
    """
    variables = namespace() if variables is None else variables
    for name in RUN_ENGINE_NAMES:
        engine = variables.get(name)
        if callable(getattr(engine, "subscribe", None)) and callable(getattr(engine, "unsubscribe", None)):
            return engine
    raise NoRunEngine(
        "this session has no RunEngine: make one (RE = bluesky.RunEngine()) and try again; "
        "files of finished runs: %export"
    )


def find_catalog(given: Any = None, variables: Mapping[str, Any] | None = None) -> Catalog:
    """Return the catalog to read runs from.

    Parameters
    ----------
    given : any, optional
        A catalog object, or a name: a variable of the session, a databroker catalog name, a Tiled
        URI or profile, a folder. Left out: the setting ``BlueskyExport.catalog``, then the
        variables ``cat`` and ``db``, then the journal of live writers, which ``"journal"`` names.
    variables : Mapping, optional
        The user's variables.

    Raises
    ------
    NoCatalog
        Nothing was found; the message says how to give one.
    """
    variables = namespace() if variables is None else variables
    given = given if given is not None else (settings().catalog or None)
    if given is None:
        for name in CATALOG_NAMES:
            found = _wrapped(variables[name]) if name in variables else None
            if found is not None:
                return found
        with suppress(NoCatalog):
            return _journal()
        here = "this session has no variable cat or db that is one; " if "IPython" in sys.modules else ""
        raise NoCatalog(
            f"no catalog: {here}"
            "add --catalog NAME (a variable, a databroker catalog, a Tiled URI, a folder)"
        )
    if isinstance(given, str):
        found = _wrapped(variables[given]) if given in variables else None
        if found is not None:
            return found
        if given == JOURNAL:
            return _journal()
        try:
            return open_catalog(given)
        except NoCatalog as error:
            if given in variables:
                kind = type(variables[given]).__name__
                raise NoCatalog(f"the variable {given} is no catalog (a {kind}), and {error}") from None
            raise
    found = _wrapped(given)
    if found is None:
        raise NoCatalog(f"a {type(given).__name__} is not a catalog that can be read here")
    return found


def _journal() -> Catalog:
    from .catalogs.journal import open_journal

    return open_journal(journal_folder())


def _wrapped(obj: Any) -> Catalog | None:
    """Return our catalog over an object, the same one as last time: it remembers what it has read."""
    if _last and _last[0][0] is obj:
        return _last[0][1]
    found = wrap_catalog(obj)
    if found is not None:
        _last[:] = [(obj, found)]
    return found
