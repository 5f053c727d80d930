"""What can be typed after a verb: declared once, for the magics and for the shell command."""

from __future__ import annotations

import argparse
import inspect
import re
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import formats
from .errors import UnknownFormat, UsageError
from .outputs import keep_key
from .tables import folded, terminal_width

_NEGATIVE = re.compile(r"-\d+(:.*)?")
_MARK = "\x00"  # stands for the minus of -1 and -5:, which argparse would take for an option

SUITCASES = "  suitcase.NAME  what an installed suitcase writes (package suitcase-NAME)\n"
FORMATS = "{formats}\n"
"""Where the table of formats goes in the end of a help."""

_OVERWRITE = "replace files that are there; a SPEC file with other runs is kept"

SELECTORS = """\
selectors:
  -1 … -N          N runs ago
  554              scan_id (several runs have it: the newest, and it says so)
  554-560          scan_ids 554 to 560, both ends included
  -5:              the last five, oldest first; also -10:-5
  c6b461f          uid, or 5 characters of it or more; uid:12345678 if they are all digits
  name, $name      a variable: a uid, a list of uids, a run, what %runs returned
  --since, --until, --plan, --where: a search; with selectors it narrows them
times: 2026-07, '2026-07-04 05:00', today, yesterday, 2h, 3d (local zone)
"""


class HelpWanted(Exception):
    """``--help`` was typed; the argument is the text."""


