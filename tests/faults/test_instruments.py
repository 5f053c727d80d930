"""Writers as instruments have them: attached in each way, and never given a run twice."""

from __future__ import annotations

import h5py
import pytest
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd.sim import det1, motor1, motor2

from bluesky_export.attach import attach_writer, detach_writer, status
from bluesky_export.errors import WriterAttachError

from ..live.conftest import wait_until
from . import instruments
from .instruments import BitsWriter, PolarWriter, UsaxsWriter, XpcsWriter

MD = {"title": "tough", "X_energy": 8.0}
CLASSES = [BitsWriter, XpcsWriter, PolarWriter, UsaxsWriter]
HERE = instruments.__name__


def scans(number=2):
    for value in range(number):
        yield from bp.scan([det1], motor1, value, value + 1, 3, md={**MD, "number": value})


def check(paths, cls, number=2):
    """Read each file: its own values, and what the class adds."""
    found = []
    for path in paths:
        with h5py.File(path) as file:
            bluesky = file["entry/instrument/bluesky"]
            value = int(bluesky["metadata/number"][()])
            found.append(value)
            assert bluesky["streams/primary/motor1/value"][()].tolist() == [value, value + 0.5, value + 1]
            if cls is BitsWriter:
                assert file["entry/title"][()].decode().startswith("tough")
            elif cls is XpcsWriter:
                assert file["entry/instrument/incident_beam/incident_energy"][()] == 8.0
                assert file["entry/instrument/layout_version"][()].decode() == "TEST-2026"
                assert file.attrs["layout_version"] == "TEST-2026"
            elif cls is UsaxsWriter:
                assert file["entry/data"].attrs["signal"] == "det1"
    assert sorted(found) == list(range(number))


@pytest.mark.parametrize("how", ["object", "class", "option"])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_subclass_in_each_way(engine, documents, tmp_path, said, cls, how):
    if how == "object":
        attach_writer("nxwriter", tmp_path, RE=engine, variables={"nxwriter": cls()}, say=said)
    elif how == "class":
        attach_writer(f"{HERE}:{cls.__name__}", RE=engine, variables={}, say=said)
    else:
        options = {"writer": f"{HERE}:{cls.__name__}"}
        attach_writer("nexus", tmp_path, RE=engine, variables={}, options=options, say=said)
    engine(bpp.baseline_wrapper(scans(), [motor2]))
    result = detach_writer(RE=engine, say=said)
    assert not result.failed, said
    assert len(result) == 2
    check(result, cls)
    assert [doc["exit_status"] for name, doc in documents if name == "stop"] == ["success"] * 2


def test_external_files_of_each_scan(engine, tmp_path, said):
    """POLAR's plans tell the object before each scan which detector files it will have."""
    writer = PolarWriter()
    attach_writer("nxwriter", tmp_path, RE=engine, variables={"nxwriter": writer}, say=said)
    writer.external_files = {"eiger": "eiger/one.h5"}
    engine(scans(1))
    (path,) = detach_writer(RE=engine, say=said)
    with h5py.File(path) as file:
        assert file.get("entry/externals/eiger", getlink=True).filename == "eiger/one.h5"


def test_a_run_that_the_class_does_not_take_is_no_failure(engine, tmp_path, said):
    writer = UsaxsWriter()
    attach_writer("nxwriter", tmp_path, RE=engine, variables={"nxwriter": writer}, say=said)

    def plan():
        yield from bp.count([det1], md=MD)
        yield from scans()

    engine(bpp.baseline_wrapper(plan(), [motor2]))
    result = detach_writer(RE=engine, say=said)
    assert not result.failed, said
    assert len(result) == 2
    assert len(said.having("UsaxsWriter passes this run over")) == 1


@pytest.mark.parametrize("cls", [BitsWriter, PolarWriter])
def test_subscribed_by_a_plan_and_attached_writes_once(engine, tmp_path, said, cls):
    """8-ID and POLAR: ``@subs_decorator(nxwriter.receiver)`` around each acquisition."""
    writer = cls()
    calls = []
    start = writer.xref["start"]
    writer.xref["start"] = lambda doc: (calls.append(doc["uid"]), start(doc))
    attach_writer("nxwriter", tmp_path, RE=engine, variables={"nxwriter": writer}, say=said)
    writer.file_path = tmp_path

    @bpp.subs_decorator(writer.receiver)
    def acquire():
        yield from scans(1)

    def plan():
        yield from acquire()
        yield from writer.wait_writer_plan_stub()

    (first,) = engine(plan())
    wait_until(lambda: said.having("the plan has subscribed the same object"))
    (second,) = engine(scans(1))  # and what no plan gives it, it gets from us
    result = detach_writer(RE=engine, say=said)
    assert not result.failed, said
    assert calls == [first, second]
    assert [item.uid for item in result.written] == [second]
    check(list(tmp_path.glob("*.hdf"))[:1], cls, 1)
    assert len(list(tmp_path.glob("*.hdf"))) == 2


def test_subscribed_by_startup_is_left_alone(engine, tmp_path, said):
    writer = XpcsWriter()
    writer.file_path = tmp_path
    token = engine.subscribe(writer.receiver)
    (tmp_path / "ours").mkdir()
    with pytest.raises(WriterAttachError, match=r"XpcsWriter.*twice"):
        attach_writer("nexus", tmp_path / "ours", RE=engine, say=said)
    attach_writer("nexus", tmp_path / "ours", RE=engine, also=True, say=said)
    assert [row.state for row in status(engine)] == ["ready", "subscribed by startup"]
    engine(scans(1))
    writer.wait_writer()
    result = detach_writer(RE=engine, say=said)
    engine.unsubscribe(token)
    assert len(result) == 1
    assert len(list(tmp_path.glob("*.hdf"))) == 1
