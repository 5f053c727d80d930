"""A format under test: its writer, and what reads its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ...formats import Writer
from .. import Made


@dataclass(frozen=True)
class Tested:
    """A format under test.

    Attributes
    ----------
    writer : type of Writer
        The format.
    reader : any
        A module or an object that reads the files of the format, with libraries other than those that
        wrote them where there are any. It has

        ``read(written) -> Read``
            The whole content of the files of a run, and for what the writer declares as other than exact:

        ``RULES``: dict of str to callable
            By feature: what the rule of a conversion makes of the values of a field; list in, list out.
        ``compare(found, expected) -> bool``
            What it takes for two values to be one; left out:
            :func:`~bluesky_export.testing.kit.same`.
        ``metadata(document)``
            A document as it is when read back.
        ``partly(values)``
            Values with None for those that cannot be in the file; a format without has all or none.
        ``leaves_out(values) -> bool or None``
            For formats that hold some kinds of field only: whether a field with these values is left out
            as a whole; None where that depends on what the writer declares of its features.
        ``refuses(made) -> str or None``
            Part of what the error says, if the format has nothing to write of this run; then the writer has
            to raise NoData and to leave no file.
        ``hold_start``, ``hold_stop`` (written, document), ``hold_configuration`` (written, documents)
            Checks of documents of which the file has not all.
        ``times(rows, start)``, ``ordered(rows)``, ``declared(values, data_key)``, ``too_long(value)``
            For formats that change the time, the order, or the dtype, or that cut.
    """

    __test__: ClassVar[bool] = False  # pytest takes what is called Test… for tests
    writer: type[Writer]
    reader: Any

    @property
    def name(self) -> str:
        """Of the format."""
        return self.writer.name

    def hook(self, name: str, default: Any) -> Any:
        """Return what the reader has under a name, or else the default."""
        return getattr(self.reader, name, default)

    def refuses(self, made: Made) -> str | None:
        """Return what the error says where there is nothing to write of a run; None where there is."""
        said: str | None = self.hook("refuses", lambda _made: None)(made)
        return said

    def __repr__(self) -> str:
        return f"<{self.name} under test>"
