"""One run into a Tiled server: sent whole, compared with what the server has of it, or taken back."""

from __future__ import annotations

import math
import os
import secrets
import socket
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ..catalogs._tiled_http import Server
from ..catalogs._tiled_runs import TiledRun, checked_run
from ..errors import BlueskyExportError, NotFaithful, OutputError, RunNotFound
from ._spool import Spool
from ._tiled_compare import compare
from ._tiled_files import OTHERS, other_files
from ._tiled_server import Refused, ServerGone, detail_of, not_allowed
from ._tiled_values import Comparison, Differs

MARK = "bluesky_export"
"""A key of a node's metadata while we fill it: what is left of an upload that broke off has it."""
_BATCH = 100_000
"""Events sent in one request at most; TiledWriter fixes the type of a column by the first batch."""


class Upload:
    """One run for one container of a server.

    Parameters
    ----------
    client : tiled.client.container.Container
        Where runs are put.
    spool : Spool
        The run's documents, all of them.
    uid : str
        The run.
    finished : bool
        Whether it has a stop document.
    cut : bool
        Whether numbers of metadata may be cut.
    patience : float
        Seconds after which an upload from another machine that has not ended is taken to be dead.
    """

    def __init__(
        self, client: Any, spool: Spool, uid: str, *, finished: bool, cut: bool, patience: float
    ) -> None:
        self._mark = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.time(),
            "token": secrets.token_hex(8),
        }
        self._client = client
        self._server = Server(client)
        self._spool = spool
        self._uid = uid
        self._finished = finished
        self._cut = cut
        self._patience = patience
        self._self = client.item["links"]["self"].rstrip("/") + f"/{uid}"
        self.uri = self._self

    def run(self) -> tuple[Comparison, bool]:
        """See that the server has the run.

        Returns
        -------
        tuple of Comparison, bool
            What Tiled has converted, and whether the run was there already.

        Raises
        ------
        BlueskyExportError
            Another run has this uid, the server does not take the run, or it has gone. Then nothing of
            the run is there that was not before, as far as the server could be asked to remove it.
        """
        present = self._node()
        if present is not None and self._is_left_over(present):
            self._remove()
            present = None
        if present is not None:
            return self._same(present), True
        self._check_metadata()
        try:
            self._send()
            node = self._node()
            if node is None:
                raise Refused(f"run {self._uid[:7]} was sent, and is not in {self._server.uri}")
            found = self._sent(checked_run(self._server, node))
            self._unmark()
        except BaseException as error:
            self._take_back(error)
            raise
        return found, False

    # -- what is there ---------------------------------------------------------------------

    def _node(self) -> Mapping[str, Any] | None:
        try:
            return self._server.json(self._self)["data"]  # type: ignore[no-any-return]
        except RunNotFound:
            return None

    def _is_left_over(self, node: Mapping[str, Any]) -> bool:
        """Say whether a node is what an upload of ours left that broke off.

        Raises
        ------
        OutputError
            Another process is at it.
        """
        mark = (node["attributes"].get("metadata") or {}).get(MARK)
        if not isinstance(mark, Mapping):
            return False
        here = mark.get("host") == socket.gethostname()
        if here and mark.get("pid") != os.getpid() and _is_alive(mark.get("pid")):
            raise OutputError(
                f"run {self._uid[:7]} is being sent to {self._server.uri} by process {mark.get('pid')}; "
                "try again when that has ended"
            )
        began = mark.get("time")
        age = max(time.time() - float(began if isinstance(began, (int, float)) else 0), 0.0)
        if not here and age < self._patience:
            wait = math.ceil((self._patience - age) / 60)
            raise OutputError(
                f"run {self._uid[:7]} is being sent to {self._server.uri} from {mark.get('host')}, or was "
                f"{age / 60:.0f} minutes ago; try again in {wait} minutes, or "
                "if nothing is at it there any more: --option patience=0"
            )
        return True

    def _same(self, node: Mapping[str, Any]) -> Comparison:
        """Compare the run with the one that is there.

        Raises
        ------
        OutputError
            It is another one.
        """
        where = f"{self._server.uri} has another run under the uid {self._uid}"
        if not ((node["attributes"].get("metadata") or {}).get("start") or {}).get("uid"):
            raise OutputError(f"{self._server.uri} has something else than a run under the uid {self._uid}")
        run = checked_run(self._server, node)
        if run.stop is None and self._finished:
            raise OutputError(
                f"{self._server.uri} has run {self._uid[:7]} without its end: another writer is at it, or "
                "was broken off; it was left as it is"
            )
        try:
            found = compare(self._spool, run)
        except Differs as error:
            raise OutputError(f"{where}: {error}; it was left as it is") from None
        for place, what in other_files(self._spool, run):
            if what == OTHERS:
                raise OutputError(
                    f"{where}: {place}: {what}, or copies that cannot be read here; it was left as it is"
                )
            found.became(place, what)
        return found

    # -- sending ---------------------------------------------------------------------------

    def _check_metadata(self) -> None:
        """Refuse, before anything is sent, numbers that would be cut.

        Raises
        ------
        NotFaithful
            There are some, in the start document or in what a device is configured to.
        """
        from bluesky_tiled_plugins.utils import truncate_json_overflow

        if self._cut:
            return
        found = Comparison()
        for name, doc in self._spool.pages():
            if name == "start":
                _look_for_cuts(found, name, doc, truncate_json_overflow)
            elif name == "descriptor":  # not in data keys: 1.8e308 is EPICS's way to say "no limit"
                for device, known in (doc.get("configuration") or {}).items():
                    data = known.get("data") or {}
                    _look_for_cuts(found, f"configuration.{device}", data, truncate_json_overflow)
        if found.cut:
            listed = ", ".join(f"{where} = {value!r}" for where, value in list(found.cut.items())[:5])
            raise NotFaithful(
                f"run {self._uid[:7]} is not stored: Tiled's writer cuts whole numbers beyond 2**53 in "
                f"metadata ({listed}); to store it all the same, and hear what was cut: --option cut=true"
            )

    def _send(self) -> None:
        from bluesky_tiled_plugins import TiledWriter

        # Rows and frames that do not fill a batch are sent with the stop document: without one, one by one.
        writer = TiledWriter(_Marking(self._client, self._mark), batch_size=_BATCH if self._finished else 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is not as it was sent is found by comparing
            for name, doc in self._spool.singles():
                try:
                    writer(name, _listed(doc) if name == "event" else dict(doc))
                except BlueskyExportError as error:
                    if isinstance(error, Refused):
                        raise self._refused(error) from error
                    raise
                except Exception as error:  # TiledWriter raises whatever the server or pyarrow say
                    raise self._refused(error) from error

    def _refused(self, error: Exception) -> BlueskyExportError:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            return not_allowed(self._server.uri, status)
        return Refused(f"Tiled does not take run {self._uid[:7]} ({_reason(error)})")

    def _sent(self, run: TiledRun) -> Comparison:
        try:
            return compare(self._spool, run)
        except Differs as error:
            raise Refused(f"Tiled does not keep run {self._uid[:7]} as it is: {error}") from None

    def _unmark(self) -> None:
        from tiled.client import DELETE_KEY

        self._client[self._uid].update_metadata({MARK: DELETE_KEY}, drop_revision=True)

    # -- taking back -----------------------------------------------------------------------

    def _remove(self) -> None:
        self._client.delete_contents([self._uid], recursive=True, external_only=False)

    def _take_back(self, error: BaseException) -> None:
        """Remove what was sent; where that fails, the error says what is left."""
        if isinstance(error, ServerGone):
            left = True
        else:
            left = False
            try:
                node = self._node()
                mark = (node["attributes"].get("metadata") or {}).get(MARK) if node else None
                if (
                    mark and mark.get("token") == self._mark["token"]
                ):  # not what somebody else has put there
                    self._remove()
            except Exception:  # the first error is the one to tell
                left = True
        if left and isinstance(error, BlueskyExportError):
            with suppress(IndexError):
                error.args = (f"{error.args[0]}. What was sent is replaced when the run is sent again",)


class _Marking:
    """As much of a client as TiledWriter uses, with a mark in the metadata of the run that it makes."""

    def __init__(self, client: Any, mark: Mapping[str, Any]) -> None:
        self._client = client
        self._mark = mark

    def include_data_sources(self) -> _Marking:
        """Return one whose nodes tell their data sources, as TiledWriter asks."""
        return _Marking(self._client.include_data_sources(), self._mark)

    def create_container(self, *, metadata: Mapping[str, Any], **given: Any) -> Any:
        """Make the run's container."""
        return self._client.create_container(metadata={**metadata, MARK: self._mark}, **given)


def _reason(error: Exception) -> str:
    """Return what an error says, without schemas and addresses."""
    response, path = getattr(error, "response", None), getattr(error, "json_path", None)
    if isinstance(error, Refused):
        text = str(error)
    elif response is not None:
        text = f"it answers {response.status_code}: {detail_of(response)}"
    elif path is not None:  # of jsonschema
        text = f"{str(path).removeprefix('$.')}: {getattr(error, 'message', error)}"
    else:
        text = f"{type(error).__name__}: {error}"
    text = " ".join(text.split())
    return text if len(text) <= 300 else f"{text[:299]}…"


def _listed(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with lists for arrays: pyarrow takes arrays of one dimension only."""
    data = {
        key: value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        for key, value in event["data"].items()
    }
    return {**event, "data": data}


def _look_for_cuts(found: Comparison, where: str, value: Any, cut: Any) -> None:
    """Note the numbers of a value that would be cut; what else is odd about it is seen later."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _look_for_cuts(found, f"{where}.{key}", item, cut)
    elif isinstance(value, (list, tuple, np.ndarray, np.generic)):
        for item in np.ravel(value).tolist() if isinstance(value, (np.ndarray, np.generic)) else value:
            _look_for_cuts(found, where, item, cut)
    elif isinstance(value, (int, float)) and value == value and abs(value) != float("inf"):
        with suppress(Differs):
            found.value(where, value, cut(value))


def _is_alive(pid: Any) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, TypeError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
