"""Write reference/fidelity.md: what each format does with each kind of value.

Made of what the writers declare (``Writer.fidelity``); ``python docs/make_fidelity.py`` after a change of
those. A test fails where the page is not what this gives.
"""

from __future__ import annotations

from pathlib import Path

from bluesky_export.documents.features import FEATURES
from bluesky_export.formats import BUILT_IN, writer_class

PAGE = Path(__file__).with_name("reference") / "fidelity.md"

_HEAD = """\
# What is exact

For each kind of value, what a file of each format holds of it. The tests read every format with libraries
that are not ours, over a corpus of some hundred kinds of run, and find no difference that is not here.
Texts that mean harm are tried in every place that a text has: some hundred with every run of the tests,
10,000 with `pytest -m long`.

- **=** is exact: read back, it is equal to what was measured, to the last bit.
- **rule** is converted by the rule that stands below the table.
- **–** is left out, with a notice that names the field or stream, and says where it is instead.
- **(–)** is in no file of the format, whatever the run; no notice repeats that for every run.

`tiled` is not here: it writes no files. Each run that it copies is read back and compared by itself; what
is not equal is told or refused, run by run (see [its rules](formats.md)).
"""


def page() -> str:
    """Return the page."""
    declared = {name: writer_class(name).fidelity for name in BUILT_IN}
    lines = [_HEAD, "| | " + " | ".join(f"`{name}`" for name in declared) + " |"]
    lines.append("| --- |" + " :---: |" * len(declared))
    for feature, text in FEATURES.items():
        marks = (_mark(one[feature].how, one[feature].said) for one in declared.values())
        lines.append(f"| {text} | " + " | ".join(marks) + " |")
    lines += ["", "## The rules"]
    for name, features in declared.items():
        lines += ["", f"### {name}", ""]
        lines += [
            f"- {FEATURES[feature]}: {'left out; see ' if one.how == 'left out' else ''}{one.rule}"
            for feature, one in features.items()
            if one.rule
        ]
    return "\n".join(lines) + "\n"


def _mark(how: str, said: bool) -> str:
    return {"exact": "=", "converted": "rule", "left out": "–" if said else "(–)"}[how]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
