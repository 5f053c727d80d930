"""Whether Tiled would show the frames of detector files that a run refers to.

The plugins describe one file as so many rows from its first frame on: they leave the number that a frame
has in the file aside. Files of one image each are named by number, but not by each kind of number that a
datum may have. What they make of the run's documents is made here without a server, and put beside the
numbers in the documents. The files themselves are not opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..documents.fields import is_external
from ..documents.pages import Document, Pair
from ._spool import Spool
from ._tiled_files import needed

_NUMBERS = ("point_number", "index")
"""Arguments of a datum that say which frame, or which file, of its resource it is."""
_BYTES = "application/octet-stream"


@dataclass
class _Field:
    """The frames of one field of one stream, as far as they have come."""

    used: dict[str, int] = field(default_factory=dict)  # by resource
    before: int = 0  # frames of the resources before the present one

    def enter(self, resource: str) -> bool:
        """Go on to a resource; False if its turn is over."""
        if resource not in self.used:
            self.before = sum(self.used.values())
            self.used[resource] = 0
        return resource == next(reversed(self.used))


def misplaced(sent: Spool) -> str | None:
    """Find a field of which Tiled would show other frames than those of the run.

    Returns
    -------
    str or None
        The field, and what is wrong about it.
    """
    if not any(is_external(key) for doc in _descriptors(sent) for key in doc["data_keys"].values()):
        return None
    try:
        normal = list(_normalized(sent))
    except Exception:  # the plugins raise what they meet, and will do so when the run is sent
        return None
    return _found(normal, _numbers(sent.pages()))


def _descriptors(sent: Spool) -> Iterator[Document]:
    return (doc for name, doc in sent.pages() if name == "descriptor")


def _numbers(documents: Iterable[Pair]) -> dict[str, int]:
    """Return, by datum_id, which frame of its resource a datum is."""
    found: dict[str, int] = {}
    for name, doc in documents:
        if name == "datum_page":
            for key in reversed(_NUMBERS):
                pairs = zip(doc["datum_id"], doc["datum_kwargs"].get(key) or (), strict=False)
                found.update((datum, number) for datum, number in pairs if isinstance(number, int))
    return found


def _normalized(sent: Spool) -> Iterator[Pair]:
    """Yield what the plugins make of the documents that tell of files."""
    from bluesky_tiled_plugins.writing.tiled_writer import RunNormalizer

    taken: list[Pair] = []
    normalizer = RunNormalizer()
    normalizer.subscribe(lambda name, doc: taken.append((str(name), doc)))
    for name, doc in needed(sent):
        normalizer(name, doc)
        yield from (pair for pair in taken if pair[0] in ("descriptor", "stream_resource", "stream_datum"))
        taken.clear()


def _found(documents: Iterable[Pair], numbers: Mapping[str, int]) -> str | None:
    streams: dict[str, str] = {}
    resources: dict[str, Document] = {}
    fields: dict[tuple[str, str], _Field] = {}
    extents: dict[str, int] = {}  # by file: how many of its frames the run tells of
    for name, doc in documents:
        if name == "descriptor":
            streams[doc["uid"]] = str(doc["name"])
            continue
        if name == "stream_resource":
            resources[doc["uid"]] = doc
            continue
        uid, told = doc["stream_resource"], doc["indices"]["start"]
        resource = resources[uid]
        if resource["mimetype"] == _BYTES and not _is_numbered(resource):
            continue  # a file as it is
        place = (streams[doc["descriptor"]], resource["data_key"])
        known = fields.setdefault(place, _Field())
        if not known.enter(uid):
            return f"{'.'.join(place)} goes back to a file after another one, and Tiled goes on"
        right = numbers.get(doc["uid"])
        if right is None:  # numbers of stream datums go on with the next file, or begin anew
            right = told - known.before if told >= known.before else told
        taken = told - known.before if _is_numbered(resource) else known.used[uid]
        if taken != right:
            return (
                f"{'.'.join(place)} has frame {right + 1} of the detector's file where Tiled, which counts "
                "from the first one on, shows another"
            )
        known.used[uid] += doc["indices"]["stop"] - told
        extents[resource["uri"]] = max(extents.get(resource["uri"], 0), known.used[uid])
    return _interrupted(fields, resources, extents)


def _is_numbered(resource: Document) -> bool:
    """Say whether there is one file for each number."""
    parameters = resource.get("parameters") or {}
    return str(resource["mimetype"]).startswith("multipart/") or bool(parameters.get("template"))


def _interrupted(
    fields: Mapping[tuple[str, str], _Field],
    resources: Mapping[str, Document],
    extents: Mapping[str, int],
) -> str | None:
    """Find a field that goes on in a further file before the end of one: Tiled joins whole files."""
    for place, known in fields.items():
        for uid in list(known.used)[:-1]:
            if not _is_numbered(resources[uid]) and known.used[uid] < extents[resources[uid]["uri"]]:
                return (
                    f"{'.'.join(place)} leaves out the last frames of a detector's file that another "
                    "follows, and Tiled takes whole files"
                )
    return None
