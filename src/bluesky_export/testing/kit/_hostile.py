"""Text that means harm: as metadata, names of fields and streams, values, and in names of files."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest

from ...outputs import Target
from .. import Made, RunMaker
from .._kinds import NUMBER, key
from ._holding import hold
from ._replaying import replay
from ._tested import Tested

TEXTS = 25
"""Texts in one run."""

PIECES: tuple[str, ...] = (
    *(
        "\n",
        "\r",
        "\r\n",
        "\t",
        "\x00",
        "\x0b",
        "\x0c",
        "\x1c",
        "\x1e",
        "\x85",
        "\u2028",
        "\u2029",
        "\ufeff",
    ),
    *(
        "#S 1",
        "\n#S 99  fake",
        "\n#L a  b\n1 2\n",
        "#MD k = v",
        "\n#F x",
        "#U row 1: x = 5",
        " = ",
        "%20",
        "%",
    ),
    *("=1+1", "+1", "-1", "@SUM(A1)", "'", '"', '""', '",', ",", ";", "\t=x", "\r=x", "=cmd|' /C calc'!A1"),
    *(
        "..",
        "../",
        "../../etc/passwd",
        "/",
        "\\",
        "C:",
        "~",
        "~root",
        "CON",
        "nul.txt",
        ".",
        ".hidden",
        "a" * 300,
    ),
    *("{0}", "{uid}", "{start[uid]}", "{", "}", "%s", "$HOME", "`ls`", "$(ls)", "\x1b[31m", "\u202e"),
    *('{"$date": 1}', "NaN", "nan", "None", "null", "true", "1", "1e999", "0x10", "[1]", "{}", "[", "- x"),
    *("\ud800", "\udc80", "\udfff", "\U0001f642", "é", "e\u0301", "漢", "\u200b", "\xa0", "  ", " ", ""),
    *("uid", "time", "Epoch", "seq_num", "value", "nulls", "timestamps", "units", "event_time", "start"),
)
"""What ends, begins or escapes something somewhere."""

ALIKE: tuple[tuple[str, ...], ...] = (
    ("_", "\ud800", "\udfff", "\x00", "/", ".", "", " ", "__", "\ud800_", "?"),
    (
        "\\ud800",
        "\ud800",
        "\\x00",
        "\x00",
        "\\\\ud800",
        "%00",
        "_x0000_",
        "%ED%A0%80",
        "\\u0000",
        '"\\ud800"',
        "x",
    ),
    ("a b", "a  b", "a\tb", "a\nb", "a_b", "a/b", "a.b", "A b", "a b ", "a\xa0b", "a%b"),
    (
        "=1+1",
        "'=1+1",
        "''=1+1",
        "\t=1+1",
        " =1+1",
        "1+1",
        "\u00e9",
        "e\u0301",
        "E\u0301",
        "é_",
        "é_timestamp",
    ),
)
"""Names that escaping or cleaning may make equal."""


def hostile_run(texts: list[str], folder: Path) -> Made:
    """Return a run with texts in every place that a text has: keys, values, fields, units, streams."""
    run = RunMaker("hostile", folder)
    own = {"uid", "time", "scan_id", "hints", "motors", "detectors", "plan_name", "plan_args", "plan_type"}
    keys = {text: number for number, text in enumerate(texts) if text not in own}
    values = {f"value_{number}": text for number, text in enumerate(texts)}
    run.emit(
        "start", {"uid": run.uid, "time": run.begin, "scan_id": 7, "plan_name": texts[0], "motors": ["m"]}
    )
    start = run.made.documents[0][1]
    start.update({**keys, **values, "nested": {**keys, "list": texts}}, sample_name=texts[1])
    fields = {text: NUMBER for text in texts if text not in ("m", "text")}
    described = {
        "data": {text: text for text in texts},
        "timestamps": dict.fromkeys(texts, run.begin),
        "data_keys": {text: key("string") for text in texts},
    }
    run.descriptor(
        {"m": {**NUMBER, "units": texts[3]}, "text": key("string"), **fields},
        configuration={"m": described, texts[4]: described},
        hints={"m": {"fields": [texts[5]]}},
    )
    for row, text in enumerate(texts):
        run.event({"m": row / 7, "text": text, **{field: n + row / 3 for n, field in enumerate(fields)}})
    stream = f"{texts[6]} 2"
    run.descriptor({"m": {**NUMBER, "source": texts[7], "units": texts[8]}}, stream)
    run.event({"m": 0.5}, stream)
    run.stop(reason=texts[2], extra={texts[9]: texts[10]})
    return run.made


class HostileTests:
    """Whatever the texts of a run are: they are kept as declared, and no file is elsewhere."""

    @pytest.fixture
    def draw(self) -> random.Random:
        """Draw texts by a seed, which is shown where a test fails."""
        seed = int(os.environ.get("BLUESKY_EXPORT_SEED") or random.SystemRandom().randrange(2**32))
        print(f"BLUESKY_EXPORT_SEED={seed}")  # noqa: T201
        return random.Random(seed)  # noqa: S311

    def test_hostile_texts(self, tested: Tested, draw: random.Random, tmp_path: Path) -> None:
        """In every place that a text has."""
        for number, drawn in enumerate((*(texts(draw) for _ in range(4)), *map(list, ALIKE))):
            folder = tmp_path / f"{number}"
            (inside := folder / "inside").mkdir(parents=True)
            made = hostile_run(drawn, folder)
            if tested.refuses(made) is not None:
                continue
            written = replay(tested.writer, made.documents, inside)
            assert {path for path in inside.rglob("*") if path.is_file()} == set(written.files)
            if tested.writer.suffix:  # else it is a format of folders
                assert {path.parent for path in written.files} == {inside}
            assert list(folder.iterdir()) == [inside], "something was written outside of the folder"
            hold(written, made, tested)

    def test_hostile_names_of_files(self, tested: Tested, draw: random.Random, tmp_path: Path) -> None:
        """Metadata in a template give names, and no paths."""
        folder = tmp_path / "outer" / "inside"
        folder.mkdir(parents=True)
        for number, text in enumerate(texts(draw)):
            made = plain_run(f"name-{number}", text, tmp_path / "detectors")
            if tested.refuses(made) is not None:
                return
            target = Target(folder, template=f"{number}-" + "{start[sample]}")
            written = replay(tested.writer, made.documents, target)
            names = [path.relative_to(folder).parts for path in written.files if path.is_file()]
            assert len(names) == len(written.files)
            # A format without a suffix is one of folders.
            assert all(name[0].startswith(f"{number}-") for name in names), names
            assert all(len(name) == 1 for name in names) or not tested.writer.suffix, names
        assert list((tmp_path / "outer").iterdir()) == [folder]


def texts(draw: random.Random, count: int = TEXTS) -> list[str]:
    """Draw texts of up to four pieces each."""
    return [joined(draw.choices(PIECES, k=draw.randrange(5))) for _ in range(count)]


def joined(pieces: Iterable[str]) -> str:
    """Join pieces; two surrogates that meet become the character that JSON and UTF-16 have for them."""
    return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def plain_run(name: str, sample: str, folder: Path) -> Made:
    """Return a small run of a sample with that name."""
    run = RunMaker(name, folder)
    run.scan({"det": (key("integer"), [3, 1, 2])}, sample=sample)
    return run.made