class _Parser(argparse.ArgumentParser):
    """An argparse parser that neither prints nor exits."""

    def format_help(self) -> str:
        """Fill in what only the help needs: plug-ins are imported for their summaries."""
        text = super().format_help().replace(FORMATS, format_table() + SUITCASES)
        return folded(text, terminal_width())

    def error(self, message: str) -> NoReturn:
        message = message.replace(_MARK, "-").replace(repr(_MARK)[1:-1], "-")  # as typed, also in quotes
        wrong = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        if wrong:
            import difflib  # not for those who make no mistake

            near = difflib.get_close_matches(wrong[1], list(self._option_string_actions), 1, 0.75)
            if near:
                raise UsageError(f"{message}; did you mean {near[0]}? see {self.prog} --help")
        raise UsageError(f"{message}; see {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise UsageError(message or f"{self.prog} ended with status {status}")


def new_parser(prog: str, description: str, epilog: str, formats_help: bool = False) -> _Parser:
    """Return a parser that neither prints nor exits; its help is asked for as one word more."""
    parser = _Parser(
        prog=prog,
        description=description,
        epilog=epilog,
        add_help=False,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if formats_help:
        parser.add_argument(
            "-h", "--help", nargs="?", const="", metavar="FORMAT", help="this text, or what a format takes"
        )
    else:
        parser.add_argument("-h", "--help", action="store_const", const="", help="this text")
    return parser


def _usage(text: str) -> str:
    return text.replace("%", "%%")  # argparse formats it


def _add_selection(parser: _Parser) -> None:
    group = parser.add_argument_group("search, done by the catalog")
    group.add_argument("--since", metavar="T", help="started at T or later")
    group.add_argument("--until", metavar="T", help="started before T")
    group.add_argument("--plan", metavar="NAME", help="plan name")
    group.add_argument(
        "--where",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="any key of the start document; dots nest",
    )
    parser.add_argument(
        "--all-matches", action="store_true", help="every run with a scan_id, not the newest alone"
    )
    parser.add_argument(
        "--catalog",
        metavar="NAME",
        help="a variable, a databroker catalog, a Tiled URI or profile, a folder",
    )


def add_output(parser: _Parser) -> None:
    """Add what every verb that writes files takes."""
    parser.add_argument("--name", metavar="TEMPLATE", help="file name, as in '{plan_name}-S{scan_id:05d}'")
    parser.add_argument("--stream", metavar="NAME", help="these streams only (a,b); all is the default")
    parser.add_argument("--fields", metavar="A,B", help="these fields only")
    parser.add_argument(
        "--images",
        choices=["copy", "link", "skip"],
        help="data in detector files: copy (default), link, skip",
    )
    parser.add_argument(
        "--option", metavar="KEY=VALUE", action="append", default=[], help="an option of the format"
    )


def in_session(prog: str) -> bool:
    """Say whether this is a magic, and not the shell's command."""
    return prog.startswith("%")


def _add_json(parser: _Parser) -> None:
    """Add what only a program asks for: a magic returns its result."""
    if not in_session(parser.prog):
        parser.add_argument("--json", action="store_true", help="one JSON object on the standard output")


def export_parser(prog: str = "%export") -> _Parser:
    """Return the parser of ``export``."""
    a_magic = in_session(prog)
    parser = new_parser(
        prog,
        "Write runs to files.",
        SELECTORS
        + "\n"
        + FORMATS
        + f"""
PATH: a file; a folder (existing, or ending in /); left out: the configured or the current folder;
for tiled the address of a server, or the name of a Tiled profile

examples:
  {prog} -1 spec /tmp/out.dat
  {prog} 554-560 csv,nexus /data/user/
  {prog} -5: hdf5 --images link
  {prog} --since today --plan scan csv /tmp/
  {prog} 554-560 csv,nexus /data/user/july.zip --bundle zip
"""
        + (f"  {prog} --failed\n" if a_magic else ""),
        formats_help=True,
    )
    parser.usage = _usage(f"{prog} SELECTOR… FORMAT[,FORMAT…] [PATH] [options]")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    _add_selection(parser)
    add_output(parser)
    parser.add_argument("--overwrite", action="store_true", help=_OVERWRITE)
    parser.add_argument(
        "--skip-existing", action="store_true", help="leave files that are there, write the others"
    )
    parser.add_argument(
        "--bundle",
        nargs="?",
        const="zip",
        choices=["zip", "folder"],
        help="one zip (or folder) with the files, an index, sums and a README; PATH is its name",
    )
    group = parser.add_argument_group("hand the files to a Globus transfer")
    group.add_argument("--globus", metavar="ENDPOINT:/PATH/", help="where to; the endpoint as its UUID")
    group.add_argument("--globus-source", metavar="ENDPOINT", help="where from, if not the setting says it")
    group.add_argument("--label", metavar="TEXT", help="what the transfer is called")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="write with N processes on this machine, by dask"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="write with the workers of a dask cluster that is there"
    )
    parser.add_argument(
        "--failed",
        action="store_true",
        help="the runs that live writers failed on, to where they were meant to go"
        if a_magic
        else argparse.SUPPRESS,  # known there as well, to name what the shell has for it
    )
    _add_json(parser)
    return parser


def verify_parser(prog: str = "bluesky-export verify") -> _Parser:
    """Return the parser of ``verify``."""
    parser = new_parser(
        prog,
        "Check a bundle: every file there, of the size and sum that the manifest has, and no other. "
        "Exit status 1 if not.",
        "",
    )
    parser.usage = _usage(f"{prog} FOLDER|ZIP [--json]")
    parser.add_argument("path", nargs="?", help="what export --bundle wrote")
    parser.add_argument("--json", action="store_true", help="what was found as one JSON object")
    return parser


def runs_parser(prog: str = "%runs") -> _Parser:
    """Return the parser of ``runs``."""
    parser = new_parser(
        prog,
        "List runs: the last 20, newest first; one run in full.",
        SELECTORS + f"\nexamples:\n  {prog}\n  {prog} 554\n"
        f"  {prog} --since yesterday --columns scan_id,plan,stop.reason\n",
    )
    parser.usage = _usage(f"{prog} [SELECTOR…] [options]")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("-n", type=int, metavar="N", help="at most N runs")
    parser.add_argument("--columns", metavar="A,B", help="columns: ours, or keys as start.x, stop.reason")
    parser.add_argument("--csv", metavar="FILE", help="save the table as well")
    parser.add_argument("--plot", action="store_true", help="one run, with a plot of it")
    _add_selection(parser)
    _add_json(parser)
    return parser


def attach_parser(prog: str = "%attach_writer") -> _Parser:
    """Return the parser of ``attach_writer``."""
    parser = new_parser(
        prog,
        "Write a file for each following run. Without arguments: what is attached, and how it fares.",
        FORMATS + f"\nexamples:\n  {prog} nexus\n  {prog} spec scans.dat\n  {prog} csv /data/user/\n",
        formats_help=True,
    )
    parser.usage = _usage(f"{prog} [FORMAT|OBJECT|MODULE:CLASS] [PATH] [options]")
    parser.add_argument("writer", nargs="?", help="a format, a callback of the session, or a class by path")
    parser.add_argument(
        "path", nargs="?", help="a file (formats that append), a folder, or for tiled an address"
    )
    add_output(parser)
    parser.add_argument("--overwrite", action="store_true", help=_OVERWRITE)
    parser.add_argument(
        "--also",
        action="store_true",
        help="though a writer that the session's startup subscribed writes this format already",
    )
    return parser


def detach_parser(prog: str = "%detach_writer") -> _Parser:
    """Return the parser of ``detach_writer``."""
    parser = new_parser(
        prog,
        "End live writing, after the files of finished runs are complete.",
        "",
    )
    parser.usage = _usage(f"{prog} [NAME|all]")
    parser.add_argument("writer", nargs="?", default="all", help="a name or a format; left out: all")
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="wait at most S seconds for pending files"
    )
    return parser


