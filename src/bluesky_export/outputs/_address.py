"""Where runs go that do not go to files: an address, and the key to it, which is kept in no file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from ..errors import UsageError

_SCHEMES = ("http", "https")
_PROFILE = re.compile(r"[^\s/?#&=:]+")
_keys: dict[str, str] = {}  # by address: what was typed in this process


@dataclass(frozen=True)
class Address:
    """An address without its key, which can be printed, logged and stored.

    The key that was typed with it stays in the memory of this process (:attr:`key`).

    Attributes
    ----------
    text : str
        A URI, or the name of a profile of the server's client.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read what was typed; an ``api_key`` in it is remembered, and is no part of the result.

        Raises
        ------
        UsageError
            It is no address; what was typed is not repeated, since there may be a key in it.
        """
        if "://" not in text:
            if not _PROFILE.fullmatch(text):
                raise UsageError("this is no http:// address and no name of a profile")
            return cls(text)
        shown = keep_key(text)
        if urlsplit(shown).scheme not in _SCHEMES or not urlsplit(shown).netloc:
            raise UsageError("an address begins with http:// or https:// and the name of a machine")
        return cls(shown)

    def __str__(self) -> str:
        return self.text

    @property
    def is_uri(self) -> bool:
        """Whether it is a URI, rather than the name of a profile."""
        return "://" in self.text

    @property
    def key(self) -> str | None:
        """The key that was typed with this address in this process."""
        return _keys.get(self.text)

    def forget_key(self) -> None:
        """Forget the key that was typed: one that is refused is not tried again."""
        _keys.pop(self.text, None)


def keep_key(text: str) -> str:
    """Return an address without the ``api_key`` in it, which is remembered; other text as it is.

    Raises
    ------
    UsageError
        It has a user, a password, or anything else in it that is not to be shown.
    """
    if not text.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
        return text
    parts = urlsplit(text)
    if "@" in parts.netloc:
        raise UsageError(
            "an address with a user or password in it is not used: log in (tiled login), set "
            "TILED_API_KEY, or add ?api_key=…"
        )
    query = parse_qsl(parts.query, keep_blank_values=True)
    if any(name != "api_key" for name, _ in query):
        raise UsageError("after an address only ?api_key=… is understood")
    shown = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    if query:
        remember_key(shown, query[-1][1])
    return shown


def remember_key(address: str, key: str) -> None:
    """Remember the key of an address, in this process."""
    _keys[address] = key
