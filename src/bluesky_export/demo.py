"""A small simulated beamtime, typed into a real IPython: attach, scan, list, export."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .errors import OutputError, UsageError
from .outputs import full_path

_SETUP = """\
import intake, bluesky
from bluesky import RunEngine, plans as bp, preprocessors as bpp
from ophyd.sim import det1, det2, motor, motor1, motor2, noisy_det
cat = intake.open_bluesky_msgpack_catalog({documents!r})
RE = RunEngine({{"beamline_id": "demo", "sample": {{"name": "LaB6", "mass_mg": 12.5}}}})
_ = RE.subscribe(cat.v1.insert)
"""

_CELLS = """\
%load_ext bluesky_export
%attach_writer nexus files/
%attach_writer spec files/beamtime.dat
uids = RE(bp.scan([noisy_det], motor, -1, 1, 11))
uids += RE(bpp.baseline_wrapper(bp.grid_scan([det1, det2], motor1, -1, 1, 4, motor2, -2, 2, 5), [motor]))
uids += RE(bp.count([noisy_det], 5))
%detach_writer
%runs
%runs -1
files = %export uids csv,json,jsonl,hdf5 files/
%export 2 spec files/scan2.dat
%attach_writer
"""


def run_demo(words: Sequence[str]) -> int:
    """Run the demo in a fresh folder; return the exit status.

    Raises
    ------
    OutputError
        The folder is there and not empty.
    UsageError
        More than one folder was given.
    """
    usage = "bluesky-export demo [FOLDER]: runs a simulated beamtime in a fresh folder"
    if words and words[0] in ("-h", "--help"):
        print(usage)
        return 0
    if len(words) > 1 or any(word.startswith("-") for word in words):
        raise UsageError(usage)
    folder = full_path(words[0]) if words else Path(tempfile.mkdtemp(prefix="bluesky-export-demo-"))
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty; give a new folder")
    try:
        (folder / "files").mkdir(parents=True)
        (folder / "catalog").mkdir()
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}; give another folder") from error
    return _play(folder)


def _play(folder: Path) -> int:
    import os

    from IPython.core.interactiveshell import InteractiveShell

    os.environ.setdefault("MPLBACKEND", "agg")
    print(f"a simulated beamtime in {folder}\n", flush=True)
    shell = InteractiveShell.instance(colors="nocolor")
    before = Path.cwd()
    os.chdir(folder)
    try:
        shell.run_cell(_SETUP.format(documents=f"{folder}/catalog/*.msgpack")).raise_error()
        for cell in _CELLS.strip().splitlines():
            print(f"In [{shell.execution_count}]: {cell}", flush=True)
            result = shell.run_cell(cell, store_history=True)
            sys.stdout.flush()
            if not result.success:
                return 1
            print(flush=True)
    finally:
        os.chdir(before)
    made = sorted(path for path in folder.rglob("*") if path.is_file())
    print(f"{len(made)} files in {folder}:")
    for path in made:
        print(f"  {path.relative_to(folder)}  {path.stat().st_size} bytes")
    print(f"\nlook again: {Path(sys.argv[0])} runs --catalog {folder}/catalog")
    return 0
