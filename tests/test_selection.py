"""The whole table of selectors."""

from __future__ import annotations

import numpy as np
import pytest

from bluesky_export.errors import AmbiguousRun, RunNotFound, UsageError
from bluesky_export.selection import Selection, select

from .memory_catalog import MemoryCatalog
from .replaying import run_of

UIDS = {
    550: "c6b461f7-53aa-4941-9e38-ce842f08bf2d",
    551: "c6b461f8-53aa-4941-9e38-ce842f08bf2d",
    552: "12345678-1234-4941-9e38-ce842f08bf2d",
    553: "facade00-53aa-4941-9e38-ce842f08bf2d",
    555: "0badcafe-53aa-4941-9e38-ce842f08bf2d",
}
SECOND_553 = "deadbeef-53aa-4941-9e38-ce842f08bf2d"


@pytest.fixture(scope="module")
def catalog():
    runs = []
    for row, (scan_id, uid) in enumerate([*UIDS.items(), (553, SECOND_553)]):
        plan = "scan" if scan_id % 2 else "count"
        start = {"scan_id": scan_id, "time": 1e9 + row * 3600, "plan_name": plan}
        runs.append(run_of({"x": [1.0]}, uid=uid, start=start))
    return MemoryCatalog(runs)


@pytest.fixture
def pick(catalog):
    said = []

    def pick(*selectors, variables=None, **search):
        runs = select(Selection(selectors, **search), catalog, variables or {}, said.append)
        return [(run.scan_id, run.uid) for run in runs]

    pick.said = said
    pick.catalog = catalog
    return pick


def ids(picked):
    return [scan_id for scan_id, _ in picked]


@pytest.mark.parametrize("one", ["-1", -1])
def test_runs_ago(pick, one):
    assert pick(one) == [(553, SECOND_553)]
    assert ids(pick("-2")) == [555]


def test_more_runs_ago_than_there_are(pick):
    with pytest.raises(RunNotFound, match="memory has 6 runs"):
        pick("-7")


@pytest.mark.parametrize("one", ["552", 552, np.int64(552)])
def test_scan_id(pick, one):
    assert pick(one) == [(552, UIDS[552])]


def test_a_scan_id_that_several_runs_have_is_said(pick):
    assert pick("553") == [(553, SECOND_553)]
    (said,) = pick.said
    assert said.startswith("scan_id 553 matches 2 runs; using deadbee (2001-09-09")
    assert "--all-matches" in said


def test_all_matches(pick):
    assert [uid for _, uid in pick("553", all_matches=True)] == [UIDS[553], SECOND_553]
    assert pick.said == []


def test_a_range_has_both_ends_and_says_its_gaps(pick):
    assert ids(pick("550-552")) == [550, 551, 552]
    assert pick.said == []
    assert ids(pick("552-556")) == [552, 553, 555]
    assert "no run has scan_id 554, 556" in pick.said


def test_a_range_far_beyond_what_there_is(pick):
    assert ids(pick("554-999999999999")) == [555]
    assert "no run has scan_id 554, 556-999999999999" in pick.said


def test_a_range_that_runs_backwards(pick):
    with pytest.raises(UsageError, match="552-550"):
        pick("552-550")


@pytest.mark.parametrize(
    ("text", "scan_ids"),
    [
        ("-3:", [553, 555, 553]),
        ("-3:-1", [553, 555]),
        ("-6::2", [550, 552, 555]),
        ("-99:", [550, 551, 552, 553, 555, 553]),
    ],
)
def test_slices(pick, text, scan_ids):
    assert ids(pick(text)) == scan_ids


def test_a_slice_longer_than_the_catalog_says_so(pick):
    pick("-99:")
    assert pick.said == ["-99: asks for more: memory has only 6 runs"]


@pytest.mark.parametrize("text", [":", ":-5", "-2:-3"])
def test_slices_that_select_nothing(pick, text):
    with pytest.raises((UsageError, RunNotFound)):
        pick(text)


