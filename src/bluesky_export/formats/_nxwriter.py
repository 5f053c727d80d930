"""apstools' NXWriter, mended where it loses a run.

The class chosen by the user stays in charge: :func:`mended` puts :class:`MendedNXWriter` *behind*
it and before apstools' own NXWriter in the method resolution order. Every hook that an instrument
overrides (``write_slits``, ``get_sample_title``, ``write_source`` …) wins, and what it calls with
``super()`` is the mended version.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

from apstools.callbacks import NXWriter, NXWriterAPS

from ..errors import BadOption
from ._h5_file import SafeFile
from ._nxentry import EntryHooks
from ._nxplot import PlotHooks
from ._nxstreams import StreamHooks

_APSTOOLS: dict[str, type] = {"NXWriter": NXWriter, "NXWriterAPS": NXWriterAPS}


class MendedNXWriter(StreamHooks, PlotHooks, EntryHooks):
    """NXWriter that writes at once, in this thread, to the temporary file it is told."""

    def writer(self) -> None:
        """Write the file; it is closed whatever happens."""
        final = self.host.output.path()
        safe = SafeFile(self.host.output.part())
        try:
            self.root = safe.file
            self.write_root(final)
            safe.close()
            self.output_nexus_file = final
        finally:
            self.root = None
            safe.abandon()  # nothing, if it is closed

    def close(self) -> None:
        """Close the file if it is open."""
        if self.root is not None:
            self.root.close()
            self.root = None


def load(writer: str | type) -> type:
    """Return the class that is meant by ``NXWriter``, ``NXWriterAPS`` or ``module:Class``.

    Raises
    ------
    BadOption
        There is no such class, or it is no subclass of apstools' NXWriter.
    """
    found: Any = writer
    if isinstance(writer, str):
        module, colon, name = writer.partition(":")
        if writer in _APSTOOLS:
            return _APSTOOLS[writer]
        if not colon:
            raise BadOption(f"option writer={writer}: expected NXWriter, NXWriterAPS or module:Class")
        try:
            found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
        except (ImportError, AttributeError, ValueError) as error:
            raise BadOption(f"option writer={writer}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, NXWriter)):
        raise BadOption(f"option writer={writer}: {found!r} is not a subclass of apstools' NXWriter")
    return found


@functools.cache
def mended(cls: type) -> type[MendedNXWriter]:
    """Return the class with our mends behind what it overrides.

    It keeps its name, which NXWriter records as ``@creator``.

    Raises
    ------
    BadOption
        The class inherits in an order that leaves no place for the mends.
    """
    if issubclass(cls, MendedNXWriter):
        return cls
    bases = (MendedNXWriter,) if cls is NXWriter else (cls, MendedNXWriter)
    try:
        return type(cls.__name__, bases, {"__module__": cls.__module__, "__doc__": cls.__doc__})
    except TypeError as error:
        raise BadOption(f"writer {cls.__module__}:{cls.__qualname__} cannot be used: {error}") from error
