"""Every kind of run that a format and a catalog have to cope with, as code.

``RUNS`` has each by its name. A run is the same each time it is made: uids, times and values depend on
nothing but its name (and the folder of its detector files).

>>> documents = RUNS["two-descriptors"].documents(folder)  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping

from . import _arrays, _external, _external_streams, _metadata, _names, _structure, _values, _xafs
from ._kinds import Kind, Kinds
from ._structure import SCENARIOS

__all__ = ["RUNS", "SCENARIOS"]

RUNS: Mapping[str, Kind] = Kinds.joined(
    module.KINDS
    for module in (_structure, _values, _arrays, _external, _external_streams, _metadata, _names, _xafs)
)
"""All kinds of run, by name."""
