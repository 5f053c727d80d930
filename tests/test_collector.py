"""The garbage collector is held while a run is written, and is left as it was found."""

from __future__ import annotations

import gc

import pytest

from bluesky_export.collector import paused


def test_it_runs_again():
    assert gc.isenabled()
    with paused() as collect_new:
        assert not gc.isenabled()
        collect_new()
    assert gc.isenabled()


def test_it_runs_again_after_an_error():
    with pytest.raises(KeyboardInterrupt), paused():
        raise KeyboardInterrupt
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_off():
    gc.disable()
    try:
        with paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_is_new_is_collected_meanwhile():
    class Loop:
        alive = 0

        def __init__(self):
            Loop.alive += 1
            self.me = self

        def __del__(self):
            Loop.alive -= 1

    with paused() as collect_new:
        Loop()
        assert Loop.alive == 1
        collect_new()
        assert Loop.alive == 0
