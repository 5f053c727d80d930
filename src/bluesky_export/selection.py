"""What a user types, read into runs: the same in every verb."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Integral
from typing import Any

from .catalogs import wrap_runs
from .catalogs._base import Catalog, Query, Run
from .errors import AmbiguousRun, RunNotFound, UsageError
from .outputs import stamp
from .times import parse_time

Say = Callable[[str], None]

_RECENT = re.compile(r"-\d+")
_SLICE = re.compile(r"(?P<start>-\d+)?:(?P<stop>-\d+)?(:(?P<step>[1-9]\d*))?")
_RANGE = re.compile(r"(\d+)-(\d+)")
_UID = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{4,}")
_MIN_PREFIX = 5  # Tiled's, and short enough to type


@dataclass(frozen=True)
class Selection:
    """Which runs: selectors as typed or as objects, and a search.

    With selectors and a search, the search narrows what the selectors give.

    Attributes
    ----------
    selectors : tuple
        Text as in the user's guide (``-1``, ``554``, ``554-560``, ``-5:``, a uid or a prefix of
        it, a variable), integers, run objects, or lists of those.
    since, until : str or float or None
        Times as text or epoch seconds.
    plan : str or None
        Plan name.
    where : Mapping
        Other keys of the start document.
    all_matches : bool
        Take every run with a scan_id, not the newest alone.
    """

    selectors: tuple[Any, ...] = ()
    since: Any = None
    until: Any = None
    plan: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    all_matches: bool = False

    @property
    def query(self) -> Query | None:
        """The search for the catalog; None if nothing was asked."""
        if self.since is None and self.until is None and self.plan is None and not self.where:
            return None
        since = None if self.since is None else parse_time(self.since)
        until = None if self.until is None else parse_time(self.until)
        if since is not None and until is not None and since >= until:
            raise UsageError(f"--since {self.since} is not before --until {self.until}")
        return Query(since, until, self.plan, dict(self.where))

    def __bool__(self) -> bool:
        return bool(self.selectors) or self.query is not None


def is_number_selector(token: str) -> bool:
    """Say whether a word has the form of a number, a range or a slice."""
    return token.isdigit() or any(p.fullmatch(token) for p in (_RECENT, _SLICE, _RANGE))


def looks_like_selector(token: str, variables: Mapping[str, Any]) -> bool:
    """Say whether a word can only be meant as a selector."""
    return (
        token.startswith(("$", "uid:"))
        or is_number_selector(token)
        or _UID.fullmatch(token) is not None
        or token in variables
    )


def select(what: Selection, catalog: Catalog, variables: Mapping[str, Any], say: Say) -> list[Run]:
    """Return the runs that are meant, in the order of the selectors, each once.

    Parameters
    ----------
    what : Selection
        What was typed.
    catalog : Catalog
        Where to look.
    variables : Mapping
        The user's variables.
    say : callable
        Told, a line each, what the user has to know: duplicates, gaps, the time range.

    Raises
    ------
    RunNotFound
        A selector, or the search, matches nothing.
    AmbiguousRun
        A uid prefix matches several runs, or a name is both a variable and a uid.
    UsageError
        A selector cannot be understood.
    """
    query = what.query
    found: list[Run] | None = None
    if query is not None:
        found = catalog.search(query)
        _say_range(query, say)
        if not found:
            raise RunNotFound(f"no run of {catalog.name} matches the search {_words(query)}")
    if not what.selectors:
        if found is None:
            raise UsageError("which run? give a selector such as -1, 554, 554-560, or a uid")
        return found
    picked: dict[str, Run] = {}
    reader = _Reader(catalog, variables, say, what.all_matches)
    for selector in what.selectors:
        for run in reader.read(selector):
            picked.setdefault(run.uid, run)
    runs = list(picked.values())
    if found is not None:
        wanted = {run.uid for run in found}
        runs = [run for run in runs if run.uid in wanted]
        if not runs and query is not None:
            raise RunNotFound(f"none of the selected runs matches the search {_words(query)}")
    return runs


def tell_if_measuring(what: Selection, catalog: Catalog, variables: Mapping[str, Any], say: Say) -> None:
    """Say that the newest run may be missing, where a run is open and the catalog does not show it.

    databroker's catalogs show a run when it has ended; ``-1`` is the run before it until then.
    """
    recent = [s for s in what.selectors if str(s).startswith("-") or isinstance(s, slice)]
    if what.selectors and not recent:
        return
    state = str(getattr(variables.get("RE"), "state", "idle"))
    if state == "idle":
        return
    newest = catalog.newest(1)
    if not newest or newest[0].stop is not None:
        say(f"the RunEngine is {state}: a run that is being measured is not in {catalog.name} yet")


def brief(run: Run) -> str:
    """Return how a run is named in messages: ``554 c6b461f``."""
    return f"{run.scan_id if run.scan_id is not None else '(no scan_id)'} {run.uid[:7]}"


def _say_range(query: Query, say: Say) -> None:
    parts = [
        f"{word} {stamp(when).isoformat(sep=' ', timespec='seconds')}"
        for word, when in (("since", query.since), ("until", query.until))
        if when is not None
    ]
    if parts:
        say("runs " + " ".join(parts))


def _words(query: Query) -> str:
    words = [f"--{k} {getattr(query, k)}" for k in ("plan",) if getattr(query, k) is not None]
    words += [f"--where {key}={value}" for key, value in query.where.items()]
    for name in ("since", "until"):
        when = getattr(query, name)
        if when is not None:
            words.append(f"--{name} '{stamp(when).isoformat(sep=' ', timespec='seconds')}'")
    return " ".join(words)


class _Reader:
    """One selector at a time."""

    def __init__(self, catalog: Catalog, variables: Mapping[str, Any], say: Say, all_matches: bool) -> None:
        self.catalog, self.variables, self.say, self.all = catalog, variables, say, all_matches

    def read(self, selector: Any, inside: bool = False) -> list[Run]:
        """Return the runs of a selector; ``inside`` a variable, text is a uid and nothing else."""
        if isinstance(selector, Run):
            return [selector]
        if isinstance(selector, bool) or selector is None:
            raise UsageError(f"{selector!r} does not select a run")
        if isinstance(selector, Integral):
            number = int(selector)
            return self.recent(number) if number < 0 else self.scan_ids(number, number)
        if isinstance(selector, slice):
            parts = (selector.start, selector.stop, selector.step)
            return self.read(
                ":".join("" if part is None else str(part) for part in parts).rstrip(":")
                + (":" if selector.stop is None and selector.step is None else "")
            )
        if isinstance(selector, str):
            return self.uid(selector) if inside else self.word(selector)
        runs = wrap_runs(selector)
        if runs is not None:
            return runs
        uids = getattr(selector, "run_start_uids", None)  # what RE(plan()) returns in some sessions
        if uids is not None:
            selector = uids
        if isinstance(selector, Iterable) and not isinstance(selector, Mapping):
            return [run for item in selector for run in self.read(item, inside=True)]
        raise UsageError(f"a {type(selector).__name__} does not select runs")

    def word(self, text: str) -> list[Run]:
        if text.startswith("$"):
            return self.variable(text[1:])
        if text.startswith("uid:"):
            return self.uid(text[4:])
        if _RECENT.fullmatch(text):
            return self.recent(int(text))
        if match := _SLICE.fullmatch(text):
            return self.slice(text, match)
        if text.isdigit():
            return self.scan_ids(int(text), int(text))
        if match := _RANGE.fullmatch(text):
            first, last = int(match[1]), int(match[2])
            if first <= last:
                return self.scan_ids(first, last)
            if len(match[1]) != 8:  # a uid has eight digits before its first dash
                raise UsageError(
                    f"range {text}: the first scan_id is larger than the last; {last}-{first}?"
                )
        if text in self.variables:
            if _UID.fullmatch(text) and self.catalog.by_uid(text.lower(), limit=1):
                raise AmbiguousRun(
                    f"{text} is a variable and the beginning of a uid; type ${text} or uid:{text}"
                )
            return self.variable(text)
        if _UID.fullmatch(text):
            return self.uid(text)
        hint = f"; a uid needs at least {_MIN_PREFIX} characters" if re.fullmatch("[0-9a-f]+", text) else ""
        hint = "; write formats without blanks: csv,nexus" if text.endswith(",") else hint
        raise UsageError(f"{text!r} is no selector (-1, 554, 554-560, -5:, a uid) and no variable{hint}")

    def variable(self, name: str) -> list[Run]:
        if name not in self.variables:
            raise RunNotFound(f"no variable {name!r} in this session")
        try:
            runs = self.read(self.variables[name], inside=True)
        except UsageError as error:
            raise UsageError(f"variable {name}: {error}") from None
        if not runs:
            raise RunNotFound(f"variable {name} holds no runs")
        return runs

    def recent(self, number: int) -> list[Run]:
        if number == 0:
            raise UsageError("-0 is no run; the newest is -1")
        runs = self.catalog.newest(1, skip=-number - 1)
        if not runs:
            raise RunNotFound(f"no run {number}: {self.catalog.name} has {_runs(len(self.catalog))}")
        return runs

    def slice(self, text: str, match: re.Match[str]) -> list[Run]:
        if match["start"] is None:
            raise UsageError(f"{text}: a slice begins with a negative number, as in -5: or -10:-5")
        start, stop = -int(match["start"]), -int(match["stop"] or 0)
        runs = self.catalog.newest(max(start - stop, 0), skip=stop)[::-1]
        if not runs:
            raise RunNotFound(f"{text} selects no run; {self.catalog.name} has {_runs(len(self.catalog))}")
        if len(runs) < start - stop:
            self.say(f"{text} asks for more: {self.catalog.name} has only {_runs(len(runs) + stop)}")
        return runs[:: int(match["step"] or 1)]

    def scan_ids(self, first: int, last: int) -> list[Run]:
        groups: dict[Any, list[Run]] = {}
        for run in self.catalog.by_scan_id(first, last):
            groups.setdefault(run.scan_id, []).append(run)
        if not groups:
            what = f"scan_id {first}" if first == last else f"a scan_id from {first} to {last}"
            hint = (
                f"; for a uid type uid:{first}" if first == last and len(str(first)) >= _MIN_PREFIX else ""
            )
            raise RunNotFound(f"no run of {self.catalog.name} has {what}{self.newest()}{hint}")
        if self.all:
            return [run for runs in groups.values() for run in runs]
        repeated = {scan_id: runs for scan_id, runs in groups.items() if len(runs) > 1}
        for scan_id, runs in repeated.items():
            newest = runs[-1]
            when = stamp(newest.start["time"]).strftime("%Y-%m-%d %H:%M")
            self.say(
                f"scan_id {scan_id} matches {len(runs)} runs; using {newest.uid[:7]} ({when}); "
                "--all-matches takes all"
            )
        if first != last:
            gaps = _gaps(first, last, groups)
            if gaps:
                self.say(f"no run has scan_id {gaps}")
        return [runs[-1] for runs in groups.values()]

    def newest(self) -> str:
        """Return what tells somebody who is at the wrong catalog, or at the wrong number."""
        for run in self.catalog.newest(1):
            return f"; its newest run is {run.uid[:7]}, scan_id {run.scan_id}"
        return "; it has no runs"

    def uid(self, prefix: str) -> list[Run]:
        prefix = prefix.strip()
        if len(prefix) < _MIN_PREFIX:
            raise UsageError(f"uid {prefix!r} is too short: type at least {_MIN_PREFIX} characters")
        runs = self.catalog.by_uid(prefix) or self.catalog.by_uid(prefix.lower())
        if not runs:
            what = f"a uid that begins with {prefix}"
            raise RunNotFound(f"no run of {self.catalog.name} has {what}{self.newest()}")
        exact = [run for run in runs if run.uid == prefix]
        if exact:
            return exact[:1]
        if len(runs) > 1:
            listed = ", ".join(f"{run.uid[: len(prefix) + 6]} (scan_id {run.scan_id})" for run in runs)
            raise AmbiguousRun(f"uid {prefix} matches {len(runs)} runs: {listed}; type more of it")
        return runs


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"


def _gaps(first: int, last: int, found: Iterable[Any], most: int = 5) -> str:
    """Return the missing scan_ids as ranges; a range far larger than what was found is not walked."""
    edges = [first - 1, *sorted(found), last + 1]
    gaps = []
    for before, after in pairwise(edges):
        if after - before == 2:
            gaps.append(str(before + 1))
        elif after - before > 2:
            gaps.append(f"{before + 1}-{after - 1}")
    more = f" and {len(gaps) - most} more gaps" if len(gaps) > most else ""
    return ", ".join(gaps[:most]) + more
