"""What a writer leaves behind when something fails: nothing, under a final name or another."""

from __future__ import annotations

import errno
import fnmatch
import os
from pathlib import Path
from typing import Any

import pytest

from ...errors import BlueskyExportError
from ...formats import Writer, Written
from ...outputs import Output, Target, explain
from .. import RUNS, Made
from ._arriving import Engine, unheard
from ._replaying import drive, replay
from ._tested import Tested

WHERE = ("start", "descriptor", "event_page", "stop", "finish")
"""Methods that fail after they have done their work."""
_FIRST = ("all-streams", "plain", "ad-hdf5", "stream-hdf5")
_FULL = Path("/dev/full")


class FaultTests:
    """Disks that are full, documents that cannot be written, files that are there already."""

    @pytest.fixture
    def pair(self, tested: Tested, tmp_path: Path) -> list[Made]:
        """Two runs of which there is something to write."""
        found: list[Made] = []
        for name in dict.fromkeys((*_FIRST, *RUNS)):
            made = RUNS[name].make(tmp_path / "detectors")
            if tested.refuses(made) is None:
                found.append(made)
            if len(found) == 2:
                return found
        raise AssertionError("the format refuses every kind of run but one")

    @pytest.fixture
    def made(self, pair: list[Made]) -> Made:
        """Return a run of which there is something to write."""
        return pair[0]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Where to write to: a folder with a file that is not ours."""
        folder = tmp_path / "written"
        folder.mkdir()
        (folder / "other.txt").write_text("not ours")
        return folder

    @pytest.fixture
    def target(self, tested: Tested, folder: Path) -> Target:
        """Where to write to; for a format that appends a file that has a run already."""
        if not tested.writer.appends:
            return Target(folder)
        target = Target(folder, file=f"all{tested.writer.suffix}")
        replay(tested.writer, RUNS["two-descriptors"].make(folder.parent / "before").documents, target)
        return target

    def test_given_up_after_any_document(
        self, tested: Tested, made: Made, target: Target, folder: Path
    ) -> None:
        """``abort`` after each of the documents, twice, leaves the folder as it was."""
        before = held(folder)
        for count in range(len(made.documents) + 1):
            one = _begin(tested.writer, made, target)
            for name, doc in made.documents[:count]:
                one(name, doc)
            one.abort()
            one.abort()
            one.release()
            assert held(folder) == before, f"after {count} documents"

    @pytest.mark.parametrize("where", WHERE)
    def test_a_step_that_fails_leaves_nothing(
        self, tested: Tested, made: Made, target: Target, folder: Path, where: str
    ) -> None:
        """Whatever step of the writer ends in ENOSPC."""
        before = held(folder)
        with pytest.raises((OSError, BlueskyExportError)):
            replay(failing(tested.writer, where), made.documents, target, root_map=made.root_map)
        assert held(folder) == before

    def test_a_file_that_cannot_be_made_leaves_nothing(
        self, tested: Tested, made: Made, target: Target, folder: Path
    ) -> None:
        """The first file, the second, … until there is one more than the format needs."""
        before = held(folder)
        for number in range(1, 100):
            output = OutOfSpace(target, made.documents[0][1], tested.writer.suffix, number)
            one = tested.writer(output, root_map=made.root_map)
            if tested.writer.appends and target.file is not None:
                return  # it writes into the file that is there
            try:
                drive(one, made.documents)
            except (OSError, BlueskyExportError):
                one.abort()  # again
                assert held(folder) == before, f"file {number}"
            else:
                assert number > 1, "the format asks its output for no file"
                return

    def test_files_that_cannot_get_their_names_leave_nothing(
        self,
        tested: Tested,
        made: Made,
        target: Target,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The disk is full when the files are flushed to it."""

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        before = held(folder)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises((OSError, BlueskyExportError)):
                replay(tested.writer, made.documents, target, root_map=made.root_map)
        assert held(folder) == before

    @pytest.mark.skipif(not _FULL.exists(), reason="there is no /dev/full on this system")
    def test_a_full_disk_leaves_nothing(
        self, tested: Tested, made: Made, target: Target, folder: Path
    ) -> None:
        """Each write fails, in whatever library; but for HDF5, which may end the process."""
        import h5py

        (elsewhere := folder.parent / "elsewhere").mkdir()
        usual = replay(tested.writer, made.documents, elsewhere, root_map=made.root_map)
        if tested.writer.appends or any(h5py.is_hdf5(path) for path in usual.files):
            return
        before = held(folder)
        output = FullDisk(target, made.documents[0][1], tested.writer.suffix)
        one = tested.writer(output, root_map=made.root_map)
        with pytest.raises((OSError, BlueskyExportError)):
            drive(one, made.documents)
        one.abort()
        assert held(folder) == before

    @pytest.mark.parametrize("where", WHERE)
    def test_a_scan_goes_on(
        self, tested: Tested, pair: list[Made], target: Target, folder: Path, where: str
    ) -> None:
        """Live, a writer that fails harms no scan, and the next run is written."""
        from ...attach import attach_writer, detach_writer

        engine, seen = Engine(), []
        fault = failing(tested.writer, where, once=True)
        path = folder / target.file if target.file else folder
        made, again = pair
        roots = {**made.root_map, **again.root_map}
        before = set(held(folder))
        attach_writer(fault, path, RE=engine, root_map=roots, say=unheard, variables={})
        engine.subscribe(lambda name, _doc: seen.append(name))
        engine.emit([*made.documents, *again.documents])
        detached = detach_writer("all", RE=engine, say=unheard, timeout=200)
        assert seen == [name for name, _ in [*made.documents, *again.documents]]
        assert [one.uid for one in detached.failed] == [made.documents[0][1]["uid"]]
        assert [one.uid for one in detached.written] == [again.documents[0][1]["uid"]]
        mine = {str(path) for one in detached.written for path in one.files}
        assert set(held(folder)) == before | mine

    def test_what_is_there_is_not_touched(
        self, tested: Tested, made: Made, target: Target, folder: Path
    ) -> None:
        """The same run again is refused, before it is read and after; the files stay as they are."""
        written = replay(tested.writer, made.documents, target, root_map=made.root_map)
        before = held(folder)
        target = Target(target.folder, target.file, target.template)  # of another command
        with pytest.raises(BlueskyExportError):
            replay(tested.writer, made.documents, target, root_map=made.root_map)
        with pytest.raises(BlueskyExportError):
            drive(_begin(tested.writer, made, target), made.documents)
        assert held(folder) == before
        assert all(path.is_relative_to(folder) for path in written.files)

    def test_files_are_only_where_they_are_asked_for(
        self, tested: Tested, made: Made, target: Target, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is reported is what is there, and nothing is written to the current folder."""
        (here := folder.parent / "here").mkdir()
        monkeypatch.chdir(here)
        before = set(held(folder))
        written: Written = replay(tested.writer, made.documents, target, root_map=made.root_map)
        assert set(held(folder)) == before | set(map(str, written.files))
        assert list(here.iterdir()) == []
        assert written.format == tested.name
        streams = {doc.get("name", "primary") for name, doc in made.documents if name == "descriptor"}
        output = Output(target, made.documents[0][1], tested.writer.suffix)
        planned = [str(path) for path in tested.writer.planned(output, streams)]
        for path in written.files:
            assert any(fnmatch.fnmatch(str(path), one) for one in planned), f"--dry-run: {planned}"


def held(folder: Path) -> dict[str, bytes]:
    """Return the content of every file in a folder."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def failing(writer: type[Writer], where: str, *, once: bool = False) -> type[Writer]:
    """Return a writer that does its work and then runs out of disk, in one of its methods."""

    def fail(self: Writer, *args: Any) -> None:
        getattr(super(Failing, self), where)(*args)
        if Failing.armed:
            Failing.armed = not once
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class Failing(writer):  # type: ignore[misc, valid-type]
        armed = True

    setattr(Failing, where, fail)
    Failing.__name__ = writer.__name__
    return Failing


class OutOfSpace(Output):
    """There is no room for the file number ``number`` that is asked for."""

    def __init__(self, target: Target, start: Any, suffix: str, number: int) -> None:
        super().__init__(target, start, suffix)
        self._left = number
        self._known: set[tuple[str | None, str | None]] = set()

    def part(self, stream: str | None = None, suffix: str | None = None) -> Path:
        """Return a temporary path, or fail."""
        if (stream, suffix) not in self._known:
            self._left -= 1
            if self._left == 0:
                self._left = 1  # nor for any other
                raise explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), self.path(stream, suffix))
            self._known.add((stream, suffix))
        return super().part(stream, suffix)


class FullDisk(Output):
    """Every file is on a disk that is full: the system's ``/dev/full``."""

    def part(self, stream: str | None = None, suffix: str | None = None) -> Path:
        """Return a temporary path to which nothing can be written."""
        path = super().part(stream, suffix)
        if not path.is_symlink():
            path.unlink()
            path.symlink_to(_FULL)
        return path


def _begin(writer: type[Writer], made: Made, target: Target) -> Writer:
    return writer(Output(target, made.documents[0][1], writer.suffix), root_map=made.root_map)
