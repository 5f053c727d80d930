"""Runs that are odd as a whole: streams, descriptors, ends, scan_ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ._kinds import NUMBER, Columns, Kinds, Pairs, RunMaker, key

KINDS = Kinds()

_POINTS: Columns = {"m": (NUMBER, [-1.0, -1 / 3, 1.0]), "det": (key("integer"), [3, 1, 2])}
_BASELINE: Columns = {
    "bl_temperature": (NUMBER, [295.15, 295.25]),
    "bl_note": (key("string"), ["before", "after"]),
}


@KINDS.run(
    "plain", "a finished scan: what everything else deviates from", "float integer event-time event-uid"
)
def _plain(run: RunMaker) -> None:
    run.start()
    run.table(_POINTS, configuration=_configuration(1.0))
    run.stop()


def _configuration(gain: float) -> dict[str, object]:
    return {
        "det": {
            "data": {"det_gain": gain, "det_mode": "single"},
            "timestamps": {"det_gain": 1_700_000_000.5, "det_mode": 1_700_000_000.5},
            "data_keys": {"det_gain": {**NUMBER, "units": "V/A"}, "det_mode": key("string")},
        }
    }


@KINDS.run("zero-events", "a stream that was declared and never filled", "no-events")
def _zero_events(run: RunMaker) -> None:
    run.start()
    run.descriptor({"m": NUMBER, "det": key("integer"), "label": key("string")})
    run.stop()


@KINDS.run("no-fields", "a device that has nothing to read: its events are moments", "event-time seq_num")
def _no_fields(run: RunMaker) -> None:
    run.start("motors", "hints", plan_name="count")
    run.descriptor({}, configuration=_configuration(2.0))
    for _ in range(3):
        run.event({})
    run.stop()


@KINDS.run("stream-without-fields", "moments beside a scan", "streams event-time seq_num")
def _stream_without_fields(run: RunMaker) -> None:
    run.start()
    run.descriptor({}, "ticks", configuration=_configuration(2.0))
    run.event({}, "ticks")
    run.table(_POINTS)
    run.event({}, "ticks")
    run.stop()


@KINDS.run("no-streams", "a start and a stop document, nothing between them", "no-events")
def _no_streams(run: RunMaker) -> None:
    run.start("motors", "hints")
    run.stop(num_events={})


@KINDS.run("no-primary", "events, none of them in a stream called primary", "streams")
def _no_primary(run: RunMaker) -> None:
    run.start()
    run.table(_POINTS, "fast_axis")
    run.stop()


@KINDS.run("only-baseline", "a baseline before and after, no point between", "streams")
def _only_baseline(run: RunMaker) -> None:
    run.start("motors", "hints", plan_name="count")
    run.table(_BASELINE, "baseline")
    run.stop()


@KINDS.run(
    "all-streams", "baseline, primary, two monitors and a flyer's pages", "streams seq_num timestamps"
)
def _all_streams(run: RunMaker) -> None:
    run.start()
    run.descriptor({name: k for name, (k, _) in _BASELINE.items()}, "baseline")
    run.event({"bl_temperature": 295.15, "bl_note": "before"}, "baseline")
    run.descriptor({name: k for name, (k, _) in _POINTS.items()})
    run.descriptor({"ring": {**NUMBER, "units": "mA", "precision": 2}}, "ring_monitor")
    run.descriptor({"shutter": key("string")}, "shutter_monitor")
    run.descriptor({"m_flown": NUMBER, "counts": key("integer")}, "flyer")
    for point in range(3):
        run.event({"ring": 102.0 - point / 3}, "ring_monitor")
        run.event({"m": _POINTS["m"][1][point], "det": point}, "primary")
        if point == 1:
            run.event({"shutter": "open"}, "shutter_monitor")
    run.event({"bl_temperature": 295.25, "bl_note": "after"}, "baseline")
    for first in (0, 10):
        counts = list(range(first, first + 10))
        times = [run.begin + 10 + n / 7 for n in counts]
        run.page({"m_flown": [n / 9 for n in counts], "counts": counts}, times, "flyer")
    run.stop()


@KINDS.run("interleaved-streams", "events of two streams take turns", "streams")
def _interleaved(run: RunMaker) -> None:
    run.start()
    run.descriptor({"m": NUMBER})
    run.descriptor({"side": NUMBER, "m": NUMBER}, "side")
    for row in range(9):
        run.event({"m": row / 7})
        if row % 3:
            run.event({"side": -row / 3, "m": row / 7 + 0.5}, "side")
    run.stop()


@KINDS.run(
    "two-descriptors",
    "the configuration was changed in the middle of a stream",
    "descriptors configuration",
)
def _two_descriptors(run: RunMaker) -> None:
    run.start()
    run.descriptor({"m": NUMBER, "det": NUMBER}, configuration=_configuration(1.0))
    run.event({"m": 0.1, "det": 1.5})
    run.event({"m": 0.2, "det": 2.5})
    run.descriptor({"m": NUMBER, "det": NUMBER}, configuration=_configuration(10.0))
    run.event({"m": 0.3, "det": 3.5})
    run.stop()


@KINDS.run("new-field", "the second descriptor of a stream has a field more", "descriptors new-field")
def _new_field(run: RunMaker) -> None:
    run.start()
    run.descriptor({"m": NUMBER, "det": NUMBER})
    run.event({"m": 0.1, "det": 1.5})
    run.descriptor({"m": NUMBER, "det": NUMBER, "late": NUMBER})
    run.event({"m": 0.3, "det": 3.5, "late": 7.25})
    run.stop()


@KINDS.run("out-of-order", "pages whose times go backwards, as a flyer collects them", "event-time seq_num")
def _out_of_order(run: RunMaker) -> None:
    run.start()
    run.descriptor({"m": NUMBER, "det": key("integer")})
    for block in (3, 1, 2):
        times = [run.begin + 10 * block + n / 3 for n in range(4)]
        run.page({"m": [block + n / 4 for n in range(4)], "det": [block] * 4}, times)
    run.stop()


@KINDS.run("many-events", "more events than a page holds", "event-time seq_num")
def _many(run: RunMaker) -> None:
    run.start(num_points=1203)
    rows = range(1203)
    columns: Columns = {
        "m": (NUMBER, [n / 7 for n in rows]),
        "det": (key("integer"), [n * n for n in rows]),
    }
    run.table(columns)
    run.stop()


@KINDS.run("grid", "a scan of two motors", "float")
def _grid(run: RunMaker) -> None:
    run.start(
        motors=["m", "n"],
        shape=[2, 3],
        plan_name="grid_scan",
        hints={"gridding": "rectilinear", "dimensions": [[["m"], "primary"], [["n"], "primary"]]},
    )
    slow, fast = [n // 3 / 3 for n in range(6)], [n % 3 / 3 for n in range(6)]
    run.table({"m": (NUMBER, slow), "n": (NUMBER, fast), "det": (NUMBER, [n / 7 for n in range(6)])})
    run.stop()


# -- how it ended ------------------------------------------------------------------------------


def _ended(name: str, summary: str, *without: str, **stop: object) -> None:
    @KINDS.run(name, summary, "status stop")
    def _build(run: RunMaker) -> None:
        run.start()
        run.table(_POINTS)
        run.stop(*without, **stop)


_ended("aborted", "RE.abort()", exit_status="abort", reason="beam\ndump = #3")
_ended("halted", "RE.halt(): aborted, for no reason", exit_status="abort", reason="")
_ended("failed", "an exception ended the plan", exit_status="fail", reason="FailedStatus: <Status …>")
_ended("stop-without-counts", "a stop document without num_events and reason", "num_events", "reason")


@KINDS.run("unfinished", "a killed session: no stop document", "status stop")
def _unfinished(run: RunMaker) -> None:
    run.start()
    run.table(_POINTS)


@KINDS.run("only-start", "a killed session that had not measured anything", "status no-events")
def _only_start(run: RunMaker) -> None:
    run.start()


# -- who it is ---------------------------------------------------------------------------------


@KINDS.run("scan-id-missing", "no scan_id", "scan_id")
def _scan_id_missing(run: RunMaker) -> None:
    run.start("scan_id")
    run.table(_POINTS)
    run.stop()


def _scan_id(name: str, summary: str, scan_id: object, not_valid: str = "") -> None:
    @KINDS.run(name, summary, "scan_id", not_valid=not_valid)
    def _build(run: RunMaker) -> None:
        run.start(scan_id=scan_id)
        run.table(_POINTS)
        run.stop()


_scan_id("scan-id-zero", "scan_id 0", 0)
_scan_id("scan-id-text", "a scan_id that is text", "2026-3/run 7", "a scan_id is an integer")
_scan_id("scan-id-repeated-1", "one of two runs with one scan_id", 9001)
_scan_id("scan-id-repeated-2", "the other of two runs with one scan_id", 9001)


@KINDS.run("bare-start", "a start document with nothing but uid and time", "start scan_id")
def _bare(run: RunMaker) -> None:
    run.emit("start", {"uid": run.uid, "time": run.begin})
    run.table(_POINTS)
    run.stop()


# -- several runs at once ----------------------------------------------------------------------


def _two(scenario: str, folder: Path) -> tuple[Pairs, Pairs]:
    first, second = (RunMaker(f"{scenario}-{name}", folder) for name in ("outer", "inner"))
    for run in (first, second):
        run.start()
        run.table(_POINTS)
        run.stop()
    return first.made.documents, second.made.documents


def _interleave(folder: Path) -> Pairs:
    first, second = _two("interleaved", folder)
    return [pair for pairs in zip(first, second, strict=True) for pair in pairs]


def _nest(folder: Path) -> Pairs:
    first, second = _two("nested", folder)
    return [*first[:3], *second, *first[3:]]


SCENARIOS: Mapping[str, Callable[[Path], Pairs]] = {"interleaved-runs": _interleave, "nested-runs": _nest}
"""Documents of two runs of one plan, in the order in which a RunEngine emits them."""
