"""A real IPython, driven by cells."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import re
from collections.abc import Iterator
from typing import Any

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Shell:
    """An IPython shell; :meth:`run` gives what a cell printed."""

    def __init__(self) -> None:
        from IPython.core.interactiveshell import InteractiveShell

        InteractiveShell.clear_instance()
        self.ip: Any = InteractiveShell.instance(colors="nocolor")
        self.ip.history_manager.enabled = False

    @property
    def ns(self) -> dict[str, Any]:
        return self.ip.user_ns

    def run(self, cell: str, ok: bool | None = True) -> str:
        """Run a cell, and check whether it succeeded; None: it may fail."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            result = self.ip.run_cell(cell)
        text = _COLOURS.sub("", out.getvalue())
        assert ok is None or result.success == ok, text
        self.result = result.result
        return text

    def fails(self, cell: str) -> str:
        """Run a cell that fails with one line, and return the line."""
        text = self.run(cell, ok=False).strip()
        assert "Traceback" not in text
        assert len(text.splitlines()) == 1, text
        return text


@contextlib.contextmanager
def new_shell() -> Iterator[Shell]:
    gc.freeze()  # IPython's reset collects garbage: seconds, among all that these libraries hold
    shell = Shell()
    try:
        yield shell
    finally:
        from IPython.core.interactiveshell import InteractiveShell

        if "bluesky_export" in shell.ip.extension_manager.loaded:
            shell.run("%unload_ext bluesky_export")
        shell.ip.reset(new_session=False)
        atexit.unregister(shell.ip.atexit_operations)
        shell.ip.atexit_operations()
        InteractiveShell.clear_instance()