def test_python_slices(pick):
    assert ids(pick(slice(-2, None))) == [555, 553]
    assert ids(pick(slice(-3, -1))) == [553, 555]


@pytest.mark.parametrize("text", ["c6b461f7", UIDS[550], "C6B461F7", "c6b461f7-53aa"])
def test_uids(pick, text):
    assert ids(pick(text)) == [550]


def test_a_uid_prefix_that_several_runs_have(pick):
    with pytest.raises(AmbiguousRun, match=r"2 runs: .*550.*551"):
        pick("c6b461f")


def test_a_uid_prefix_of_digits_alone(pick):
    with pytest.raises(RunNotFound, match="uid:12345678"):
        pick("12345678")
    assert ids(pick("uid:12345678")) == [552]
    assert ids(pick("12345678-1234")) == [552]


@pytest.mark.parametrize("text", ["uid:c6b", "c6b4"])
def test_a_uid_prefix_that_is_too_short(pick, text):
    with pytest.raises(UsageError, match="5 characters"):
        pick(text)


@pytest.mark.parametrize("text", ["ffffff", "$nothing", "999"])
def test_nothing_matches(pick, text):
    with pytest.raises(RunNotFound):
        pick(text)


def test_regular_expressions_are_plain_text(pick):
    for text in ("uid:c6b46.f7", "uid:.*......", "uid:%%%%%%"):
        with pytest.raises(RunNotFound):
            pick(text)


class Result:
    run_start_uids = (UIDS[551], UIDS[550])


@pytest.mark.parametrize("typed", ["uids", "$uids"])
@pytest.mark.parametrize(
    "value", [[UIDS[551], UIDS[550]], (UIDS[551], [UIDS[550]]), np.array([UIDS[551], UIDS[550]]), Result()]
)
def test_variables(pick, typed, value):
    assert ids(pick(typed, variables={"uids": value})) == [551, 550]


def test_a_variable_that_reads_as_a_uid(pick):
    variables = {"facade": UIDS[550], "decade": UIDS[551]}
    with pytest.raises(AmbiguousRun, match=r"\$facade or uid:facade"):
        pick("facade", variables=variables)
    assert ids(pick("$facade", variables=variables)) == [550]
    assert ids(pick("uid:facade", variables=variables)) == [553]
    assert ids(pick("decade", variables=variables)) == [551]


@pytest.mark.parametrize("value", [3.5, {"a": 1}, object(), None, True])
def test_variables_that_hold_no_runs(pick, value):
    with pytest.raises(UsageError, match="variable x"):
        pick("x", variables={"x": value})


def test_an_empty_list_of_uids(pick):
    with pytest.raises(RunNotFound, match="holds no runs"):
        pick("x", variables={"x": []})


def test_several_selectors_in_order_each_run_once(pick):
    assert ids(pick("555", "-2:", "550")) == [555, 553, 550]


def test_a_search(pick):
    assert ids(pick(plan="count")) == [550, 552]
    assert ids(pick(since=1e9 + 3600, until=1e9 + 3 * 3600)) == [551, 552]
    assert any(line.startswith("runs since 2001-09-09") for line in pick.said)
    assert ids(pick(where={"scan_id": "551"})) == [551]


def test_a_search_narrows_selectors(pick):
    assert ids(pick("550-555", plan="count")) == [550, 552]
    with pytest.raises(RunNotFound, match="none of the selected"):
        pick("551", plan="count")


def test_a_search_without_a_match_says_what_was_searched(pick):
    with pytest.raises(RunNotFound, match="--plan nope --where a=b"):
        pick(plan="nope", where={"a": "b"})


def test_a_search_that_ends_before_it_begins(pick):
    with pytest.raises(UsageError, match="not before"):
        pick(since="2026", until="2025")


@pytest.mark.parametrize("text", ["nonsense", "", "-", "1-", "a b"])
def test_what_is_no_selector(pick, text):
    with pytest.raises(UsageError):
        pick(text)


def test_no_selector_at_all(pick):
    with pytest.raises(UsageError, match="which run"):
        pick()
