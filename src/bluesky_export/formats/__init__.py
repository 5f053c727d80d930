"""The formats: a writer each, behind one registry that imports none of them."""

from ._base import Images, Writer, Written
from ._fidelity import EXACT, Fidelity, converted, fidelity, left_out, never_in
from ._registry import (
    ADDRESSED,
    ALIASES,
    BUILT_IN,
    GROUP,
    OURS,
    Option,
    check_options,
    is_format,
    names,
    options,
    options_of,
    summary,
    writer_class,
)
from ._suitcase import installed as installed_suitcases

__all__ = [
    "ADDRESSED",
    "ALIASES",
    "BUILT_IN",
    "EXACT",
    "GROUP",
    "OURS",
    "Fidelity",
    "Images",
    "Option",
    "Writer",
    "Written",
    "check_options",
    "converted",
    "fidelity",
    "installed_suitcases",
    "is_format",
    "left_out",
    "names",
    "never_in",
    "options",
    "options_of",
    "summary",
    "writer_class",
]
