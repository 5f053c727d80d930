"""Every example of the documentation is typed into a real session, and prints what the page shows."""

from __future__ import annotations

import html
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .docs_session import Block, Session, blocks, docs_session, lasting, shows, typed

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


BY_OTHERS = "writing-a-format.md"
"""Its files are run by tests/test_plugins.py."""


def kind(block: Block) -> str:
    """Return how a block is tried; empty if it is no code: a drawing, a directive."""
    if block.language in ("python", "bash", "yaml", "output"):
        return block.language
    return "typed" if typed(block) else ""


def wanted(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.runs and kind(block) and page.name != BY_OTHERS]


@pytest.mark.parametrize("page", [page for page in PAGES if wanted(page)], ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # no one's Globus token
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("BLUESKY_EXPORT_GLOBUS_TOKEN", raising=False)
    with docs_session(tmp_path) as session:
        examples = wanted(page)
        for block, after in itertools.zip_longest(examples, examples[1:]):
            where = f"{page.name}, line {block.line}"
            shown = after.text if after is not None and after.language == "output" else None
            if block.waits:
                session.settle()
            if block.language == "yaml":  # of an instrument
                session.run(f"import yaml; iconfig = yaml.safe_load({block.text!r})")
                session.run("%runs -n 1")
            elif block.language == "python":
                assert "Error" not in session.run(block.text), where
            elif block.text.startswith("In ["):
                _excerpt(session, block, where)
            elif block.language != "output":
                said = "".join(_said(session, block, line, shown) for line in _lines(block))
                assert shown is None or shows(said, shown), f"{where}\n{said}"


def _said(session: Session, block: Block, line: str, shown: str | None) -> str:
    """Type a line; return what it said, but for the result's number and its count of files."""
    if block.language == "bash":
        return session.run_in_shell(line)
    fails = shown is not None and re.search(r"(?m)^[A-Z]\w+: ", shown) is not None
    said = session.run(line, ok=None if fails else True)
    return re.sub(r"(?m)^Out\[\d+\]: ?\n?(<\d+ files?>\n)?", "", said).lstrip("\n")


def _lines(block: Block) -> list[str]:
    """Return what is typed, without the remarks beside it."""
    return [line.partition("  #")[0].rstrip() for line in block.text.splitlines() if line.strip()]


def _excerpt(session: Session, block: Block, where: str) -> None:
    """Type an excerpt of a session: each input, and all that it printed."""
    for command, shown in re.findall(r"^In \[\d+\]: (.*)\n((?:(?!In \[).*\n)*)", block.text, re.MULTILINE):
        fails = re.match(r"[A-Z]\w+: ", shown) is not None
        said = session.run(command.partition("  #")[0].rstrip(), ok=not fails)
        assert shows(said, shown), f"{where}: {command}\n{said}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_every_block_of_code_is_tried_or_says_why_not(page: Path) -> None:
    """No block is passed over in silence: not for its language, nor an output for what stands before it."""
    before: Block | None = None
    for block in blocks(page):
        where = f"{page.name}, line {block.line}"
        tried = kind(block) or page.name == BY_OTHERS or not block.runs
        assert tried or block.language == "text" or block.language.startswith("{"), where
        assert page.name != "CONTRIBUTING.md" or not kind(block) or not block.runs, where
        if block.language == "output":
            assert before is not None, where
            assert kind(before) in ("typed", "bash"), where
            assert not before.text.startswith("In ["), where
            assert before.runs == block.runs, where
        elif block.language == "text" and block.runs and not kind(block):
            assert not re.search(r"(?m)^(\$ |%\w|In \[|Out\[|wrote )", block.text), where
        before = block


def test_the_picture_of_the_readme_shows_what_a_session_shows(tmp_path: Path) -> None:
    code = f"import make_picture, pathlib; print(make_picture.record(pathlib.Path({str(tmp_path)!r})))"
    docs = ROOT / "docs"
    command = [sys.executable, "-W", "ignore", "-c", code]
    env = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run(command, cwd=docs, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    drawn = (docs / "_static" / "session.svg").read_text(encoding="utf-8")
    rows: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in re.findall(r'<text [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', drawn):
        rows.setdefault(float(y), []).append((float(x), html.unescape(text).replace("\xa0", " ")))
    lines = ["".join(text for _, text in sorted(rows[y])) for y in sorted(rows)]
    shown = "\n".join(line for line in lines if line.strip() not in ("", "ipython"))  # the window's title
    assert "In [1]: %load_ext bluesky_export" in shown
    found, said = ([line for line in lasting(text).split("\n") if line] for text in (shown, done.stdout))
    assert found == said, "run: python docs/make_picture.py"
