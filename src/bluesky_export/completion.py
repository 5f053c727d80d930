"""What can come next on the line of a magic: formats, options, their values, runs, paths.

Everything but the runs, the paths and a format's options is known from the registry and the parsers. Those
ask a catalog, a file system, or a library that has to be imported, which may be slow: they are asked on a
thread, and what is not there in time is left out and ready for the next TAB.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import formats
from . import options as opt
from .errors import BlueskyExportError

VERBS = ("export", "runs", "attach_writer", "detach_writer")
PATIENCE = 0.08
"""Seconds that a TAB waits for a catalog or a folder."""
FRESH = 5.0
"""Seconds that what was found is used again."""
RECENT = 20
"""Runs that are offered: one query, however large the catalog is."""
ENTRIES = 200
"""Names of a folder that are offered, at most."""

_LINE = re.compile(rf"^\s*(?:\w+\s*=\s*)?(?P<percent>%?)(?P<verb>{'|'.join(VERBS)})\s+(?P<rest>.*)$", re.S)
_TIMES = ("today", "yesterday", "2h", "3d", "1w")
_CATALOGS = ("databroker", "tiled", "bluesky_tiled_plugins")
_PATHS = ("csv", "path", "bundle")


@dataclass(frozen=True)
class Candidate:
    """A word that fits where the cursor is, and what it means."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Place:
    """Where the cursor is: the verb, the words before, and the beginning of the word that is typed."""

    verb: str
    words: tuple[str, ...]
    word: str


def place(line: str) -> Place | None:
    """Return where the cursor stands at the end of a line; None if no magic of ours is typed."""
    found = _LINE.match(line)
    if found is None:
        return None
    before, word = _last_word(found["rest"])
    try:
        words = tuple(opt.split(before))
    except BlueskyExportError:
        words = tuple(before.split())
    return Place(found["verb"], words, word)


def _last_word(text: str) -> tuple[str, str]:
    """Cut off the word that is being typed; a quote that is not closed belongs to it."""
    quoted = re.search(r"(?:^|\s)([\"'])((?:(?!\1).)*)$", text)
    if quoted and (text[: quoted.start(1)].count(quoted[1]) % 2 == 0):
        return text[: quoted.start(1)], text[quoted.start(1) :]
    before, _, word = text.rpartition(" ")
    return before, word


