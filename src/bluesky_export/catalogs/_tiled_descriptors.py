"""The descriptors of a stream, from the metadata of its node."""

from __future__ import annotations

import copy
from typing import Any

from ._plain import plain
from ._tiled_nodes import Node

_NOT_IN_DESCRIPTOR = ("_config_updates", "stream_name")


def descriptors_of(stream: Node, run: str) -> list[dict[str, Any]]:
    """Return a stream's descriptors in the order in which they were recorded.

    The first is the stream's metadata; of a later one only its configuration is kept, as an
    update. ``bluesky_tiled_plugins.exporters.build_descriptor_docs`` makes the same documents; it
    refuses a stream whose metadata does not fit the schema, or whose later descriptor configures
    a device that the first did not have, and then nothing of the run could be read.
    """
    metadata = plain(stream["attributes"].get("metadata") or {})
    first = {key: value for key, value in metadata.items() if key not in _NOT_IN_DESCRIPTOR}
    first.setdefault("data_keys", {})
    devices: dict[str, list[str]] = {}
    for name, data_key in first["data_keys"].items():
        if device := data_key.get("object_name"):
            devices.setdefault(device, []).append(name)
    first |= {"name": stream["id"], "run_start": run, "object_keys": devices}
    found = [first]
    for update in metadata.get("_config_updates") or []:
        later = copy.deepcopy(found[-1])
        later |= {key: update[key] for key in ("uid", "time") if key in update}
        for device, new in (update.get("configuration") or {}).items():
            known = later.setdefault("configuration", {}).setdefault(device, {})
            for part in ("data", "timestamps"):
                known.setdefault(part, {}).update(new.get(part) or {})
            known.setdefault("data_keys", new.get("data_keys") or {})
        found.append(later)
    return found
