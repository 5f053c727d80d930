"""A session of its own, to be killed: real documents at a steady pace, and what was acknowledged.

``python -m tests.live.session FOLDER EVENTS PAUSE FORMAT…`` attaches the formats, one run after the
other, and prints a line of JSON for each look at its status: the uid of the run, the events journaled.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from event_model import compose_run

from bluesky_export.attach import attach_writer, detach_writer
from bluesky_export.live import live_writers


class Engine:
    """As much of a RunEngine as attaching needs."""

    state = "running"

    def subscribe(self, func):
        self.receive = func
        return 1

    def unsubscribe(self, token):
        pass


def documents(events, scan_id, metadata=None):
    """Yield a run of a motor and a detector."""
    run = compose_run(metadata={"plan_name": "scan", "scan_id": scan_id, **(metadata or {})})
    yield "start", run.start_doc
    key = {"dtype": "number", "shape": [], "source": "sim"}
    stream = run.compose_descriptor(
        name="primary",
        data_keys={"motor": dict(key, object_name="motor"), "det": dict(key, object_name="det")},
        object_keys={"motor": ["motor"], "det": ["det"]},
        hints={"motor": {"fields": ["motor"]}, "det": {"fields": ["det"]}},
        configuration={},
    )
    yield "descriptor", stream.descriptor_doc
    for number in range(events):
        data = {"motor": float(number), "det": number / 3}
        yield "event", stream.compose_event(data=data, timestamps=dict.fromkeys(data, 1.0 + number))
    yield "stop", run.compose_stop()


def main():
    folder, events, pause, *formats = sys.argv[1:]
    engine = Engine()
    for name in formats:
        target = Path(folder) / name
        target.mkdir(exist_ok=True)
        path = target / "scans.dat" if name == "spec" else f"{target}/"
        attach_writer(name, path, RE=engine, name=None if name == "spec" else "{uid}")
    live = live_writers(engine)
    workers = {}
    for scan_id in range(1, 1000):
        uid = None
        for kind, doc in documents(int(events), scan_id):
            uid = doc["uid"] if kind == "start" else uid
            engine.receive(kind, doc)
            time.sleep(float(pause))
            workers = {one.name: one.client.state for one in live.attached}
            run = next(
                (r.journal for r in list(live.recorder._runs.values()) if r.journal.uid == uid), None
            )
            count = run.events if run is not None else 0
            print(json.dumps({"run": uid, "journaled": count, "of": kind, "workers": workers}), flush=True)
    detach_writer(RE=engine)


if __name__ == "__main__":
    main()
