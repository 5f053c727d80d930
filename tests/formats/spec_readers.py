"""The same view of a SPEC file through spec2nexus, silx and PyMca."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Scan:
    number: int
    command: str
    labels: list[str]
    columns: dict[str, Any]
    motors: dict[str, float]


def spec2nexus(path: Path) -> list[Scan]:
    scans = []
    for scan in spec2nexus_scans(path):
        data = {label: np.array(scan.data.get(label, []), float) for label in scan.L}
        number = int(float(scan.scanNum))
        scans.append(Scan(number, scan.scanCmd, list(scan.L), data, dict(scan.positioner)))
    return scans


def spec2nexus_scans(path: Path) -> list[Any]:
    file = spec2nexus_file(path)
    scans = list(file.scans.values())
    for scan in scans:
        scan.interpret()
        assert not scan.get_interpreter_comments()  # #O and #P in step
        assert len(scan.L) == scan.N[0]
        assert file.getScan(scan.scanNum) is scan  # the user can get at it
    return scans


def spec2nexus_file(path: Path) -> Any:
    from spec2nexus.spec import SpecDataFile

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves a file open
        return SpecDataFile(str(path))


def silx(path: Path) -> list[Scan]:
    import silx.io

    scans = silx_scans(path)
    # it shows columns as float32, and warns of what does not fit
    with np.errstate(over="ignore", under="ignore"), silx.io.open(str(path)) as tree:
        assert len(tree) == len(scans)
        for key, scan in zip(tree, scans, strict=True):
            group = tree[f"{key}/measurement"]
            assert len(group) == len(scan.labels)
            for label, column in scan.columns.items():
                same = column.astype(np.float32)
                np.testing.assert_array_equal(group[label.replace("/", "%")][()], same)
    return scans


def silx_scans(path: Path) -> list[Scan]:
    from silx.io.specfile import SpecFile

    scans = []
    file = SpecFile(str(path))
    for key in list(file.keys()):
        scan = file[key]
        data = scan.data
        columns = {label: np.array(data[i] if data.size else []) for i, label in enumerate(scan.labels)}
        motors = dict(zip(scan.motor_names, np.asarray(scan.motor_positions).tolist(), strict=False))
        motors.pop("", None)  # it makes one motor without a name of an empty #O0
        command = scan.scan_header_dict["S"].partition("  ")[2]
        scans.append(Scan(scan.number, command, list(scan.labels), columns, motors))
    return scans


def pymca(path: Path) -> list[Scan]:
    from PyMca5.PyMcaIO import specfile, specfilewrapper

    file = specfilewrapper.Specfile(str(path))
    scans = []
    for index in range(file.scanno()):
        scan = file[index]
        labels = list(scan.alllabels())
        try:
            data = list(scan.data())
        except specfile.error:  # what it says of a scan without points
            data = [[] for _ in labels]
        columns = {label: np.array(data[i]) for i, label in enumerate(labels)}
        motors = dict(zip(scan.allmotors(), scan.allmotorpos(), strict=False))
        motors.pop("", None)
        scans.append(Scan(scan.number(), scan.command(), labels, columns, motors))
    return scans


READERS = {"spec2nexus": spec2nexus, "silx": silx, "pymca": pymca}


def metadata(path: Path, index: int = -1) -> dict[str, Any]:
    """Return the metadata of a scan as spec2nexus reads it, keys and values taken back."""
    from urllib.parse import unquote

    from bluesky_export.formats._spec_text import parse_value

    found = spec2nexus_scans(path)[index].MD
    return {unquote(key, errors="surrogatepass"): parse_value(value) for key, value in found.items()}


def remarks(path: Path, index: int = -1) -> list[str]:
    """Return the ``#U row`` lines of a scan as spec2nexus reads them."""
    lines = getattr(spec2nexus_scans(path)[index], "U", [])
    return [line for line in lines if line.startswith("row ")]


def bits(values: Any) -> list[bytes]:
    return [np.float64(value).tobytes() for value in values]
