"""Documents that come over a network, from a session elsewhere.

Nothing that arrives is run: a message that is no document is refused, and so is a pickle, which can
run any code when it is opened, unless it was asked for; then only plain data in it is opened.
"""

from ._wire import MessageRefused, dumps, loads

__all__ = ["MessageRefused", "dumps", "loads"]
