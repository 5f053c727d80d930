"""A run in a folder as databroker-pack makes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import _runs, _stores
from ._compete import Contender, Contest
from .tabular import Work, documents_of


def ours(store: dict[str, Any]) -> Work:
    from bluesky_export import export

    catalog = _stores.open_store(store)

    def work(run: str, out: Path) -> None:
        export(run, "pack", f"{out}/", name="packed", catalog=catalog)

    return work


def databroker_pack(store: dict[str, Any]) -> Work:
    """What the command ``databroker-pack`` calls, without its start."""
    from databroker_pack import (
        export_uids,
        write_documents_manifest,
        write_external_files_manifest,
        write_msgpack_catalog_file,
    )
    from suitcase.utils import MultiFileManager

    catalog = _stores.open_store(store)

    def work(run: str, out: Path) -> None:
        folder = out / "packed"
        manager = MultiFileManager(folder, allowed_modes=("xt",))
        artifacts, external, failures, _ = export_uids(catalog, [run], folder, strict=True)
        assert not failures
        write_documents_manifest(manager, folder, artifacts["all"])
        for (_root, _, unique_id), files in external.items():
            write_external_files_manifest(manager, unique_id, files)
        write_msgpack_catalog_file(manager, folder, ["./documents/*.msgpack"], {})

    return work


def copy(store: dict[str, Any]) -> Work:
    """``cp`` of the catalog's own file."""

    def work(run: str, out: Path) -> None:
        (out / "packed" / "documents").mkdir(parents=True)
        (path,) = Path(store["path"]).parent.glob(f"{run}*.msgpack")
        shutil.copyfile(path, out / "packed" / "documents" / path.name)

    return work


def _checked(store: dict[str, Any]) -> Callable[[Path], None]:
    def check(out: Path) -> None:
        found: dict[str, list[float]] = {name: [] for name in _runs.names(store["fields"])}
        (path,) = (out / "packed").rglob("*.msgpack")
        for name, doc in documents_of(path):
            if name in ("event", "event_page") and _runs.MOTOR in doc["data"]:
                for key, values in doc["data"].items():
                    found[key] += [values] if name == "event" else list(values)
        for name, values in _runs.columns(store["events"], store["fields"]).items():
            assert np.array_equal(found[name], values), name

    return check


@contextmanager
def suite(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """databroker, one event a document: 10⁵ events."""
    events = 5000 if quick else 100_000
    store = {**_stores.databroker(folder / "pack", events), "format": "pack"}
    yield [
        Contest(
            f"pack-{events}",
            f"databroker, one event a document, {events:,} events → pack",
            store,
            [
                Contender("peer", "databroker-pack", f"{__name__}:databroker_pack"),
                Contender("ours", "%export pack", f"{__name__}:ours"),
                Contender("floor", "cp of the catalog's file", f"{__name__}:copy"),
            ],
            _checked(store),
        )
    ]


SUITES = {"pack": suite}
