"""The formats by name. Nothing is imported before it is used."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal

from ..errors import BadOption, UnknownFormat
from ._base import Writer
from ._suitcase import is_suitcase, suitcase_class
from ._summaries import NEEDS, SUMMARIES

GROUP = "bluesky_export.formats"
"""The entry-point group of formats that other packages bring."""

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "csv": "bluesky_export.formats.csv:CSVWriter",
        "json": "bluesky_export.formats.json:JSONWriter",
        "jsonl": "bluesky_export.formats.jsonl:JSONLWriter",
        "msgpack": "bluesky_export.formats.msgpack:MsgpackWriter",
        "pack": "bluesky_export.formats.pack:PackWriter",
        "spec": "bluesky_export.formats.spec:SPECWriter",
        "hdf5": "bluesky_export.formats.hdf5:HDF5Writer",
        "nexus": "bluesky_export.formats.nexus:NeXusWriter",
        "dx": "bluesky_export.formats.dx:DXWriter",
        "tiff": "bluesky_export.formats.tiff:TIFFWriter",
        "parquet": "bluesky_export.formats.parquet:ParquetWriter",
        "arrow": "bluesky_export.formats.arrow:FeatherWriter",
        "xlsx": "bluesky_export.formats.xlsx:XLSXWriter",
        "xdi": "bluesky_export.formats.xdi:XDIWriter",
        "png": "bluesky_export.formats.png:PNGWriter",
    }
)
ADDRESSED: Mapping[str, str] = MappingProxyType({"tiled": "bluesky_export.formats.tiled:TiledServerWriter"})
"""Those of ours that write to an address, not to files."""
OURS: Mapping[str, str] = MappingProxyType({**BUILT_IN, **ADDRESSED})
"""All that no plug-in can replace."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {"h5": "hdf5", "nx": "nexus", "dat": "spec", "tif": "tiff", "feather": "arrow", "excel": "xlsx"}
)


def _entry_points() -> Mapping[str, Any]:
    return _entry_points_on(tuple(sys.path))


@functools.lru_cache(maxsize=1)
def _entry_points_on(_path: tuple[str, ...]) -> Mapping[str, Any]:
    """Look once for each ``sys.path``: it reads the metadata of every installed package."""
    from importlib.metadata import entry_points

    found: dict[str, Any] = {}
    for point in entry_points(group=GROUP):
        if point.name not in OURS and point.name not in ALIASES:
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def names() -> list[str]:
    """Return the names of all formats: ours, then those of plug-ins."""
    return [*OURS, *sorted(_entry_points())]


def is_format(word: str) -> bool:
    """Say whether a word names a format: ours, a plug-in's, or a suitcase, installed or not."""
    return word in ALIASES or word in names() or is_suitcase(word)


