"""Instruments as they are: the examples as a person would start them, in a terminal."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from ..test_terminal import EXAMPLES, Terminal

ROOT = Path(__file__).parents[2]
BITS = Path(os.environ.get("BLUESKY_EXPORT_BITS", ROOT / ".bits"))


def test_a_profile_with_db_and_bec(tmp_path):
    terminal = Terminal(EXAMPLES / "profile_session.py", tmp_path)
    try:
        assert "no writer is attached" in terminal.type("%attach_writer")  # bec writes no files
        terminal.type("uids = RE(bp.scan([noisy], motor, -1, 1, 5))")
        wrote = terminal.type(f"%export uids csv,spec {tmp_path}/")
        assert wrote.count("wrote ") == 3
        assert re.search(r"^1 +\w{7} .* 5/5 .* success$", terminal.type("%runs"), re.MULTILINE)
        (spec,) = tmp_path.glob("*.dat")
        assert spec.read_text().count("\n#S 1 ") == 1
        terminal.leave()
    finally:
        terminal.child.close(force=True)


@pytest.mark.skipif(not importlib.util.find_spec("ophyd_async"), reason="pip install ophyd-async")
def test_an_ophyd_async_detector_that_writes_its_own_files(tmp_path):
    terminal = Terminal(EXAMPLES / "ophyd_async_session.py", tmp_path)
    try:
        terminal.type(f"%attach_writer nexus {tmp_path}/")
        terminal.type("uids = RE(bp.scan([blob], x, 0, 1, 5))")
        deadline = time.monotonic() + 60
        while "success" not in terminal.type("%runs") and time.monotonic() < deadline:
            time.sleep(0.5)
        assert "wrote" in terminal.type(f"%export uids hdf5 {tmp_path}/")
        (folder,) = re.findall(r"/\S+/detector", terminal.type("print(folder / 'detector')"))
        terminal.type("_ = %detach_writer")
        terminal.leave()
    finally:
        terminal.child.close(force=True)
    (own,) = Path(folder).glob("*.h5")
    with h5py.File(own) as file:
        frames: list = []
        file.visititems(
            lambda _name, item: frames.append(item[()]) if getattr(item, "ndim", 0) > 2 else None
        )
    (expected,) = frames
    assert expected.any()
    for suffix, path in (("*.h5", "primary/blob"), ("*.hdf", "entry/data/blob")):
        (written,) = tmp_path.glob(suffix)
        with h5py.File(written) as file:
            found = file[path][()]
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)


@pytest.mark.skipif(
    not BITS.is_dir(), reason=f"no apsbits in {BITS}: .ci/services puts it there, without what it pins"
)
def test_an_instrument_of_bits(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/src:{BITS}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("BITS_INSTRUMENT", "our_instrument")
    for name in ("scripts", "src", "mine"):
        (tmp_path / name).mkdir()
    create = "import sys; from apsbits.api.create_new_instrument import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", create, "our_instrument"], cwd=tmp_path, check=True)
    config = tmp_path / "src" / "our_instrument" / "configs" / "iconfig.yml"
    text = config.read_text()
    assert "NEXUS_DATA_FILES:\n    ENABLE: false" in text
    config.write_text(
        text.replace("NEXUS_DATA_FILES:\n    ENABLE: false", "NEXUS_DATA_FILES:\n    ENABLE: true")
        + "\nBLUESKY_EXPORT:\n    DIRECTORY: mine\n"
    )
    terminal = Terminal(EXAMPLES / "bits_session.py", tmp_path)
    try:
        said = terminal.type("%attach_writer")
        assert re.search(r"^MyNXWriter +subscribed by startup", said, re.MULTILINE), said
        assert re.search(r"^SpecWriterCallback2 +subscribed by startup", said, re.MULTILINE), said
        assert "written twice" in terminal.type("%attach_writer nexus mine/")
        assert "nexus attached" in terminal.type("%attach_writer nexus mine/ --also")
        terminal.type("_ = %detach_writer")
        assert "csv attached" in terminal.type("%attach_writer csv")
        terminal.type("uids = RE(bp.count([sim_det], 3))")
        assert re.search(r"^1 +\w{7} .* count .* success$", terminal.type("%runs"), re.MULTILINE)
        assert "wrote" in terminal.type("%export -1 json")
        terminal.type("_ = %detach_writer")
        terminal.leave()
    finally:
        terminal.child.close(force=True)
    (run,) = [path for path in (tmp_path / "mine").glob("*.json") if "metadata" not in path.name]
    beamline = yaml.safe_load(text)["RUN_ENGINE"]["DEFAULT_METADATA"]["beamline_id"]
    assert f'"{beamline}"' in run.read_text()
    assert len(list((tmp_path / "mine").glob("*-primary.csv"))) == 1
    assert len(list(tmp_path.glob("*.hdf"))) == 1  # the instrument's own, as before
    (spec,) = tmp_path.glob("*.dat")
    assert spec.read_text().count("\n#S 1 ") == 1
