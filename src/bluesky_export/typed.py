"""What stands between a verb and its options: selectors, formats, and a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import formats
from .errors import UnknownFormat, UsageError
from .selection import is_number_selector, looks_like_selector


def find_format(
    words: Sequence[str], variables: Mapping[str, Any], searching: bool, prog: str = "%export"
) -> tuple[list[str], list[str], str | None]:
    """Tell selectors, formats and path apart.

    The first word that names formats is the format; selectors come before it, at most one path
    after. A variable with a format's name is typed with ``$``.

    Raises
    ------
    UnknownFormat
        Where the format is expected stands something else.
    UsageError
        A part is missing, or there are too many.
    """

    def is_format(word: str) -> bool:
        return all(map(formats.is_format, word.split(",")))

    at = next((i for i, word in enumerate(words) if is_format(word)), None)
    if at is None:
        odd = next((word for word in words if not looks_like_selector(word, variables)), None)
        if odd is None:
            raise UsageError(
                f"which format? {prog} {' '.join(words) or '-1'} csv (or {', '.join(formats.names()[1:])})"
            )
        if "/" in odd or odd.startswith((".", "~")):
            given = " ".join(word for word in words if word != odd)
            raise UsageError(f"which format? {prog} {given} csv {odd}")
        bad = next((part for part in odd.split(",") if not formats.is_format(part)), odd)
        if not bad:
            raise UsageError(f"{odd}: write formats without blanks: csv,nexus")
        formats.writer_class(bad)  # raises, with the nearest name
        raise UnknownFormat(f"unknown format {bad!r}")
    selectors, rest = list(words[:at]), list(words[at + 1 :])
    late = [word for word in rest if is_number_selector(word)]
    if late:
        others = [word for word in rest if word not in late]
        raise UsageError(
            f"selectors come before the format: {prog} {' '.join([*selectors, *late, words[at], *others])} "
            f"(a file of that name: ./{late[0]})"
        )
    if not selectors and not searching:
        raise UsageError(f"which run? {prog} -1 {' '.join(words)} takes the newest")
    if len(rest) > 1 and words[at] in variables:
        raise UsageError(f"{words[at]} is a format and a variable: type ${words[at]} for the variable")
    if len(rest) > 1:
        raise UsageError(f"one path at most, not {' '.join(rest)}; quote a path with blanks")
    return selectors, words[at].split(","), rest[0] if rest else None
