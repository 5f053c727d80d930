"""File names: templates over the start document, cleaned for every platform."""

from __future__ import annotations

import os
import re
import string
import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from ..errors import OutputError, UsageError
from ._address import Address

default_template = "{date}-{time}-S{scan_id:05d}-{uid:.7}"
"""The name apstools' writers give, without the suffix."""

_MAX_NAME = 180  # of the 255 bytes of a name, room for stream, suffix and temporary ending
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")


def clean_name(text: str) -> str:
    """Make one path component out of any text.

    Path separators, control characters and what Windows refuses become ``_``; unicode letters
    stay. The result is never empty, ``.``, ``..``, hidden, or longer than 180 bytes in UTF-8.
    """
    text = unicodedata.normalize("NFC", text)
    # Surrogates cannot be encoded; the other "C" categories reorder or hide what is shown.
    text = "".join("_" if unicodedata.category(c)[0] in "CZ" and c != " " else c for c in text)
    text = _FORBIDDEN.sub("_", text).strip(" .")
    text = text.encode()[:_MAX_NAME].decode(errors="ignore").rstrip(" .")
    if _RESERVED.fullmatch(text):
        text = "_" + text
    return text or "_"


def stamp(epoch: float) -> datetime:
    """Return the local time, with its offset, of an epoch in seconds."""
    return datetime.fromtimestamp(epoch).astimezone()


def clock(epoch: float) -> str:
    """Return the local time to the second, its offset as short as ISO 8601 allows: ``…:12-05``."""
    return stamp(epoch).isoformat(sep=" ", timespec="seconds").removesuffix(":00")


class _Text(str):
    """A value from metadata: formats as text whatever the format spec was meant for."""

    def __format__(self, spec: str) -> str:
        try:
            return super().__format__(spec)
        except ValueError:
            return str(self)


class _Number(int):
    def __format__(self, spec: str) -> str:
        try:
            return super().__format__(spec)
        except ValueError:
            return str(int(self))


class _Real(float):
    """A scan_id of 1.5 must not stop a run from being written under the default name."""

    def __format__(self, spec: str) -> str:
        try:
            return super().__format__(spec)
        except ValueError:
            return repr(float(self))


class _Formatter(string.Formatter):
    """``str.format`` over a start document, where each replaced value is one clean component.

    Attributes are not followed (``{start.__class__}`` is refused), so that a template from a
    configuration file reads nothing but metadata.
    """

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        first, rest = string._string.formatter_field_name_split(field_name)  # type: ignore[attr-defined]
        value = self.get_value(first, args, kwargs)
        for is_attribute, key in rest:
            if is_attribute:
                raise UsageError(f"name template: {field_name!r}: write start[key], not start.key")
            try:
                value = value[key]
            except (LookupError, TypeError):
                raise UsageError(f"name template: this run's metadata has no {field_name!r}") from None
        return value, first

    def get_value(self, key: Any, args: Any, kwargs: Any) -> Any:
        if key not in kwargs:
            known = ", ".join(sorted(kwargs))
            raise UsageError(f"name template: unknown field {key!r}; known: {known}")
        return kwargs[key]

    def format_field(self, value: Any, format_spec: str) -> str:
        if re.search(r"\d{4}", format_spec) or not _is_spec(format_spec):
            raise UsageError(f"name template: {format_spec!r} is no way to format a value")
        if isinstance(value, (Mapping, list, tuple)):
            inside = (
                ", ".join(f"[{key}]" for key in list(value)[:5]) if isinstance(value, Mapping) else "[0]"
            )
            raise UsageError(
                f"name template: this run has a {type(value).__name__} there; add one of {inside}"
            )
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            value = _Text("none" if value is None else value)
        else:
            value = _Number(value) if isinstance(value, int) else _Real(value)
        try:
            return clean_name(format(value, format_spec))
        except ValueError as error:
            raise UsageError(f"name template: {error}") from None


def _is_spec(spec: str) -> bool:
    """Say whether a format spec means something, if only for a text or for a number."""
    for sample in ("x", 1, 1.0):
        try:
            format(sample, spec)
        except ValueError:
            continue
        return True
    return False


def full_path(text: str | Path) -> Path:
    """Return what was typed as an absolute path, ``~`` and ``..`` resolved.

    Raises
    ------
    OutputError
        No file system takes such a path, or there is no such user.
    """
    try:
        full = Path(os.path.abspath(Path(text).expanduser()))
        full.is_dir()  # asks the system: a name can be too long for it
    except (RuntimeError, ValueError) as error:
        raise OutputError(f"{text}: {error}") from None
    except PermissionError:
        raise OutputError(f"{text}: no permission to look there; choose another folder") from None
    except OSError as error:
        raise OutputError(f"{str(text)[:60]}…: {error.strerror}; give a shorter name") from None
    return full


