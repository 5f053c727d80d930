"""Runs in a Tiled server, through bluesky-tiled-plugins or a plain Tiled client.

Both kinds of server are read in the same way, one that was set up for Bluesky and a stock one.
Searches are asked in terms that every server knows (a stock one ignores Bluesky's own queries
without a word and answers with all its runs), and every answer is checked here.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..errors import CatalogUnavailable, NoCatalog, RunNotFound
from ._base import Catalog, Query, Run
from ._plain import start_time
from ._tiled_http import Server, public_uri
from ._tiled_nodes import CATALOG, RUN, Node, count, filters, is_run, search, spec_version
from ._tiled_runs import TiledRun, checked_run
from ._where import conditions, matches

_UID = re.compile(r"[0-9A-Za-z-]{36}")
_LATE = 10
"""Runs fetched beyond those asked for: one that was uploaded late is still sorted by its time."""


def _is_client(obj: Any) -> bool:
    # By name: this must not import Tiled, and a class of another version is as good.
    return any(
        cls.__name__ == "Container" and cls.__module__.startswith("tiled.client.")
        for cls in type(obj).__mro__
    )


def is_tiled(obj: Any) -> bool:
    """Say whether an object is a Tiled client that runs may be in, without importing Tiled."""
    return _is_client(obj) and not is_tiled_run(obj)


def is_tiled_run(obj: Any) -> bool:
    """Say whether an object is one run of a Tiled client."""
    return _is_client(obj) and spec_version(obj.item, RUN) is not None


def wrap_run(obj: Any) -> Run | None:
    """Return our run for a run of a Tiled client, None for anything else."""
    if not is_tiled_run(obj):
        return None
    server, node = Server(obj), copy.deepcopy(obj.item)
    if not ((node["attributes"].get("metadata") or {}).get("stop")):
        # It was running when the client object was made, and may have ended since.
        node = server.json(node["links"]["self"])["data"]
    return checked_run(server, node)


def open_tiled(uri_or_profile: str) -> TiledCatalog:
    """Connect to a server by its address, or by the name of a Tiled profile.

    Raises
    ------
    NoCatalog
        There is no such profile, or the address has no container.
    CatalogUnavailable
        The server cannot be reached, or wants credentials.
    """
    from tiled.client import from_profile, from_uri
    from tiled.profiles import load_profiles

    options: Mapping[str, Any] = {}
    connect: Callable[[], Any]
    if "://" in uri_or_profile:
        uri, connect = uri_or_profile, lambda: from_uri(uri_or_profile)
    else:
        profiles = load_profiles()
        if uri_or_profile not in profiles:
            load_profiles.cache_clear()  # made since this session read them, perhaps
            profiles = load_profiles()
        if uri_or_profile not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            raise NoCatalog(f"no Tiled profile {uri_or_profile!r}; profiles: {known}; a URI is http://…")
        options = profiles[uri_or_profile][1]
        uri, connect = str(options.get("uri", "")), lambda: from_profile(uri_or_profile)
    if uri:
        probe(uri, verify=options.get("verify", True))
    client = connected(connect, public_uri(uri) or uri_or_profile)
    if not _is_client(client):
        raise NoCatalog(f"{public_uri(uri)} is a {type(client).__name__}, not a container of runs")
    return TiledCatalog(client)


def probe(uri: str, *, verify: Any) -> None:
    """See whether anybody answers; Tiled's client would go on asking for 45 s.

    Raises
    ------
    CatalogUnavailable
        Nobody answers.
    """
    import httpx

    if not uri.startswith("https"):
        verify = False  # without TLS there are no certificates to read, which takes longer than the request
    try:
        httpx.get(uri, timeout=5, verify=verify)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CatalogUnavailable(
            f"the Tiled server {public_uri(uri)} cannot be reached ({' '.join(str(error).split())}); "
            "see whether the address is right and the server runs, then try again"
        ) from error


def connected(connect: Callable[[], Any], shown: str) -> Any:
    """Call what connects to a server, and say in one line what keeps it from that.

    Raises
    ------
    NoCatalog
        Nothing is at the address.
    CatalogUnavailable
        The server does not accept the credentials, or cannot be used.
    """
    import httpx

    try:
        return connect()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status == 404:
            raise NoCatalog(f"nothing at {shown} (404)") from error
        raise CatalogUnavailable(
            f"the Tiled server {shown} answers {status}; set TILED_API_KEY or log in: tiled login"
        ) from error
    except (httpx.HTTPError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        what, advice, _ = reason.partition("Set an api_key as in")  # Python, which is not typed here
        if advice:
            reason = f"{what}Set TILED_API_KEY, or log in: tiled login"
        raise CatalogUnavailable(f"the Tiled server {shown} cannot be used: {reason}") from error


class TiledCatalog(Catalog):
    """The runs in a container of a Tiled server: its root, a folder, or the result of a search.

    The client given is only read: its requests' credentials and its queries are used, its
    ``structure_clients`` make no difference, and ``.v2``, which changes all later look-ups of a
    client, is never touched. What is in the container and is not a run is passed over.

    Parameters
    ----------
    client : tiled.client.container.Container
        A ``CatalogOfBlueskyRuns`` or any other container.
    """

    def __init__(self, client: Any) -> None:
        self._server = Server(client)
        self.name = self._server.uri
        self._link = client.item["links"]["search"]
        self._self = client.item["links"]["self"].rstrip("/")
        # The queries of a client have no public name; without them a search result would be read
        # as the whole catalog.
        self._queries = list(client._queries)
        sorting = client.item["attributes"].get("sorting") or [{"key": "", "direction": 1}]
        self._backwards = [f"{'-' if int(s['direction']) > 0 else ''}{s['key']}" for s in sorting]
        version = spec_version(client.item, CATALOG)
        self._mongo = version is not None and not version.startswith("3.")

        uri = urlsplit(str(client.uri))
        self._context = client.context
        self.address: str | None = urlunsplit((uri.scheme, uri.netloc.rpartition("@")[2], uri.path, "", ""))
        """Where another process finds the container; None for an app inside of this process."""
        if uri.hostname == "local-tiled-app":  # what Tiled's Context.from_app calls it
            self.address = None

    @property
    def session_key(self) -> str | None:
        """The api_key that the session's client was given, which nobody else has."""
        return self._context.api_key  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<TiledCatalog {self.name}>"

    def newest(self, n: int, skip: int = 0) -> list[Run]:
        """Return up to ``n`` runs, newest first, after skipping the ``skip`` newest.

        In one request, of the runs that were put in last. A run that was uploaded long after it
        was measured counts as new, and is then sorted by its time.
        """
        if n <= 0:
            return []
        params = {**filters(self._queries), "sort": self._backwards}
        wanted = n + skip + _LATE
        nodes = search(self._server, self._link, params, page=wanted)
        runs = list(itertools.islice(self._runs(nodes), wanted))
        return _oldest_first(runs)[::-1][skip : skip + n]

    def by_scan_id(self, first: int, last: int | None = None) -> list[Run]:
        """Return all runs with ``first <= scan_id <= last``, oldest first."""
        from tiled.queries import Comparison, Eq

        if last is None or last == first:
            last = first
            queries = [Eq("start.scan_id", first)]
        else:
            queries = [Comparison("ge", "start.scan_id", first), Comparison("le", "start.scan_id", last)]

        def fits(run: Run) -> bool:
            found = run.scan_id
            return (
                isinstance(found, (int, float)) and not isinstance(found, bool) and first <= found <= last
            )

        return _oldest_first(run for run in self._search(queries) if fits(run))

    def by_uid(self, prefix: str, limit: int = 10) -> list[Run]:
        """Return up to ``limit`` runs whose uid begins with ``prefix``, taken literally."""
        if _UID.fullmatch(prefix):
            run = self._by_key(prefix)
            if run is not None:
                return [run]
        found = (run for run in self._search([self._uid_query(prefix)]) if run.uid.startswith(prefix))
        return _oldest_first(itertools.islice(found, limit))

    def search(self, query: Query) -> list[Run]:
        """Return the runs that match, oldest first.

        A text that reads as a number is searched for as both; a list matches by any text in it.
        """
        from tiled.queries import Comparison, Eq

        fixed: list[Any] = []
        if query.since is not None:
            fixed.append(Comparison("ge", "start.time", query.since))
        if query.until is not None:
            fixed.append(Comparison("lt", "start.time", query.until))
        keys = [
            self._alternatives(f"start.{key}", values)
            for key, values in conditions(query).items()
            if not (key == "plan_name" and query.plan is not None)
        ]
        if query.plan is not None:
            fixed.append(Eq("start.plan_name", query.plan))
        found: dict[str, Run] = {}
        for chosen in itertools.product(*keys):
            for run in self._search([*fixed, *chosen]):
                if matches(run.start, query):
                    found[run.uid] = run
        return _oldest_first(found.values())

    def __len__(self) -> int:
        from tiled.queries import SpecsQuery

        return count(self._server, self._link, filters([*self._queries, SpecsQuery([RUN])]))

    def wrap(self, run: Any) -> Run | None:
        """Return our :class:`Run` for a run of any Tiled client, else None."""
        return wrap_run(run)

    # -- requests --------------------------------------------------------------------------

    def _runs(self, nodes: Iterable[Node]) -> Iterator[TiledRun]:
        return (TiledRun(self._server, node) for node in nodes if is_run(node))

    def _search(self, queries: list[Any]) -> Iterator[TiledRun]:
        return self._runs(search(self._server, self._link, filters([*self._queries, *queries])))

    def _by_key(self, uid: str) -> TiledRun | None:
        """Look a run up by the name of its node, which its writers make the uid."""
        if self._queries:
            from tiled.queries import KeyLookup

            nodes: Iterable[Node] = search(
                self._server, self._link, filters([KeyLookup(uid), *self._queries]), page=1
            )
        else:
            try:
                nodes = [self._server.json(f"{self._self}/{uid}")["data"]]
            except RunNotFound:
                return None
        return next((run for run in self._runs(nodes) if run.uid == uid), None)

    def _uid_query(self, prefix: str) -> Any:
        if self._mongo:
            from bluesky_tiled_plugins.queries import PartialUID

            return PartialUID(prefix)
        from tiled.queries import Like

        # LIKE has no escape that every database knows: let "_" stand for any special character,
        # and check the answers.
        return Like("start.uid", re.sub(r"[%_\\]", "_", prefix) + "%")

    def _alternatives(self, key: str, values: list[Any]) -> list[Any]:
        """Return the searches of which any may find a value: as text, as a number, in a list."""
        from tiled.queries import Contains, Eq

        out: list[Any] = []
        for value in values:
            out.append(Eq(key, value))
            # To a database a list is its JSON text; MongoDB finds items of a list by equality.
            if isinstance(value, str) and not self._mongo and _plain_in_json(value):
                out.append(Contains(key, f'"{value}"'))
        return out


def _plain_in_json(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and not set(text) & set('"\\')


def _oldest_first(runs: Iterable[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: start_time(run.start))
