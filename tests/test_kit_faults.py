"""Full disks, names that are taken, and texts that mean harm: the kit, on every format of ours."""

from __future__ import annotations

import pytest

from bluesky_export.formats import BUILT_IN
from bluesky_export.testing import kit

from .fidelity import format_under_test


class TestFormats(kit.FaultTests, kit.HostileTests):
    @pytest.fixture(params=BUILT_IN)
    def tested(self, request: pytest.FixtureRequest) -> kit.Tested:
        return format_under_test(request.param)
