"""XDI: a reader that refuses what the specification (version 1.0) does not allow; written from its text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..corpus import Pairs
from .streams import events_by_stream, expect, keys_by_stream, start_of

ELEMENTS = (
    "H He Li B C N O F Na Mg Al Si P S Cl K Ca Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Zr Mo Pd Ag Pt Au"
)
EDGES = [*"KLMNO", "L1", "L2", "L3", *(f"M{n}" for n in range(1, 6)), *(f"N{n}" for n in range(1, 8))]
_FIELD = re.compile(r"# ([A-Za-z][A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+):[ \t]*(.*)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


@dataclass
class Spectrum:
    """An XDI file, as read."""

    versions: list[str]
    fields: dict[str, str]
    columns: dict[str, list[Any]]
    units: dict[str, str]


def read_xdi(path: Path) -> Spectrum:
    raw = path.read_bytes().decode("utf-8")
    assert "\r" not in raw
    assert raw.endswith("\n")
    lines = raw.split("\n")[:-1]
    # version line: the first, words of printable ASCII
    versions = lines[0].removeprefix("# ").split(" ")
    assert re.fullmatch(r"XDI/1\.\d+(\.\d+)?", versions[0]), lines[0]
    assert all(re.fullmatch(r"[!-~]+", word) for word in versions)
    ends = [number for number, line in enumerate(lines) if re.fullmatch(r"#\s*/{3,}", line)]
    header_ends = [number for number, line in enumerate(lines) if re.fullmatch(r"#\s*-{3,}", line)]
    assert len(ends) == len(header_ends) == 1
    assert header_ends[0] == ends[0] + 1, "comments are the user's"
    fields: dict[str, str] = {}
    for line in lines[1 : ends[0]]:
        assert len(line) <= 2048
        match = _FIELD.fullmatch(line)
        assert match, line
        name = f"{match[1]}.{match[2]}".lower()
        assert name not in fields, f"{name} twice"
        fields[name] = match[3]
        applications = [word.partition("/")[0] for word in versions[1:]]
        standard = ("Facility", "Beamline", "Mono", "Detector", "Sample", "Scan", "Element", "Column")
        assert match[1] in standard or match[1] in applications, match[1]
    labels = lines[header_ends[0] + 1].removeprefix("#").split()
    assert len({label.lower() for label in labels}) == len(labels)
    assert labels[0] == "energy"
    named = [fields.pop(f"column.{number}").split(maxsplit=1) for number in range(1, len(labels) + 1)]
    assert not any(name.startswith("column.") for name in fields)
    assert [words[0] for words in named] == labels
    units = {words[0]: words[1] for words in named if len(words) > 1}
    assert units["energy"] in ("eV", "keV")
    assert fields["element.symbol"] in ELEMENTS.split()
    assert fields["element.edge"] in EDGES
    if "mono.d_spacing" in fields:
        assert float(fields["mono.d_spacing"]) > 0
    for name in ("scan.start_time", "scan.end_time"):
        if name in fields:
            assert datetime.fromisoformat(fields[name]).tzinfo is not None
    rows = [line.split() for line in lines[header_ends[0] + 2 :]]
    assert rows
    assert all(len(row) == len(labels) for row in rows)
    assert all(_NUMBER.fullmatch(cell) for row in rows for cell in row), "finite numbers only"
    columns = {
        label: [int(row[at]) if row[at].lstrip("-").isdigit() else float(row[at]) for row in rows]
        for at, label in enumerate(labels)
    }
    return Spectrum(versions, fields, columns, units)


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    found = read_xdi(path)
    events = events_by_stream(documents)["primary"]
    keys = keys_by_stream(documents)["primary"]
    start = start_of(documents)
    expect(found.columns["elapsed_time"], [event["time"] - start["time"] for event in events], "time")
    for field in keys.keys() & found.columns.keys():
        expect(found.columns[field], [event["data"][field] for event in events], field)
