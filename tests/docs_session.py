"""The session that the documentation's examples are typed into: a beamline's, on simulated devices."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .shell import Shell, new_shell

SETUP = """
import intake
from bluesky import RunEngine, plans as bp, preprocessors as bpp
from ophyd.sim import det1, motor, motor1, motor2, noisy_det
cat = intake.open_bluesky_msgpack_catalog({documents!r})
RE = RunEngine({{"sample": {{"name": "LaB6"}}, "proposal_id": "GUP-1", "scan_id": 552}})
_ = RE.subscribe(cat.v1.insert)
_ = RE(bp.count([noisy_det], 3))
uids = [RE(bp.scan([noisy_det], motor, -1, 1, 5))[0] for _ in range(7)]
uids += RE(bpp.baseline_wrapper(bp.scan([noisy_det], motor, -1, 1, 5), [motor1, motor2]))
%load_ext bluesky_export
"""
NOT_RUN = re.compile(r"<!-- not run: .+ -->\s*$")
"""Stands before a block that needs what a test has not: says what."""
WAIT = re.compile(r"<!-- wait: .+ -->\s*$")
"""Stands before a block whose output is that of writers that have nothing left to do."""
JOURNAL = "/var/tmp/bluesky-export-1000"


@dataclass(frozen=True)
class Block:
    """A block of a page: its language, its text, the line it begins at; whether it runs, and when."""

    language: str
    text: str
    line: int
    runs: bool
    waits: bool


def blocks(page: Path) -> Iterator[Block]:
    """Return the code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^```([^\n]*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        before = text[: found.start()]
        runs, waits = NOT_RUN.search(before) is None, WAIT.search(before) is not None
        yield Block(found[1], found[2], before.count("\n") + 2, runs, waits)


def typed(block: Block) -> bool:
    """Say whether a block is what a person types into a session."""
    first = block.text.lstrip().split("\n")[0]
    return block.language == "text" and re.match(r"(In \[\d+\]: )?(\w+ = )?[%!]", first) is not None


class Session:
    """A shell, and where the paths of the examples are in reality."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self.shell = shell
        self.folder = folder
        self.paths = {"/data/user/": f"{folder}/user/", "/tmp/": f"{folder}/tmp/"}
        for path in self.paths.values():
            Path(path).mkdir()
        self.paths["/data/packed/"] = f"{folder}/documents/"
        self.paths[JOURNAL] = f"{folder}/state/bluesky-export"
        shell.run(SETUP.format(documents=f"{folder}/documents/*.msgpack"))

    def run(self, code: str, ok: bool | None = True) -> str:
        """Run a cell of an example; return what it printed, with the paths of the example."""
        said = self.shell.run(_replaced(code, self.paths), ok)
        return _replaced(said, {real: shown for shown, real in self.paths.items()})

    def run_in_shell(self, command: str) -> str:
        """Run a line of a shell's; return what both streams had, with the paths of the example."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", _replaced(command, self.paths)],
            cwd=self.folder / "tmp",
            env={
                **os.environ,
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
                "PYTHONUNBUFFERED": "1",  # lines of both in the order in which they are printed
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said = _replaced(done.stdout, {real: shown for shown, real in self.paths.items()})
        assert "Traceback" not in said, said
        return said

    def settle(self) -> None:
        """Wait until the attached writers have nothing left to do."""
        from bluesky_export.attach import status

        deadline = time.monotonic() + 60
        while any(row.waiting or row.state != "ready" for row in status(self.shell.ns["RE"])):
            assert time.monotonic() < deadline, status(self.shell.ns["RE"])
            time.sleep(0.05)


def _replaced(text: str, paths: dict[str, str]) -> str:
    """Replace in one pass: the folder of the test has /tmp/ in its own path."""
    pattern = "|".join(map(re.escape, paths))
    return re.sub(pattern, lambda found: paths[found.group()], text)


@contextmanager
def docs_session(folder: Path) -> Iterator[Session]:
    """Open a session in a folder."""
    with new_shell() as shell:
        yield Session(shell, folder)


_CHANGING = [
    (r"\b\d{8}-\d{6}\b", "DATE-TIME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d)?", "TIME"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b", "UID"),
    (r"\b[0-9a-f]{7}\b", "UID"),  # one in a thousand has no digit
    (r"\b\d+\.\d s\b", "SECONDS"),
    (r"\bprocess \d+\b", "process PID"),
    (r"\bglobus-DATE-TIME-\d+\.txt", "globus-DATE-TIME.txt"),
    (r"(?m)^Out\[\d+\]: ?\n?", ""),
    (r" {2,}|-{5,}", "  "),
]


def lasting(text: str) -> str:
    """Return what of a session's output is the same each time."""
    for pattern, name in _CHANGING:
        text = re.sub(pattern, name, text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def shows(said: str, page: str) -> bool:
    """Say whether a session printed what a page shows, where a line ``…`` stands for any lines."""
    pattern = "\n".join(".*" if line == "…" else re.escape(line) for line in lasting(page).split("\n"))
    said = re.sub(r"(?m)^waiting for .*\n", "", said)  # on a machine with more to do
    return re.fullmatch(pattern, lasting(said), re.DOTALL) is not None
