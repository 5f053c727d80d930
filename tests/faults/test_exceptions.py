"""Whatever a writer raises, wherever, in every format: the scan and all other callbacks go on."""

from __future__ import annotations

import numpy as np
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd.sim import SynSignal, det1, motor1, motor2

from bluesky_export.attach import attach_writer, detach_writer, failed_runs, forget_failed, status

from ..live.conftest import wait_until
from ..sampling import drawn, is_whole
from . import PLAIN
from .raising import ERRORS, WHERE, path_of

camera = SynSignal(name="camera", func=lambda: np.ones((4, 5), "u2"))
"""Some formats hold nothing but images."""


def pytest_generate_tests(metafunc):
    """Draw a format for each kind of document; take all with ``--whole``: each case starts 12 processes."""
    if {"name", "where"} <= set(metafunc.fixturenames):
        whole = is_whole()
        pairs = [(name, where) for where in WHERE for name in (PLAIN if whole else drawn(where, PLAIN, 1))]
        metafunc.parametrize(("name", "where"), pairs)


def test_every_exception_type(engine, documents, tmp_path, said, name, where):
    for error in ERRORS:
        (tmp_path / error).mkdir()
        path = path_of(name, where, error)
        attach_writer(path, tmp_path / error, RE=engine, name="{uid}", variables={}, say=said)
    (tmp_path / "good").mkdir()
    attach_writer("jsonl", tmp_path / "good", RE=engine, say=said)
    attached = [row.name for row in status(engine)]
    assert len(attached) == len(ERRORS) + 1

    def plan():
        yield from bp.scan([det1, camera], motor1, 0, 1, 3, md={"fault": True})
        yield from bp.scan([det1, camera], motor1, 0, 2, 3)

    engine(bpp.baseline_wrapper(plan(), [motor2]))
    names = [kind for kind, _ in documents]
    once = ["start", "descriptor", "event", "descriptor", "event", "event", "event", "event", "stop"]
    assert names == once * 2
    assert [doc["exit_status"] for kind, doc in documents if kind == "stop"] == ["success"] * 2
    wait_until(lambda: [row.runs for row in status(engine)] == [1] * len(ERRORS) + [2], 60)
    wait_until(lambda: status(engine).rows[-1].state == "ready")
    rows = status(engine).rows
    assert [row.name for row in rows] == attached  # nothing went away by itself
    for error, row in zip(ERRORS, rows, strict=False):
        assert row.state == "FAILED (1 of 2 runs)"
        assert error in row.last_error or (error == "OSError" and "OutputError" in row.last_error)
    assert rows[-1].state == "ready"
    first, second = (doc["uid"] for kind, doc in documents if kind == "start")
    assert sorted(failed.uid for failed in failed_runs(engine)) == [first] * len(ERRORS)
    assert len(said.having("FAILED to write run")) == len(ERRORS)
    result = detach_writer(RE=engine, say=said)
    for writer in result.writers[:-1]:
        assert [item.uid for item in writer.written] == [second]
        assert writer.written[0].status == "success"
    for error in ERRORS:
        left = [path for path in (tmp_path / error).rglob("*") if path.is_file()]
        assert left, error
        assert all(second in str(path) for path in left), left  # nothing of the run that failed
    assert len(list((tmp_path / "good").iterdir())) == 2
    forget_failed(failed_runs(engine), engine)
