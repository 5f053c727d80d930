"""Making an attachment of what was chosen: its target, its identity, and a sink for each run."""

from __future__ import annotations

import json
import os
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import formats as _formats
from ..errors import BadOption, UsageError, WriterAttachError
from ..formats import Writer
from ..outputs import Target, stamp
from . import _answer
from ._answer import within
from ._attached import AttachedWriter
from ._choice import Choice
from ._engine import LiveWriters
from ._guard import Lane
from ._intents import Assignment
from ._objects import ObjectSink, is_nxwriter, owner_of
from ._preflight import check_room, parse_target
from ._sink import Say
from ._subscribed import subscribed_objects, subscribed_writers
from ._writing import WriterSink

Subset = tuple[tuple[str, ...] | None, tuple[str, ...] | None]
"""Streams and fields; None is all of them."""


def if_exists_checked(given: str) -> Any:
    """Return what to do about existing files, if it is one of the three."""
    if given not in ("refuse", "overwrite", "skip"):
        raise UsageError(f"if_exists={given!r}: refuse, overwrite or skip")
    return given


def format_writer(
    choice: Choice,
    target: Target,
    common: Mapping[str, Any],
    options: Mapping[str, Any],
    subset: Subset,
    say: Say,
    *,
    one_file: bool,
) -> AttachedWriter:
    """Return an attachment of a format.

    Parameters
    ----------
    choice : Choice
        The format.
    target : Target
        Where to write.
    common, options : Mapping
        Keyword arguments that all writers take, and those of this format as they were typed.
    subset : tuple
        Streams and fields.
    say : callable
        Shows a line to the user.
    one_file : bool
        Whether a format that appends goes on in one file where none was named, as apstools
        does: one for the time of attaching.

    Raises
    ------
    BadOption
        The format has no such option, or the value does not fit.
    """
    cls = choice.format_class
    assert cls is not None
    own = _checked(choice, cls, options)
    keywords = {**common, **own}
    streams, fields = subset
    asked = (target.folder, target.file, target.template, target.if_exists, target.address)
    key = ("format", cls, *asked, subset, repr(keywords))
    lane: Lane | None = None
    if cls.appends:
        lane = Lane()  # lines of two runs must not mix in one file
        if target.file is None and one_file and target.address is None:
            name = f"{stamp(time.time()):%Y%m%d-%H%M%S}"
            folder, slash, _ = target.template.rpartition("/")
            if slash:  # of the setting ``directory``: a file in each folder that runs give
                target = target.replaced(template=f"{folder}/{name}")
            else:
                target = target.replaced(file=f"{name}{cls.suffix}")

    def make_sink(attached: AttachedWriter, start: Mapping[str, Any]) -> WriterSink:
        return WriterSink(
            attached,
            start,
            cls=cls,
            target=attached.target or target,  # with a mark, once it is attached
            keywords=keywords,
            streams=streams,
            fields=fields,
            lane=lane,
        )

    return AttachedWriter(
        name=choice.label,
        format=choice.registered,
        target=target,
        where=target.typed,
        key=key,
        make_sink=make_sink,
        say=say,
        settings={"streams": streams, "fields": fields, **common, "options": own},
        assignment=_assignment(choice, target, keywords, subset),
    )


def _assignment(choice: Choice, target: Target, keywords: Mapping[str, Any], subset: Subset) -> Assignment:
    """Return what another process needs to write the same, now or when the session has ended."""
    try:
        plain = json.loads(json.dumps(dict(keywords))) == dict(keywords)
    except (TypeError, ValueError):
        plain = False
    streams, fields = subset
    return Assignment(
        name=choice.label,
        format=choice.registered if plain else None,
        folder=str(target.folder),
        file=target.file,
        template=target.template,
        if_exists=target.if_exists,
        streams=None if streams is None else list(streams),
        fields=None if fields is None else list(fields),
        keywords=dict(keywords) if plain else {},
        path=choice.path if plain and choice.registered is None else "",
        in_session=choice.registered is None
        or not plain
        or bool(set(keywords) & (choice.format_class or Writer).of_session),
        address=None if target.address is None else str(target.address),
    )


