"""Write the table in reference/settings.md from the settings themselves.

``python docs/make_settings.py`` after a change of them; a test fails where the page is not what this gives.
"""

from __future__ import annotations

import re
from pathlib import Path

from bluesky_export.session import BlueskyExport

PAGE = Path(__file__).with_name("reference") / "settings.md"
_TABLE = re.compile(r"^\| setting \|.*?\n(?!\|)", re.DOTALL | re.MULTILINE)


def page(text: str) -> str:
    """Return the page with the table that the settings give."""
    lines = ["| setting | in iconfig.yml | default | means |", "| --- | --- | --- | --- |"]
    for name, trait in BlueskyExport.class_own_traits(config=True).items():
        default = trait.default() if callable(trait.default) else trait.default_value
        shown = "empty" if default in ("", None) else f"`{default}`"
        means = trait.help
        if values := getattr(trait, "values", None):
            means += ": " + ", ".join(f"`{value}`" for value in values)
        lines.append(f"| `{name}` | `{name.upper()}` | {shown} | {means} |")
    return _TABLE.sub(lambda _: "\n".join(lines) + "\n", text, count=1)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
