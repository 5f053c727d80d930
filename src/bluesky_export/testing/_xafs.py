"""Absorption spectra: a scanned energy, and the metadata that XDI asks for."""

from __future__ import annotations

import math

from ._kinds import Columns, Kinds, RunMaker, key

KINDS = Kinds()

_ROWS = 9
_ENERGY = [8979.0 + 0.35 * row / 3 for row in range(_ROWS)]


def _columns(units: str, scale: float) -> Columns:
    return {
        "m": (key("number", units=units, precision=4), [energy * scale for energy in _ENERGY]),
        "i0": (key("number", units="A"), [1e-9 * (1 + row / 7) for row in range(_ROWS)]),
        "it": (key("integer"), [1000 + 37 * row for row in range(_ROWS)]),
        "mu": (key("number"), [math.exp(-row / 3) for row in range(_ROWS)]),
        "shutter": (key("string"), ["open", "closed", "open"] * 3),
    }


@KINDS.run("xafs", "a spectrum over energies in eV, its metadata as XDI has them", "float integer text")
def _ev(run: RunMaker) -> None:
    xdi = {
        "Element": {"symbol": "Cu", "edge": "K"},
        "Mono": {"d_spacing": 3.13553, "name": "Si 111"},
        "Facility": {"name": "APS", "xray_source": "undulator"},
        "Beamline": {"name": "20BM"},
    }
    run.start(XDI=xdi, sample={"name": "Cu foil"}, versions={"bluesky": "1.15.1"})
    run.table(_columns("eV", 1.0))
    run.table({"temperature": (key("number", units="K"), [295.15, 295.25])}, "baseline")
    run.stop()


@KINDS.run("xafs-kev", "a spectrum over energies in keV, named by single entries", "float integer text")
def _kev(run: RunMaker) -> None:
    run.start(element="Fe", edge="L3", sample="Fe₂O₃")
    run.table(_columns("keV", 0.001))
    run.stop("num_events", exit_status="abort", reason="beam dump")