class Completer:
    """Candidates for a place.

    Parameters
    ----------
    variables : callable
        Gives the user's variables.
    """

    def __init__(self, variables: Callable[[], Mapping[str, Any]]) -> None:
        self._variables = variables
        self._soon = Soon()

    def candidates(self, where: Place) -> list[Candidate]:
        """Return what fits, in the order to show it; never raises, never waits long."""
        found: dict[str, Candidate] = {}
        with suppress(BlueskyExportError):  # half a line need not make sense yet
            for one in self._all(where):
                if one.text.startswith(where.word):
                    found.setdefault(one.text, one)
        return list(found.values())

    def _all(self, where: Place) -> Iterator[Candidate]:
        parser = _PARSERS[where.verb]()
        flags = {flag: action for action in parser._actions for flag in action.option_strings}
        previous = where.words[-1] if where.words else ""
        action = flags.get(previous)
        if action is not None and action.nargs != 0:
            yield from self._values(where, action)
            if action.nargs != "?":
                return
        if where.word.startswith("--"):
            for flag, action in flags.items():
                if flag.startswith("--"):
                    yield Candidate(flag, action.help or "")
            return
        yield from self._positional(where, _plain_words(where.words, flags))

    # -- the words without a dash ----------------------------------------------------------------

    def _positional(self, where: Place, given: Sequence[str]) -> Iterator[Candidate]:
        if where.verb == "detach_writer":
            if not given:
                yield from self._attached()
            return
        if where.verb == "runs":
            yield from self._selectors(where.word)
            return
        if any(word in formats.ADDRESSED for word in given):
            yield from _profiles()
            return
        if any(all(map(formats.is_format, word.split(","))) for word in given):
            if len(given) == 1 or where.verb == "export":
                yield from self._paths(where.word)
            return
        searching = any(word in ("--since", "--until", "--plan", "--where") for word in where.words)
        if where.verb == "attach_writer" or given or searching:
            yield from _formats(where.word)
        if where.verb == "export":
            yield from self._selectors(where.word)
        elif not given:
            yield from self._callbacks()

    def _selectors(self, word: str) -> Iterator[Candidate]:
        if not word or word.startswith("-"):
            yield Candidate("-1", "the last run")
            yield Candidate("-5:", "the last five")
        runs = self._recent()
        if not word.startswith(("$", "-")):
            for run in runs:
                if isinstance(run.scan_id, int):
                    yield Candidate(str(run.scan_id), _note(run))
            if len(word) >= 2:
                for run in runs:
                    yield Candidate(
                        run.uid[:8] if not run.uid[:8].isdigit() else f"uid:{run.uid[:8]}", _note(run)
                    )
        for name, value in self._mine():
            if _may_select(value):
                yield Candidate(f"${name}" if word.startswith("$") else name, type(value).__name__)

    def _mine(self) -> list[tuple[str, Any]]:
        return [
            (name, value) for name, value in dict(self._variables()).items() if not name.startswith("_")
        ]

    def _callbacks(self) -> Iterator[Candidate]:
        for name, value in self._mine():
            if callable(getattr(type(value), "receiver", None)):
                yield Candidate(name, type(value).__name__)

    def _attached(self) -> Iterator[Candidate]:
        yield Candidate("all", "every attached writer")
        attach = sys.modules.get(f"{__package__}.attach")
        for row in attach.status() if attach is not None else ():
            if row.runs is not None:
                yield Candidate(row.name, row.target)

    # -- the values of options -------------------------------------------------------------------

    def _values(self, where: Place, action: argparse.Action) -> Iterator[Candidate]:
        name = action.dest
        if action.choices:
            for choice in action.choices:
                yield Candidate(str(choice))
        elif name == "help":
            yield from _formats(where.word)
        elif name in ("since", "until"):
            for text in _TIMES:
                yield Candidate(text)
        elif name == "plan":
            for plan in dict.fromkeys(str(run.start.get("plan_name") or "") for run in self._recent()):
                if plan:
                    yield Candidate(plan)
        elif name == "where":
            for key in dict.fromkeys(key for run in self._recent() for key in run.start):
                yield Candidate(f"{key}=")
        elif name == "option":
            yield from self._options(where)
        elif name in ("stream", "fields"):
            yield from self._streams(where.word, fields=name == "fields")
        elif name == "columns":
            from .listing import COLUMNS

            head = where.word.rpartition(",")[0]
            for column in COLUMNS:
                yield Candidate(f"{head},{column}" if head else column)
        elif name == "catalog":
            for key, value in self._mine():
                if type(value).__module__.partition(".")[0] in (
                    "databroker",
                    "tiled",
                    "bluesky_tiled_plugins",
                ):
                    yield Candidate(key, type(value).__name__)
            yield from self._paths(where.word)
        elif name in _PATHS:
            yield from self._paths(where.word)

    # -- what may be slow ------------------------------------------------------------------------

    def _recent(self) -> list[Any]:
        found: list[Any] = self._of_catalog("recent", lambda variables: _newest(variables, RECENT)) or []
        return found

    def _streams(self, word: str, *, fields: bool) -> Iterator[Candidate]:
        """Yield what the newest run has; another one may have other streams and fields."""
        head = word.rpartition(",")[0]
        for name, keys in (self._of_catalog("streams", _streams) or {}).items():
            for one in keys if fields else [name]:
                if one not in head.split(","):
                    note = f"in {name}" if fields else f"{len(keys)} fields"
                    yield Candidate(f"{head},{one}" if head else one, note)

    def _of_catalog(self, what: str, ask: Callable[[Mapping[str, Any]], Any]) -> Any:
        variables = self._variables()
        from .session import CATALOG_NAMES, settings

        key = settings().catalog or next((id(variables[n]) for n in CATALOG_NAMES if n in variables), None)
        return None if key is None else self._soon((what, key), lambda: ask(variables))

    def _options(self, where: Place) -> Iterator[Candidate]:
        typed = next((word for word in where.words if all(map(formats.is_format, word.split(",")))), "")
        for name in filter(None, typed.split(",")):
            found = self._soon(("options", name), partial(formats.options, name)) or {}
            for option in found.values():
                key, equals, _ = where.word.partition("=")
                if not equals:
                    yield Candidate(f"{option.name}=", option.help)
                elif key == option.name:
                    for value in option.choices:
                        yield Candidate(f"{key}={value}")

    def _paths(self, word: str) -> Iterator[Candidate]:
        quote = word[:1] if word[:1] in "\"'" and word else ""
        typed = word[len(quote) :]
        folder, _, _ = typed.rpartition("/")
        shown = f"{folder}/" if "/" in typed else ""
        there = os.path.expanduser(shown or ".")
        for name, is_folder in self._soon(("folder", there), lambda: _entries(there)) or []:
            if name.startswith(".") and not typed.rpartition("/")[2].startswith("."):
                continue
            text = f"{quote}{shown}{name}{'/' if is_folder else ''}"
            if quote or " " not in text:
                yield Candidate(text, "folder" if is_folder else "")


