"""Scalars and groups are what h5py itself would have written."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from bluesky_export.formats._h5_small import TEXT, new_group, new_scalar, new_text, new_text_attribute

NAMES = ("a", "µ", "with space")


def link(group, name):
    found = group.id.links.get_info(name.encode())
    return found.cset, found.corder_valid, found.corder


def kind(obj):
    return obj.get_type(), obj.get_space().get_simple_extent_type(), obj.shape


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "é", "x" * 100_000])
def test_a_text(tmp_path, name, text):
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        theirs, ours = (file.create_group(each, track_order=True) for each in ("theirs", "ours"))
        theirs.create_dataset(name, data=text, dtype=TEXT)
        new_text(ours, name, text)
    with h5py.File(tmp_path / "a.h5") as file:
        theirs, ours = file["theirs"], file["ours"]
        assert ours[name].asstr()[()] == text
        assert kind(ours[name].id) == kind(theirs[name].id)
        assert link(ours, name) == link(theirs, name)


@pytest.mark.parametrize("value", [True, -1, 2**63 - 1, 1.5, float("nan"), 1j, np.float32(0.1)])
def test_a_number(tmp_path, value):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        theirs = file.create_dataset("theirs", data=value)
        ours = new_scalar(file, "ours", np.asarray(value))
        assert ours.dtype == theirs.dtype
        assert ours[()].tobytes() == theirs[()].tobytes()
        assert kind(ours.id) == kind(theirs.id)


def test_a_group_keeps_the_order(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", track_order=True) as file:
        file.create_group("b", track_order=True).create_group("µ", track_order=True)
        inner = new_group(new_group(file, "a"), "µ")
        for name in ("z", "y", "x"):
            new_text(inner, name, name)
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file) == ["b", "a"]
        assert list(file["a/µ"]) == ["z", "y", "x"]
        assert link(file["a"], "µ") == link(file["b"], "µ")


def test_an_attribute_of_text(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["theirs"] = "é"
        new_text_attribute(file, "µ", "before")
        new_text_attribute(file, "µ", "é")
        assert file.attrs["µ"] == "é"
        assert kind(file.attrs.get_id("µ")) == kind(file.attrs.get_id("theirs"))
        assert len(file.attrs) == 2


def test_what_is_there_is_not_replaced(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        new_text(file, "a", "first")
        with pytest.raises(ValueError, match="name already exists"):
            new_scalar(file, "a", np.asarray(1))
        with pytest.raises(ValueError, match="name already exists"):
            new_group(file, "a")
        assert file["a"].asstr()[()] == "first"
