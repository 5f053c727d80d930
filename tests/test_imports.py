"""Nothing heavy is imported before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "apstools", "bluesky", "bluesky_tiled_plugins", "databroker", "h5py", "intake", "matplotlib", "numpy",
    "ophyd", "pandas", "pyarrow", "rich", "tiled", "tqdm", "xarray",
}  # fmt: skip


def imported(code: str) -> set[str]:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(found.stdout.split())


def test_importing_the_package():
    assert not imported("import bluesky_export") & (HEAVY | {"IPython", "traitlets"})


def test_loading_the_extension():
    load = (
        "from IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell.instance()\n"
    )
    before = imported(load)
    after = imported(load + "shell.run_line_magic('load_ext', 'bluesky_export')")
    assert not (after - before) & HEAVY
    assert "bluesky_export" in after


def test_loading_the_extension_loads_little():
    """A budget: ours and nothing of Python's that costs more than all of ours."""
    code = (
        "from IPython.terminal.interactiveshell import TerminalInteractiveShell\n"
        "shell = TerminalInteractiveShell.instance(history_length=0)\n"
        "before = set(sys.modules)\n"
        "shell.run_line_magic('load_ext', 'bluesky_export')\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"], capture_output=True, text=True, check=True
    )
    found = done.stdout.splitlines()[-1].split()
    assert not {"csv", "difflib", "email", "importlib.metadata", "zipfile"} & set(found)
    assert len(found) <= 20, found


@pytest.mark.parametrize("argument", [["--help"], ["--version"], ["export", "--help"], ["export", "-h"]])
def test_the_shell_command(argument):
    code = (
        "import contextlib, io\n"
        "from bluesky_export.cli import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()): main({argument!r})"
    )
    assert not imported(code) & (HEAVY | {"IPython"})


def test_the_shell_commands_help_costs_two_modules():
    """A budget: what --help loads beyond an empty Python. Two and a half times its time is the goal."""
    code = (
        "before = set(sys.modules)\n"
        "from bluesky_export.cli import main\n"
        "main(['--help'])\n"
        "print(*sorted(set(sys.modules) - before))\n"
        "sys.exit()"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].split() == ["__future__", "bluesky_export", "bluesky_export.cli"]


def test_words_are_understood_without_importing_a_format():
    code = (
        "from bluesky_export.options import export_parser, parse\n"
        "from bluesky_export.typed import find_format\n"
        "found = parse(export_parser('bluesky-export export'), ['-1', 'spec,nexus', '/tmp/', '--json'])\n"
        "assert found.json and find_format(found.words, {}, False)"
    )
    assert not imported(code) & {"apstools", "h5py", "ophyd", "bluesky", "IPython"}


def test_the_function_names():
    import bluesky_export

    assert {"export", "runs", "attach_writer", "detach_writer"} <= set(dir(bluesky_export))
    assert callable(bluesky_export.export)
    with pytest.raises(AttributeError, match="nope"):
        _ = bluesky_export.nope
