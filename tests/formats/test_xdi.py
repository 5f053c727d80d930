"""XDI: what is required, where it is looked for, and what no XDI file may have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bluesky_export.errors import NoData, NotFaithful

from ..checks.xdi import read_xdi
from ..replaying import replay, run_of

ENERGY = [8979.0, 8979.1, 8979.2 + 1e-12]
DATA: dict[str, list[Any]] = {"i0": [1.0, 2.0, 1 / 3], "mono_energy": ENERGY}
CU = {"Element": {"symbol": "Cu", "edge": "K"}}


def spectrum(
    data: dict[str, list[Any]] | None = None, units: str | None = "eV", **start: Any
) -> list[tuple[str, dict[str, Any]]]:
    start = {"motors": ["mono_energy"], "detectors": ["i0"], "XDI": CU, **start}
    keys = {"mono_energy": {"units": units}}
    return run_of({**DATA, **(data or {})}, start=start, keys=keys)


def written(tmp_path, documents, **options: Any):
    done = replay("xdi", documents, tmp_path, **options)
    return read_xdi(done.files[0]), done


def test_a_spectrum(tmp_path):
    found, done = written(tmp_path, spectrum(), d_spacing=3.1356)
    assert list(found.columns) == ["energy", "elapsed_time", "i0"]
    assert found.columns["energy"] == ENERGY
    assert found.columns["i0"] == [1.0, 2.0, 1 / 3]
    assert found.fields["mono.d_spacing"] == "3.1356"
    assert found.versions[0] == "XDI/1.0"
    assert "Bluesky" in found.versions
    assert done.notices == ()


@pytest.mark.parametrize(
    "metadata",
    [
        {"XDI": {"Element": {"symbol": "fe", "edge": "l3"}}},
        {"XDI": {"Element.symbol": "Fe", "element.EDGE": "L3"}},
        {"xdi": {"element": {"Symbol": "Fe", "Edge": "L3"}}, "XDI": {}},
        {"XDI": None, "Element.symbol": "Fe", "Element.edge": "L3"},
        {"XDI": None, "element": "Fe", "edge": "L3"},
    ],
)
def test_where_the_element_is_found(metadata, tmp_path):
    found, _ = written(tmp_path, spectrum(**metadata))
    assert (found.fields["element.symbol"], found.fields["element.edge"]) == ("Fe", "L3")


def test_what_is_typed_comes_before_metadata(tmp_path):
    found, _ = written(tmp_path, spectrum(), element="Zn", edge="L2")
    assert (found.fields["element.symbol"], found.fields["element.edge"]) == ("Zn", "L2")


@pytest.mark.parametrize(
    ("documents", "options", "said"),
    [
        (spectrum(XDI=None), {}, r"needs Element.symbol.* --option element=Cu"),
        (spectrum(XDI=None), {"element": "Cu"}, r"needs Element.edge.* --option edge=K"),
        (spectrum(XDI=None, element="Cu", edge="Kα"), {}, r"Element.edge, and 'Kα' is none .*edge=K"),
        (spectrum(XDI=None, element="Copper", edge="K"), {}, r"'Copper' is none that XDI knows"),
        (spectrum(XDI=None, element=29, edge="K"), {}, r"needs Element.symbol"),
        (spectrum(units=None), {}, r"no scanned motor has units.* --option energy=FIELD --option energy_u"),
        (spectrum(units="degrees"), {"energy": "mono_energy"}, r"'degrees': --option energy_units=eV"),
        (spectrum(), {"energy": "nope"}, r"fields: i0, mono_energy"),
        (spectrum(), {"itrans": "nope"}, r"no field nope"),
        (spectrum(), {"d_spacing": -1.0}, r"d_spacing is -1.0"),
        (spectrum(XDI={**CU, "Mono": {"d_spacing": "x"}}), {}, r"d_spacing is 'x'"),
        (run_of({}, start={"XDI": CU}), {}, r"xdi needs an energy"),
    ],
)
def test_what_is_missing_is_named(documents, options, said, tmp_path):
    with pytest.raises(NoData, match=said):
        replay("xdi", documents, tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_missing_is_named_at_once(tmp_path):
    with pytest.raises(NoData) as error:
        replay("xdi", spectrum(XDI=None, units=None, element="Copper"), tmp_path)
    text = str(error.value)
    assert "\n" not in text
    for option in ("energy=FIELD", "energy_units=eV", "element=Cu", "edge=K"):
        assert text.count(f"--option {option}") == 1, text
    assert "'Copper' is none" in text
    assert list(tmp_path.iterdir()) == []


def test_two_energies_have_to_be_told_apart(tmp_path):
    keys = {"a": {"units": "eV"}, "b": {"units": "keV"}}
    documents = run_of({"a": [1.0], "b": [2.0]}, keys=keys, start={"motors": ["a", "b"], "XDI": CU})
    with pytest.raises(NoData, match=r"a, b are scanned; choose one: --option energy=a"):
        replay("xdi", documents, tmp_path)
    found, _ = written(tmp_path, documents, energy="b")
    assert found.units["energy"] == "keV"
    assert found.columns["a"] == [1.0]


def test_units_can_be_given(tmp_path):
    found, _ = written(tmp_path, spectrum(units=None), energy="mono_energy", energy_units="keV")
    assert found.units["energy"] == "keV"


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "text", 1j, [1.0], 2**70])
def test_a_column_of_anything_but_finite_numbers_is_left_out(value, tmp_path):
    found, done = written(tmp_path, spectrum({"odd": [1.0, value, 3.0]}))
    assert "odd" not in found.columns
    assert any("primary.odd" in notice and "hdf5" in notice for notice in done.notices)


@pytest.mark.parametrize("value", [math.nan, None])
def test_an_energy_that_is_no_number_is_an_error(value, tmp_path):
    with pytest.raises(NotFaithful, match="mono_energy is not a finite number"):
        replay("xdi", spectrum({"mono_energy": [8979.0, value, 8980.0]}), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_kinds_of_numbers(tmp_path):
    data = {
        "flag": [True, False, True],
        "count": [1, 2**62 + 1, -3],
        "single": list(np.array([1 / 3, 2, 3], np.float32)),
        "tiny": [5e-324, -0.0, 1e300],
    }
    found, _ = written(tmp_path, spectrum(data))
    assert found.columns["flag"] == [1, 0, 1]
    assert found.columns["count"] == data["count"]
    assert np.array(found.columns["single"], np.float32).tolist() == [float(v) for v in data["single"]]
    assert list(map(repr, found.columns["tiny"])) == ["5e-324", "-0.0", "1e+300"]


def test_columns_get_the_names_that_xdi_has(tmp_path):
    data = {"ion chamber": [1.0] * 3, "I0": [2.0] * 3, "energy": [3.0] * 3, "é#": [4.0] * 3}
    found, done = written(tmp_path, spectrum(data), i0="i0", itrans="ion chamber")
    assert found.columns["itrans"] == [1.0] * 3
    assert found.columns["i0"] == DATA["i0"]
    assert found.columns["I0_2"] == [2.0] * 3
    assert found.columns["energy_2"] == [3.0] * 3
    assert any("'energy' is column energy_2" in notice for notice in done.notices)


def test_metadata_that_mean_harm_stay_on_their_line(tmp_path):
    hostile = "x\n# Element.symbol: Au\n# ---\n1 2 3\r\u2028\x00\ud800"
    xdi = {
        **CU,
        "Sample": {"name": hostile, "bad tag\n": "y"},
        "Column": {"1": "angle degrees"},
        "9x": {"a": 1},
    }
    found, done = written(tmp_path, spectrum(XDI=xdi, **{hostile: hostile, "long": "z" * 3000}))
    assert found.fields["element.symbol"] == "Cu"
    assert "\\u000a# Element.symbol: Au" in found.fields["sample.name"]
    assert found.units["energy"] == "eV"
    assert any("long" in notice and "left out" in notice for notice in done.notices)
    assert sum("no name that XDI takes" in notice for notice in done.notices) == 2


def test_scan_times_are_those_of_the_run(tmp_path):
    xdi = {**CU, "Scan": {"start_time": "1999-01-01T00:00:00", "edge_energy": "8979 eV"}}
    found, _ = written(tmp_path, spectrum(XDI=xdi))
    assert not found.fields["scan.start_time"].startswith("1999")
    assert found.fields["scan.edge_energy"] == "8979 eV"


def test_the_other_streams_are_left_out_and_said(tmp_path):
    documents = spectrum()
    side = run_of({"t": [1.0]}, stream="baseline")
    documents[2:2] = [
        ("descriptor", {**side[1][1], "uid": "side"}),
        ("event", {**side[2][1], "descriptor": "side"}),
    ]
    found, done = written(tmp_path, documents)
    assert found.columns["energy"] == ENERGY
    assert any("left out stream baseline" in notice for notice in done.notices)
