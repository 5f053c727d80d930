"""What the documentation and the docstrings point at is there. No network: addresses are only read."""

from __future__ import annotations

import builtins
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
_ROLE = re.compile(
    r":(?:py:)?(?:func|class|meth|mod|data|attr|exc|obj):`(?:[^`<]*<)?~?([\w.]+)(?:\(\))?>?`"
)
_DIRECTIVE = re.compile(r"^\.\. auto\w+:: ([\w.]+)", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
_IMAGE = re.compile(r"!\[[^\]\n]*\]\(([^)\s]+)\)")
_ADDRESS = re.compile(r"https?://[^\s)>\]`\"']+")


def without_code(text: str) -> str:
    return re.sub(r"^(`{3,})[^\n]*\n.*?^\1`*$", "", text, flags=re.DOTALL | re.MULTILINE)


def slugs(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    titles = re.findall(r"^#{1,6} (.+)$", without_code(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_and_headings_lead_somewhere(page: Path) -> None:
    text = without_code(page.read_text(encoding="utf-8"))
    for link in [*_LINK.findall(text), *_IMAGE.findall(text)]:
        if urlsplit(link).scheme:
            continue
        name, _, anchor = link.partition("#")
        there = (page.parent / name) if name else page
        assert there.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in slugs(there), f"{page.name}: {link}; {there.name} has {sorted(slugs(there))}"


def test_addresses_are_whole() -> None:
    found = [
        (path, address.rstrip(".,;:"))
        for path in [*PAGES, *SOURCES]
        for address in _ADDRESS.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 10
    for path, address in found:
        parts = urlsplit(address)
        # in an f-string, or where it is left open, the host is no name
        assert re.fullmatch(r"[\w.-]+(:\d+)?|.*[{].*|.*@.*|HOST.*|…", parts.netloc), f"{path}: {address}"


def names_in(obj: Any, parts: list[str]) -> bool:
    """Say whether a dotted name is found below an object; what __init__ sets counts as well."""
    for number, part in enumerate(parts):
        if hasattr(obj, part):
            obj = getattr(obj, part)
        elif isinstance(obj, type) and number == len(parts) - 1:
            annotated = any(part in vars(cls).get("__annotations__", {}) for cls in obj.__mro__)
            ours = obj.__module__.startswith("bluesky_export")
            return annotated or (ours and f"self.{part}" in inspect.getsource(obj))
        else:
            return False
    return True


def resolves(name: str, module: ModuleType) -> bool:
    """Say whether a name in a docstring of a module means something."""
    parts = name.lstrip(".").split(".")
    owners = [module, builtins, *(value for value in vars(module).values() if isinstance(value, type))]
    if any(names_in(owner, parts) for owner in owners):
        return True
    for number in range(len(parts), 0, -1):
        path = ".".join(parts[:number])
        for package in (None, module.__package__):
            try:
                found = importlib.import_module(f".{path}" if package else path, package)
            except ImportError:
                continue
            return names_in(found, parts[number:])
    return False


def test_references_of_docstrings_and_pages_are_to_what_there_is() -> None:
    package = importlib.import_module("bluesky_export")
    found, wrong = 0, []
    for path in [*SOURCES, *PAGES]:
        names = _ROLE.findall(path.read_text(encoding="utf-8"))
        names += _DIRECTIVE.findall(path.read_text(encoding="utf-8"))
        module = package
        if names and path.suffix == ".py":
            dotted = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
            module = importlib.import_module(dotted.removesuffix(".__init__"))
        found += len(names)
        wrong += [f"{path.relative_to(ROOT)}: {name}" for name in names if not resolves(name, module)]
    assert found > 100
    assert not wrong, "\n".join(wrong)
