"""What all tests share."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from .sampling import SEED, ask_for_everything, takes

# Set before matplotlib or a RunEngine is imported: no test needs a display.
os.environ.setdefault("MPLBACKEND", "agg")
# IPython warns where another environment than its own is activated; pytest is called by its path.
os.environ.pop("VIRTUAL_ENV", None)

# For this process and those that tests start; see the file in that folder.
_WITHOUT = str(Path(__file__).with_name("without"))
sys.path.insert(0, _WITHOUT)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_WITHOUT, os.environ.get("PYTHONPATH")]))

# The journal of live writers: never the one of whoever runs the tests.
_STATE = tempfile.TemporaryDirectory(prefix="bluesky-export-tests-")
os.environ["XDG_STATE_HOME"] = _STATE.name


@pytest.fixture(autouse=True)
def own_journal(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a journal of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


pytest_plugins = ["tests.fixtures_databroker", "tests.fixtures_tiled"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole",
        action="store_true",
        help="every run × format × store, and the long tests: hours, where a sample takes minutes",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("whole"):
        ask_for_everything()
        if config.option.markexpr == "not long":
            config.option.markexpr = ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases that this run's sample does not have."""
    left_out = [item for item in items if not takes(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if takes(item)]


def pytest_report_header(config: pytest.Config) -> str:
    if config.getoption("whole"):
        return f"seed: BLUESKY_EXPORT_SEED={SEED}; the whole matrix, and the long tests"
    return f"sample: BLUESKY_EXPORT_SEED={SEED} draws it again; --whole takes everything"
