"""Take any Bluesky run out of any catalog, in any format, from the IPython prompt.

In IPython or Jupyter, ``%load_ext bluesky_export``; elsewhere the same verbs as functions.
Nothing heavy is imported before a verb is used.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing has it, whose import costs as much as all that is done here
if TYPE_CHECKING:
    from typing import Any

    from .attach import attach_writer, detach_writer
    from .exporting import export
    from .handoff import export_bundle
    from .listing import runs
    from .spec_session import new_spec_file, spec_comment
    from .verifying import verify

_PUBLIC = {
    "attach_writer": "attach",
    "detach_writer": "attach",
    "export": "exporting",
    "export_bundle": "handoff",
    "new_spec_file": "spec_session",
    "runs": "listing",
    "spec_comment": "spec_session",
    "verify": "verifying",
}
__all__ = [
    "__version__",
    "attach_writer",
    "detach_writer",
    "export",
    "export_bundle",
    "load_ipython_extension",
    "new_spec_file",
    "runs",
    "spec_comment",
    "unload_ipython_extension",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        import importlib

        value = getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})


def load_ipython_extension(shell: Any) -> None:
    """Register the magics; called by ``%load_ext bluesky_export``."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again; called by ``%unload_ext bluesky_export``."""
    from .magics import unload

    unload(shell)
