"""The shell command ``bluesky-export``: the same verbs where there is no IPython.

Results go to the standard output, and nothing else does: paths or a table, with ``--json`` one JSON
object. Whatever is said on the way goes to the error stream. A verb is a function in :data:`VERBS`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as typing has it, whose import costs as much as the rest of --help
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_HEAD = "usage: bluesky-export VERB …\n"
_FOOT = """\
The runs are read from the catalog given with --catalog NAME: a databroker catalog, a Tiled URI or
profile, a folder of documents. bluesky-export VERB --help says more.

exit status: 0 done; 1 a run failed, or what was asked for is not there; 2 the words are wrong;
130 interrupted
"""


def _runs(words: list[str]) -> int:
    from . import calls

    result = calls.call_runs(words, prog="bluesky-export runs", say=_say)
    if "--json" in words:
        from .as_json import runs_report, text

        print(text(runs_report(result)))
    else:
        print(result)
    return 0


def _export(words: list[str]) -> int:
    from . import calls

    result = calls.call_export(
        words, prog="bluesky-export export", variables={}, say=_say, progress=_progress
    )
    if "--json" in words:
        from .as_json import export_report, text

        print(text(export_report(result)))
    else:
        for place in (*result.files, *result.uris):
            print(place)
    return 0 if result else 1


def _watch(words: list[str]) -> int:
    from .watch_command import call_watch

    detached = call_watch(words, prog="bluesky-export watch", say=_say_if_heard)
    for place in (*detached.files, *detached.uris):
        print(place)
    return 1 if detached.failed else 0


def _recover(words: list[str]) -> int:
    from . import calls

    result = calls.call_recover(words, prog="bluesky-export recover", say=_say)
    for place in dict.fromkeys(place for item in result.written for place in (*item.files, *item.uris)):
        print(place)
    return 1 if result.failed or result.busy else 0


def _verify(words: list[str]) -> int:
    from . import calls

    found = calls.call_verify(words, prog="bluesky-export verify")
    if "--json" in words:
        from .documents.jsontext import dumps

        print(dumps(found.report(), indent=2))
    else:
        print(found)
    return 0 if found else 1


def _demo(words: list[str]) -> int:
    from .demo import run_demo

    return run_demo(words)


# The verb: its function, which gives the exit status; what follows it; what it does.
VERBS: dict[str, tuple[Callable[[list[str]], int], str, str]] = {
    "runs": (_runs, "[SELECTOR…]", "list runs, or show one in full"),
    "export": (_export, "SELECTOR… FORMAT [PATH]", "write runs to files"),
    "watch": (_watch, "FORMAT -o PATH --zmq …", "write what a session elsewhere publishes"),
    "recover": (_recover, "[FOLDER]", "finish what live writers of killed sessions left unwritten"),
    "verify": (_verify, "FOLDER|ZIP", "check a bundle that export --bundle wrote"),
    "demo": (_demo, "[FOLDER]", "a small simulated beamtime, end to end"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status: 0, 1 if a run failed, 2 if the words were wrong."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_what_is_closed()
    try:
        status = _answer(words)
        return _flushed(status)  # here: when Python ends, a reader that has gone is a complaint and a 120
    except BrokenPipeError:  # | head
        _nobody_listens()
        return 141


def _flushed(status: int) -> int:
    """Return the exit status, once the result is where the standard output leads."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk
        _say(f"bluesky-export: the standard output cannot be written: {error.strerror or error}")
        _nobody_listens()
        return 1
    return status


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_usage(), end="")
        return 0 if words else 2
    if words[0] == "--version":
        from importlib.metadata import version

        print(version("bluesky-export"))
        return 0
    if words[0] not in VERBS:
        _say(f"bluesky-export: unknown verb {words[0]!r}; one of {', '.join(VERBS)}")
        return 2
    return _guarded(words[0], words[1:])


def _guarded(verb: str, words: list[str]) -> int:
    from .errors import BlueskyExportError, UnknownFormat, UsageError
    from .interrupts import Interrupted
    from .options import HelpWanted
    from .printing import printable

    try:
        return VERBS[verb][0](words)
    except HelpWanted as wanted:
        print(wanted)
        return 0
    except BlueskyExportError as error:
        _say(printable(f"bluesky-export: {error}"))
        if "--json" in words:
            from .as_json import error_report, text

            print(text(error_report(error)))
        return 2 if isinstance(error, (UsageError, UnknownFormat)) else 1
    except KeyboardInterrupt as interrupt:
        if not isinstance(interrupt, Interrupted):
            _say("bluesky-export: interrupted")
        return 130


def _open_what_is_closed() -> None:
    """Have streams that the shell has closed (``2>&-``) lead nowhere.

    ``print`` to an error stream that is None writes to the standard output, among the results; and the
    next file that is opened would get the number of the closed stream, and what C libraries say.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _nobody_listens() -> None:
    """Have what is left in the streams go nowhere: Python would complain of the pipe when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


def _usage() -> str:
    lines = [f"  {f'{verb} {arguments}':<33} {what}" for verb, (_call, arguments, what) in VERBS.items()]
    return "\n".join([_HEAD, *lines, "", _FOOT])


def _say(line: str) -> None:
    from .printing import printable_lines

    line = printable_lines(line)
    tqdm = sys.modules.get("tqdm")
    if tqdm is not None:
        tqdm.tqdm.write(f"{line}\n", file=sys.stderr, end="")  # above a progress bar
    else:
        sys.stderr.write(f"{line}\n")  # in one piece: Ctrl-C comes between two
    sys.stderr.flush()


def _say_if_heard(line: str) -> None:
    """Say a line; if nobody reads the error stream any more, or its disk is full, files count for more."""
    try:
        _say(line)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _progress(**kwargs: Any) -> Any:
    """Return a progress bar on the error stream, where that is a terminal and it takes a while."""
    from tqdm import tqdm

    return tqdm(delay=1, leave=False, file=sys.stderr, disable=None, **kwargs)


if __name__ == "__main__":
    sys.exit(main())
