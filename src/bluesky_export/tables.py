"""Tables for people: text that fits the terminal, HTML for a notebook."""

from __future__ import annotations

import html
import os
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from .printing import printable

_GAP = 2
_NARROWEST = 6
_COLUMNS = re.compile(r"\s*\S.*?\S {2,}(?=\S)")
"""A line of a list: what, two blanks or more, and what of it."""


def terminal_width() -> int | None:
    """Return the columns of the terminal; None where the output goes into a file or a pipe."""
    try:
        return max(os.get_terminal_size(sys.__stdout__.fileno()).columns, 40)  # type: ignore[union-attr]
    except (OSError, ValueError, AttributeError):
        return None


def folded(text: str, width: int | None) -> str:
    """Return text whose long lines are broken at words: for a help that is wider than the terminal.

    A sentence that goes over several lines is filled anew; the second column of a list stays one.

    Examples
    --------
    >>> print(folded("  csv   a table for each stream", 20))
      csv   a table for
            each stream
    """
    if width is None:
        return text
    found: list[str] = []
    item: list[str] = []
    for line in [*text.split("\n"), ""]:
        if item and not _goes_on(item, line):
            found += _filled(item, width)
            item = []
        item.append(line)
    return "\n".join(found)


def _goes_on(item: list[str], line: str) -> bool:
    """Say whether a line belongs to the sentence that an item of a list, or a paragraph, has begun."""
    words = line.lstrip()
    if not words or not item[0] or words.startswith(("- ", "==")):
        return False
    columns = _COLUMNS.match(item[0]) or _COLUMNS.match(line)
    return not columns and _hanging(item[0]) == _lead(line)


def _filled(item: list[str], width: int) -> list[str]:
    if max(map(len, item)) <= width or item[0].lstrip().startswith("=="):
        return item
    columns = _COLUMNS.match(item[0])
    hanging = len(columns[0]) if columns and len(columns[0]) < width // 2 else _hanging(item[0])
    whole = " ".join([item[0], *(line.strip() for line in item[1:])])
    return textwrap.wrap(
        whole, width, subsequent_indent=" " * hanging, break_long_words=False, break_on_hyphens=False
    )


def _lead(line: str) -> int:
    return len(line) - len(line.lstrip())


def _hanging(line: str) -> int:
    """Return where the second line of an item begins."""
    return _lead(line) + 2 * line.lstrip().startswith("- ")


def text_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None = None,
    keep: Sequence[str] = (),
    expendable: Sequence[str] = (),
    paths: Sequence[str] = (),
    styles: Mapping[str, str] | None = None,
    hint: str = "",
) -> str:
    """Return a table as text.

    Parameters
    ----------
    columns : sequence of str
        The titles.
    rows : sequence of sequence of str
        The cells.
    width : int or None
        Columns of the terminal; None: as wide as need be.
    keep : sequence of str
        Columns that are never shortened (others are, with ``…``, the widest first).
    expendable : sequence of str
        Columns to leave out, in this order, if shortening is not enough; a last line names them.
    paths : sequence of str
        Columns that are cut on the left: what tells paths apart is at their end.
    styles : Mapping of str to str, optional
        Text of a cell -> its style in rich's words (``"bold red"``), for a terminal with colours; the
        titles become bold. Left out: plain text.
    hint : str
        What that last line has in the end: what to type.
    """
    cells = [[printable(cell) for cell in row] for row in [columns, *rows]]
    widths = {name: max(_cells(row[i]) for row in cells) for i, name in enumerate(columns)}
    left_out: list[str] = []
    if width is not None:
        _shorten(widths, width, keep)
        for name in expendable:
            if _total(widths) <= width:
                break
            if widths.pop(name, None) is not None:
                left_out.append(name)
    shown = [i for i, name in enumerate(columns) if name in widths]
    lines = []
    for number, row in enumerate(cells):
        fitted = [_fit(row[i], widths[columns[i]], columns[i] in paths) for i in shown]
        fitted[-1:] = [text.rstrip() for text in fitted[-1:]]
        if styles is not None:
            chosen = ["bold" if number == 0 else styles.get(row[i], "") for i in shown]
            fitted = [_painted(text, style) for text, style in zip(fitted, chosen, strict=True)]
        lines.append((" " * _GAP).join(fitted).rstrip())
    lines.insert(1, "-" * _total(widths))
    if left_out:
        lines.append(f"(too narrow for {', '.join(left_out)}{hint})")
    return "\n".join(lines)


def _painted(text: str, style: str) -> str:
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD) if style else text


def has_colours() -> bool:
    """Say whether what is printed now goes to a terminal with colours.

    Not in a pipe or a log, and not where the user has said no: ``NO_COLOR`` (https://no-color.org),
    ``TERM=dumb``, IPython's ``colors = nocolor``.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb" or not sys.stdout.isatty():
        return False
    return str(getattr(_shell(), "colors", "")).lower() != "nocolor"


def in_notebook() -> bool:
    """Say whether what is shown goes to a notebook, or to another front end of a kernel."""
    return getattr(_shell(), "kernel", None) is not None


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _shorten(widths: dict[str, int], width: int, keep: Sequence[str]) -> None:
    """Take from the widest column, one by one."""
    while _total(widths) > width:
        wide = {
            name: w for name, w in widths.items() if name not in keep and w > max(_NARROWEST, len(name))
        }
        if not wide:
            return
        widths[max(wide, key=wide.__getitem__)] -= 1


def _cells(text: str) -> int:
    """Return how many cells of a terminal printable text takes: two for an ideogram."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return int(cell_len(text))


def _fit(text: str, width: int, keep_end: bool = False) -> str:
    blanks = width - _cells(text)
    if blanks >= 0:
        return text + " " * blanks
    if keep_end:
        while _cells(text) > width - 1:
            text = text[1:]
        return "…" + text
    from rich.cells import set_cell_size

    cut: str = set_cell_size(text, width - 1)
    return cut + "…"


_SORT = (
    "(function(th){var i=th.cellIndex,b=th.closest('table').tBodies[0],"
    "d=th.dataset.d=th.dataset.d==='1'?'-1':'1';"
    "Array.from(b.rows).sort(function(p,q){"
    "return d*p.cells[i].textContent.localeCompare(q.cells[i].textContent,undefined,{numeric:true})})"
    ".forEach(function(r){b.appendChild(r)})})(this)"
)
"""Sort by the column that was clicked, the other way round at the next click. No part of it is data."""


def html_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table, everything in it escaped; a click on a title sorts by that column."""
    head = "".join(
        f'<th style="cursor: pointer" title="sort" onclick="{html.escape(_SORT)}">{html.escape(name)}</th>'
        for name in columns
    )
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(printable(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
