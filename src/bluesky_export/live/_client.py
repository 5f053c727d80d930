"""The session's side of a worker: start it, give it runs, hear from it, start it again if it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ..documents.pages import Document
from ._inside import InsideWorker
from ._intents import Assignment, Intent
from ._journal import RunJournal
from ._sink import Sink, message_of, quietly

START_ATTEMPTS = 3
"""How often a process is started that does not get ready, before the session writes by itself."""
SILENT = 15.0
"""Seconds without a sign of a process that has something to do, before it is said."""
BACK_OFF = (0.0, 0.25, 1.0, 4.0, 10.0)
"""Seconds before a process is started again, by how often it has died since it last finished a run."""


class Ticket(Sink):
    """One run in a worker's hands: takes no documents, since the worker reads the journal."""

    pages: ClassVar[bool | None] = None

    def __init__(self, client: WorkerClient, intent: Intent, journal: RunJournal | None) -> None:
        self.client = client
        self.intent = intent
        self.journal = journal
        self.seen = 0
        self.events = 0
        self.ended = False
        self.over = False
        self.failure = ""
        self.again = False
        self.before = False

    def take(self, name: str, doc: Document) -> None:
        """Take nothing: see ``pages``."""

    def end(self, missing: dict[str, int]) -> None:
        """Tell the worker that nothing will come any more; what is missing it counts itself."""
        self.ended = True
        self.client.order({"end": self.intent.run})

    def fail(self, error: BaseException) -> None:
        """Tell the worker that documents are not in the journal."""
        self.failure = message_of(error) or type(error).__name__
        self.client.order({"fail": self.intent.run, "why": self.failure})

    def tick(self, now: float) -> None:
        """Do nothing: the client is looked after by itself."""

    @property
    def done(self) -> bool:
        """Whether the run is written, skipped or failed."""
        return self.over and self.ended

    @property
    def waiting(self) -> int:
        """Events in the journal that the worker has not read."""
        return max(0, self.journal.events - self.seen) if self.journal is not None and not self.over else 0


