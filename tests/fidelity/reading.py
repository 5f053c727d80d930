"""The one view of all formats' files that is compared, and what a value's features are: of the kit."""

from __future__ import annotations

from bluesky_export.testing.kit import (
    Read,
    Rule,
    Table,
    each,
    features_of,
    is_array,
    number,
    text_features,
)

__all__ = ["Read", "Rule", "Table", "each", "features_of", "is_array", "number", "text_features"]
