"""The magics: parse, call, show. No logic of their own."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from typing import Any

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from .errors import BlueskyExportError, NoRunEngine
from .interrupts import Interrupted
from .printing import printable_lines


def say(line: str) -> None:
    """Print a line for the user, now, above a progress bar if there is one.

    A live writer's line comes from a thread of its own. While IPython waits for input it keeps
    ``sys.stdout`` patched so that such a line goes above the prompt and what is typed (not with
    ``--simple-prompt``: the line goes below the prompt, which is not printed again, as nothing tells
    what is typed so far). Between ``Out[5]:`` and the result the line waits until the result is shown.
    Where a cell prints, the line may come in the middle of one of the cell's: it begins a new one.
    """
    begin = ""
    if threading.current_thread() is not threading.main_thread():
        _after_the_result()
        begin = _to_a_new_line(sys.stdout)
    tqdm = sys.modules.get("tqdm")
    above = tqdm.tqdm.external_write_mode(file=sys.stdout) if tqdm is not None else nullcontext()
    with above:
        sys.stdout.write(f"{begin}{printable_lines(line)}\n")  # in one piece: other threads print, too
        sys.stdout.flush()  # before the bar comes back: a notebook shows either stream when it is flushed


def _after_the_result() -> None:
    """Wait until IPython has shown a result, for a second at most."""
    shell = sys.modules["IPython"].get_ipython()
    until = time.monotonic() + 1.0
    while getattr(getattr(shell, "displayhook", None), "is_active", False) and time.monotonic() < until:
        time.sleep(0.02)


def _to_a_new_line(stdout: Any) -> str:
    """Return what brings the cursor of a terminal to the beginning of an empty line, if it is not there.

    Where the cursor is nobody knows: even ``print`` writes a line in several pieces. As many blanks as
    the terminal is wide end in the same line if they begin with it, else in the next one, and the return
    goes to its beginning. So do zsh and fish before they prompt.
    """
    prompting = stdout is not sys.__stdout__  # then IPython has put its own there
    if prompting or not stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return ""  # nor is a cursor in a file, or in a notebook
    try:
        columns = os.get_terminal_size(stdout.fileno()).columns
    except OSError:
        return ""  # the terminal has gone
    return " " * columns + "\r"


@magics_class
class ExportMagics(Magics):  # type: ignore[misc]
    """``%export``, ``%runs``, ``%attach_writer``, ``%detach_writer``."""

    @no_var_expand  # {x} in a name template is ours, not a variable of the session
    @line_magic
    def export(self, line: str) -> Any:
        """Write runs to files; ``%export --help`` says how."""
        from .calls import call_export

        return self._call(
            line,
            lambda words: call_export(
                words, prog="%export", variables=self.shell.user_ns, say=say, progress=_progress
            ),
        )

    @no_var_expand
    @line_magic
    def runs(self, line: str) -> Any:
        """List what has been measured; ``%runs --help`` says how."""
        from .calls import call_runs

        return self._call(line, lambda words: call_runs(words, prog="%runs", say=say))

    @no_var_expand
    @line_magic
    def attach_writer(self, line: str) -> Any:
        """Write a file for each following run; ``%attach_writer --help`` says how."""
        from .calls import call_attach

        return self._call(line, lambda words: call_attach(words, prog="%attach_writer", say=say))

    @no_var_expand
    @line_magic
    def detach_writer(self, line: str) -> Any:
        """End live writing; ``%detach_writer --help`` says how."""
        from .calls import call_detach

        return self._call(line, lambda words: call_detach(words, prog="%detach_writer", say=say))

    def _call(self, line: str, verb: Callable[[list[str]], Any]) -> Any:
        from .options import HelpWanted, split

        try:
            return verb(split(line))
        except HelpWanted as wanted:
            say(str(wanted))
        except Interrupted:
            pass  # the verb has told what is finished
        except KeyboardInterrupt:
            say("interrupted")
        except BlueskyExportError:
            raise  # prints its one line by itself
        return None


def _progress(**kwargs: Any) -> Any:
    """Return a progress bar that shows itself only if the work takes more than a second.

    In a terminal and in a notebook; a log or a pipe has no use for one.
    """
    import warnings

    from .tables import in_notebook

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm warns where a notebook has no widgets
        from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def refresh(self, *args: Any, **options: Any) -> Any:
            # tqdm itself keeps to the delay in update() only, not when a line is printed above it
            if time.time() >= self.start_t + self.delay:
                return super().refresh(*args, **options)
            return None

    return Bar(delay=1, leave=False, disable=False if in_notebook() else None, **kwargs)


def _help(verb: str) -> Callable[[], str]:
    """Return what gives ``%export?`` its text: that of ``--help``, made when it is asked for."""

    def getdoc() -> str:
        from . import options

        return str(getattr(options, f"{verb.partition('_')[0]}_parser")().format_help())

    return getdoc


for _verb in ("export", "runs", "attach_writer", "detach_writer"):
    getattr(ExportMagics, _verb).getdoc = _help(_verb)  # IPython's inspector asks for this name


def _matcher(shell: Any) -> Any:
    """Return the completer of our magics' lines, as IPython's completer takes it."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    made: list[Any] = []

    @context_matcher(identifier=_MATCHER)  # type: ignore[untyped-decorator, unused-ignore]
    def bluesky_export_matcher(context: Any) -> Any:
        line = context.text_until_cursor
        if not any(name in line for name in _MAGICS):
            return {"completions": []}
        from .completion import Completer, place

        where = place(line)
        if where is None:
            return {"completions": []}
        if not made:
            made.append(Completer(lambda: shell.user_ns))
        # IPython's token is the end of our word: it cuts at , and =
        known = len(where.word) - len(context.token)
        if not where.word.endswith(context.token):
            return {"completions": []}
        found = [
            SimpleCompletion(one.text[known:], type=one.note or "value")
            for one in made[0].candidates(where)
        ]
        # Where nothing fits, the word itself does: without a completion IPython would offer Python's words.
        return {
            "completions": found or [SimpleCompletion(context.token)],
            "suppress": True,
            "ordered": True,
        }

    return bluesky_export_matcher


