"""What a writer costs the RunEngine's thread: our hand-off beside callbacks as they are subscribed today.

    python benchmarks/bench_handoff.py [--events 2000] [--fields 10] [--writers 1,3] [--repeats 5]

Each callback is fed directly, with one event after the other as a fast scan emits them (a pause
of 0.2 ms between two), and timed alone: median and 99th percentile of one call, and the call with the
stop document; the middle of several repeats. With writers attached, the recorder keeps the journal on its
thread meanwhile, and the processes of the writers, which were started before, follow it.

Then as many events as go, without a pause: how fast they are in the journal, and how fast in the file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

from event_model import compose_run

from bluesky_export.attach import attach_writer, detach_writer
from bluesky_export.live import live_writers
from bluesky_export.live._handoff import Handoff

MOTOR, DETECTOR = "m", "d0"


def documents(events, fields):
    names = [MOTOR, *(f"d{number}" for number in range(fields - 1))]
    key = {
        "dtype": "number",
        "shape": [],
        "source": "PV:x",
        "units": "",
        "precision": 3,
        "lower_ctrl_limit": 0.0,
        "upper_ctrl_limit": 0.0,
    }
    run = compose_run(
        metadata={
            "plan_name": "scan",
            "scan_id": 1,
            "detectors": [DETECTOR],
            "motors": [MOTOR],
            "num_points": events,
            "plan_args": {"detectors": [DETECTOR], "args": [MOTOR, 0, 1], "num": events},
        },
        validate=False,
    )
    stream = run.compose_descriptor(
        name="primary",
        data_keys={name: dict(key, object_name=name) for name in names},
        object_keys={name: [name] for name in names},
        hints={name: {"fields": [name]} for name in names},
        configuration={},
        validate=False,
    )
    rows = [
        stream.compose_event(
            data=dict.fromkeys(names, number + 0.1),
            timestamps=dict.fromkeys(names, 1.7e9 + number),
            validate=False,
        )
        for number in range(events)
    ]
    return run.start_doc, stream.descriptor_doc, rows, run.compose_stop(validate=False)


def measure(callback, docs, pause):
    start, descriptor, rows, stop = docs
    clock = time.perf_counter_ns
    costs = []
    callback("start", start)
    callback("descriptor", descriptor)
    for row in rows:
        begin = clock()
        callback("event", row)
        costs.append(clock() - begin)
        if pause:
            time.sleep(pause)
    begin = clock()
    callback("stop", stop)
    end = clock() - begin
    costs.sort()
    return [costs[len(costs) // 2] / 1e3, costs[int(len(costs) * 0.99)] / 1e3, end / 1e3]


def show(title, measured):
    middle, high, stop = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"{title:<44} {middle:>9.2f} {high:>9.2f} {stop:>11.1f}", flush=True)


def quiet(text):
    """Say nothing."""


def nothing(name, doc):
    """Do nothing."""


class Engine:
    """As much of a RunEngine as attaching needs."""

    state = "running"

    def subscribe(self, func):
        self.receive = func
        return 1

    def unsubscribe(self, token):
        pass


def attach(number, folder):
    engine = Engine()
    for count in range(number):
        target = Path(folder) / str(count)
        target.mkdir(exist_ok=True)
        attach_writer("jsonl", target, RE=engine, if_exists="overwrite", say=quiet)
    live = live_writers(engine)
    while not all(one.client.state.startswith("process") and one.client._ready for one in live.attached):
        time.sleep(0.05)
    return engine


def attached(number, events, fields, pause, folder, repeats):
    engine = attach(number, folder)
    found = [measure(engine.receive, documents(events, fields), pause) for _ in range(repeats)]
    engine.state = "idle"
    result = detach_writer(RE=engine, say=quiet)
    assert not result.failed
    assert sum(item.events for item in result.written) == number * events * repeats
    assert live_writers(engine).receive is None
    return found


def throughput(events, fields, folder):
    """Return events per second of wall and of processor time, into the journal and into the file."""
    engine = attach(1, folder)
    live = live_writers(engine)
    start, descriptor, rows, stop = documents(events, fields)
    pid = live.attached[0].client._process.pid
    begin, used, worked = time.perf_counter(), time.process_time(), processor_time(pid)
    engine.receive("start", start)
    engine.receive("descriptor", descriptor)
    for row in rows:
        engine.receive("event", row)
    engine.receive("stop", stop)
    while live.recorder.events < events:
        time.sleep(0.001)
    journaled, used = time.perf_counter() - begin, time.process_time() - used
    while live.attached[0].runs < 1:
        time.sleep(0.01)
    written = time.perf_counter() - begin
    worked = processor_time(pid) - worked
    size = Path(f"/proc/{pid}/status").read_text()
    memory = int(size.partition("VmHWM:")[2].split()[0]) / 1e3
    engine.state = "idle"
    detach_writer(RE=engine, say=quiet)
    return events / journaled, events / used, events / written, events / worked, memory


def processor_time(pid):
    """Return the seconds that a process has used."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def peers(folder):
    from apstools.callbacks import NXWriter, SpecWriterCallback2
    from bluesky.callbacks.best_effort import BestEffortCallback
    from bluesky.callbacks.json_writer import JSONLinesWriter

    spec = SpecWriterCallback2()
    spec.newfile(Path(folder) / "peer.dat")
    nexus = NXWriter()
    nexus.file_name = Path(folder) / "peer.hdf"
    nexus.warn_on_missing_content = False
    best = BestEffortCallback()
    best.disable_plots()
    best.disable_table()
    lines = JSONLinesWriter(folder, "peer.jsonl")
    return {
        "bluesky BestEffortCallback (no table, no plot)": best,
        "bluesky JSONLinesWriter": lines,
        "apstools SpecWriterCallback2": spec.receiver,
        "apstools NXWriter (buffers until stop)": nexus.receiver,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--fields", type=int, default=10)
    parser.add_argument("--writers", default="1,3")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--burst", type=int, default=50_000)
    parser.add_argument("--pause", type=float, default=2e-4, help="seconds between two events")
    given = parser.parse_args()
    print(
        f"{given.events} events of {given.fields} fields, {given.pause * 1e3:g} ms apart; µs for one call"
    )
    print(f"{'':<44} {'median':>9} {'p99':>9} {'stop':>11}")

    def bare(callback):
        docs = (documents(given.events, given.fields) for _ in range(given.repeats))
        return [measure(callback, one, given.pause) for one in docs]

    show("nothing (a function that returns)", bare(nothing))
    show("the hand-off alone", bare(Handoff().receive))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ["XDG_STATE_HOME"] = folder
        for number in map(int, given.writers.split(",")):
            row = attached(number, given.events, given.fields, given.pause, folder, given.repeats)
            show(f"attached: {number} × jsonl", row)
        for title, callback in peers(folder).items():
            show(title, bare(callback))
        rates = [throughput(given.burst, given.fields, folder) for _ in range(given.repeats)]
    columns = [statistics.median(column) for column in zip(*rates, strict=True)]
    print(f"a burst of {given.burst:,} events, events per second:")
    print("  into the journal: {:,.0f}; of processor time {:,.0f}".format(*columns))
    print("  into a jsonl file: {2:,.0f}; of processor time {3:,.0f}".format(*columns))
    print("  the writer's process took {4:.0f} MB at most".format(*columns))


if __name__ == "__main__":
    main()
