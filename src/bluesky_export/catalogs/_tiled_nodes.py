"""What a Tiled server says of its nodes: pages of a search, children of a container.

A node is the server's own description (``{"id": …, "attributes": {"metadata": …}, "links": …}``),
not a client object: it is the same for every ``structure_clients`` of the user's client, and
asking for it changes nothing in that client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._tiled_http import RefusedRequest, Server

Node = Mapping[str, Any]

RUN = "BlueskyRun"
STREAM = "BlueskyEventStream"
CATALOG = "CatalogOfBlueskyRuns"
_MOST = 300  # the server's limit for a page (``MAX_PAGE_SIZE``)
_HEAD = ("metadata", "specs", "structure_family")  # not the structure: it costs a count a run


def spec_version(node: Node, name: str) -> str | None:
    """Return the version of one of a node's specs, ``""`` if it has none; None without the spec."""
    for spec in node["attributes"].get("specs") or []:
        if spec["name"] == name:
            return str(spec.get("version") or "")
    return None


def is_run(node: Node) -> bool:
    """Say whether a node is a run with a start document."""
    metadata = node["attributes"].get("metadata") or {}
    return spec_version(node, RUN) is not None and bool((metadata.get("start") or {}).get("uid"))


def filters(queries: Iterable[Any]) -> dict[str, list[Any]]:
    """Return queries (``tiled.queries``) as parameters of a request, as Tiled's client does."""
    from tiled.query_registration import default_query_registry

    out: dict[str, list[Any]] = {}
    for query in queries:
        name = default_query_registry.query_type_to_name[type(query)]
        for field, value in query.encode().items():
            if value is not None:
                out.setdefault(f"filter[{name}][condition][{field}]", []).append(value)
    return out


def search(
    server: Server,
    link: str,
    params: Mapping[str, Any],
    *,
    page: int = _MOST,
    fields: Iterable[str] = _HEAD,
) -> Iterator[Node]:
    """Yield the nodes of a search, page by page, each page when it is asked for."""
    fixed = {**params, "fields": list(fields)}
    answer = server.json(link, {**fixed, "page[offset]": 0, "page[limit]": max(1, min(page, _MOST))})
    while True:
        yield from answer["data"]
        following = (answer.get("links") or {}).get("next")
        if not following:
            return
        answer = server.json(following, fixed)


def count(server: Server, link: str, params: Mapping[str, Any]) -> int:
    """Return the number of nodes of a search, without their contents."""
    answer = server.json(link, {**params, "fields": "count"})
    return int(answer["meta"]["count"])


Family = dict[str, tuple[Node, dict[str, Node]]]
"""The nodes in a container, by name, each with the nodes in it."""


def family(server: Server, node: Node) -> Family | None:
    """Return two levels of a container in one request, with their structures and data sources.

    None where the server does not offer it, or where its answer is not plainly whole: then each
    container has to be asked for.
    """
    link, above = (node.get("links") or {}).get("search_deep"), node["attributes"].get("ancestors")
    if not link or above is None:
        return None
    params = {"include_data_sources": True, "max_depth": 2}
    try:
        nodes = list(search(server, link, params, fields=[*_HEAD, "structure", "data_sources"]))
    except RefusedRequest as error:
        if error.gone:
            raise
        return None  # a tree that is mounted, or is no catalog, is not searched in depth
    here = [*above, node["id"]]
    found: Family = {one["id"]: (one, {}) for one in nodes if one["attributes"].get("ancestors") == here}
    for one in nodes:
        *path, parent = one["attributes"].get("ancestors") or [None]
        if path == here and parent in found:
            found[parent][1][one["id"]] = one
    whole = len(found) + sum(len(parts) for _, parts in found.values()) == len(nodes)
    counted = all(
        (one["attributes"].get("structure") or {}).get("count") == len(parts)
        for one, parts in found.values()
        if one["attributes"]["structure_family"] == "container"
    )
    return found if whole and counted else None


def children(server: Server, node: Node, *, data_sources: bool = False) -> dict[str, Node]:
    """Return the nodes in a container, by name, with their structures."""
    params = {"include_data_sources": True} if data_sources else {}
    fields = [*_HEAD, "structure"] + (["data_sources"] if data_sources else [])
    found = search(server, node["links"]["search"], params, fields=fields)
    return {child["id"]: child for child in found}
