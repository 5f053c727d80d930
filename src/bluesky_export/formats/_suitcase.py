"""suitcase.NAME: an existing suitcase, as a format.

A suitcase is a package ``suitcase-…`` with a function ``export(gen, directory, file_prefix=…)``
(https://blueskyproject.io/suitcase). It is given the documents of a run when that has ended, with single
events as a RunEngine emits them, and a folder of its own; what it has written there gets names by our
rules, all files together, and replaces nothing. ``file_prefix`` is the name that ``--name`` or the default
gives. Its other keyword arguments are options, where their defaults are plain values; what it passes on
by ``**kwargs`` cannot be typed.

What a suitcase leaves out of a run or changes, it does not say, and nothing here checks it: suitcase.csv
has no metadata and no arrays, suitcase.specfile the first row of the baseline alone. Values in detector
files are not filled in. A run whose streams, or fields with arrays, have a ``/`` in their names is refused:
suitcases make file names of them. Suitcases need suitcase-utils 0.5.3: later ones break them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar

from ..documents.fields import is_external
from ..documents.pages import Document
from ..errors import ExportFailed, NoData, NotFaithful, UnknownFormat
from ..outputs import Output
from ._base import Writer

PREFIX = "suitcase."
_NAME = re.compile(r"suitcase\.[A-Za-z]\w*")
_PACKAGES = {"tiff_series": "suitcase-tiff", "tiff_stack": "suitcase-tiff"}
_KNOWN = {
    "csv": "no metadata, no arrays",
    "specfile": "of the baseline the first row",
    "json_metadata": "no data",
    "tiff_series": "arrays alone",
    "tiff_stack": "arrays alone",
}
"""What some are known not to hold (their own documentation, suitcase-csv 0.3.0 and its contemporaries)."""
_GIVEN = ("gen", "directory", "file_prefix")
_PLAIN = (bool, int, float, str)


class SuitcaseWriter(Writer):
    """Keep the documents of a run until it has ended, then hand them to a suitcase."""

    suffix = ""
    per_stream = True  # its files are looked at when they are there: nobody knows their names before
    holds = frozenset({"text"})
    export: ClassVar[Callable[..., Any]]
    """The suitcase's function."""
    dash: ClassVar[str] = ""
    """What its own ``file_prefix`` has at the end."""

    def __init__(self, output: Output, **given: Any) -> None:
        from ._spool import Spool  # with NumPy; this module is loaded with the registry

        shared = {key: given.pop(key) for key in ("images", "root_map") if key in given}
        super().__init__(output, **shared)
        self._given = given
        self._spool = Spool()
        self._folder: Path | None = None

    @classmethod
    def planned(cls, output: Output, streams: Iterable[str]) -> list[Path]:  # noqa: ARG003
        """Return what the names of the files begin with."""
        return [output.path(suffix="*")]

    # -- documents -------------------------------------------------------------------------

    def start(self, doc: Document) -> None:
        """Keep it."""
        super().start(doc)
        self._spool.put("start", doc)
        known = _KNOWN.get(self.name.removeprefix(PREFIX))
        self.notice(
            f"{self.name}{f' ({known})' if known else ''}: "
            "what a suitcase leaves out or changes it does not say, and that was not checked"
        )
        astype = self.own_options().get("astype")
        if astype is not None and "astype" not in self._given:
            self.notice(
                f"{self.name} makes all numbers {astype.default}, unless --option astype= says otherwise"
            )

    def descriptor(self, doc: Document) -> None:
        """Keep it.

        Raises
        ------
        NotFaithful
            A name would lead out of the folder.
        """
        super().descriptor(doc)
        arrays = [name for name, key in doc["data_keys"].items() if key.get("dtype") == "array"]
        for name in (self.stream_of(doc["uid"]), *arrays):
            if "/" in name or "\0" in name:
                raise NotFaithful(
                    f"{self.name} makes file names of streams and fields: it cannot have {name!r}"
                )
        for field, key in doc["data_keys"].items():
            if is_external(key):
                self.notice(
                    f"{doc.get('name')}.{field}: {self.name} does not get what is in detector files"
                )
        self._spool.put("descriptor", doc)

    def event_page(self, doc: Document) -> None:
        """Keep it."""
        super().event_page(doc)
        self._spool.put("event_page", doc)

    def resource(self, doc: Document) -> None:
        """Keep it."""
        self._spool.put("resource", doc)

    def datum_page(self, doc: Document) -> None:
        """Keep it."""
        self._spool.put("datum_page", doc)

    def stop(self, doc: Document) -> None:
        """Keep it."""
        super().stop(doc)
        self._spool.put("stop", doc)

    # -- the end ---------------------------------------------------------------------------

    def finish(self) -> None:
        """Have the suitcase write its files, and take them over.

        Raises
        ------
        NoData
            It has written none.
        ExportFailed
            It broke.
        """
        final = self.output.path()
        mark = self.output.target.mark or os.getpid()
        # A process that was killed has left the folder under this name, and nobody else has it.
        self._folder = self.output.check(final.parent / f".{self.uid[:36]}.{mark}.{self.name}")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        prefix = final.name.replace("{", "{{").replace("}", "}}") + self.dash
        try:
            type(self).export(self._spool.singles(), self._folder, file_prefix=prefix, **self._given)
        except Exception as error:  # a suitcase can raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ExportFailed(f"{self.name} broke on run {self.uid[:7]}: {reason}") from error
        found = sorted(path for path in self._folder.rglob("*") if path.is_file())
        if not found:
            raise NoData(f"{self.name} has written nothing of run {self.uid[:7]}")
        for path in found:
            ending = path.name.removeprefix(final.name)
            os.replace(path, self.output.part(suffix=ending if ending != path.name else f"-{path.name}"))
        self.release()

    def release(self) -> None:
        """Let go of the documents, and of what the suitcase has written."""
        self._spool.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def installed() -> list[str]:
    """Return the suitcases that are installed, as formats; none is imported for it."""
    spec = importlib.util.find_spec("suitcase")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return sorted(f"{PREFIX}{one.name}" for one in pkgutil.iter_modules(places) if one.name != "utils")


