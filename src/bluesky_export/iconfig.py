"""The instrument's own file of settings: the section ``BLUESKY_EXPORT`` of its iconfig.yml.

A BITS instrument (apsbits) has read that file when it starts: its startup keeps it in the variable
``iconfig``, and ``apsbits.utils.config_loaders.get_config`` gives it. Any other instrument can have
a variable of that name, with what its YAML file holds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import UsageError

SECTION = "BLUESKY_EXPORT"
_BITS = "apsbits.utils.config_loaders"


def instrument_section(variables: Mapping[str, Any]) -> Any:
    """Return the section as it was read from the file; None if the instrument has none.

    Parameters
    ----------
    variables : Mapping
        The user's variables.
    """
    bits = sys.modules.get(_BITS)
    for found in (variables.get("iconfig"), bits.get_config() if bits is not None else None):
        if isinstance(found, Mapping) and SECTION in found:
            return found[SECTION]
    return None


def setting_names(section: Any, known: Iterable[str]) -> dict[str, Any]:
    """Return a section's values by the names of our settings, which it has in capital letters.

    Raises
    ------
    UsageError
        It is no mapping, or a name in it is none of ours; the message names the nearest one.
    """
    if not isinstance(section, Mapping):
        raise UsageError(f"{SECTION} in iconfig has to be names and values, not {section!r}")
    names = {name.upper(): name for name in known}
    for key in section:
        if str(key).upper() not in names:
            import difflib

            near = difflib.get_close_matches(str(key).upper(), names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"{SECTION} in iconfig: no setting {key}; {hint}known: {', '.join(names)}")
    return {names[str(key).upper()]: value for key, value in section.items()}
