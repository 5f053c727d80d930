"""The matrix of one store."""

from .every_run import *  # noqa: F403 (the fixture and all tests)

STORE = "jsonl"