def is_suitcase(name: str) -> bool:
    """Say whether a format's name means a suitcase, installed or not."""
    return _NAME.fullmatch(name) is not None


@functools.cache
def suitcase_class(name: str) -> type[SuitcaseWriter]:
    """Return the writer of a suitcase.

    Raises
    ------
    UnknownFormat
        It is not installed, cannot be imported, or has no ``export``.
    """
    short = name.removeprefix(PREFIX)
    package = _PACKAGES.get(short, f"suitcase-{short.replace('_', '-')}")
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a package can raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        known = ", ".join(installed()) or "none"
        raise UnknownFormat(
            f"{name} cannot be loaded ({reason}); try: pip install {package} 'suitcase-utils==0.5.3' "
            f"(installed: {known})"
        ) from error
    export = getattr(module, "export", None)
    parameters = inspect.signature(export).parameters if callable(export) else {}
    if export is None or any(given not in parameters for given in _GIVEN):
        raise UnknownFormat(f"{name} is no suitcase: it has no export(gen, directory, file_prefix)")
    default = parameters["file_prefix"].default
    attributes = {
        "name": name,
        "summary": f"what the package {package} writes",
        "export": staticmethod(export),
        "dash": "-" if isinstance(default, str) and default.endswith("-") else "",
        "__init__": _init(package, parameters.values()),
        "__module__": __name__,
        "__doc__": SuitcaseWriter.__doc__,
    }
    return type(f"Suitcase_{short}", (SuitcaseWriter,), attributes)


def _init(package: str, parameters: Iterable[inspect.Parameter]) -> Callable[..., None]:
    """Return an ``__init__`` whose signature has the suitcase's options."""

    def __init__(self: SuitcaseWriter, output: Output, **given: Any) -> None:  # noqa: N807
        SuitcaseWriter.__init__(self, output, **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(one.name, keyword, default=one.default)
        for one in parameters
        if one.name not in _GIVEN and (one.default is None or type(one.default) in _PLAIN)
    ]
    base = list(inspect.signature(Writer.__init__).parameters.values())
    __init__.__signature__ = inspect.Signature([*base, *options])  # type: ignore[attr-defined]
    __init__.__annotations__ = {
        one.name: Annotated[
            str | None if one.default is None else type(one.default), f"an option of {package}"
        ]
        for one in options
    }
    return __init__
