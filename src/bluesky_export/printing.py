"""What may go to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return text in one line and without control characters, which are shown as Python's escapes.

    Names and metadata are untrusted: they may break the line, colour the terminal, or be nothing that
    a terminal's encoding has.

    Examples
    --------
    >>> print(printable("left out primary.a\nb\x1b[31m"))
    left out primary.a\nb\x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or _is_blank(c) else ascii(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """Return text of several lines, each of them printable."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def _is_blank(character: str) -> bool:
    import unicodedata

    return unicodedata.category(character) == "Zs"
