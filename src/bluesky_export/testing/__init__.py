"""For the tests of formats and catalogs, ours and others': runs of every kind, as code.

Importing this package imports neither numpy nor h5py; making a run imports what it needs (tifffile,
for a run with TIFF files, comes with the extra ``test``).
"""

from __future__ import annotations

from ._kinds import Kind, Made, Pairs, RunMaker
from .corpus import RUNS, SCENARIOS

__all__ = ["RUNS", "SCENARIOS", "Kind", "Made", "Pairs", "RunMaker"]
