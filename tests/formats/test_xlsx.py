"""Workbooks: the limits of Excel, said and never cut; text that means harm; all digits."""

from __future__ import annotations

import builtins
import gc
import math
import struct
import zipfile
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest

from bluesky_export.errors import NotFaithful, UnknownFormat
from bluesky_export.formats import _sheet, writer_class, xlsx

from ..fidelity.xlsx import sheets_of
from ..replaying import replay, run_of


def primary(written: Any) -> list[list[Any]]:
    return sheets_of(written.files[0])["primary"]


def test_columns_in_the_order_people_read_them(tmp_path):
    documents = run_of(
        {"det": [1.0, 2.0], "temperature": [295.0, 296.0], "m": [0.5, 1.5]},
        start={"motors": ["m"], "detectors": ["det"]},
        keys={"m": {"units": "mm"}},
    )
    written = replay("xlsx", documents, tmp_path, timestamps=True)
    sheets = sheets_of(written.files[0])
    head = ["seq_num", "m", "time", "temperature", "det"]
    stamps = ["m_timestamp", "temperature_timestamp", "det_timestamp"]
    assert sheets["primary"][0] == head + stamps
    assert sheets["primary"][1][:3] == [1, 0.5, 1700000001.125]
    described = {row[3]: row for row in sheets["columns"][1:]}
    assert described["m"][sheets["columns"][0].index("units")] == "mm"
    assert list(sheets) == ["primary", "columns", "metadata"]


def test_numbers_keep_every_bit(tmp_path):
    generator = np.random.default_rng(20261125)
    bits = generator.integers(0, 2**64, 3000, dtype=np.uint64)
    values = [v for v in bits.view(np.float64).tolist() if math.isfinite(v)]
    values += [1 / 3, 0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, 2.2250738585072014e-308]
    rows = primary(replay("xlsx", run_of({"x": values}), tmp_path))[1:]
    column = [row[1] for row in rows]
    assert [struct.pack("d", float(cell)) for cell in column] == [struct.pack("d", v) for v in values]
    texts = [float(cell) for cell in column if isinstance(cell, str)]
    assert texts
    assert all(abs(v) < 2.2250738585072014e-308 or abs(v) > 9.99999999999999e307 for v in texts)


def test_integers_that_excel_does_not_hold_are_text(tmp_path):
    values = [2**53, -(2**53), 2**53 + 1, -(2**60), 2**64 - 1]
    written = replay("xlsx", run_of({"n": values[:4], "u": values[1:]}), tmp_path)
    column = [row[1] for row in primary(written)[1:]]
    assert column == [2**53, -(2**53), str(2**53 + 1), str(-(2**60))]
    assert any("primary.n: integers beyond" in notice for notice in written.notices)


@pytest.mark.parametrize(
    "text",
    [
        "=1+1", "=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1", "https://example.org", "mailto:a@b.c", "{=1}",
        "<r><t>markup</t></r>", "<r>", "a\r\nb\tc", "\x01\x1f", "_x0041_", "_x005F_", " blanks ",
        "]]>", "&amp;", "<!--", '"', "", "é漢🙂", "\u202e", "a\x85b\u2028c",
    ],
)  # fmt: skip
def test_text_is_text(text, tmp_path):
    written = replay("xlsx", run_of({"t": [text, "end"]}), tmp_path)
    assert primary(written)[1][1] == text
    assert written.notices == ()


def test_text_that_no_workbook_holds_is_escaped_and_said(tmp_path):
    written = replay("xlsx", run_of({"t": ["a\x00b", "\ud800", "\ufffe", "_x005F_x0041_"]}), tmp_path)
    assert [row[1] for row in primary(written)[1:]] == [
        r"a\x00b",
        r"\ud800",
        r"\ufffe",
        r"\x5fx005F_x0041_",
    ]
    assert any("primary.t: characters that no workbook holds" in notice for notice in written.notices)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("x" * 32_767, True), ("x" * 32_768, False), ("🙂" * 16_383, True), ("🙂" * 16_384, False)],
)
def test_a_text_is_whole_or_left_out(text, kept, tmp_path):
    written = replay("xlsx", run_of({"t": [text, "end"]}), tmp_path)
    assert primary(written)[1][1] == (text if kept else None)
    said = [notice for notice in written.notices if "primary.t" in notice]
    assert bool(said) != kept
    assert kept or "1 texts of more than 32,767 characters" in said[0]


