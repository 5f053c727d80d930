"""Which version of this package writes."""

from __future__ import annotations


def own_version() -> str:
    """Return the version of bluesky-export, ``unknown`` where it was never installed."""
    from importlib import metadata  # as slow as all else that %load_ext does

    try:
        return metadata.version("bluesky-export")
    except metadata.PackageNotFoundError:  # run from a source folder
        return "unknown"
