"""Stream resources and stream datums, made again from what a Tiled server knows of the files.

The writer of a Tiled catalog turns every kind of external data into nodes with *data sources*:
a kind of file, its addresses, and how to read them. What it was made from (resource and datum
documents, the cutting into datums) is not kept; bluesky-tiled-plugins' exporter makes the same
documents of it (``bluesky_tiled_plugins.exporters.json_seq_exporter``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from ..documents.pages import Pair
from ._tiled_nodes import Node
from ._tiled_tables import Notice

_DIGITS = re.compile(r"(\d+)")


def external_documents(
    node: Node, data_key: Mapping[str, Any], descriptor: str, run: str, notice: Notice
) -> Iterator[Pair]:
    """Yield the stream resource and the stream datum of one external field.

    Parameters
    ----------
    node : Mapping
        The field's node, asked for with its data sources.
    data_key : Mapping
        Its data key.
    descriptor, run : str
        The uids of the stream's first descriptor and of the run.
    notice : callable
        Takes one sentence for the user.
    """
    name = node["id"]
    sources = node["attributes"].get("data_sources") or []
    if not sources:
        notice(f"field {name}: the Tiled server does not tell in which files its values are")
        return
    source = sources[0]
    uris = _uris(source.get("assets") or [])
    if not uris:
        notice(f"field {name}: the Tiled server knows of no file for its values")
        return
    parameters = dict(source.get("parameters") or {})
    if multiplier := (node["attributes"].get("metadata") or {}).get("frame_per_point"):
        parameters.setdefault("multiplier", multiplier)
    rows = _datums(source, data_key, multiplier)
    if rows is None:
        notice(f"field {name}: how many events its values belong to cannot be told from their shape")
    else:
        parameters.setdefault("join_method", "stack" if rows.stacked else "concat")
    uri, first = uris[0], 0
    if len(uris) > 1 and "template" not in parameters:
        template = filename_template(uris)
        per_datum = len(uris) // rows.events if rows is not None and rows.events else 0
        # The index of a datum names its files: it counts from the number of the first one.
        if template is None or not per_datum or len(uris) % rows.events or template[2] % per_datum:  # type: ignore[union-attr]
            notice(
                f"field {name}: its values are in {len(uris)} files, and Tiled does not keep which "
                "events are in which; the files are listed, without the events"
            )
            for number, each in enumerate(uris):
                uid = f"sr-{descriptor}-{name}-{number}"
                yield "stream_resource", _resource(uid, name, run, source, parameters, each)
            return
        uri, parameters["template"], number = template
        parameters.setdefault("files_per_datum", per_datum)
        first = number // per_datum
    resource = f"sr-{descriptor}-{name}"
    yield "stream_resource", _resource(resource, name, run, source, parameters, uri)
    if rows is not None:
        yield (
            "stream_datum",
            {
                "uid": f"sd-{descriptor}-{name}-0",
                "stream_resource": resource,
                "descriptor": descriptor,
                "indices": {"start": first, "stop": first + rows.events},
                "seq_nums": {"start": 1, "stop": rows.events + 1},
            },
        )


class _Rows(NamedTuple):
    events: int
    stacked: bool


def _datums(source: Mapping[str, Any], data_key: Mapping[str, Any], multiplier: int | None) -> _Rows | None:
    """Return to how many events the values belong, by comparing the shapes of all and of one."""
    total = list((source.get("structure") or {}).get("shape") or [])
    one = list(data_key.get("shape") or [])
    if multiplier:  # frames a point, which the data key may or may not show
        one = [multiplier, *(one[1:] if one[:1] in ([1], [multiplier]) else one)]
    if total and len(total) == len(one) + 1:
        return _Rows(int(total[0]), stacked=True)
    if total and len(total) == len(one) and one[0] and total[0] % one[0] == 0:
        return _Rows(int(total[0]) // int(one[0]), stacked=False)
    return None


def _uris(assets: Sequence[Mapping[str, Any]]) -> list[str]:
    named = [asset for asset in assets if asset.get("parameter") in ("data_uris", "data_uri")]
    return [str(asset["data_uri"]) for asset in sorted(named or assets, key=lambda a: a.get("num") or 0)]


def _resource(
    uid: str, name: str, run: str, source: Mapping[str, Any], parameters: Mapping[str, Any], uri: str
) -> dict[str, Any]:
    return {
        "uid": uid,
        "data_key": name,
        "run_start": run,
        "mimetype": source.get("mimetype"),
        "parameters": dict(parameters),
        "uri": uri,
    }


def filename_template(uris: Sequence[str]) -> tuple[str, str, int] | None:
    """Find the number that counts through the files of a sequence.

    Returns
    -------
    tuple of str, str, int or None
        The folder's URI, a template for ``str.format``, and the first number, so that
        ``folder + template.format(first + i)`` is the i-th file; None if there is no such number.
    """
    folder = uris[0].rpartition("/")[0] + "/"
    if any(uri.rpartition("/")[0] + "/" != folder for uri in uris):
        return None
    # A template is filled in after the URI has become a path: nothing in it is quoted.
    files = [unquote(uri[len(folder) :]) for uri in uris]
    names = [_DIGITS.split(file) for file in files]
    if len({len(name) for name in names}) != 1:
        return None
    varying = [place for place, parts in enumerate(zip(*names, strict=True)) if len(set(parts)) > 1]
    if len(varying) != 1 or varying[0] % 2 == 0:  # odd places are the digits
        return None
    (place,) = varying
    first = names[0][place]
    padded = len({len(name[place]) for name in names}) == 1
    number = f"{{:0{len(first)}d}}" if padded else "{:d}"
    head, tail = (_literal("".join(parts)) for parts in (names[0][:place], names[0][place + 1 :]))
    template = f"{head}{number}{tail}"
    if any(template.format(int(first) + i) != file for i, file in enumerate(files)):
        return None
    return folder, template, int(first)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