def writer_class(name: str) -> type[Writer]:
    """Return the writer of a format.

    Raises
    ------
    UnknownFormat
        No format has this name (the nearest ones are named), or a package that it needs is
        missing (the pip line is given).
    """
    name = ALIASES.get(name, name)
    if is_suitcase(name):
        return suitcase_class(name)
    points = {} if name in OURS else _entry_points()
    if name not in OURS and name not in points:
        near = difflib.get_close_matches(name.lower(), [*names(), *ALIASES], n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UnknownFormat(f"unknown format {name!r}; {hint}known: {', '.join(names())}")
    try:
        if name in OURS:
            module, _, attribute = OURS[name].partition(":")
            loaded = getattr(importlib.import_module(module), attribute)
        else:
            loaded = _only(name, points[name]).load()
    except UnknownFormat:
        raise
    except Exception as error:  # a plug-in can raise anything, and must break nothing else
        if name in OURS and not isinstance(error, ImportError):
            raise
        package = points[name][0].dist.name if name in points else f"'bluesky-export[{name}]'"
        missing = (getattr(error, "name", None) or "").partition(".")[0]
        missing = missing if isinstance(error, ModuleNotFoundError) else ""
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UnknownFormat(
            f"format {name} cannot be loaded ({reason}); try: pip install -U {package}"
            + (f" {missing}" if missing and not missing.startswith("bluesky_export") else "")
        ) from error
    if not (isinstance(loaded, type) and issubclass(loaded, Writer)):
        raise UnknownFormat(f"format {name}: {loaded!r} is not a bluesky_export.formats.Writer")
    return loaded


def summary(name: str) -> str:
    """Return what a format is, in one line; only a plug-in is imported for it.

    Raises
    ------
    UnknownFormat
        As :func:`writer_class` does.
    """
    name = ALIASES.get(name, name)
    needed = NEEDS.get(name)
    if name in SUMMARIES and (needed is None or importlib.util.find_spec(needed) is not None):
        return SUMMARIES[name]
    return writer_class(name).summary


def _only(name: str, points: tuple[Any, ...]) -> Any:
    """Return the one entry point of a name: which of several was meant is not guessed."""
    packages = sorted({point.dist.name for point in points})
    if len(packages) > 1:
        raise UnknownFormat(
            f"format {name} is brought by several packages: {', '.join(packages)}; uninstall all but one"
        )
    return points[0]


@dataclass(frozen=True)
class Option:
    """One option of a format, read from the signature of its writer."""

    name: str
    type: Any
    default: Any
    help: str

    def parse(self, text: str) -> Any:
        """Turn what was typed after ``--option name=`` into a value.

        Raises
        ------
        BadOption
            The text does not fit the type.
        """
        for kind in _alternatives(self.type):
            if kind is NoneType and text.lower() in ("none", ""):
                return None
            if kind is bool and text.lower() in _BOOLEANS:
                return _BOOLEANS[text.lower()]
            if typing.get_origin(kind) is Literal and text in typing.get_args(kind):
                return text
            if kind in (int, float):
                try:
                    return kind(text)
                except ValueError:
                    continue
            if kind is str:
                return text
        raise BadOption(f"option {self.name}={text}: expected {self.expects}")

    @property
    def expects(self) -> str:
        """The type in words."""
        words = []
        for kind in _alternatives(self.type):
            if typing.get_origin(kind) is Literal:
                words += [str(value) for value in typing.get_args(kind)]
            else:
                words.append("none" if kind is NoneType else getattr(kind, "__name__", str(kind)))
        return " or ".join(words)

    @property
    def choices(self) -> list[str]:
        """The values that can be typed, where they can be counted."""
        found: list[str] = []
        for kind in _alternatives(self.type):
            if kind is bool:
                found += ["true", "false"]
            elif typing.get_origin(kind) is Literal:
                found += [str(value) for value in typing.get_args(kind)]
        return found


_BOOLEANS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, UnionType) else (kind,)


def options(name: str) -> dict[str, Option]:
    """Return the options of a format, by name."""
    return options_of(writer_class(name))


def options_of(cls: type[Writer]) -> dict[str, Option]:
    """Return the options of a writer, read from its signature, by name."""
    writer: Any = cls  # mypy takes its objects' __hash__ for its own
    return dict(_read_signature(writer))


@functools.cache
def _read_signature(cls: type[Writer]) -> dict[str, Option]:
    """Evaluate the annotations, once: it takes longer than much of the rest of a small export."""
    hints = typing.get_type_hints(cls.__init__, include_extras=True)
    found = {}
    for key, parameter in cls.own_options().items():
        kind = hints.get(key, str)
        text = ""
        if typing.get_origin(kind) is typing.Annotated:
            kind, *extras = typing.get_args(kind)
            text = next((extra for extra in extras if isinstance(extra, str)), "")
        found[key] = Option(key, kind, parameter.default, text)
    return found


def check_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the options for a format, and turn typed text into values.

    Raises
    ------
    BadOption
        The format has no such option (its options are listed), or the value does not fit.
    """
    known = options(name)
    checked = {}
    for key, value in given.items():
        if key not in known:
            listed = ", ".join(known) or "none"
            raise BadOption(f"format {name} has no option {key!r}; its options: {listed}")
        checked[key] = known[key].parse(value) if isinstance(value, str) else value
    return checked