def recover_parser(prog: str = "bluesky-export recover") -> _Parser:
    """Return the parser of ``recover``."""
    parser = new_parser(
        prog,
        "Finish the files of runs that live writers of killed sessions left unwritten, and try again those "
        "that failed.",
        "exit status: 0 if every run is written now, 1 if one is not\n",
    )
    parser.usage = _usage(f"{prog} [FOLDER] [--dry-run]")
    parser.add_argument("folder", nargs="?", help="the journal's folder; left out: that of the settings")
    parser.add_argument("--dry-run", action="store_true", help="say what would be finished")
    return parser


def format_table() -> str:
    """Return the formats, a line each; one that cannot be loaded says why."""
    lines = ["formats:"]
    for name in formats.names():
        try:
            summary = formats.summary(name)
        except UnknownFormat as error:
            summary = f"not available: {error}"
        lines.append(f"  {name:<8} {summary}")
    return "\n".join(lines) + "\n"


def format_help(name: str) -> str:
    """Return what ``--help FORMAT`` prints: the summary, the options, the rules."""
    cls = formats.writer_class(name)
    lines = [f"{formats.ALIASES.get(name, name)}: {cls.summary}", ""]
    found = formats.options(name)
    lines.append("options (--option key=value):" if found else "no options of its own")
    for option in found.values():
        lines.append(f"  {option.name}={option.default}   {option.help} ({option.expects})")
    rules = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")
    return folded("\n".join([*lines, "", _plain(rules)]), terminal_width())


def _plain(text: str) -> str:
    """Return a docstring without its markup, for the prompt."""
    text = re.sub(r":\w+:`~?([^`<]*)`", lambda m: m[1].rpartition(".")[2] or m[1], text)
    text = re.sub(r"(?<![\w*])\*\*(\S[^*\n]*\S)\*\*(?!\w)", r"\1", text)  # bold, not 2**53 or **kwargs
    return text.replace("``", "").replace("::\n", ":\n")


def split(line: str) -> list[str]:
    """Split what was typed after a magic as a shell does, but leave backslashes alone.

    Raises
    ------
    UsageError
        A quote is not closed.
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters, lexer.escape = True, "", ""
    try:
        return list(lexer)
    except ValueError as error:
        raise UsageError(f"{error}: close the quote") from None


def parse(parser: _Parser, words: Sequence[str]) -> argparse.Namespace:
    """Parse words.

    Raises
    ------
    HelpWanted
        ``--help`` is among them.
    UsageError
        They cannot be understood.
    """
    # No error message, no result and nobody's history but the prompt's own gets a key that was typed.
    named = ["", *words]
    words = [
        keep_key(word) if before != "--catalog" else word
        for before, word in zip(named, words, strict=False)
    ]
    marked = [_MARK + word[1:] if _NEGATIVE.fullmatch(word) else word for word in words]
    found = parser.parse_intermixed_args(marked)
    for name, value in vars(found).items():
        if isinstance(value, str):
            setattr(found, name, value.replace(_MARK, "-"))
        elif isinstance(value, list):
            setattr(found, name, [item.replace(_MARK, "-") for item in value])
    if found.help is not None:
        raise HelpWanted(format_help(found.help) if found.help else parser.format_help())
    return found


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """Read ``key=value`` words.

    Raises
    ------
    UsageError
        A word has no ``=``.
    """
    found = {}
    for word in given:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{option} {word}: write {option} key=value")
        found[key] = value
    return found
