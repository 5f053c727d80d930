"""``%runs``: the 20 newest of many runs, and single runs by what is known of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import _stores
from ._compete import Contender, Contest

SHOWN = 20
Work = Callable[[Any, Path], None]


def _keep(out: Path, uids: list[str]) -> None:
    """Leave what was found for the check; in no order, as the contenders differ in theirs."""
    (out / "uids.json").write_text(json.dumps(sorted(uids)))


def _catalogs(store: dict[str, Any]) -> Callable[[Any], Any]:
    """Open the catalog, and another one to have done the same once: imports are not what is measured."""
    catalog, other = (_stores.open_store(one) for one in (store, store.get("small") or store))
    return lambda asked: other if asked == store.get("small") else catalog


def ours(store: dict[str, Any]) -> Work:
    from bluesky_export.listing import runs

    choose = _catalogs(store)

    def work(asked: Any, out: Path) -> None:
        table = runs(store["selector"], columns="uid,scan_id,plan,time", catalog=choose(asked))
        str(table)  # as the magic shows it
        _keep(out, [run.uid for run in table.runs])

    return work


def listruns(store: dict[str, Any]) -> Work:
    """apstools' ``listruns(cat, num=20)``, which is a table of short uids."""
    from apstools.utils import TableStyle, listruns

    choose = _catalogs(store)

    def work(asked: Any, out: Path) -> None:
        table = listruns(choose(asked), keys=["uid"], num=SHOWN, table_style=TableStyle.pandas)
        _keep(out, list(table["uid"]))

    return work


def entries(store: dict[str, Any], *, reload: bool = True) -> Work:
    """The newest start documents out of databroker's entries, as current as ours.

    A minute after it has looked for changes (``cat.ttl``), databroker looks again before it gives one.
    """
    choose = _catalogs(store)

    def work(asked: Any, out: Path) -> None:
        catalog = choose(asked)
        if reload:
            catalog.force_reload()
        entries = catalog._entries.values()
        starts = [entry.describe()["metadata"]["start"] for entry in entries]
        starts.sort(key=lambda start: start["time"])
        _keep(out, [start["uid"] for start in starts[-SHOWN:]])

    return work


def kept_entries(store: dict[str, Any]) -> Work:
    """The same out of the entries as they were when the catalog was opened."""
    return entries(store, reload=False)


def one_by_one(store: dict[str, Any]) -> Work:
    """``[client.values()[-i] for i in …]``."""
    client = _stores.open_store(store)

    def work(asked: Any, out: Path) -> None:  # noqa: ARG001
        values = client.values()
        _keep(out, [values[-i].metadata["start"]["uid"] for i in range(1, SHOWN + 1)])

    return work


def tail(store: dict[str, Any]) -> Work:
    """``client.items().tail(20)``: one request."""
    client = _stores.open_store(store)

    def work(asked: Any, out: Path) -> None:  # noqa: ARG001
        _keep(out, [run.metadata["start"]["uid"] for _, run in client.items().tail(SHOWN)])

    return work


def search(store: dict[str, Any]) -> Work:
    """The client's own search, by scan_id or by the beginning of a uid."""
    from bluesky_tiled_plugins.queries import PartialUID, ScanID

    client = _stores.open_store(store)
    text = store["selector"]

    def work(asked: Any, out: Path) -> None:  # noqa: ARG001
        query = PartialUID(text) if not text.isdigit() else ScanID(int(text))
        _keep(out, [run.metadata["start"]["uid"] for run in client.search(query).values()])

    return work


def _checked(store: dict[str, Any], expected: list[str]) -> Callable[[Path], None]:
    def check(out: Path) -> None:
        found = json.loads((out / "uids.json").read_text())
        assert len(found) == len(expected), (store["selector"], len(found))
        assert all(uid.startswith(short) for uid, short in zip(sorted(expected), found, strict=True))

    return check


def _newest(count: int) -> list[str]:
    return [start["uid"] for start, _ in _stores.short_runs(count)][-SHOWN:]


def _contest(
    name: str, title: str, store: dict[str, Any], expected: list[str], *others: Contender
) -> Contest:
    them = [Contender("ours", "%runs", f"{__name__}:ours"), *others]
    return Contest(name, title, store, them, _checked(store, expected))


def _contender(role: str, words: str, function: Any, **more: Any) -> Contender:
    return Contender(role, words, f"{__name__}:{function.__name__}", **more)


@contextmanager
def databroker(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """databroker: the 20 newest of 10², 10³, 10⁴ runs. listruns opens every run: once, to 10³."""
    contests = []
    small = _stores.databroker_runs(folder / "small", 5)
    for count in (30, 60) if quick else (100, 1000, 10_000):
        store = {**_stores.databroker_runs(folder / str(count), count), "selector": (), "small": small}
        others = [
            _contender("floor", "cat.force_reload(); 20 newest of its entries", entries),
            _contender("kept", "20 newest of the entries as they were", kept_entries),
        ]
        if count <= 1000:
            others.append(_contender("peer", "apstools listruns(cat)", listruns, rounds=1))
        title = f"databroker, the 20 newest of {count:,} runs"
        contests.append(_contest(f"runs-databroker-{count}", title, store, _newest(count), *others))
    yield contests


@contextmanager
def tiled(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """Tiled: the 20 newest of 10², 10⁴, 10⁵ runs; one by its scan_id and by the beginning of its uid."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        contests = []
        for count in (30, 60) if quick else (100, 10_000, 100_000):
            store = stack.enter_context(_stores.tiled_runs(folder / str(count), count))
            many = f"{count:,} runs"
            contests.append(
                _contest(
                    f"runs-tiled-{count}",
                    f"Tiled, the 20 newest of {many}",
                    {**store, "selector": ()},
                    _newest(count),
                    _contender("floor", "client.items().tail(20)", tail),
                    _contender("peer", "client.values()[-i], 20 times", one_by_one),
                )
            )
            middle = [start for start, _ in _stores.short_runs(count // 2)][-1]
            for what, text in (("scan_id", str(middle["scan_id"])), ("uid", middle["uid"][:8])):
                contests.append(
                    _contest(
                        f"run-by-{what}-tiled-{count}",
                        f"Tiled, a run by its {what} {text}, of {many}",
                        {**store, "selector": text},
                        [middle["uid"]],
                        _contender("floor", "client.search(…)", search),
                    )
                )
        yield contests


SUITES = {"runs-databroker": databroker, "runs-tiled": tiled}
