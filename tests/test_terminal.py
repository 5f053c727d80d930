"""IPython in a pseudo-terminal, typed at as a person would."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from pathlib import Path

import pexpect
import pyte
import pytest

from bluesky_export import formats, options
from bluesky_export.options import export_parser, format_help
from bluesky_export.tables import folded

EXAMPLES = Path(__file__).parents[1] / "startup_examples"
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07|[()=>][0-9A-Z]?)|\r")


class Terminal:
    """One IPython in a terminal of 120 columns."""

    def __init__(self, script: Path, folder: Path) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--simple-prompt", "--colors=nocolor", "-i", str(script)],
            cwd=folder,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "IPYTHONDIR": str(folder / ".ipython")},
            encoding="utf-8",
            timeout=120,
            dimensions=(40, 120),
        )
        self.number = 1
        self._prompt()

    def _prompt(self) -> str:
        self.child.expect_exact(f"In [{self.number}]: ")
        return _ESCAPES.sub("", self.child.before)

    def type(self, line: str) -> str:
        """Type a line; return what it printed."""
        self.child.sendline(line)
        self.number += 1
        return self._prompt().removeprefix(line).strip()

    def leave(self) -> str:
        self.child.sendline("exit")
        self.child.expect(pexpect.EOF)
        self.child.close()
        assert self.child.exitstatus == 0
        return _ESCAPES.sub("", self.child.before)


@pytest.fixture(params=["databroker_session.py", "tiled_session.py"])
def terminal(request, tmp_path):
    terminal = Terminal(EXAMPLES / request.param, tmp_path)
    yield terminal
    terminal.child.close(force=True)


def test_a_session_as_a_newcomer_types_it(terminal, tmp_path):
    said = terminal.type("%attach_writer nexus")
    assert "nexus attached" in said
    terminal.type("uids = RE(bp.scan([noisy], motor, -1, 1, 11))")
    listed = terminal.type("%runs")
    assert re.search(r"^1 +\w{7} +\d{4}-\d\d-\d\d .* scan .* 11/11 .* success$", listed, re.MULTILINE), (
        listed
    )
    assert all(len(line) <= 120 for line in listed.splitlines())
    wrote = terminal.type(f"%export -1 spec {tmp_path}/out.dat")
    assert f"wrote {tmp_path}/out.dat (spec, run 1 " in wrote
    assert (tmp_path / "out.dat").read_text().count("\n#S 1 ") == 1
    assert "stream primary: 11 events" in terminal.type("%runs 1")
    wrong = terminal.type("%export 99 csv")
    assert wrong.startswith("RunNotFound: no run of")
    assert len(wrong.splitlines()) == 1
    assert "nexus" in terminal.type("%attach_writer")
    assert "nexus detached: 1 run" in terminal.type("files = %detach_writer")
    assert len(list(tmp_path.glob("*.hdf"))) == 1
    terminal.leave()


def test_leaving_the_session_finishes_the_files(terminal, tmp_path):
    terminal.type("%attach_writer json")
    terminal.type("uids = RE(bp.scan([noisy], motor, -1, 1, 11))")
    terminal.leave()
    assert len(list(tmp_path.glob("*.json"))) == 1
    assert not list(tmp_path.glob("*.part"))


# -- a help that is wider than the terminal ---------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80])
def test_help_is_broken_at_words(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # where argparse looks
    wide = export_parser().format_help()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(options, "terminal_width", lambda: width)
    texts = [export_parser().format_help(), *map(format_help, formats.names())]
    for text in texts:
        long = [line for line in text.splitlines() if len(line) > width]
        assert all(" " not in line.strip() for line in long if "==" not in line), long
    assert texts[0].split() == wide.split()  # no word is lost, or cut
    assert "\n\nformats:\n  csv " in texts[0]


def test_a_help_keeps_its_lists_and_its_lines():
    text = "formats:\n  csv   a table for each stream\n\n- one item that is\n  long\n- 2\n  x = 1\n"
    assert folded(text, 20) == (
        "formats:\n  csv   a table for\n        each stream\n\n- one item that is\n  long\n- 2\n  x = 1\n"
    )
    assert folded("- one item that is long\n  and goes on", 20) == "- one item that is\n  long and goes on"
    assert folded(text, 100) == folded(text, None) == text


# -- lines of live writers, which come from a thread -----------------------------------------------

LATER = """
import threading, time
from IPython import get_ipython
get_ipython().extension_manager.load_extension("bluesky_export")
from bluesky_export.magics import say

