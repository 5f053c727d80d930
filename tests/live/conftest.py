"""A RunEngine for each test, and a look at what the test left behind."""

from __future__ import annotations

import threading
import time

import pytest

from bluesky_export import attach
from bluesky_export.live import live_writers
from bluesky_export.live._leaving import leave_hook

from .writers import FailingWriter, LinesWriter


class Lines(list):
    """Keeps what would be shown to the user."""

    def __call__(self, text):
        self.append(text)

    def having(self, part):
        return [line for line in self if part in line]


@pytest.fixture
def said():
    return Lines()


@pytest.fixture
def engine():
    from bluesky import RunEngine

    return RunEngine({}, call_returns_result=False)


@pytest.fixture
def documents(engine):
    """Every document, as another callback gets it."""
    seen = []
    token = engine.subscribe(lambda name, doc: seen.append((name, doc)))
    yield seen
    engine.unsubscribe(token)


@pytest.fixture(autouse=True)
def nothing_left(engine, monkeypatch, tmp_path):
    """No test may leave a thread, a subscription or an exit hook."""
    monkeypatch.chdir(tmp_path)
    LinesWriter.made.clear()
    FailingWriter.made.clear()
    FailingWriter.armed = False
    yield
    live = live_writers(engine)
    left = [one.name for one in live.attached]
    if left:
        attach.detach_writer(RE=engine, timeout=20, say=lambda text: None)
    wait_until(lambda: live.receive is None and not leave_hook._live, 10)
    threads = [t for t in threading.enumerate() if t.name.startswith("bluesky-export")]
    for thread in threads:
        thread.join(5)
    assert not [thread.name for thread in threads if thread.is_alive()]
    callbacks = [
        proxy for by_id in engine.dispatcher.cb_registry.callbacks.values() for proxy in by_id.values()
    ]
    assert not [proxy for proxy in callbacks if "bluesky_export" in str(proxy.func)]


def wait_until(condition, timeout=10.0):
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)
