"""Record _static/session.svg, the terminal picture of the README: a real session, typed and drawn.

``python docs/make_picture.py`` after a change of what the magics print.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import warnings
from pathlib import Path

PICTURE = Path(__file__).with_name("_static") / "session.svg"
WIDTH = 118
CELLS = """\
%load_ext bluesky_export
%runs
%export -1 spec /data/user/out.dat
%export 554-556 csv,nexus /data/user/
%export 5540 csv
%attach_writer nexus /data/user/
""".splitlines()
_SETUP = """\
import intake
from bluesky import RunEngine, plans as bp
from ophyd.sim import det1, det2, motor, motor1, motor2, noisy_det
cat = intake.open_bluesky_msgpack_catalog({documents!r})
RE = RunEngine({{"sample": {{"name": "LaB6"}}, "scan_id": 553}})
_ = RE.subscribe(cat.v1.insert)
_ = RE(bp.scan([noisy_det], motor, -1, 1, 21))
_ = RE(bp.grid_scan([det1, det2], motor1, -1, 1, 4, motor2, -2, 2, 5))
_ = RE(bp.count([noisy_det], 5))
"""


def record(folder: Path) -> str:
    """Type the cells into an IPython; return the session as text, paths as they are typed."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance(colors="nocolor")
    real = f"{folder}/user/"
    Path(real).mkdir()
    shell.run_cell(_SETUP.format(documents=f"{folder}/documents/*.msgpack")).raise_error()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for number, cell in enumerate(CELLS, 1):
            said.write(f"In [{number}]: {cell}\n")
            shell.run_cell(cell.replace("/data/user/", real))
            said.write("\n")
        shell.run_cell("%detach_writer")
    text = said.getvalue().replace(real, "/data/user/")
    text = text[: text.rindex("nexus attached")] + "nexus attached: /data/user/\n"
    return re.sub(r"(?m)^Out\[\d+\]: ?\n?(<\d+ files?>\n)?", "", text)


def draw(text: str) -> str:
    """Return the session as an SVG of a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for line in text.splitlines():
        shown = Text(line)
        shown.highlight_regex(r"^In \[\d+\]:", "green")
        shown.highlight_regex(r"\bsuccess\b", "green")
        shown.highlight_regex(r"^\w+(NotFound|Error): ", "bold red")
        console.print(shown, overflow="fold", highlight=False)
    return console.export_svg(title="ipython", unique_id="bluesky-export")


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        PICTURE.write_text(draw(record(Path(folder))), encoding="utf-8")
