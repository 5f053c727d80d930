"""HTTP requests to a Tiled server, through the session's own client and with short patience.

Tiled's client objects try again for 45 s when a server is gone (``tiled.client.utils``), by
settings that belong to the whole process. The requests here go through the same
``httpx.Client`` (credentials, proxies and token refresh included) and give up after a second.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from ..errors import CatalogUnavailable, RunNotFound

MSGPACK = "application/x-msgpack"
ARROW = "application/vnd.apache.arrow.file"
OCTETS = "application/octet-stream"

_PAUSES = (0.2, 0.6)  # seconds before the second and the third attempt
_BUSY = frozenset((429, 502, 503, 504))
_LONGEST_URL = 2000  # Tiled's own limit (``BaseClient.URL_CHARACTER_LIMIT``)


def public_uri(uri: str) -> str:
    """Return a node's address as a person would write it, without anything secret.

    User, password and query (``?api_key=``) are left out, and so is the path of the API.
    """
    parts = urlsplit(str(uri))
    host = parts.netloc.rpartition("@")[2]
    path = parts.path
    for prefix in ("/api/v1/metadata", "/api/v1"):
        head, found, tail = path.partition(prefix)
        if found:
            path = head + tail
            break
    return urlunsplit((parts.scheme, host, path.rstrip("/"), "", ""))


class Server:
    """The server behind a Tiled client.

    Parameters
    ----------
    client : tiled.client.base.BaseClient
        Any node of the server. It is only read, never changed.
    """

    def __init__(self, client: Any) -> None:
        self.uri = public_uri(client.uri)
        self._http = client.context.http_client

    def json(self, url: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return what the server says of a node, or of the nodes in it."""
        import msgpack

        response = self._send("GET", url, MSGPACK, params)
        if response.headers.get("content-type", "").startswith(MSGPACK):
            # Tiled's own client decodes timestamps in this way.
            return msgpack.unpackb(response.content, timestamp=3)  # type: ignore[no-any-return]
        return response.json()  # type: ignore[no-any-return]

    def content(
        self,
        url: str,
        accept: str,
        params: Mapping[str, Any] | None = None,
        columns: list[str] | None = None,
    ) -> bytes:
        """Return the bytes of an array or a table; of a table some columns if they are given."""
        if columns is None:
            return self._send("GET", url, accept, params).content  # type: ignore[no-any-return]
        if len(url) + sum(len(name) + len("&column=") for name in columns) > _LONGEST_URL:
            return self._send("POST", url, accept, params, json=columns).content  # type: ignore[no-any-return]
        return self._send("GET", url, accept, {**(params or {}), "column": columns}).content  # type: ignore[no-any-return]

    def _send(
        self, method: str, url: str, accept: str, params: Mapping[str, Any] | None, **more: Any
    ) -> Any:
        import httpx

        # httpx lets params replace the query of a URL; the server's links have one.
        query = {**parse_qs(urlsplit(url).query, keep_blank_values=True), **(params or {})}
        for pause in (*_PAUSES, None):
            try:
                response = self._http.request(method, url, params=query, headers={"Accept": accept}, **more)
            except httpx.TimeoutException as error:
                raise CatalogUnavailable(
                    f"the Tiled server {self.uri} does not answer in time; try again, or ask who runs it"
                ) from error
            except httpx.TransportError as error:
                if pause is None:
                    raise CatalogUnavailable(
                        f"the Tiled server {self.uri} cannot be reached ({_short(error)}); "
                        "see whether it runs and whether this machine may reach it, then try again"
                    ) from error
            except Exception as error:
                if type(error).__name__ == "CannotRefreshAuthentication":
                    raise CatalogUnavailable(self._log_in("the login has expired")) from error
                if self._http.is_closed:
                    raise CatalogUnavailable(
                        f"the connection to the Tiled server {self.uri} was closed; connect again"
                    ) from error
                raise
            else:
                if pause is None or response.status_code not in _BUSY:
                    return self._checked(response, url)
            time.sleep(pause or 0)
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _checked(self, response: Any, url: str) -> Any:
        status = response.status_code
        if status < 400:
            return response
        where = public_uri(url)
        detail = _detail(response)
        if status == 401:
            raise CatalogUnavailable(self._log_in("it does not accept these credentials (401)"))
        if status == 403:
            raise RefusedRequest(self._log_in(f"it does not allow to read {where} (403)"), status)
        if status in (404, 410):
            raise RunNotFound(f"the Tiled server has nothing at {where} ({status}: {detail})")
        raise RefusedRequest(f"the Tiled server answers {status} for {where}: {detail}", status)

    def _log_in(self, why: str) -> str:
        return (
            f"the Tiled server {self.uri} refuses: {why}; log in (client.login()) or connect again "
            "with an api_key that may read"
        )


class RefusedRequest(CatalogUnavailable):
    """The server is there and answers a request with an error: of one run, it may give the next."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status

    @property
    def gone(self) -> bool:
        """Whether it is a proxy that answers, in the place of a server that does not."""
        return self.status in _BUSY


def _short(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _detail(response: Any) -> str:
    """Return the server's own words, in one line; a proxy's HTML page is not shown."""
    if response.headers.get("content-type", "").startswith("application/json"):
        try:
            body = response.json()
        except ValueError:
            return str(response.reason_phrase)
        if isinstance(body, dict) and body.get("detail"):
            return " ".join(str(body["detail"]).split())[:300]
    return str(response.reason_phrase)
