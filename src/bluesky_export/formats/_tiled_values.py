"""One value of a run, as it was sent to Tiled and as it comes back: the same, converted, or another."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LIMIT = 2**53 - 1
"""What TiledWriter cuts whole numbers of metadata to (``truncate_json_overflow``)."""
_FLOAT_LIMIT = 1.7976e308  # and other ones
_MOST_NAMED = 5
INTEGERS = "integers are floats of the same value"


class Differs(Exception):
    """A value is not what was sent."""


@dataclass
class Comparison:
    """Compare values, and remember by which rules some were converted.

    Attributes
    ----------
    converted : dict of str to dict
        By what became of them: the places of the values.
    cut : dict of str to number
        By place: numbers that TiledWriter has cut.
    """

    converted: dict[str, dict[str, None]] = field(default_factory=dict)
    cut: dict[str, Any] = field(default_factory=dict)

    def value(self, where: str, sent: Any, stored: Any) -> None:
        """Compare a value.

        Raises
        ------
        Differs
            It is another one.
        """
        if isinstance(sent, np.ndarray) and self._same_arrays(where, sent, stored):
            return
        for kind, form, what in _FORMS:
            if isinstance(sent, kind) and not isinstance(stored, kind) and form(sent, stored):
                self.became(where, what)
                return
        sent, stored = _plain(sent), _plain(stored)
        if isinstance(sent, Mapping) and isinstance(stored, Mapping):
            self.mapping(where, sent, stored)
        elif isinstance(sent, list) and isinstance(stored, list):
            self._list(where, sent, stored)
        elif _is_number(sent) and _is_number(stored):
            self._number(where, sent, stored)
        elif sent is None and _is_nan(stored):
            self.became(where, "None is NaN")
        elif _is_number(sent) and stored is None and not math.isfinite(sent):
            self.became(where, "NaN and the infinities are null in metadata")
        elif type(sent) is not type(stored) or sent != stored:
            raise Differs(f"{where} is {short(sent)}, and in Tiled {short(stored)}")

    def mapping(
        self,
        where: str,
        sent: Mapping[str, Any],
        stored: Mapping[str, Any],
        name: Callable[[str], str] = str,
    ) -> None:
        """Compare what was sent of a dict, each item with what is stored under its name."""
        for key, item in sent.items():
            place = f"{where}.{key}" if where else str(key)
            if name(key) not in stored:
                raise Differs(f"{place} is not in Tiled")
            self.value(place, item, stored[name(key)])
        more = stored.keys() - set(map(name, sent))
        if more:
            raise Differs(
                f"{where} has {', '.join(sorted(map(str, more)))} in Tiled, which is not in the run"
            )

    def sentences(self) -> list[str]:
        """Return what was converted, one sentence a rule."""
        found = [f"in Tiled {what}: {_some(list(places))}" for what, places in self.converted.items()]
        if self.cut:
            listed = [f"{place} ({value})" for place, value in self.cut.items()]
            found.append(
                f"Tiled's writer has cut numbers to its limits, 2**53-1 and 1.7976e308: {_some(listed)}"
            )
        return found

    def _same_arrays(self, where: str, sent: np.ndarray[Any, Any], stored: Any) -> bool:
        """Say whether two arrays are equal, in one go; what is not is then compared value by value."""
        if sent.dtype.kind not in "iufb" or not isinstance(stored, (np.ndarray, list)):
            return False
        try:
            other = np.asarray(stored)
        except ValueError:  # ragged
            return False
        if other.dtype.kind not in "iufb" or not np.array_equal(sent, other, equal_nan=True):
            return False
        if sent.dtype.kind in "iu" and other.dtype.kind == "f":
            if np.abs(sent).max(initial=0) > LIMIT:
                return False  # NumPy compares these as floats
            self.became(where, INTEGERS)
        return sent.dtype.kind != "b" or other.dtype.kind == "b"

    def _list(self, where: str, sent: list[Any], stored: list[Any]) -> None:
        if len(stored) > len(sent) and sent and all(map(_is_nan, stored[len(sent) :])):
            self.became(where, "shorter arrays are filled up with NaN")
            stored = stored[: len(sent)]
        if len(sent) != len(stored):
            raise Differs(f"{where} has {len(sent)} items, and in Tiled {len(stored)}")
        for one, other in zip(sent, stored, strict=True):
            self.value(where, one, other)

    def _number(self, where: str, sent: Any, stored: Any) -> None:
        if sent == stored or (_is_nan(sent) and _is_nan(stored)):
            if isinstance(sent, bool) is not isinstance(stored, bool):
                self.became(where, "booleans are numbers")
            elif isinstance(sent, int) and isinstance(stored, float):
                self.became(where, INTEGERS)
        elif abs(sent) > abs(stored) and abs(stored) in (LIMIT, _FLOAT_LIMIT):
            self.cut[where] = sent
        else:
            raise Differs(f"{where} is {short(sent)}, and in Tiled {short(stored)}")

    def became(self, where: str, what: str) -> None:
        self.converted.setdefault(what, {})[where] = None


def _is_short(sent: Any, stored: Any) -> bool:
    """Say whether numbers of 16 or 32 bits were written with as few digits as they need."""
    try:
        other = np.asarray(stored, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    if sent.dtype not in (np.float16, np.float32) or np.array_equal(sent, other, equal_nan=True):
        return False
    return np.array_equal(sent, other.astype(sent.dtype), equal_nan=True)


_FORMS: tuple[tuple[Any, Callable[[Any, Any], bool], str], ...] = (
    (datetime.date, lambda sent, stored: sent.isoformat() == stored, "dates are ISO 8601 text"),
    (datetime.time, lambda sent, stored: sent.isoformat() == stored, "times are ISO 8601 text"),
    (
        (set, frozenset),
        lambda sent, stored: isinstance(stored, list) and sent == set(stored),
        "sets are lists",
    ),
    (bytes, lambda sent, stored: list(sent) == stored, "bytes are lists of numbers"),
    (
        (np.ndarray, np.floating),
        _is_short,
        "float32 and float16 are the decimal numbers with the fewest digits",
    ),
)
"""Values that JSON does not have, and the form that the server gives them."""


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: lists for tuples and arrays, Python's numbers."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def short(value: Any) -> str:
    """Return a value in a few words."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"


def _some(places: list[str]) -> str:
    more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
    return ", ".join(places[:_MOST_NAMED]) + more
