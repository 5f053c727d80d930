"""Every kind of run: written, read back, and held against the documents."""

from __future__ import annotations

import copy
import functools
import math
import tempfile
from pathlib import Path

import pytest

from ...errors import NoData
from .. import RUNS, Made
from ._holding import hold
from ._replaying import replay
from ._streams import events_by_stream
from ._tested import Tested


class HoldTests:
    """What is in the files is what was measured, as the writer declares."""

    @pytest.fixture
    def corpus(self, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
        """Return every kind of run, made once."""
        return _corpus(tmp_path_factory.getbasetemp())

    @pytest.mark.parametrize("run", RUNS)
    def test_files_hold_what_the_writer_declares(
        self, tested: Tested, corpus: dict[str, Made], run: str, tmp_path: Path
    ) -> None:
        """Equal, converted by the declared rule, or left out with a notice."""
        written_as_declared(tested, corpus[run], tmp_path)

    def test_a_wrong_number_is_seen(self, tested: Tested, corpus: dict[str, Made], tmp_path: Path) -> None:
        """The reader looks: with one bit of one value changed, the same files are found wrong."""
        tried = 0
        for run in ("plain", "ad-hdf5", "many-events", "xafs"):
            made = corpus[run]
            if tested.refuses(made) is not None:
                continue
            (folder := tmp_path / run).mkdir()
            written = replay(tested.writer, made.documents, folder, root_map=made.root_map)
            hold(written, made, tested)
            for wrong in _wrong(made, tested):
                tried += 1
                with pytest.raises(AssertionError):
                    hold(written, wrong, tested)
        assert tried, "no run has anything in it that the writer declares to be in its files"


@functools.cache
def _corpus(base: Path) -> dict[str, Made]:
    folder = Path(tempfile.mkdtemp(prefix="corpus-", dir=base))
    return {name: kind.make(folder) for name, kind in RUNS.items()}


def written_as_declared(tested: Tested, made: Made, folder: Path) -> None:
    """Write a run and hold it; where there is nothing to write, that has to be said."""
    refused = tested.refuses(made)
    if refused is not None:
        with pytest.raises(NoData, match=refused):
            replay(tested.writer, made.documents, folder, root_map=made.root_map)
        assert list(folder.iterdir()) == [], "files of a run of which nothing was written"
        return
    hold(replay(tested.writer, made.documents, folder, root_map=made.root_map), made, tested)


def _wrong(made: Made, tested: Tested) -> list[Made]:
    """Return the run with other values: what no honest reader takes for the same."""
    declared = tested.writer.fidelity
    found = []
    if "primary" in events_by_stream(made.documents) and declared["float"].how != "left out":
        wrong = copy.deepcopy(made)
        event = next(doc for name, doc in wrong.documents if name == "event")
        event["data"]["m"] = math.nextafter(event["data"]["m"], math.inf)
        found.append(wrong)
    if declared["status"].how == "exact":
        wrong = copy.deepcopy(made)
        wrong.documents[-1][1]["exit_status"] = "abort"
        found.append(wrong)
    if made.external and declared["external"].how == "exact":
        wrong = copy.deepcopy(made)
        image = wrong.external["primary", "image"][1]
        image[..., 0, 0] += 1
        found.append(wrong)
    return found
