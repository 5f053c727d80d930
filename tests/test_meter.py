"""The bytes beside a progress bar."""

from __future__ import annotations

from typing import Any

import pytest

from bluesky_export import export, meter
from bluesky_export.meter import Meter, in_bytes

from .corpus import simulated_runs
from .memory_catalog import MemoryCatalog


class Bar:
    """What tqdm would show."""

    def __init__(self, **given: Any) -> None:
        self.given, self.events, self.beside, self.closed = given, 0, [], False

    def update(self, events: int) -> None:
        self.events += events

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self.beside.append(text)

    def set_description(self, text: str, refresh: bool) -> None:
        self.said = text

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1250, "1.2 kB"), (3.21e9, "3.2 GB"), (5e15, "5000.0 TB")],
)
def test_bytes_as_people_write_them(number, text):
    assert in_bytes(number) == text


def test_what_is_finished_and_what_grows_is_counted(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: now[0])
    bar, growing = Bar(), set()
    counting = Meter(bar, growing)
    done, part = tmp_path / "done", tmp_path / "part"
    done.write_bytes(b"x" * 3000)
    counting.finished([done])
    growing |= {part, tmp_path / "gone"}
    part.write_bytes(b"x" * 1000)
    now[0] = 0.1
    counting.update(5)
    assert bar.beside == []  # files are not looked at for each page
    now[0] = 2.0
    counting.update(5)
    assert bar.beside == ["4.0 kB, 2.0 kB/s"]
    assert bar.events == 10


def test_an_export_shows_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(meter, "EVERY", 0.0)
    bars = []

    def progress(**given):
        bars.append(Bar(**given))
        return bars[0]

    catalog = MemoryCatalog(simulated_runs().values())
    result = export("-2:", "json,spec", f"{tmp_path}/", catalog=catalog, progress=progress)
    (bar,) = bars
    assert bar.closed
    assert bar.said == "run 2/2"
    assert bar.events == bar.given["total"] == sum(one.events for one in result.written) / 2
    size = next(one for one in result.written if one.format == "json").files[0].stat().st_size
    assert bar.beside[-1].startswith(in_bytes(size)), bar.beside  # of the first run, as the second is read
