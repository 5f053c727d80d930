"""``export --globus``: hand the files of an export to a Globus transfer.

The transfer is submitted with the Globus SDK (https://globus-sdk-python.readthedocs.io). The access token
is the environment variable ``BLUESKY_EXPORT_GLOBUS_TOKEN``, else the one that ``globus login`` has stored.
It is read when it is needed, sent to Globus, and is in no file, message, log or ``repr`` of ours. Where
there is none, or Globus does not take the transfer, a batch file for the ``globus`` command is written, and
the command that submits it is told.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import OutputError, UsageError
from .outputs import explain
from .printing import printable
from .replay import logger
from .results import counted
from .selection import Say
from .session import settings

TOKEN = "BLUESKY_EXPORT_GLOBUS_TOKEN"  # noqa: S105 - the name of a variable
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_RESOURCE_SERVER = "transfer.api.globus.org"
_STORE = Path("~/.globus/cli/storage.db")
_NAMESPACE = "userprofile/production"
_LABEL = 128


@dataclass(frozen=True)
class Plan:
    """Where files shall go: two endpoints, a path, a label.

    Attributes
    ----------
    source, destination : str
        The endpoints (collections), by their UUIDs.
    folder : str
        The path at the destination.
    label : str
        What the transfer is called.
    """

    source: str
    destination: str
    folder: str
    label: str

    @classmethod
    def parse(cls, destination: str, source: str | None = None, label: str | None = None) -> Plan:
        """Read what was typed, and the setting ``globus_source``.

        Raises
        ------
        UsageError
            A part is missing or cannot be understood; asked before anything is written.
        """
        endpoint, colon, folder = destination.partition(":")
        if not colon or not _UUID.fullmatch(endpoint) or not folder.startswith(("/", "~")):
            raise UsageError(
                f"--globus {destination}: write --globus ENDPOINT:/path/, the endpoint as its UUID "
                "(globus endpoint search NAME finds it)"
            )
        start = source or settings().globus_source
        if not start:
            raise UsageError(
                "from which Globus endpoint? --globus-source ENDPOINT, or once and for all: "
                '%config BlueskyExport.globus_source = "UUID"'
            )
        if not _UUID.fullmatch(start):
            raise UsageError(f"--globus-source {start}: give the UUID of the endpoint that has the files")
        named = label or f"bluesky-export {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
        # Globus takes letters, digits, blanks and a little more.
        return cls(start, endpoint, folder, re.sub(r"[^\w ,.-]", "_", named)[:_LABEL])


@dataclass(frozen=True)
class Item:
    """One file, or one folder with all that is in it."""

    source: str
    destination: str
    recursive: bool = False


@dataclass
class Handed:
    """What became of a hand-over."""

    items: list[Item] = field(default_factory=list)
    task: str | None = None
    batch: Path | None = None
    command: str = ""


def hand_over(
    paths: Sequence[Path], plan: Plan, *, dry_run: bool = False, say: Say | None = None
) -> Handed:
    """Hand files over to a Globus transfer.

    Parameters
    ----------
    paths : sequence of Path
        Absolute paths of files, or of one folder.
    plan : Plan
        Where from and where to.
    dry_run : bool
        Say what would be transferred; write and submit nothing.
    say : callable, optional
        Told, a line each, what happens.

    Returns
    -------
    Handed
        The id of the task, or the batch file and the command that submits it.

    Raises
    ------
    OutputError
        Globus refused, or cannot be reached. The files stay where they are; a batch file is beside them.
    """
    tell = say or logger.info
    handed = Handed(list(_items(paths, plan)))
    if dry_run:
        for item in handed.items:
            tell(f"would transfer {item.source} to {plan.destination}:{item.destination}")
        return handed
    token = _token()
    if token is None:
        _batch(paths, plan, handed)
        tell(
            f"not transferred yet: no Globus token here (globus login, or the variable {TOKEN}); "
            f"wrote {handed.batch}; submit it: {handed.command}"
        )
        return handed
    try:
        handed.task, status = _submit(handed.items, plan, token)
    except ImportError as error:
        _batch(paths, plan, handed)
        raise OutputError(
            f"the Globus SDK is missing ({error}): pip install 'bluesky-export[globus]'; the files are "
            f"written; without it: {handed.command}"
        ) from None
    except _Refused as error:
        _batch(paths, plan, handed)
        raise OutputError(f"{error}; the files are written; try later: {handed.command}") from None
    tell(
        f"Globus transfers {counted(len(handed.items), 'item')} to {plan.destination}:{plan.folder} "
        f"(task {handed.task}, {status}): https://app.globus.org/activity/{handed.task}"
    )
    return handed


class _Refused(Exception):
    """What Globus said, without what it must not say."""


def _items(paths: Sequence[Path], plan: Plan) -> Iterator[Item]:
    folder = PurePosixPath(plan.folder)
    common = _common(paths)
    for path in paths:
        if any(ord(c) < 32 for c in str(path)):
            raise UsageError(f"{printable(str(path))}: Globus takes no control characters in a path")
        yield Item(_mapped(path), str(folder / path.relative_to(common).as_posix()), path.is_dir())


def _common(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths]))


def _mapped(path: Path) -> str:
    """Return the path as the source endpoint knows it: the longest prefix of the setting counts."""
    known: dict[str, str] = settings().globus_paths
    for prefix in sorted(known, key=len, reverse=True):
        base = Path(prefix)
        if path == base or base in path.parents:
            return str(PurePosixPath(known[prefix]) / path.relative_to(base).as_posix())
    return path.as_posix()


def _token() -> str | None:
    """Return an access token: that of the environment, else the one that the globus command keeps."""
    given = os.environ.get(TOKEN, "").strip()
    if given:
        return given
    store = _STORE.expanduser()
    if not store.is_file():
        return None
    try:
        from globus_sdk.token_storage import SQLiteTokenStorage
    except ImportError:
        return None
    try:
        storage = SQLiteTokenStorage(store, namespace=_NAMESPACE)
        try:
            data = storage.get_token_data(_RESOURCE_SERVER)
        finally:
            storage.close()
    except Exception:  # a store of another version: as if there were none, and its content is not told
        logger.debug("the store of the globus command cannot be read")
        return None
    if data is None or (data.expires_at_seconds or 0) < time.time() + 60:
        return None
    return str(data.access_token)


def _submit(items: Sequence[Item], plan: Plan, token: str) -> tuple[str, str]:
    """Submit a transfer, which the SDK tries again where Globus is busy; return task and status."""
    import globus_sdk

    client = globus_sdk.TransferClient(authorizer=globus_sdk.AccessTokenAuthorizer(token))
    data = globus_sdk.TransferData(plan.source, plan.destination, label=plan.label, verify_checksum=True)
    for item in items:
        data.add_item(item.source, item.destination, recursive=item.recursive)
    try:
        task = str(client.submit_transfer(data)["task_id"])
        try:
            status = str(client.get_task(task)["status"])
        except globus_sdk.GlobusError:
            status = "submitted"  # it is; how it fares is on the page that is told
    except globus_sdk.TransferAPIError as error:
        raise _Refused(_explained(error, plan, token)) from None
    except globus_sdk.GlobusError as error:
        raise _Refused(f"Globus cannot be reached ({type(error).__name__})") from None
    except KeyError as error:
        raise _Refused(f"Globus answered without {error}") from None
    return printable(task), printable(status)


def _explained(error: Any, plan: Plan, token: str) -> str:
    hints = {
        401: "the token is not valid any more: globus login, or another in the variable",
        403: f"no permission on {plan.source} or {plan.destination}, or a consent is missing: globus login",
        404: f"no endpoint {plan.source} or {plan.destination}",
        409: "a transfer of the same files is under way",
    }
    said = printable(f"{error.code}: {error.message}").replace(token, "…")[:300]
    hint = hints.get(error.http_status)
    return f"Globus refused the transfer ({error.http_status}; {said})" + (f"; {hint}" if hint else "")


def _batch(paths: Sequence[Path], plan: Plan, handed: Handed) -> None:
    """Write a file for ``globus transfer --batch`` beside the files, under a name that nobody has."""
    lines = [
        shlex.join([item.source, item.destination, *(["--recursive"] if item.recursive else [])])
        for item in handed.items
    ]
    now = datetime.now().astimezone()
    path = _common(paths) / f"globus-{now:%Y%m%d-%H%M%S-%f}.txt"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    except OSError as error:
        raise explain(error, path) from error
    handed.batch = path
    words = [
        "globus",
        "transfer",
        plan.source,
        plan.destination,
        "--batch",
        str(path),
        "--label",
        plan.label,
    ]
    handed.command = shlex.join(words)