def later(event, lines):
    def tell():
        event.wait(60)
        for line in lines:
            say(line)
    thread = threading.Thread(target=tell)
    thread.start()
    return thread

def talk(cell):
    stop = threading.Event()
    def tell():
        while not stop.wait(0.001):
            say("json: FAILED")
    thread = threading.Thread(target=tell)
    thread.start()
    cell()
    stop.set()
    thread.join()

def rows():
    for row in range(3000):
        print("row", row, "of", 3000)

def dots():
    for dot in range(200):
        print(".", end="", flush=True)
        time.sleep(0.002)
    print()

class Slow:
    def _repr_pretty_(self, printer, cycle):
        showing.set()
        thread.join(0.3)
        printer.text("the result")
"""


class Screen:
    """IPython with its own prompt, on an emulated terminal: what a person sees."""

    def __init__(self, script: Path, folder: Path) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            [
                *("-m", "IPython", "--no-banner", "--colors=nocolor"),
                "--TerminalInteractiveShell.autosuggestions_provider=None",
                *("-i", str(script)),
            ],
            cwd=folder,
            env={
                **os.environ,
                "TERM": "xterm",
                "PROMPT_TOOLKIT_NO_CPR": "1",  # no one answers where the cursor is
                "IPYTHONDIR": str(folder / ".ipython"),
            },
            encoding="utf-8",
            dimensions=(40, 100),
        )
        self.screen = pyte.Screen(100, 40)
        self.stream = pyte.Stream(self.screen)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def until(self, *last: str) -> None:
        """Wait until these are the last lines."""
        deadline = time.monotonic() + 90
        while self.lines[-len(last) :] != list(last):
            assert time.monotonic() < deadline, self.lines
            with contextlib.suppress(pexpect.TIMEOUT):
                self.stream.feed(self.child.read_nonblocking(4096, timeout=0.1))

    def all_until(self, last: str) -> list[str]:
        """Wait until this is the last line; return all lines, those that have left the screen as well."""
        self.screen = pyte.HistoryScreen(100, 40, history=100_000, ratio=0.01)
        self.stream = pyte.Stream(self.screen)
        self.until(last)
        gone = ["".join(row[x].data for x in range(100)).rstrip() for row in self.screen.history.top]
        return [*gone, *self.lines]


@pytest.fixture
def prompt(tmp_path):
    (tmp_path / "later.py").write_text(LATER)
    screen = Screen(tmp_path / "later.py", tmp_path)
    screen.until("In [1]:")
    yield screen
    screen.child.close(force=True)


def test_a_line_from_a_thread_goes_above_what_is_typed_and_after_a_result(prompt):
    prompt.child.send("go = threading.Event(); thread = later(go, ['json: FAILED', 'json: again'])\r")
    prompt.until("In [2]:")
    prompt.child.send("answer = 42; threading.Timer(2, go.set).start()\r")
    prompt.until("In [3]:")
    prompt.child.send("ans")
    prompt.until("json: FAILED", "json: again", "In [3]: ans")
    prompt.child.send("wer\r")
    prompt.until("In [3]: answer", "Out[3]: 42", "In [4]:")
    prompt.child.send("showing = threading.Event(); thread = later(showing, ['json: FAILED']); Slow()\r")
    prompt.until("Out[4]: the result", "json: FAILED", "In [5]:")


@pytest.mark.parametrize("cell", ["rows", "dots"])
def test_a_line_from_a_thread_has_a_line_of_its_own_where_a_cell_prints(prompt, cell):
    prompt.child.send(f"talk({cell})\r")
    shown = prompt.all_until("In [2]:")
    told = [line for line in shown if "FAILED" in line]
    assert len(told) > 20
    assert set(told) == {"json: FAILED"}
    printed = "".join(line for line in shown if "FAILED" not in line)
    if cell == "dots":
        assert printed.count(".") >= 200
    else:
        assert re.search(r"row ?2999 ?of ?3000", printed)  # which may be cut by a line as well
