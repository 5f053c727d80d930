"""A file depends on what was measured, not on how its documents arrived.

Every run of the corpus, in every format: read in pages of any size, as single events, and live, through
the pump that a RunEngine feeds. The files are equal but for the time of writing. Without ``--whole``, a
fifth of these cases.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bluesky_export.formats import BUILT_IN
from bluesky_export.testing import kit

from .fidelity import format_under_test
from .fidelity.msgpack import said_in
from .sampling import drawn, is_whole


@pytest.mark.sample(5)
class TestFormats(kit.ArrivalTests):
    """Live, and in a way that is drawn; in all ways with ``--whole``."""

    @pytest.fixture(params=BUILT_IN)
    def tested(self, request: pytest.FixtureRequest) -> kit.Tested:
        return format_under_test(request.param)

    @pytest.fixture
    def kinds(self, request: pytest.FixtureRequest, tested: kit.Tested) -> tuple[str, ...]:
        """Those that the sample has for this format."""
        items = [item for item in request.session.items if isinstance(item, pytest.Function)]
        params = [item.callspec.params for item in items if item.cls is request.cls]
        return tuple(one["run"] for one in params if "run" in one and one["tested"] == tested.name)

    @pytest.fixture
    def ways(self, request: pytest.FixtureRequest, tested: kit.Tested) -> Callable[[str], Sequence[str]]:
        every = [way for way in kit.PAGES if way != "1000"]
        count = len(every) if is_whole() else 1
        return lambda run: drawn(f"{run}/{tested.name}/ways", every, count)

    def content(self, path: Path) -> Any:
        return content(path)


# -- what is in a file, the time of writing aside ------------------------------------------------

_STAMPS = re.compile(rb"(?m)^#[FE] .*$")


def content(path: Path) -> Any:
    """Return what a file holds, without the name that it has and the time of its writing."""
    text = path.read_bytes()
    if path.suffix == ".jsonl":
        # How streams take turns depends on the pages; within a stream the order does not.
        lines = [json.loads(line) for line in text.splitlines()]
        streams: dict[str, list[str]] = {}
        for kind, doc in lines:
            streams.setdefault(f"{kind} {doc.get('descriptor', '')}", []).append(repr(doc))
        return streams
    if path.suffix == ".msgpack":
        return said_in(path)
    if path.name in ("catalog.yml", "documents_manifest.txt") or path.name.startswith("external_files_"):
        return None  # of a pack: these enter a run, and say nothing of it
    if path.suffix == ".dat":
        return _STAMPS.sub(b"", text)
    if path.name.endswith(("metadata.json", "images.json")):
        return re.sub(rb'"file": "[^"]*"', b"", text)
    return kit.file_content(path)
