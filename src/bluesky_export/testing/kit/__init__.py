"""The conformance kit: what every format is held to, ours and others'.

The whole test file of a format is a class with one fixture::

    import pytest
    from bluesky_export.testing.kit import FormatTests, Tested

    from my_package.points import PointsWriter
    from . import reading  # read(written) -> Read, and the rules of what is converted


    class TestPoints(FormatTests):
        @pytest.fixture
        def tested(self):
            return Tested(PointsWriter, reading)

It needs pytest, and what the extra ``test`` brings for runs with TIFF files.
"""

from __future__ import annotations

import pytest

_PARTS = (
    "arriving",
    "comparing",
    "content",
    "declared",
    "faults",
    "held",
    "holding",
    "hostile",
    "reading",
    "replaying",
    "streams",
    "tested",
)
# Before they are imported: a failing assert then shows its values.
pytest.register_assert_rewrite(*(f"{__name__}._{part}" for part in _PARTS))

from ._arriving import PAGES, ArrivalTests, Engine, Live, measured, runs_of, suffix  # noqa: E402
from ._comparing import same  # noqa: E402
from ._content import assert_same, file_content  # noqa: E402
from ._declared import DeclarationTests  # noqa: E402
from ._faults import FaultTests  # noqa: E402
from ._held import HoldTests, written_as_declared  # noqa: E402
from ._holding import hold  # noqa: E402
from ._hostile import PIECES, TEXTS, HostileTests, hostile_run, joined  # noqa: E402
from ._reading import (  # noqa: E402
    Read,
    Rule,
    Table,
    each,
    features_of,
    is_array,
    number,
    text_features,
)
from ._replaying import drive, replay  # noqa: E402
from ._streams import events_by_stream, keys_by_stream, only, start_of, stop_of  # noqa: E402
from ._tested import Tested  # noqa: E402


class FormatTests(DeclarationTests, HoldTests, ArrivalTests, HostileTests, FaultTests):
    """All that a format is held to; a subclass gives the fixture ``tested``."""


__all__ = [
    "PAGES",
    "PIECES",
    "TEXTS",
    "ArrivalTests",
    "DeclarationTests",
    "Engine",
    "FaultTests",
    "FormatTests",
    "HoldTests",
    "HostileTests",
    "Live",
    "Read",
    "Rule",
    "Table",
    "Tested",
    "assert_same",
    "drive",
    "each",
    "events_by_stream",
    "features_of",
    "file_content",
    "hold",
    "hostile_run",
    "is_array",
    "joined",
    "keys_by_stream",
    "measured",
    "number",
    "only",
    "replay",
    "runs_of",
    "same",
    "start_of",
    "stop_of",
    "suffix",
    "text_features",
    "written_as_declared",
]