def _checked(choice: Choice, cls: type[Writer], options: Mapping[str, Any]) -> dict[str, Any]:
    if choice.registered is not None:
        return _formats.check_options(choice.registered, options)
    unknown = sorted(options.keys() - cls.own_options().keys())
    if unknown:
        known = ", ".join(cls.own_options()) or "none"
        raise BadOption(f"{cls.name} has no option {unknown[0]!r}; its options: {known}")
    return dict(options)


def object_writer(
    choice: Choice, path: str | Path | None, if_exists: str, subset: Subset, say: Say
) -> AttachedWriter:
    """Return an attachment of a callback of the session's own, or of a class of such.

    Raises
    ------
    UsageError
        A path was given to a callback that decides itself where it writes.
    """
    thing, make = choice.object, choice.make
    where, folder = "its own choice of file", None
    if path is not None:
        if thing is None or not is_nxwriter(thing):
            raise UsageError(f"{choice.label} decides itself where it writes: leave {path} out")
        target = parse_target(path, None)
        lines: list[str] = []

        def look() -> None:
            if target.file is not None or not target.folder.is_dir():
                raise UsageError(f"{choice.label} takes a folder that exists, not {path}")
            check_room(target.folder, lines.append)

        within(_answer.WHOLE_LOOK, path, look)
        for line in lines:
            say(line)
        where, folder = f"{target.folder}/", target.folder
    # An object with a receiver keeps one run at a time, as apstools' writers do. A plain callback
    # is given the runs as they interleave.
    lane = Lane() if thing is not None and callable(getattr(thing, "receiver", None)) else None
    streams, fields = subset

    def make_sink(attached: AttachedWriter, start: Mapping[str, Any]) -> ObjectSink:
        return ObjectSink(
            attached,
            start,
            make=make,
            folder=folder,
            streams=streams,
            fields=fields,
            overwrite=if_exists == "overwrite",
            lane=lane,
            elsewhere=attached.subscribed_elsewhere,
        )

    return AttachedWriter(
        name=choice.label,
        format=None,
        target=None,
        where=f"{where}; runs in this session",
        key=("object", id(thing) if thing is not None else make, folder, if_exists, subset),
        make_sink=make_sink,
        say=say,
        settings={"streams": streams, "fields": fields},
        assignment=Assignment(
            name=choice.label,
            format=None,
            if_exists=if_exists,
            streams=None if streams is None else list(streams),
            fields=None if fields is None else list(fields),
            path=choice.path,
            in_session=True,
        ),
    )


def _same_file(one: Path, other: Path) -> bool:
    """Say whether two paths lead to one file, through links as well."""
    if one == other:
        return True
    return within(_answer.FIRST_LOOK, other, lambda: os.path.realpath(one) == os.path.realpath(other))


def check_conflicts(
    engine: Any, live: LiveWriters, choice: Choice, wanted: AttachedWriter, *, also: bool
) -> None:
    """Refuse what would be written twice; ``also`` allows it of a format, in files of its own."""
    if choice.object is not None:
        if any(thing is owner_of(choice.object) for thing in subscribed_objects(engine, live.receive)):
            raise WriterAttachError(
                f"{choice.label} is subscribed to the RunEngine already and gets every run; "
                "RE.unsubscribe(its token) first"
            )
        for one in live.attached:
            if one.key[:2] == wanted.key[:2]:  # type: ignore[index]
                raise WriterAttachError(
                    f"{choice.label} is attached already, as {one.name}, with other settings"
                )
        thing, run_engine = owner_of(choice.object), weakref.ref(engine)
        wanted.subscribed_elsewhere = lambda: any(
            thing is other for other in subscribed_objects(run_engine(), live.receive)
        )
        return
    cls = choice.format_class
    for one in live.attached:
        if cls is not None and cls.appends and one.target and wanted.target and wanted.target.file:
            here = wanted.target.folder / wanted.target.file
            if one.target.file and _same_file(one.target.folder / one.target.file, here):
                raise WriterAttachError(
                    f"{one.name} writes to {here} already; detach it first, or give another file"
                )
    for found in subscribed_writers(engine, live.receive):
        if found.format == choice.label and not also:
            raise WriterAttachError(
                f"{found.name}, subscribed by the session's startup, writes {choice.label} files already, "
                "and each run would be written twice: RE.unsubscribe(its token) first, or add --also"
            )
