"""The lines of a scan's header and of its end."""

from __future__ import annotations

import getpass
import logging
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from apstools.callbacks.spec_file_writer import _rebuild_scan_command

from ..documents.pages import Document
from ._spec_text import LINE_LIMIT, fits, key_text, one_line, spec_date, value_text

logger = logging.getLogger(__name__)

Notice = Callable[[str], None]

HIGHEST_NUMBER = 2**31 - 1  # PyMca keeps scan numbers in a C int
_PER_LINE = 8  # names in #O, values in #P, as SPEC has it


def scan_number(given: Any) -> int:
    """Return a scan_id as a number for ``#S``, 0 if readers cannot take it."""
    if isinstance(given, (bool, float, str)) or not hasattr(given, "__index__"):
        return 0
    return int(given) if 0 < int(given) <= HIGHEST_NUMBER else 0


def scan_command(start: Document, number: int, tell: Notice) -> str:
    """Return the text of ``#S``: the number, and the plan with its arguments as apstools has it."""
    known = dict(start)
    arguments = start.get("plan_args")
    arguments = known["plan_args"] = arguments if isinstance(arguments, Mapping) else {}
    for key, value in arguments.items():
        # apstools takes these from the start document, which may not have them
        if key == "detectors" or str(key).startswith("motor"):
            known.setdefault("detectors" if key == "detectors" else "motors", value)
    known["scan_id"] = number
    plan = one_line(start.get("plan_name", ""))
    try:
        text = _rebuild_scan_command(known)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        logger.debug("the plan's arguments are not of the usual form: %s", error)
        text = f"{number}  {plan}({value_text(arguments)})"
    text = one_line(text)
    if fits("#S " + text):
        return text
    tell("the plan's arguments are left out of the #S line: too long")
    text = f"{number}  {plan}(...)"
    return text if fits("#S " + text) else f"{number}  (...)"


def file_header_lines(
    path: object, start_time: float, who: tuple[str, str], uid: str, motors: list[str]
) -> list[str]:
    """Return a file header.

    The run in the comment makes each header unlike all others: spec2nexus takes one that equals
    an earlier one for that one, and the scan gets the motors of the last.
    """
    return [
        f"#F {one_line(path)}",
        f"#E {int(start_time)}",
        f"#D {spec_date(start_time)}",
        f"#C Bluesky  user = {who[0]}  host = {who[1]}  run = {one_line(uid)}",
        *numbered("#O", motors, "  "),
        *numbered("#o", motors, "  "),
    ]


def numbered(key: str, items: list[str], blank: str) -> list[str]:
    """Return lines of eight items; one without any, since PyMca fails where there is none."""
    rows = range(0, len(items), _PER_LINE) if items else range(1)
    return [f"{key}{row // _PER_LINE} " + blank.join(items[row : row + _PER_LINE]) for row in rows]


def metadata_lines(metadata: Mapping[str, Any], tell: Notice) -> Iterator[str]:
    """Yield ``#MD key = value``."""
    for key, value in metadata.items():
        if line := entry(f"#MD {key_text(key)} = ", value):
            yield line
        else:
            tell(f"metadata {key!r} is left out: too long for a line of {LINE_LIMIT} bytes")


def descriptor_lines(descriptor: Document, tell: Notice) -> Iterator[str]:
    """Yield the units, and the configuration of each device, as ``#U`` lines."""
    keys = descriptor["data_keys"].items()
    parts: dict[str, Any] = {"units": {name: key["units"] for name, key in keys if key.get("units")}}
    for device, record in (descriptor.get("configuration") or {}).items():
        parts[f"configuration {key_text(device)}"] = (record or {}).get("data") or {}
    for title, values in parts.items():
        if not values:
            continue
        if line := entry(f"#U {title} = ", values):
            yield line
            continue
        for key, value in values.items():
            if line := entry(f"#U {title} {key_text(key)} = ", value):
                yield line
            else:
                tell(f"{title} {key!r} is left out: too long for a line of {LINE_LIMIT} bytes")


def stop_lines(stop: Document, tell: Notice) -> Iterator[str]:
    """Yield the comments at the end of a scan: events, exit status, and what else is in the stop."""
    stamp = f"#C {spec_date(stop['time'])}.  "
    counts = stop.get("num_events")
    if isinstance(counts, Mapping):
        for key, value in counts.items():
            if line := entry(f"{stamp}num_events_{key_text(key)} = ", value):
                yield line
            else:
                tell(f"the number of events of stream {key!r:.60} is left out: its line is too long")
    yield stamp + one_line(f"exit_status = {stop.get('exit_status', 'not available')}")
    told = ("uid", "time", "run_start", "num_events", "exit_status")
    for key, value in stop.items():
        if key in told or value is None or value == "":
            continue
        if line := entry(stamp + key_text(key) + " = ", value):
            yield line
        else:
            tell(f"{key!r} of the stop document is left out: too long for a line of {LINE_LIMIT} bytes")


def entry(beginning: str, value: Any) -> str:
    """Return one line, or nothing if it is too long for the readers."""
    try:
        line = beginning + value_text(value)
    except RecursionError:
        return ""
    return line if fits(line) else ""


def user_and_host(login_id: Any) -> tuple[str, str]:
    """Return who is to stand in a file's header: of ``user@host``, else of this process."""
    if login_id is not None:
        user, _, host = str(login_id).rpartition("@")
        return _word(user or host), _word(host if user else "localhost")
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # no account for this process, as in containers
        user = f"uid{os.getuid()}" if hasattr(os, "getuid") else "BlueskyUser"
    return _word(user), _word(socket.gethostname() or "localhost")


def _word(text: str) -> str:
    """Return text without the two blanks that part the entries of a comment."""
    return " ".join(one_line(text).split())[:200] or "unknown"
