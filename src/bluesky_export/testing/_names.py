"""Runs whose fields and streams have odd names."""

from __future__ import annotations

from collections.abc import Sequence

from ._kinds import NUMBER, Kinds, RunMaker, key

KINDS = Kinds()

_REFUSED = "names of fields must not hold / or ."


def _fields(
    name: str, summary: str, fields: Sequence[str], features: str = "field-name", not_valid: str = ""
) -> None:
    columns = {field: (NUMBER, [n + row / 7 for row in range(3)]) for n, field in enumerate(fields)}

    @KINDS.run(name, summary, features, not_valid=not_valid)
    def _build(run: RunMaker) -> None:
        run.scan(columns)


_fields("field-slash", "field names with a slash", ["a/b", "/c", "d/", "a//b"], not_valid=_REFUSED)
_fields("field-dot", "field names with dots", ["a.b", ".c", "..", "."], not_valid=_REFUSED)
_fields("field-blank", "field names with blanks", ["a b", "a  b", " c", "d ", "\te"])
_fields(
    "field-quotes",
    "field names with quotes, signs and line breaks",
    ['a"b', "it's", "#d", "e=f", "g\nh", "i,j"],
)
_fields(
    "field-unicode", "field names in other alphabets", ["µ", "Ångström", "漢字", "🙂", "e\u0301", "\u00e9"]
)
_fields("field-case", "field names that differ by case only", ["det", "Det", "DET"])
_fields(
    "field-formula", "field names that a spreadsheet takes for formulas", ["=1+1", "+x", "-y", "@z", "'q"]
)
_fields("field-long", "very long field names", ["x" * 300, "x" * 299 + "y", "é" * 200])
_fields("field-digits", "field names that are numbers", ["1", "2.5".replace(".", "_"), "0x10", "nan"])
_fields("field-empty", "a field without a name", ["", " "], not_valid="names of fields must not be empty")
_fields(
    "field-own",
    "fields with the names of our own columns",
    ["time", "Epoch", "Epoch_float", "seq_num", "uid", "event_time", "time_timestamp"],
    "own-name",
)
_fields(
    "field-groups",
    "fields with the names of groups and attributes of our files",
    [
        "timestamps",
        "nulls",
        "external",
        "descriptor_index",
        "data",
        "value",
        "EPOCH",
        "_FillValue",
        "units",
    ],
    "own-name",
)
_fields(
    "field-like-ours",
    "names that look like those that we make",
    ["a_1", "a/1", "a_2f1"],
    not_valid=_REFUSED,
)


@KINDS.run("stream-names", "streams with odd names", "field-name streams")
def _streams(run: RunMaker) -> None:
    run.start()
    long = ["x" * 250 + "a", "x" * 250 + "b"]
    for stream in ("primary", "start", "a b", "µ/m", "Primary", "../up", *long):
        run.table({"m": (NUMBER, [0.5, 1.5]), "note": (key("string"), [stream, "x"])}, stream)
    run.stop()
