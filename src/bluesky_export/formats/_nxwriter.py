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

import h5py
from apstools.callbacks import NXWriter, NXWriterAPS

from ..errors import BadOption
from ._h5 import system_error
from ._h5_room import abandon, begin, finish
from ._nxentry import EntryHooks
from ._nxplot import PlotHooks
from ._nxstreams import StreamHooks

_APSTOOLS: dict[str, type] = {"NXWriter": NXWriter, "NXWriterAPS": NXWriterAPS}


class MendedNXWriter(StreamHooks, PlotHooks, EntryHooks):
    """NXWriter that writes at once, in this thread, to the temporary file it is told."""

    def writer(self) -> None:
        """Write the file; it is closed whatever happens."""
        final, part = self.host.output.path(), self.host.output.part()
        try:
            with h5py.File(part, "w") as self.root:
                try:
                    begin(self.root)
                    self.write_root(final)
                    self.root.flush()  # while a failure can still be told from a crash
                except BaseException as error:
                    abandon(self.root)
                    if (cause := system_error(error)) is not None:
                        raise cause from error
                    raise
            self.output_nexus_file = final
        finally:
            self.root = None
            finish(part)

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