def _before_braces(folder: str) -> tuple[str, str]:
    """Cut a template of a folder before its first part with a field."""
    parts = folder.rstrip("/").split("/")
    at = next(i for i, part in enumerate(parts) if "{" in part)
    return "/".join(parts[:at]) or ("/" if folder.startswith("/") else "."), "/".join(parts[at:])


@dataclass(frozen=True)
class Target:
    """Where files are to go, as typed: one path, read once, the same for every run.

    Attributes
    ----------
    folder : Path
        An absolute folder; it must exist.
    file : str or None
        The exact file name, if the user gave one.
    template : str
        Name without suffix, in ``str.format`` over the start document.
    if_exists : {"refuse", "overwrite", "skip"}
        What to do about a file that is there already.
    """

    folder: Path
    file: str | None = None
    template: str = default_template
    if_exists: Literal["refuse", "overwrite", "skip"] = "refuse"
    taken: set[Path] = field(default_factory=set, compare=False, repr=False)
    """Paths given out by this verb: two runs whose template gives one name must not meet."""
    open: set[Path] = field(default_factory=set, compare=False, repr=False)
    """Temporary files that are being written for this verb."""
    mark: str = field(default="", compare=False)
    """What temporary names carry; empty: the process id."""
    address: Address | None = None
    """Where runs go that do not go to files; then no name is of use, and ``folder`` is a temporary one."""

    @classmethod
    def parse(cls, path: str | Path | None, default: str | Path | None = None, **kwargs: Any) -> Target:
        """Read what was typed: a file, a folder (existing, or ending in ``/``), or nothing.

        Where nothing was typed, ``default`` is a folder, or a template of one: from its first part with a
        ``{`` on it is taken into the template of the names, and its folders are made for each run.
        """
        text = str(path if path is not None else (default or "."))
        if path is None and "{" in text:
            fixed, templated = _before_braces(text)
            name = f"{templated}/{kwargs.pop('template', default_template)}"
            return cls(folder=full_path(fixed), template=name, **kwargs)
        if text.startswith(("http://", "https://")):
            raise UsageError(
                "an http:// address is for tiled; this format writes files: give a file or a folder"
            )
        full = full_path(text)
        if text.endswith(("/", "\\")) or full.is_dir() or path is None:
            return cls(folder=full, **kwargs)
        return cls(folder=full.parent, file=full.name, **kwargs)

    @classmethod
    def at(
        cls, path: str | Path | None, name: str, given: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Target:
        """Read what was typed for a format that puts whole runs on a server, under their uids.

        Parameters
        ----------
        path : str or Path or None
            An address, or the name of a profile.
        name : str
            The format, for messages.
        given : Mapping, optional
            Options that make no sense for it, and what was given for them.

        Raises
        ------
        UsageError
            One of them was given, or no address.
        """
        for option, value in (given or {}).items():
            if value:
                raise UsageError(f"{name} stores runs whole, under their uids: leave {option} out")
        if path is None:
            raise UsageError(
                f"which server? {name} takes an address (http://host:8000) or the name of a Tiled profile"
            )
        return cls(folder=Path(tempfile.gettempdir()), address=Address.parse(str(path)), **kwargs)

    @property
    def typed(self) -> str:
        """What to type for it: a file, a folder with a slash at its end, or an address without its key."""
        if self.address is not None:
            return str(self.address)
        return f"{self.folder}/" if self.file is None else str(self.folder / self.file)

    def stem(self, start: Mapping[str, Any]) -> str:
        """Return the name, without suffix, for a run.

        Raises
        ------
        UsageError
            The template names something that the start document does not have.
        """
        when = stamp(start["time"])
        fields = {
            "start": start,
            "uid": start["uid"],
            "scan_id": start.get("scan_id", 0),
            "plan_name": start.get("plan_name", ""),
            "date": when.strftime("%Y%m%d"),
            "time": when.strftime("%H%M%S"),
        }
        try:
            name = _Formatter().vformat(self.template, (), fields)
        except ValueError as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"name template {self.template!r}: {error}") from None
        parts = [clean_name(part) for part in name.split("/") if part not in ("", ".")]
        return "/".join(parts) or "_"

    def replaced(self, **changes: Any) -> Target:
        """Return a copy with some attributes changed; the set of taken paths is shared."""
        return replace(self, **changes)
