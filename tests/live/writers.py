"""Small writers, real ones: they write files through Output, and fail where they are told to."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import ClassVar

from bluesky_export.formats import Writer


class LinesWriter(Writer):
    """One line a document, with the rows of a page in lists."""

    name = "lines"
    suffix = ".lines"
    summary = "for the tests"
    as_it_goes = True
    made: ClassVar[list[LinesWriter]] = []

    def __init__(self, output, *, images="copy", root_map=None, tag: str = ""):
        super().__init__(output, images=images, root_map=root_map)
        self.tag = tag
        self.file = None
        self.flushes = 0
        self.thread = None
        type(self).made.append(self)

    def _line(self, name, doc):
        if self.file is None:
            self.file = self.output.part().open("w")
        self.file.write(json.dumps([name, doc], default=lambda v: v.tolist()) + "\n")

    def start(self, doc):
        super().start(doc)
        self._line("start", doc)

    def descriptor(self, doc):
        super().descriptor(doc)
        self._line("descriptor", doc)

    def event_page(self, doc):
        super().event_page(doc)
        self._line("event_page", doc)

    def stop(self, doc):
        super().stop(doc)
        self._line("stop", doc)

    def flush(self):
        self.flushes += 1
        if self.file is not None:
            self.file.flush()

    def release(self):
        if self.file is not None:
            self.file.close()

    def finish(self):
        self.release()


class AppendingWriter(LinesWriter):
    """All runs in one file, written as they go: two at once would mix."""

    name = "appending"
    appends = True

    def _line(self, name, doc):
        if self.file is None:
            self.file = self.output.path().open("a")
        self.file.write(json.dumps([name, doc], default=lambda v: v.tolist()) + "\n")

    def close(self):
        self.finish()
        return self.written([self.output.path()])


class KillingWriter(LinesWriter):
    """Takes its process down at runs with ``kill`` in their metadata."""

    name = "killing"

    def event_page(self, doc):
        if self.start_doc.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        super().event_page(doc)


class ThrottledWriter(LinesWriter):
    """Takes 200 events a second while there is a file ``throttle`` in its folder."""

    name = "throttled"

    def event_page(self, doc):
        for _ in doc["seq_num"]:
            if not (self.output.target.folder / "throttle").exists():
                break
            time.sleep(0.005)
        super().event_page(doc)


class SlowWriter(LinesWriter):
    """Takes half a second for a page."""

    name = "slow"

    def event_page(self, doc):
        time.sleep(0.5)
        super().event_page(doc)


class FailingWriter(LinesWriter):
    """Raises ``error`` in the method ``where``, for the first run only."""

    name = "failing"
    error: ClassVar[BaseException]
    where: ClassVar[str]
    armed: ClassVar[bool] = False
    made: ClassVar[list[LinesWriter]] = []

    def __getattribute__(self, name):
        cls = type(self)
        if cls.armed and name == cls.where:

            def fail(*args):
                cls.armed = False
                raise cls.error

            return fail
        return super().__getattribute__(name)


def read(path):
    """Return the documents of a file that LinesWriter made."""
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()]


def columns(docs, stream="primary"):
    """Return the columns of a stream, pages joined."""
    uids = {doc["uid"] for name, doc in docs if name == "descriptor" and doc["name"] == stream}
    joined: dict[str, list] = {}
    for name, doc in docs:
        if name == "event_page" and doc["descriptor"] in uids:
            for key, values in doc["data"].items():
                joined.setdefault(key, []).extend(values)
    return joined
