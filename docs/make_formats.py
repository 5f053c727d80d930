"""Write the table of formats in README.md and the page reference/formats.md from the registry.

``python docs/make_formats.py`` after a change of it; a test fails where they are not what this gives.
"""

from __future__ import annotations

import re
from pathlib import Path

from bluesky_export import formats

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
PAGE = DOCS / "reference" / "formats.md"
_TABLE = re.compile(r"^\| format \|.*?\n(?!\|)", re.DOTALL | re.MULTILINE)
_HEAD = """\
# Formats

`%export --help FORMAT` prints the options and the rules of a format. The rules, from the modules
themselves:
"""
_SHARED = """\
## Rules that formats share

```{eval-rst}
.. automodule:: bluesky_export.documents.jsontext
   :no-members:
.. automodule:: bluesky_export.documents.columns
   :no-members:
.. automodule:: bluesky_export.formats._h5
   :no-members:
```
"""


def table(text: str) -> str:
    """Return the README with the table of formats that the registry gives."""
    lines = ["| format | holds |", "| --- | --- |"]
    lines += [f"| `{name}` | {formats.summary(name)} |" for name in formats.OURS]
    lines.append("| `suitcase.NAME` | what an installed suitcase writes, as it is |")
    return _TABLE.sub(lambda _: "\n".join(lines) + "\n", text, count=1)


def page() -> str:
    """Return the page."""
    modules = {name: path.partition(":")[0] for name, path in formats.OURS.items()}
    modules["suitcase.NAME"] = "bluesky_export.formats._suitcase"
    sections = [
        f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :no-members:\n   :noindex:\n```\n"
        for name, module in modules.items()
    ]
    return "\n".join([_HEAD, *sections, _SHARED])


if __name__ == "__main__":
    README.write_text(table(README.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
