"""The header of an XDI file: what the specification asks for, found in a run's metadata.

Rules: XAS Data Interchange, specification and dictionary of metadata, version 1.0
(https://github.com/XraySpectroscopy/XAS-Data-Interchange). Nothing is guessed: what is required and
nowhere to be found is an error that names the option.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..documents import jsontext
from ..documents.pages import Document
from ..errors import NoData

Notice = Callable[[str], None]

_SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr
Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir
Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Uut
Fl Uup Lv Uus Uuo
"""
_EDGES = "K L L1 L2 L3 M M1 M2 M3 M4 M5 N N1 N2 N3 N4 N5 N6 N7 O O1 O2 O3 O4 O5 O6 O7"
SYMBOLS, EDGES = frozenset(_SYMBOLS.split()), frozenset(_EDGES.split())
LINE = 2048
"""Characters of a line, which the specification asks to keep to."""
_OURS = {"column", "bluesky"}
_TIMES = {("scan", "start_time"), ("scan", "end_time")}
_NAMESPACE, _TAG = re.compile(r"[A-Za-z][A-Za-z0-9_-]*"), re.compile(r"[A-Za-z0-9_-]+")
_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


class Fields:
    """The XDI fields that a run's metadata have: ``Element.symbol`` and its like.

    They are read from the entry ``XDI`` of the start document (``{"Element": {"symbol": "Cu"}}`` or
    ``{"Element.symbol": "Cu"}``), from entries called ``Element.symbol``, and from ``element`` and
    ``edge``. Names are compared without regard to case, as the specification has it.
    """

    def __init__(self, start: Document, notice: Notice) -> None:
        self._notice = notice
        self.found: dict[tuple[str, str], tuple[str, Any]] = {}
        for key, value in start.items():
            if key.lower() == "xdi" and isinstance(value, Mapping):
                for name, inner in value.items():
                    self._take(str(name), inner)
            elif isinstance(key, str) and key.count(".") == 1:
                self._take(key, value, quiet=True)
        for tag, name in (("symbol", "element"), ("edge", "edge")):
            if isinstance(start.get(name), str) and ("element", tag) not in self.found:
                self.found["element", tag] = (f"Element.{tag}", start[name])

    def _take(self, name: str, value: Any, quiet: bool = False) -> None:
        if isinstance(value, Mapping):
            for tag, inner in value.items():
                self._take(f"{name}.{tag}", inner, quiet)
            return
        namespace, _, tag = name.partition(".")
        if not (_NAMESPACE.fullmatch(namespace) and _TAG.fullmatch(tag)):
            if not quiet:
                self._notice(f"metadata XDI {name!r}: no name that XDI takes; it was left out")
        elif namespace.lower() not in _OURS and (namespace.lower(), tag.lower()) not in _TIMES:
            self.found[namespace.lower(), tag.lower()] = (f"{namespace}.{tag}", value)

    def required(self, tag: str, given: str | None, known: frozenset[str], option: str) -> str:
        """Return ``Element.symbol`` or ``Element.edge``, from the option or the metadata.

        Raises
        ------
        NoData
            Neither has one that XDI knows; the text says what to type.
        """
        value = given if given is not None else self.found.get(("element", tag), ("", None))[1]
        ask = f"give it: --option {option}"
        if value is None:
            raise NoData(f"Element.{tag}, and the metadata do not have it; {ask}")
        spelled = {name.lower(): name for name in known}
        if not isinstance(value, str) or value.lower() not in spelled:
            raise NoData(f"Element.{tag}, and {value!r:.40} is none that XDI knows; {ask}")
        return spelled[value.lower()]

    def lines(self, *ours: tuple[str, str]) -> Iterator[tuple[str, str]]:
        """Yield name and value of each field but those that are written already."""
        for key, (name, value) in self.found.items():
            if key in ours:
                continue
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                value = jsontext.dumps(value)
            yield name, str(value) if not isinstance(value, float) else repr(value)


def d_spacing(fields: Fields, given: float | None, notice: Notice) -> str | None:
    """Return ``Mono.d_spacing`` in Å; it is recommended, not required, where the axis is an energy."""
    value = given if given is not None else fields.found.get(("mono", "d_spacing"), ("", None))[1]
    if value is None:
        notice("Mono.d_spacing is not known; XDI recommends it: --option d_spacing=3.1356 (Å)")
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not (math.isfinite(number) and number > 0):
        raise NoData(f"xdi: Mono.d_spacing is {value!r:.40}, no length in Å; --option d_spacing=3.1356")
    return repr(number)


def field_line(name: str, value: str) -> str:
    """Return one line of the header; line breaks and what UTF-8 does not have are escaped as in JSON."""
    return f"# {name}: " + _BREAKS.sub(lambda match: f"\\u{ord(match.group()):04x}", value)


def bluesky_lines(documents: Mapping[str, Any], notice: Notice) -> Iterator[str]:
    """Yield an extension field in the namespace ``Bluesky`` for each entry, its value as JSON."""
    taken: set[str] = set()
    for key, value in documents.items():
        tag = re.sub(r"[^A-Za-z0-9_-]", "_", str(key)) or "_"
        while tag.lower() in taken:
            tag += "_"
        taken.add(tag.lower())
        text = jsontext.dumps(value if tag == key else {str(key): value}, notice=notice)
        line = field_line(f"Bluesky.{tag}", text)
        if len(line) > LINE:
            notice(f"metadata {key:.60}: a line of {len(line)} characters was left out; json, hdf5 hold it")
        else:
            yield line
