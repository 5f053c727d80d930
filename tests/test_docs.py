"""What the documentation shows, works."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from bluesky_export import formats
from bluesky_export.options import export_parser, format_table
from bluesky_export.session import BlueskyExport

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def blocks(path: Path, language: str) -> list[str]:
    """Return the code blocks of a page."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def test_the_readme_names_every_format():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in formats.names():
        assert f"| `{name}` |" in text
        assert f"## {name}\n" in (DOCS / "reference" / "formats.md").read_text(encoding="utf-8")


def test_the_tables_of_formats_are_what_the_registry_gives():
    found: dict = {"__file__": str(DOCS / "make_formats.py"), "__name__": "make_formats"}
    exec((DOCS / "make_formats.py").read_text(encoding="utf-8"), found)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert found["table"](text) == text, "run: python docs/make_formats.py"
    page = (DOCS / "reference" / "formats.md").read_text(encoding="utf-8")
    assert found["page"]() == page, "run: python docs/make_formats.py"
    assert "| `tiled` | " in text


def test_how_each_format_is_had_fits_a_screen():
    """The question of the page, answered for each format: a line to type, in a section of one screen."""
    text = (DOCS / "how-to" / "get-data-out.md").read_text(encoding="utf-8")
    answered = set()
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, *lines = section.splitlines()
        lines = [line for line in lines if line and not line.startswith("```")]
        assert len(lines) <= 20, title
        for typed in re.findall(r"%export [^\n`]*", section):
            answered |= {name for word in typed.split() for name in word.split(",")}
    assert set(formats.BUILT_IN) <= answered, set(formats.BUILT_IN) - answered


def test_the_table_of_settings_is_what_the_settings_give():
    text = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    found: dict = {"__file__": str(DOCS / "make_settings.py"), "__name__": "make_settings"}
    exec((DOCS / "make_settings.py").read_text(encoding="utf-8"), found)
    assert found["page"](text) == text, "run: python docs/make_settings.py"
    for name in BlueskyExport.class_own_traits(config=True):
        assert f"| `{name}` | " in text


@pytest.mark.parametrize("path", [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"], ids=lambda p: p.name)
def test_every_option_in_an_example_exists(path):
    known = set(re.findall(r"--[a-z-]+", export_parser().format_help()))
    known |= {"--columns", "--plot", "--csv", "--timeout", "--version", "--catalog"}
    for block in blocks(path, "text"):
        for line in block.splitlines():
            if line.lstrip().startswith("%"):
                assert set(re.findall(r"(?<!\S)--[a-z-]+", line)) <= known, line


def test_the_summaries_of_the_formats_are_those_of_their_writers():
    found = {name: formats.writer_class(name).summary for name in formats.OURS}
    table = "\n".join(f'    "{name}": "{summary}",' for name, summary in found.items())
    assert {name: formats.summary(name) for name in formats.OURS} == found, (
        f"formats/_summaries.py has to be:\n{table}"
    )


def test_a_format_whose_package_is_missing_says_so_in_the_help(monkeypatch):
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    monkeypatch.delitem(sys.modules, "bluesky_export.formats.xlsx", raising=False)
    (line,) = [line for line in format_table().splitlines() if line.startswith("  xlsx")]
    assert "not available" in line
    assert "pip install -U 'bluesky-export[xlsx]'" in line


def test_help_lists_every_format_with_a_summary():
    lines = format_table().splitlines()[1:]
    assert len(lines) == len(formats.names())
    assert not any("not available" in line for line in lines)
