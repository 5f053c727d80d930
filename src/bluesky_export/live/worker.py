"""The process of one attached writer: ``python -m bluesky_export.live.worker WRITER``.

Orders come on the standard input and reports go to the standard output, a line of JSON each; what
else is printed goes to the standard error output. When the input ends, the session has ended: the
runs are finished all the same.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from pathlib import Path

from ._loop import Loop
from ._pipes import Pipes


def main() -> None:
    """Be a worker until told to leave."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is meant for the session
    orders, reports = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)  # whatever is printed must not mix with the reports
    pipes = Pipes(orders, reports)
    writer = Path(sys.argv[1])
    sys.path[:] = json.loads(sys.argv[2])  # as the session has it, for plug-ins and classes by path
    try:
        loop = Loop(writer, pipes.orders, pipes.report)
    except BlockingIOError:
        pipes.report({"busy": True})
        sys.exit(3)
    loop.run()


if __name__ == "__main__":
    main()
