"""A Tiled server to write to: connected with short patience, and with what it says in one line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..catalogs._tiled_http import public_uri
from ..catalogs.tiled import connected
from ..catalogs.tiled import probe as probe_uri
from ..errors import CatalogUnavailable, NoCatalog, NotFaithful, UsageError
from ..outputs import Address

_PAUSES = (0.2, 0.6, 1.5)
"""Seconds between the attempts to send what has not reached the server, or came back as busy."""
_BUSY = frozenset((429, 502, 503, 504))
_READ_TIMEOUT = 120.0  # seconds: a server that stores a large table is slow, not gone
_CONNECT_TIMEOUT = 10.0
_entered: set[tuple[str, str | None]] = set()
"""Addresses and keys with which a server has let us in: a run is not to ask for it once more."""


class ServerGone(CatalogUnavailable):
    """The server went away, or does not answer any more."""


class KeyRefused(CatalogUnavailable):
    """The server does not accept the key that was typed with its address, or not for writing."""


class Refused(NotFaithful):
    """The server, or the plugins' writer, does not take the run."""


def settings_of(address: Address) -> dict[str, Any]:
    """Return what Tiled's client needs to connect: ``uri`` and the rest.

    Raises
    ------
    NoCatalog
        There is no profile of that name.
    UsageError
        The profile has no address: its server is one inside of each process.
    """
    if address.is_uri:
        found: dict[str, Any] = {"uri": address.text}
    else:
        from tiled.profiles import load_profiles

        profiles = load_profiles()
        if address.text not in profiles:
            known = ", ".join(sorted(profiles)) or "none"
            raise NoCatalog(f"no Tiled profile {address.text!r}; profiles: {known}; an address is http://…")
        found = dict(profiles[address.text][1])
        if not found.get("uri"):
            raise UsageError(f"the Tiled profile {address.text!r} has no uri to write to")
    if address.key is not None:
        found["api_key"] = address.key
    return found


def probe(address: Address) -> None:
    """See whether anybody answers at an address; Tiled's own client would go on asking for 45 s.

    Raises
    ------
    NoCatalog, UsageError
        As :func:`settings_of`.
    CatalogUnavailable
        Nobody answers.
    """
    found = settings_of(address)
    probe_uri(str(found["uri"]), verify=found.get("verify", True))


def enter(address: Address) -> None:
    """See whether the server lets us in; where it has once, whether it answers.

    Raises
    ------
    NoCatalog, UsageError
        As :func:`connect`.
    CatalogUnavailable
        As :func:`connect`, and if the key may read only, or nobody may write without one. A key that was
        typed and is refused is forgotten.
    """
    if (address.text, address.key) in _entered:
        probe(address)
        return
    try:
        client = connect(address)
        try:
            _see_whether_it_may_write(client, address)
        finally:
            disconnect(client)
    except KeyRefused:
        address.forget_key()  # else it would be in the way of the one in the environment
        raise
    _entered.add((address.text, address.key))


def connect(address: Address) -> Any:
    """Return a client of the container that an address means; :func:`disconnect` has to follow.

    Raises
    ------
    NoCatalog, UsageError, CatalogUnavailable
        There is none, nobody answers, or the credentials are not accepted (:class:`KeyRefused`: the
        key that was typed).
    """
    import httpx
    from tiled.client import from_uri

    probe(address)
    options: Mapping[str, Any] = settings_of(address)
    where = public_uri(options["uri"])
    timeout = httpx.Timeout(_READ_TIMEOUT, connect=_CONNECT_TIMEOUT)
    try:
        client = connected(
            lambda: from_uri(**{"timeout": timeout, **options, "structure_clients": "numpy"}), where
        )
    except CatalogUnavailable as error:
        response = getattr(error.__cause__, "response", None)
        if address.key is None or response is None or response.status_code != 401:
            raise
        raise KeyRefused(
            f"the Tiled server {where} does not accept the api_key that was typed (401): type another one, "
            "or none to go by TILED_API_KEY or tiled login"
        ) from error
    _be_impatient(client)
    if not hasattr(client, "create_container"):
        disconnect(client)
        raise NoCatalog(f"{where} is a {type(client).__name__}, not a container that runs can be put into")
    return client


def _see_whether_it_may_write(client: Any, address: Address) -> None:
    """Send what is no node: a server looks at the permission before it looks at the request.

    What it says of the container itself, by its access policy, is seen with the first run only.
    """
    response = client.context.http_client.post(client.item["links"]["self"], json="not a node")
    if response.status_code in (401, 403):
        error = not_allowed(public_uri(client.uri), response.status_code)
        raise KeyRefused(str(error)) if address.key is not None else error


def not_allowed(where: str, status: int) -> CatalogUnavailable:
    """Return the error of a server that lets us read and not write."""
    return CatalogUnavailable(
        f"the Tiled server {where} does not allow to write ({status}): set TILED_API_KEY to a key that "
        "may, or log in (tiled login); or ask who runs it"
    )


def disconnect(client: Any) -> None:
    """Close the connections of a client."""
    client.context.http_client.close()


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _be_impatient(client: Any) -> None:
    """Have requests fail by errors of ours, which neither Tiled's client nor TiledWriter try again.

    Both try each request again for 45 s; and TiledWriter sends rows a second time though the server may
    have them (its ``_append_with_retry``), which would store them twice.
    """
    import httpx

    http = client.context.http_client
    inner, where = http._transport, public_uri(client.uri)

    class Impatient(httpx.BaseTransport):
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            for pause in (*_PAUSES, None):
                try:
                    response = inner.handle_request(request)
                except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
                    if pause is None:
                        raise ServerGone(
                            f"the Tiled server {where} cannot be reached ({_words(error)}); "
                            "see whether it runs, then try again"
                        ) from None
                except httpx.TransportError as error:
                    if pause is None or request.method != "GET":  # it may have been done: not sent again
                        raise ServerGone(
                            f"the Tiled server {where} went away ({_words(error)}); try again when it runs"
                        ) from None
                else:
                    if response.status_code < 500 and response.status_code != 429:
                        return response  # type: ignore[no-any-return]
                    response.read()
                    if response.status_code not in _BUSY:
                        raise Refused(f"the server answers {response.status_code}: {detail_of(response)}")
                    if pause is None or request.method != "GET":
                        raise ServerGone(
                            f"the Tiled server {where} is busy (it answers {response.status_code}); "
                            "try again later"
                        )
                time.sleep(pause or 0)
            raise AssertionError("the last attempt returns or raises")  # pragma: no cover

        def close(self) -> None:
            inner.close()

    http._transport = Impatient()


def detail_of(response: Any) -> str:
    """Return the server's own words, in one line."""
    try:
        body = response.json()
    except ValueError:
        return " ".join(response.text.split())[:200] or str(response.reason_phrase)
    detail = body.get("detail") if isinstance(body, dict) else None
    return " ".join(str(detail or response.reason_phrase).split())[:300]
