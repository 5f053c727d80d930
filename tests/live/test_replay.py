"""Live = replay: a file written while the run was measured, and one made of its documents later."""

from __future__ import annotations

import json
import re

import h5py
import numpy as np
import pytest
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd import Component, Device, Signal
from ophyd.sim import det1, motor1, motor2

from bluesky_export import formats
from bluesky_export.attach import attach_writer, detach_writer
from bluesky_export.documents.pages import paginate
from bluesky_export.outputs import Output, Target

from ..fidelity import formats_for
from ..fidelity.msgpack import said_in
from ..replaying import run_of


class Odd(Device):
    text = Component(Signal, value='a,"b"\\nc#d', kind="hinted")
    whole = Component(Signal, value=2**60 + 1, kind="normal")
    wave = Component(Signal, value=np.arange(4.0), kind="normal")


def plan():
    odd = Odd(name="odd")

    @bpp.run_decorator(md={"plan_name": "two_streams", "sample": {"name": "Al", "mass": None}})
    def inner():
        for value in range(5):
            yield from bps.mv(motor1, value / 3, odd.wave, np.full(4, value))
            yield from bps.trigger_and_read([det1, motor1, odd])
            if value % 2:
                yield from bps.trigger_and_read([motor2], name="side")

    yield from inner()
    yield from bpp.baseline_wrapper(bp.scan([det1], motor1, -1, 1, 4), [motor2])


def content(path):
    """Return what a file holds, stamps of the time of writing aside."""
    if path.suffix == ".msgpack":
        return said_in(path)
    if path.name in ("catalog.yml", "documents_manifest.txt"):
        return "they enter a run, and say nothing of it"
    if path.suffix in (".parquet", ".arrow", ".xlsx", ".png"):
        return path.read_bytes()
    if not h5py.is_hdf5(path):
        text = re.sub(r"(?m)^#[FDE] .*$", "", path.read_text())
        if path.suffix != ".jsonl":
            return text
        # How streams take turns depends on the pages; within a stream the order does not.
        lines = [json.loads(line) for line in text.splitlines()]
        return sorted(lines, key=lambda line: (line[1].get("descriptor", ""), line[0]))
    found = {}

    def visit(name, item):
        attributes = {key: value for key, value in item.attrs.items() if "time" not in key}
        value = item[()] if isinstance(item, h5py.Dataset) else None
        found[name] = (repr(value), getattr(value, "dtype", None), repr(attributes))

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


@pytest.mark.sample(2)
@pytest.mark.parametrize("page_size", [1, 7, 1000])
@pytest.mark.parametrize("name", formats_for(run_of({"x": [1.5]})))
def test_live_is_replay(engine, documents, tmp_path, said, name, page_size):
    live, later = tmp_path / "live", tmp_path / "later"
    live.mkdir()
    later.mkdir()
    attach_writer(name, live, RE=engine, say=said, name="{uid}")
    engine(plan())
    result = detach_writer(RE=engine, say=said)
    assert not result.failed, said
    cls = formats.writer_class(name)
    start = None
    for kind, doc in paginate(documents, page_size):
        if kind == "start":
            start = doc
            writer = cls(Output(Target(later, template="{uid}"), start, cls.suffix))
        writer(kind, doc)
        if kind == "stop":
            writer.close()
    assert sorted(p.name for p in live.iterdir()) == sorted(p.name for p in later.iterdir())
    assert len(result.written) == 2
    for path in result:
        mine, other = content(path), content(later / path.relative_to(live))
        assert mine
        if isinstance(mine, dict):
            assert mine.keys() == other.keys()
            differing = {key for key in mine if mine[key] != other[key]}
            assert not {key for key in differing if "time" not in key and "date" not in key}, differing
        else:
            assert mine == other
