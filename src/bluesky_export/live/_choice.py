"""What a user means by a writer: a format, a variable of the session, or a class by its path."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .. import formats as _formats
from ..errors import UsageError
from ..formats import Writer
from ._loading import load_path, path_of
from ._objects import owner_of, receiver_of
from ._sink import one_line


@dataclass(frozen=True)
class Choice:
    """A writer that was asked for.

    Attributes
    ----------
    label : str
        What to call it.
    registered : str or None
        The name of the registered format.
    format_class : type of Writer or None
        Its writer; None for a callback of the user's own.
    object : any
        The user's object, the same for all runs; None where each run has a fresh one.
    make : callable
        Returns the object to call for a run.
    path : str
        Where a class can be imported from, ``module:Class``; empty if nobody else can.
    """

    label: str
    registered: str | None
    format_class: type[Writer] | None
    object: Any
    make: Callable[[], Any]
    path: str = ""


def choose(given: Any, variables: Mapping[str, Any]) -> Choice:
    """Find what was asked for.

    A format's name comes first, then a variable, then an import path; ``$name`` is a variable.

    Raises
    ------
    UnknownFormat, UsageError
        Nothing was found, or it cannot take documents.
    """
    if not isinstance(given, str):
        return _of(given, getattr(owner_of(given), "__name__", None) or type(owner_of(given)).__name__)
    if given.startswith("$"):
        if given[1:] not in variables:
            raise UsageError(f"this session has no variable {given[1:]!r}")
        return _of(variables[given[1:]], given[1:])
    name = _formats.ALIASES.get(given, given)
    if not _formats.is_format(name):
        if given in variables:
            return _of(variables[given], given)
        if ":" in given:
            return _of(load_path(given), given.rpartition(":")[2])
        if "," in given:
            each = [one.strip() for one in given.split(",") if one.strip()]
            raise UsageError(f"{given}: one writer at a time; attach {', then '.join(each)}")
    cls = _formats.writer_class(name)  # raises for an unknown name, with a suggestion
    return Choice(name, name, cls, None, cls)


def _of(thing: Any, label: str) -> Choice:
    if isinstance(thing, type) and issubclass(thing, Writer):
        if inspect.isabstract(thing) or not hasattr(thing, "name"):
            raise UsageError(f"{label} is not a complete format: it has no name")
        registered = thing.name if _is_registered(thing) else None
        return Choice(thing.name, registered, thing, None, thing, path_of(thing))
    if isinstance(thing, Writer):
        raise UsageError(f"{label} is one writer for one run: attach its class, {type(thing).__name__}")
    if isinstance(thing, type):
        try:
            inspect.signature(thing).bind()
        except ValueError:
            pass  # a class written in C, which does not tell: found out with the first run
        except TypeError as error:
            raise UsageError(
                f"{label} cannot be made without arguments ({one_line(error)}): "
                "make an object of it and attach that"
            ) from None
        if not (callable(getattr(thing, "receiver", None)) or "__call__" in dir(thing)):
            raise UsageError(f"{label} objects cannot be called with (name, doc)")
        return Choice(label, None, None, None, thing, path_of(thing))
    if receiver_of(thing) is None:
        raise UsageError(f"{label} is a {type(thing).__name__}, which cannot be called with (name, doc)")
    owner = owner_of(thing)
    callback = owner if receiver_of(owner) == thing else thing
    return Choice(label, None, None, callback, lambda: callback)


def _is_registered(cls: type[Writer]) -> bool:
    return cls.name in _formats.names() and _formats.writer_class(cls.name) is cls