def test_a_stream_longer_than_a_sheet_goes_on_in_another(tmp_path, monkeypatch):
    monkeypatch.setattr(xlsx, "ROWS", 5)
    written = replay("xlsx", run_of({"n": list(range(11))}), tmp_path)
    sheets = sheets_of(written.files[0])
    names = [name for name in sheets if name.startswith("primary")]
    assert names == ["primary", "primary (2)", "primary (3)"]
    assert [row[1] for name in names for row in sheets[name][1:]] == list(range(11))
    assert all(sheets[name][0] == ["time", "n"] for name in names)
    assert sum("goes on in sheet" in notice for notice in written.notices) == 2


def test_more_columns_than_a_sheet_takes_are_an_error(tmp_path):
    data = {f"f{n}": [n] for n in range(_sheet.COLUMNS)}
    with pytest.raises(NotFaithful, match=r"16385 columns .*--fields"):
        replay("xlsx", run_of(data), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "stream",
    ["a[b]:c*d?e/f\\g", "x" * 40, "'quoted'", "History", "metadata", "COLUMNS", "", "🙂" * 20, "\x01\n"],
)
def test_any_stream_has_a_sheet(stream, tmp_path):
    first = run_of({"m": [1.5]}, stream=stream)
    second = run_of({"m": [2.5]}, stream=stream + "~")
    descriptor = {**second[1][1], "uid": "another"}
    event = {**second[2][1], "descriptor": "another"}
    documents = [*first[:3], ("descriptor", descriptor), ("event", event)]
    written = replay("xlsx", documents, tmp_path)
    sheets = sheets_of(written.files[0])
    assert all(0 < len(name.encode("utf-16-le")) // 2 <= 31 for name in sheets)
    assert len({name.lower() for name in sheets}) == 4
    assert [rows[1][1] for name, rows in list(sheets.items())[:2]] == [1.5, 2.5]


def test_metadata_longer_than_a_cell_go_on_in_the_next(tmp_path):
    long = {"list": list(range(30_000)), "text": "é" * 100_000}
    written = replay("xlsx", run_of({"m": [1.0]}, start=long), tmp_path)
    rows = [row for row in sheets_of(written.files[0])["metadata"] if row[1] in long]
    assert all(len([cell for cell in row[3:] if cell]) > 3 for row in rows)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        contents.append(replay("xlsx", run_of({"m": [1.0, 2.0]}), tmp_path / name).files[0].read_bytes())
    assert contents[0] == contents[1]


def test_pandas_reads_it(tmp_path):
    (path,) = replay("xlsx", run_of({"m": [1.5, 2.5], "label": ["a", "b"]}), tmp_path).files
    frame = pd.read_excel(path, sheet_name="primary", engine="openpyxl")
    assert frame["m"].tolist() == [1.5, 2.5]
    assert frame["label"].tolist() == ["a", "b"]
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert not [name for name in archive.namelist() if "vba" in name or "externalLink" in name]
    assert openpyxl.load_workbook(path).properties.created.year == 2023


@pytest.mark.parametrize("room", [0, 100, 3000, 5000])
def test_nothing_is_left_after_a_full_disk(room, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "out").mkdir()
    real = _sheet.Abandonable.write
    left = [room]

    def full(file: Any, data: bytes) -> int:
        left[0] -= len(data)
        if left[0] < 0 and file._file is not None:  # else given up: nothing goes to the disk
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(_sheet.Abandonable, "write", full)
    with pytest.raises(OSError, match="No space left"):
        replay("xlsx", run_of({"m": [1.0]}), tmp_path / "out")
    monkeypatch.undo()
    gc.collect()  # a ZipFile that is collected tries to end its file
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_package_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "xlsxwriter":
            raise ModuleNotFoundError("No module named 'xlsxwriter'", name="xlsxwriter")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(__import__("sys").modules, "bluesky_export.formats.xlsx")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UnknownFormat, match=r"bluesky-export\[xlsx\]"):
        writer_class("xlsx")