class Soon:
    """Answers that are there in time, asked for on a thread of their own."""

    def __init__(self) -> None:
        self._found: dict[Any, tuple[float, Any]] = {}
        self._asking: dict[Any, threading.Event] = {}

    def __call__(self, key: Any, ask: Callable[[], Any]) -> Any:
        """Return the answer if it is fresh or comes within :data:`PATIENCE`; else None, or an older one."""
        when, value = self._found.get(key, (float("-inf"), None))
        if time.monotonic() - when < FRESH:
            return value
        done = self._asking.get(key)
        if done is None:
            done = self._asking[key] = threading.Event()
            threading.Thread(target=self._run, args=(key, ask, done), daemon=True).start()
        done.wait(PATIENCE)
        return self._found.get(key, (0.0, None))[1]

    def _run(self, key: Any, ask: Callable[[], Any], done: threading.Event) -> None:
        try:
            value = ask()
        except Exception:  # a catalog that is gone has nothing to offer; the verb will say so
            value = None
        self._found[key] = (time.monotonic(), value)
        del self._asking[key]
        done.set()


def _streams(variables: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the streams of the newest run, and their fields."""
    found: dict[str, list[str]] = {}
    for run in _newest(variables, 1):
        for descriptor in run.descriptors():
            fields = found.setdefault(str(descriptor.get("name", "primary")), [])
            fields += [key for key in descriptor["data_keys"] if key not in fields]
    return found


def _newest(variables: Mapping[str, Any], number: int) -> list[Any]:
    from .catalogs import wrap_catalog
    from .session import CATALOG_NAMES, find_catalog, settings

    if settings().catalog:
        return list(find_catalog(None, variables).newest(number))
    for name in CATALOG_NAMES:
        # A catalog object of its own: the verbs' one is not for two threads.
        own = wrap_catalog(variables[name]) if name in variables else None
        if own is not None:
            return list(own.newest(number))
    return []


def _entries(folder: str) -> list[tuple[str, bool]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            found.append((entry.name, entry.is_dir()))
            if len(found) == ENTRIES:
                break
    return sorted(found)


def _note(run: Any) -> str:
    from .outputs import stamp

    return f"{run.start.get('plan_name') or 'run'} {stamp(run.start['time']):%Y-%m-%d %H:%M}"


def _may_select(value: Any) -> bool:
    """Say whether a variable looks like runs: by its type alone, nothing of it is read."""
    if isinstance(value, (list, tuple)):
        return bool(value) and isinstance(value[0], str) and len(value[0]) == 36
    if isinstance(value, str):
        return len(value) == 36 and value.count("-") == 4
    return type(value).__name__ in ("BlueskyRun", "RunTable", "RunDetails", "RunEngineResult")


def _formats(word: str) -> Iterator[Candidate]:
    head = word.rpartition(",")[0]
    taken = head.split(",") if head else []
    for name in formats.names():
        if name not in taken:
            try:
                summary = formats.summary(name) if name in formats.OURS else "plug-in"
            except BlueskyExportError:
                continue  # a package that it needs is missing
            yield Candidate(f"{head},{name}" if head else name, summary)
    if word.rpartition(",")[2].startswith("suit"):
        for name in formats.installed_suitcases():
            yield Candidate(f"{head},{name}" if head else name, "an installed suitcase")


def _profiles() -> Iterator[Candidate]:
    """Yield Tiled's profiles, in sessions that have Tiled: importing it takes seconds."""
    if "tiled.client" in sys.modules:
        from tiled.profiles import list_profiles

        for name in sorted(list_profiles()):
            yield Candidate(name, "Tiled profile")


def _plain_words(words: Sequence[str], flags: Mapping[str, argparse.Action]) -> list[str]:
    """Return the words that are neither options nor their values."""
    found = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in flags:
            skip = flags[word].nargs not in (0, "?")
        else:
            found.append(word)
    return found


_PARSERS: Mapping[str, Callable[[], argparse.ArgumentParser]] = {
    "export": opt.export_parser,
    "runs": opt.runs_parser,
    "attach_writer": opt.attach_parser,
    "detach_writer": opt.detach_parser,
}
