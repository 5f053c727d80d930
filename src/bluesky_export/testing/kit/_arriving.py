"""A file depends on what was measured, not on how its documents arrived."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ...attach import Detached, attach_writer, detach_writer
from ...errors import NoData
from ...formats import Writer, Written
from .. import RUNS, SCENARIOS, Made, Pairs
from ._content import assert_same, file_content
from ._replaying import replay
from ._tested import Tested

PAGES: Mapping[str, int | None] = {"1": 1, "7": 7, "1000": 1000, "all": 10**9, "events": None}
"""How many events a page has; ``events``: the documents as they were emitted."""


class Engine:
    """What emits documents as a RunEngine does: bluesky's own dispatcher, and a state."""

    def __init__(self) -> None:
        from bluesky.run_engine import Dispatcher

        self.dispatcher = Dispatcher()
        self.subscribe, self.unsubscribe = self.dispatcher.subscribe, self.dispatcher.unsubscribe
        self.state = "idle"

    def emit(self, documents: Pairs) -> None:
        """Give documents to what is subscribed."""
        from event_model import DocumentNames

        self.state = "running"
        for name, doc in documents:
            self.dispatcher.process(DocumentNames[name], doc)
        self.state = "idle"  # runs without a stop document end here


def measured(
    writer: type[Writer], folder: Path, documents: Pairs, root_map: Mapping[str, str] | None = None
) -> Detached:
    """Attach the writer, emit documents, and detach."""
    engine = Engine()
    folder.mkdir(parents=True, exist_ok=True)
    attach_writer(
        writer, folder, RE=engine, name="{uid}", root_map=root_map or {}, say=unheard, variables={}
    )
    engine.emit(documents)
    return detach_writer("all", RE=engine, say=unheard, timeout=280)


def unheard(text: str) -> None:
    """Say nothing: what is wrong is in the result."""


@dataclass
class Live:
    """All runs of the corpus, and what the attached writer made of them."""

    made: dict[str, Made]
    mixtures: dict[str, Pairs]
    written: dict[str, Written] = field(default_factory=dict)
    failed: dict[str, Any] = field(default_factory=dict)


class ArrivalTests:
    """In pages of any size, as single events, and live through the journal that a RunEngine feeds."""

    def content(self, path: Path) -> Any:
        """Return what a file holds, without its name and the time of its writing."""
        return file_content(path)

    @pytest.fixture
    def ways(self) -> Callable[[str], Sequence[str]]:
        """Return a function that says in which ways (of PAGES) to replay a run."""
        return lambda run: list(PAGES)  # noqa: ARG005

    @pytest.fixture
    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of run that are written live: all, or those that are going to be tested."""
        return tuple(RUNS)

    @pytest.fixture
    def live(
        self, tested: Tested, kinds: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
    ) -> Live:
        """Return every kind of run as one attached writer wrote them, one after the other, once."""
        writer: Any = tested.writer  # a class; mypy takes its objects' __hash__ for its own
        return _live(writer, kinds, tmp_path_factory.getbasetemp())

    @pytest.mark.parametrize("run", RUNS)
    def test_the_same_file_however_documents_arrive(
        self,
        tested: Tested,
        live: Live,
        run: str,
        ways: Callable[[str], Sequence[str]],
        tmp_path: Path,
    ) -> None:
        """Live = replay, in whatever pages."""
        made = live.made[run]
        uid = made.documents[0][1]["uid"]
        refused = tested.refuses(made)
        if refused is not None:
            assert uid not in live.written
            assert uid not in live.failed, live.failed[uid].traceback
            for way in ways(run):
                with pytest.raises(NoData, match=refused):
                    replay(tested.writer, made.documents, tmp_path, page_size=PAGES[way])
            assert list(tmp_path.iterdir()) == []
            return
        assert uid not in live.failed, live.failed[uid].traceback
        found = {"live": live.written[uid]}
        for way in {"1000", *ways(run)}:
            (tmp_path / way).mkdir()
            found[way] = replay(
                tested.writer, made.documents, tmp_path / way, page_size=PAGES[way], root_map=made.root_map
            )
        expected = found.pop("1000")
        contents = {suffix(path): self.content(path) for path in expected.files}
        for way, written in found.items():
            told = (written.events, written.status, written.partial)
            assert told == (expected.events, expected.status, expected.partial), way
            assert set(written.notices) == set(expected.notices), way
            assert [suffix(path) for path in written.files] == list(contents), way
            for path in written.files:
                what = f"{run} to {tested.name}, {way} against pages of 1000"
                assert_same(self.content(path), contents[suffix(path)], what)

    @pytest.mark.parametrize("name", SCENARIOS)
    def test_runs_that_are_mixed_give_the_files_of_each(
        self, tested: Tested, live: Live, name: str, tmp_path: Path
    ) -> None:
        """Runs that interleave or nest are told apart."""
        runs = runs_of(live.mixtures[name])
        wanted = {uid for uid, made in runs.items() if tested.refuses(made) is None}
        assert not live.failed.keys() & runs.keys()
        assert live.written.keys() & runs.keys() == wanted
        for uid in wanted:
            written = live.written[uid]
            (alone := tmp_path / "alone" / written.uid).mkdir(parents=True)
            expected = replay(tested.writer, runs[written.uid].documents, alone)
            for path, other in zip(written.files, expected.files, strict=True):
                assert_same(self.content(path), self.content(other), f"{name} to {tested.name}")


@functools.cache
def _live(writer: Any, kinds: tuple[str, ...], base: Path) -> Live:
    folder = Path(tempfile.mkdtemp(prefix=f"live-{writer.name}-", dir=base))
    made = {name: RUNS[name].make(folder / "detectors") for name in kinds}
    root_map = {root: here for one in made.values() for root, here in one.root_map.items()}
    documents = [pair for one in made.values() for pair in one.documents]
    mixtures = {name: mixture(folder) for name, mixture in SCENARIOS.items()}
    for mixture in mixtures.values():  # by the same process: to start one takes seconds
        documents += mixture
    detached = measured(writer, folder / "written", documents, root_map)
    return Live(
        made,
        mixtures,
        {item.uid: item for item in detached.written},
        {item.uid: item for item in detached.failed},
    )


def runs_of(mixture: Pairs) -> dict[str, Made]:
    """Sort the documents of several runs."""
    owner: dict[str, str] = {}
    runs: dict[str, Made] = {}
    for kind, doc in mixture:
        uid = doc["uid"] if kind == "start" else doc.get("run_start") or owner[doc["descriptor"]]
        owner[doc["uid"]] = uid
        runs.setdefault(uid, Made([])).documents.append((kind, doc))
    return runs


def suffix(path: Path) -> str:
    """Return what tells the files of a run apart: ``-primary.csv``, ``-metadata.json``, ``.h5``."""
    tail = re.sub(r"^(.*-S.*?-[0-9a-f]{7}|[0-9a-f-]{36})", "", path.name)
    return re.sub(r"(?<![0-9a-f-])[0-9a-f]{32}(?![0-9a-f])", "KEY", tail)  # another one each time
