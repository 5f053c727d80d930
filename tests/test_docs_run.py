"""Every example of the documentation is typed into a real session, and prints what the page shows."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .docs_session import Block, Session, blocks, docs_session, lasting, shows, typed

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def wanted(page: Path) -> list[Block]:
    tutorial = page.name == "writing-a-format.md"  # has a test of its own
    return [b for b in blocks(page) if b.runs and (typed(b) or (b.language == "python" and not tutorial))]


@pytest.mark.parametrize("page", [page for page in PAGES if wanted(page)], ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with docs_session(tmp_path) as session:
        for block in wanted(page):
            where = f"{page.name}, line {block.line}"
            if block.language == "python":
                assert "Error" not in session.run(block.text), where
            else:
                _type(session, block, where)


def _type(session: Session, block: Block, where: str) -> None:
    if not re.match(r"(In \[|Out\[)", block.text):
        for line in block.text.splitlines():
            if line.strip():
                session.run(line.partition("  #")[0].rstrip())
        return
    # an excerpt of a session: each input, and what it printed
    for command, shown in re.findall(r"^In \[\d+\]: (.*)\n((?:(?!In \[).*\n)*)", block.text, re.MULTILINE):
        fails = re.match(r"[A-Z]\w+: ", shown) is not None
        said = session.run(command.partition("  #")[0].rstrip(), ok=not fails)
        if shown.strip():
            assert shows(said, shown), f"{where}: {command}\n{said}"


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
