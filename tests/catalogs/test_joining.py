"""Short pages are joined without changing an event or the order within a stream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bluesky_export.catalogs._joining import join_pages
from bluesky_export.documents.pages import page_to_events, paginate

VALUES = [1, 2.5, "text", None, [1, 2], np.arange(3)]


def a_page(descriptor, first, rows, fields, as_array=False):
    def columns(value):
        return {key: [value(row) for row in range(first, first + rows)] for key in fields}

    page = {
        "descriptor": descriptor,
        "uid": [f"{descriptor}{row}" for row in range(first, first + rows)],
        "time": [float(row) for row in range(first, first + rows)],
        "seq_num": list(range(first, first + rows)),
        "data": columns(lambda row: VALUES[row % len(VALUES)]),
        "timestamps": columns(float),
        "filled": {},
    }
    if as_array:
        page["data"] = {key: np.arange(rows, dtype=float) for key in fields}
    return page


@st.composite
def runs(draw):
    """Give pages, events and other documents of two descriptors, in any order and size."""
    position = {"d": 1, "e": 1}
    out = [("start", {"uid": "u"})]
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["page", "page", "page", "event", "other", "array"]))
        descriptor = draw(st.sampled_from("de"))
        fields = draw(st.sampled_from(["a", "a", "ab"]))
        rows = 1 if kind == "event" else draw(st.integers(1, 9))
        if kind == "other":
            out.append(("resource", {"uid": "r"}))
            continue
        page = a_page(descriptor, position[descriptor], rows, fields, kind == "array")
        position[descriptor] += rows
        if kind == "event":
            out.append(("event", next(page_to_events(page))))
        else:
            out.append(("event_page", page))
    return [*out, ("stop", {"uid": "s"})]


def events(documents):
    out = {"d": [], "e": []}
    for name, doc in documents:
        if name == "event":
            out[doc["descriptor"]].append(doc)
        elif name == "event_page":
            out[doc["descriptor"]].extend(page_to_events(doc))
    return out


@settings(deadline=None)
@given(runs(), st.integers(1, 12))
def test_nothing_is_lost_or_reordered(documents, size):
    joined = list(join_pages(documents, size))
    assert repr(events(joined)) == repr(events(documents))
    assert joined[0][0] == "start"
    assert joined[-1][0] == "stop"
    others = [pair for pair in documents if pair[0] not in ("event", "event_page")]
    assert [pair for pair in joined if pair[0] not in ("event", "event_page")] == others


@settings(deadline=None)
@given(runs(), st.integers(1, 12))
def test_without_timestamps_all_else_is_there(documents, size):
    def bare(pairs):
        return {key: [{**one, "timestamps": {}} for one in some] for key, some in events(pairs).items()}

    pages = list(join_pages(documents, size, timestamps=False))
    assert repr(bare(pages)) == repr(bare(documents))
    assert all("timestamps" in doc for name, doc in pages if name == "event_page")


def test_what_reads_no_timestamps_is_not_made_them():
    documents = [("event_page", a_page("d", row, 1, "ab")) for row in range(1, 8)]
    assert [page["timestamps"] for _, page in join_pages(documents, 4, timestamps=False)] == [{}, {}]


@pytest.mark.parametrize("column", ["7", (7,), {7: 1}, np.array([7])])
def test_a_column_that_is_no_list_is_left_as_it_is(column):
    odd = a_page("d", 2, 1, "a")
    odd["data"]["a"] = column
    documents = [("event_page", one) for one in (a_page("d", 1, 1, "a"), odd, a_page("d", 3, 1, "a"))]
    assert [page["data"]["a"] for _, page in join_pages(documents, 5)] == [[2.5], column, [None]]


def test_one_row_pages_become_full_ones():
    documents = [("event_page", a_page("d", row, 1, "ab")) for row in range(1, 8)]
    assert [len(page["seq_num"]) for _, page in join_pages(documents, 3)] == [3, 3, 1]
    assert [len(page["seq_num"]) for _, page in paginate(join_pages(documents, 3), 3)] == [3, 3, 1]


def test_columns_of_unequal_length_are_left_to_be_refused():
    bad = a_page("d", 2, 1, "a")
    bad["data"]["a"] = [1, 2]
    documents = [("event_page", a_page("d", 1, 1, "a")), ("event_page", bad)]
    assert [page for _, page in join_pages(documents, 5)] == [documents[0][1], bad]


def test_a_second_descriptor_comes_after_the_first_however_long_it_is():
    documents = [
        ("descriptor", {"uid": "d", "name": "primary"}),
        *(("event_page", a_page("d", row, 1, "a")) for row in range(1, 4)),
        ("descriptor", {"uid": "e", "name": "primary"}),
        *(("event_page", a_page("e", row, 1, "a")) for row in range(4, 30)),
    ]
    for pages in (join_pages(documents, 5), paginate(join_pages(documents, 5), 5), paginate(documents, 5)):
        found = [n for name, page in pages if name == "event_page" for n in page["seq_num"]]
        assert found == list(range(1, 30))


def test_events_with_other_fields_begin_another_page():
    documents = [("event_page", a_page("d", row, 1, "a" if row == 3 else "ab")) for row in range(1, 6)]
    singles = [("event", next(page_to_events(page))) for _, page in documents]
    for given_as in (documents, singles):
        assert [page["seq_num"] for _, page in paginate(given_as, 10)] == [[1, 2], [3], [4, 5]]


@pytest.mark.parametrize("join", [join_pages, paginate])
def test_the_first_events_of_a_stream_are_not_held_back(join):
    """SPEC's rows wait for the baseline, whose second reading is the last event of a run."""
    order = [("e", 1), ("d", 1), ("d", 2), ("d", 3), ("e", 2)]
    pages = [("event_page", a_page(descriptor, first, 1, "a")) for descriptor, first in order]
    joined = [
        (doc["descriptor"], doc["seq_num"]) for name, doc in join(pages, 1000) if name == "event_page"
    ]
    assert joined == [("e", [1]), ("d", [1, 2, 3]), ("e", [2])]