class WorkerClient:
    """A worker process, and the runs that it was given. Used by one thread; others may look.

    Parameters
    ----------
    writer : Path
        The files of the writer, without suffix; its assignment is there.
    tell : callable
        Shows a line to the user.
    done : callable
        Told of each run that is written, skipped or failed.

    Attributes
    ----------
    tickets : dict of str to Ticket
        The runs that are not done.
    busy : bool
        Another process writes for this writer.
    closed : bool
        It has ended.
    """

    def __init__(
        self, writer: Path, tell: Callable[[str], None], done: Callable[[Ticket, Intent], None]
    ) -> None:
        self.writer = writer
        self.tickets: dict[str, Ticket] = {}
        self.busy = False
        self.closed = False
        self._tell = tell
        self._done = done
        self._process: subprocess.Popen[bytes] | InsideWorker | None = None
        self._ready = False
        self._leaving = False
        self._deaths = 0  # since a run was finished
        self._start_at = 0.0
        self._last_death = ""
        self._orders: deque[bytes] = deque()
        self._rest = b""
        self._heard = 0.0
        self._said_silent = False

    @property
    def silent(self) -> float:
        """Seconds since a sign of a process that has something to do; 0 if it has nothing."""
        if self._process is None or not self._ready or not self.tickets:
            return 0.0
        return max(0.0, time.monotonic() - self._heard)

    @property
    def state(self) -> str:
        """``process 4711``, ``… starting``, ``… silent for 20 s``, ``restarting``, ``in this session``."""
        process = self._process
        if isinstance(process, InsideWorker):
            return "in this session"
        if process is None:
            return "" if self.closed else "restarting" if self._deaths else "starting"
        silent = f", silent for {self.silent:.0f} s" if self.silent >= SILENT else ""
        return f"process {process.pid}" + ("" if self._ready else " starting") + silent

    # -- orders ----------------------------------------------------------------------------

    def give(
        self,
        intent: Intent,
        journal: RunJournal | None = None,
        *,
        ended: bool = False,
        again: bool = False,
    ) -> Ticket:
        """Have a run written; ``again`` if it has failed before."""
        if not self.tickets:
            self._heard = time.monotonic()  # before it had nothing to say
        ticket = self.tickets[intent.run] = Ticket(self, intent, journal)
        ticket.ended, ticket.again = ended, again
        if self._process is not None:
            self._order_run(ticket)
        return ticket

    def _order_run(self, ticket: Ticket) -> None:
        name = ticket.intent.run
        self.order(
            {
                "again": ticket.again,
                "run": name,
                "intent": ticket.intent.as_dict(),
                "ended": ticket.ended,
                "death": self._last_death,
                "fail": ticket.failure,
            }
        )

    def order(self, message: dict[str, Any]) -> None:
        """Send an order; what cannot be sent now is sent later."""
        if self._process is not None:
            self._orders.append(json.dumps(message).encode() + b"\n")

    def leave(self) -> None:
        """Have it end when its runs are done."""
        if not self._leaving:
            self._leaving = True
            self.order({"leave": True})

    def tick(self, now: float) -> None:
        """Start, send, hear; never waits."""
        if self.closed:
            return
        if self._process is None:
            if self._leaving and not self.tickets:
                self.closed = True
            elif now >= self._start_at:
                self._start()
            return
        self._send()
        self._hear()
        if self.silent >= SILENT and not self._said_silent:
            self._said_silent = True
            self._tell(
                f"no sign of its process for {self.silent:.0f} s: it is at a large file, or its folder "
                "does not answer (a share that hangs?). Nothing is lost: the journal keeps the runs"
            )

    # -- the process -----------------------------------------------------------------------

    def _start(self) -> None:
        started: list[subprocess.Popen[bytes] | InsideWorker] = []
        inside = self._deaths >= START_ATTEMPTS and not self._ready
        error = quietly(
            lambda: started.append(InsideWorker(self.writer) if inside else _popen(self.writer))
        )
        if error is not None:
            self._died(f"cannot be started: {error}")
            return
        if inside:
            self._tell(f"its process {self._last_death}; it writes in this session, on a thread of its own")
        self._process, self._ready, self._rest = started[0], False, b""
        self._orders.clear()
        self._order_key()
        for ticket in self.tickets.values():
            ticket.seen = ticket.events = 0
            self._order_run(ticket)
        if self._leaving:
            self.order({"leave": True})

    def _order_key(self) -> None:
        """Tell the process the key of its address: through the pipe, since it is to be in no file."""
        address = Assignment.load(self.writer).target.address
        if address is not None and address.key is not None:
            self.order({"key": address.key})

    def _send(self) -> None:
        process = self._process
        while self._orders and process is not None and process.stdin is not None:
            data = self._orders.popleft()
            try:
                sent = process.stdin.write(data) or 0
            except OSError:  # it has died: seen when its reports end
                sent = 0
            if sent < len(data):
                self._orders.appendleft(data[sent:])
                return

    def _hear(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        while True:
            data = process.stdout.read(2**16)
            if data is None:
                return
            if not data:
                break
            self._heard = time.monotonic()
            if self._said_silent:
                self._said_silent = False
                self._tell("its process goes on")
            *lines, self._rest = (self._rest + data).split(b"\n")
            errors = [quietly(partial(self._take_line, line)) for line in lines]
            for error in filter(None, errors):  # when the other reports are taken: they come once
                raise error
        status = process.poll()
        if status is None:
            return  # its reports have ended, it is about to
        _close(process)
        self._process = None
        if self.busy or (self._leaving and not self.tickets):
            self.closed = True
        else:
            self._died(f"died ({_reason(status)})")

    def _died(self, how: str) -> None:
        self._last_death = how
        self._deaths += 1
        self._start_at = time.monotonic() + BACK_OFF[min(self._deaths, len(BACK_OFF)) - 1]
        if self._ready:
            runs = len(self.tickets)
            again = f"; {runs} run{'s' * (runs != 1)} begun again from the journal" if runs else ""
            self._tell(f"its process {how}; started again{again}. Nothing is lost")

    def _take_line(self, line: bytes) -> None:
        self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self._ready = True
        elif "busy" in message:
            self.busy = True
        elif "tell" in message:
            self._tell(message["tell"])
        elif "done" in message:
            ticket = self.tickets.pop(message["done"], None)
            self._deaths = 0
            if ticket is not None:
                ticket.over, ticket.before = True, bool(message.get("before"))
                self._done(ticket, Intent(**message["intent"]))
        elif "run" in message and message["run"] in self.tickets:
            ticket = self.tickets[message["run"]]
            ticket.seen, ticket.events = message["seen"], message["events"]

    def let_go(self) -> None:
        """Close what a forked child has of the process, which is its parent's."""
        process, self._process, self.closed = self._process, None, True
        if isinstance(process, subprocess.Popen):
            process.returncode = 0  # nothing for the child to wait for
            _close(process)

    def abandon(self) -> None:
        """Let go of the process: it finishes its runs, whatever becomes of this session."""
        process = self._process
        if process is not None:
            self._send()
            _close(process)
            if isinstance(process, subprocess.Popen) and process.poll() is None:
                process.returncode = 0  # not ours to wait for any more
        self._process, self.closed = None, True


def _popen(writer: Path) -> subprocess.Popen[bytes]:
    Assignment.load(writer)  # what cannot be read here cannot be read there
    package = str(Path(__file__).parents[2])
    paths = [os.path.abspath(path) for path in sys.path]
    found = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package, *([found] if found else [])])}
    with open(os.open(f"{writer}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "wb") as log:
        process = subprocess.Popen(
            # -P: a file random.py in the current folder is no module of ours
            [sys.executable, "-P", "-m", "bluesky_export.live.worker", str(writer), json.dumps(paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            bufsize=0,
            env=environment,
            start_new_session=True,  # Ctrl-C at the prompt, a closed terminal are not meant for it
        )
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
    return process


def _close(process: subprocess.Popen[bytes] | InsideWorker) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _reason(status: int) -> str:
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return f"exit status {status}"
