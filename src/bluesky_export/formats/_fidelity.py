"""What a format does with each kind of value: declared by its writer, proven by the tests.

The table in the documentation is made of these declarations, and the tests read every run of the
corpus back by them: what is exact must be equal, what is converted equal by the rule, what is left
out must be announced by a notice that names the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from ..documents.features import FEATURES


@dataclass(frozen=True)
class Fidelity:
    """What becomes of one feature of a run in one format.

    Attributes
    ----------
    how : {"exact", "converted", "left out"}
        Read back equal; equal by ``rule``; or not in the file.
    rule : str
        The rule, or where the values are instead; empty for what is exact.
    said : bool
        That it is left out is told for every run by a notice. It is not for what no file of the
        format has, whatever the run.
    """

    how: Literal["exact", "converted", "left out"]
    rule: str = ""
    said: bool = True

    def __str__(self) -> str:
        return f"{self.how}: {self.rule}" if self.rule else self.how


EXACT = Fidelity("exact")


def converted(rule: str) -> Fidelity:
    """Return the declaration of values that are written by a rule."""
    return Fidelity("converted", rule)


def left_out(where: str) -> Fidelity:
    """Return the declaration of values that are left out, with a notice; ``where`` they are instead."""
    return Fidelity("left out", where)


def never_in(where: str) -> Fidelity:
    """Return the declaration of what no file of the format has; ``where`` it is instead."""
    return Fidelity("left out", where, said=False)


def fidelity(differing: Mapping[str, Fidelity]) -> Mapping[str, Fidelity]:
    """Return a writer's declaration: everything is exact but what is given.

    Raises
    ------
    KeyError
        A feature is none of :data:`bluesky_export.documents.features.FEATURES`.
    """
    if unknown := differing.keys() - FEATURES.keys():
        raise KeyError(f"no such feature: {', '.join(sorted(unknown))}")
    return MappingProxyType({feature: differing.get(feature, EXACT) for feature in FEATURES})


HDF5_RULES: Mapping[str, Fidelity] = {
    "integer": converted("int64, or the dtype that the data key declares if it holds every value"),
    "array": converted("as measured, or the dtype that the data key declares if it holds every value"),
    "int-float": converted("floats if each integer is one exactly, else JSON text"),
    "uint64": converted("uint64; beside negative ones JSON text"),
    "none": converted("NaN or empty text, and the rows are listed in `nulls`; else JSON text"),
    "surrogates": converted("JSON strings, marked `encoding = json`"),
    "mixed": converted("JSON text, marked `encoding = json`"),
    "ragged": converted("all values in turn, and the length or shape of each row"),
    "unreadable": converted("what can be read; the other rows are listed, and the result is partial"),
    "field-name": converted("`/`, NUL and lone surrogates become `_`; `original_name` has the name"),
    "own-name": converted("`_` is added; `original_name` has the name"),
    "metadata-other": converted("JSON text: see the rules of the format"),
}
"""What all formats on HDF5 have in common: they share the code that writes columns."""

JSON_RULES: Mapping[str, Fidelity] = {
    "narrow": converted("the same number; its dtype is not kept"),
    "complex": converted('`{"$complex": [real, imaginary]}`'),
    "array": converted("nested lists of the same numbers"),
    "ragged": converted("nested lists of the same numbers"),
    "text-array": converted("nested lists"),
    "external": left_out("hdf5, nexus; the documents that name the files are kept"),
    "unreadable": left_out("the documents that name the files are kept"),
    "metadata-other": converted("lists, and MongoDB's Extended JSON: see the rules of the format"),
}
"""What the formats that are JSON text have in common."""
