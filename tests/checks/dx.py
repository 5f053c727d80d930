"""Data Exchange: what the reference asks of a file (dxfile.readthedocs.io), by h5py alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..corpus import Pairs
from .streams import events_by_stream, start_of


def check(files: list[Path], documents: Pairs) -> None:
    (path,) = files
    check_reference(path)
    with h5py.File(path) as file:
        index = file["exchange/row"]
        rows = events_by_stream(documents)[index.attrs["stream"]]
        for row, frame in zip(index[()], file["exchange/data"], strict=True):
            value = np.asarray(rows[row]["data"][index.attrs["field"]])
            assert any(np.array_equal(frame, one) for one in value.reshape(-1, *frame.shape))
        assert file["measurement/bluesky"].attrs["uid"] == start_of(documents)["uid"]


def text(item: Any) -> str:
    """Return a string dataset: scalar, and a string."""
    assert item.shape == ()
    assert h5py.check_string_dtype(item.dtype)
    return str(item.asstr()[()])


def check_reference(path: Path) -> None:
    """Assert what the reference calls mandatory, and what it says of optional members that are there."""
    with h5py.File(path) as file:
        implements = text(file["implements"]).split(":")
        assert implements[0] == "exchange"  # the only mandatory component
        for component in implements:
            assert isinstance(file[component], h5py.Group)
        assert set(file) == {"implements", *implements}
        exchange = file["exchange"]
        data = exchange["data"]  # mandatory
        for ending in ("", "_white", "_dark"):
            if f"data{ending}" not in exchange:
                assert f"theta{ending}" not in exchange
                continue
            _check_images(exchange, ending, data.shape[1:])
        if "process" in file:
            _check_process(file)
        for name in ("sample", "instrument"):
            assert isinstance(file["measurement"][name], h5py.Group)


def _check_images(exchange: Any, ending: str, frame: tuple[int, ...]) -> None:
    images = exchange[f"data{ending}"]
    assert images.ndim == 3  # rotation axis, y, x
    assert images.shape[1:] == frame  # flats and darks have the size of the projections
    assert images.dtype.kind in "iufcb"
    assert isinstance(images.attrs["units"], str)
    assert isinstance(images.attrs["description"], str)
    assert images.attrs["axes"] == f"theta{ending}:y:x"
    if f"theta{ending}" in exchange:
        theta = exchange[f"theta{ending}"]
        assert theta.shape == images.shape[:1]
        assert theta.attrs["units"] in ("deg", "degree")  # angles are always in degrees


def _check_process(file: Any) -> None:
    table = file["process/table"]
    for name in ("start_time", "end_time"):
        assert re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:?\d\d)?", text(table[name]))
    assert text(table["status"]) in ("QUEUED", "RUNNING", "FAILED", "SUCCESS")
    actor = file[text(table["reference"])]
    assert isinstance(actor, h5py.Group)
    assert text(table["actor"]) == actor.name.rpartition("/")[2]
    assert isinstance(file[text(actor["output_data"])], h5py.Group)
