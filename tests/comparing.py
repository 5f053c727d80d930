"""What it takes for a value that was read back to be the one that was measured: as in the kit."""

from __future__ import annotations

from bluesky_export.testing.kit import same

__all__ = ["same"]