_MATCHER = "bluesky_export"
_CONFIGURABLES = ("BlueskyExport", "ExportMagics")  # by name: %reload_ext makes new classes
_MAGICS = ("export", "runs", "attach_writer", "detach_writer")


def load(shell: Any) -> None:
    """Register the magics and the settings with a shell; a second time changes nothing."""
    from .session import BlueskyExport, set_settings

    settings = BlueskyExport(parent=shell)
    shell.configurables[:] = [c for c in shell.configurables if type(c).__name__ not in _CONFIGURABLES]
    shell.configurables.append(settings)
    set_settings(settings)
    shell.register_magics(ExportMagics)
    _complete_no_more(shell)
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(_matcher(shell))


def _complete_no_more(shell: Any) -> None:
    if shell.Completer is not None:
        matchers = shell.Completer.custom_matchers
        matchers[:] = [
            one for one in matchers if getattr(one, "matcher_identifier", "") != "bluesky_export"
        ]


def unload(shell: Any) -> None:
    """Take away what :func:`load` registered, and end live writing after pending files."""
    from .session import find_run_engine, set_settings

    attach = sys.modules.get("bluesky_export.attach")
    if attach is not None:
        with suppress(NoRunEngine):
            engine = find_run_engine(shell.user_ns)
            ending = [row for row in attach.status(engine) if row.runs is not None]
            if ending:
                attach.detach_writer(RE=engine, say=say)
                names = ", ".join(f"{row.name} ({row.target})" for row in ending)
                say(f"live writing has ended with the extension; after loading it, attach again: {names}")
    for name in _MAGICS:
        shell.magics_manager.magics["line"].pop(name, None)
    _complete_no_more(shell)
    shell.magics_manager.registry.pop(ExportMagics.__name__, None)
    shell.configurables[:] = [c for c in shell.configurables if type(c).__name__ not in _CONFIGURABLES]
    set_settings(None)
