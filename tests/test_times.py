from __future__ import annotations

import time
from datetime import datetime

import pytest

from bluesky_export.errors import UsageError
from bluesky_export.times import parse_time


@pytest.fixture(autouse=True)
def chicago(monkeypatch):
    monkeypatch.setenv("TZ", "America/Chicago")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("typed", "means"),
    [
        ("2026", "2026-01-01T00:00-06:00"),
        ("2026-07", "2026-07-01T00:00-05:00"),
        ("2026-07-04", "2026-07-04T00:00-05:00"),
        ("2026-07-04 05:00", "2026-07-04T05:00-05:00"),
        ("2026-07-04T05:00:30.5", "2026-07-04T05:00:30.5-05:00"),
        ("2026-07-04 05:00+02:00", "2026-07-04T05:00+02:00"),
        ("2026-01-04 05:00Z", "2026-01-04T05:00+00:00"),
        ("2026-11-01 01:30", "2026-11-01T01:30-05:00"),  # the clock passes it twice: the first
        ("today", "2026-11-23T00:00-06:00"),
        ("yesterday", "2026-11-22T00:00-06:00"),
    ],
)
def test_times(typed, means):
    assert parse_time(typed, now=at("2026-11-23T12:34:56-06:00")) == at(means)


def test_yesterday_begins_at_midnight_also_where_the_clock_changed():
    assert parse_time("yesterday", now=at("2026-11-02T12:00-06:00")) == at("2026-11-01T00:00-05:00")


@pytest.mark.parametrize(
    ("typed", "seconds"), [("2h", 7200), ("3d", 259200), ("30min", 1800), ("1.5h", 5400)]
)
def test_so_long_ago(typed, seconds):
    assert parse_time(typed, now=1e9) == 1e9 - seconds


@pytest.mark.parametrize("typed", ["", "soon", "2026-13", "2026-02-30", "3 parsecs", "-2h"])
def test_what_is_no_time_says_what_would_be(typed):
    with pytest.raises(UsageError, match="2h or 3d"):
        parse_time(typed)


@pytest.mark.parametrize("typed", ["9999-12-31 23:59", 1e20, -1e20])
def test_a_time_beyond_the_calendar(typed):
    with pytest.raises(UsageError, match="beyond the calendar"):
        parse_time(typed)
