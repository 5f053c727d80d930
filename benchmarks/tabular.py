"""Events into tables: csv, json, hdf5, spec, nexus and others."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from . import _columns, _runs, _stores
from ._compete import Contender, Contest

Work = Callable[[str, Path], Any]


# -- ours --------------------------------------------------------------------------------------


def ours(store: dict[str, Any]) -> Work:
    from bluesky_export import export

    catalog = _stores.open_store(store)

    def work(run: str, out: Path) -> None:
        export(run, store["format"], f"{out}/", catalog=catalog)

    return work


# -- what users do today -----------------------------------------------------------------------


def read_to_csv(store: dict[str, Any]) -> Work:
    """``run.primary.read().to_pandas().to_csv()``."""
    catalog = _stores.open_store(store)

    def work(run: str, out: Path) -> None:
        catalog[run]["primary"].read().to_pandas().to_csv(out / "peer.csv")

    return work


def read_to_json(store: dict[str, Any]) -> Work:
    """``json.dumps(run.primary.read().to_dict())``."""
    catalog = _stores.open_store(store)

    def work(run: str, out: Path) -> None:
        (out / "peer.json").write_text(json.dumps(catalog[run]["primary"].read().to_dict()))

    return work


def read_to_netcdf(store: dict[str, Any]) -> Work:
    """``run.primary.read().to_netcdf()``."""
    catalog = _stores.open_store(store)

    def work(run: str, out: Path) -> None:
        catalog[run]["primary"].read().to_netcdf(out / "peer.h5", engine="h5netcdf")

    return work


def table_to_csv(store: dict[str, Any]) -> Work:
    """``cat.v1[uid].table().to_csv()``."""
    catalog = _stores.open_store(store).v1

    def work(run: str, out: Path) -> None:
        catalog[run].table().to_csv(out / "peer.csv")

    return work


def _replayed(catalog: Any, run: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a stored run's documents with single events and datums: apstools' writers ignore pages."""
    from event_model import unpack_datum_page, unpack_event_page

    for name, doc in catalog[run].documents(fill="no"):
        if name == "event_page":
            for event in unpack_event_page(doc):
                yield "event", event
        elif name == "datum_page":
            for datum in unpack_datum_page(doc):
                yield "datum", datum
        else:
            yield name, doc


def replay_spec(store: dict[str, Any]) -> Work:
    """Replay into apstools' SpecWriterCallback2."""
    from apstools.callbacks import SpecWriterCallback2

    catalog = _stores.open_store(store)

    def work(run: str, out: Path) -> None:
        writer = SpecWriterCallback2()
        writer.newfile(out / "peer.dat")
        for name, doc in _replayed(catalog, run):
            writer.receiver(name, doc)

    return work


def _wait_for(writer: Any, path: Path) -> None:
    """Wait for NXWriter's thread; its own ``wait_writer`` looks once in a while, at a flag set late."""
    deadline = time.monotonic() + 120
    while getattr(writer, "output_nexus_file", None) != path or writer._writer_active:
        if time.monotonic() > deadline:
            raise RuntimeError("NXWriter has written no file")
        time.sleep(0.001)


def replay_nexus(store: dict[str, Any]) -> Work:
    """Replay into apstools' NXWriter."""
    from apstools.callbacks import NXWriter

    catalog = _stores.open_store(store)

    def work(run: str, out: Path) -> None:
        writer = NXWriter()
        writer.warn_on_missing_content = False
        writer.file_name = out / "peer.hdf"
        for name, doc in _replayed(catalog, run):
            writer.receiver(name, doc)
        _wait_for(writer, out / "peer.hdf")

    return work


# -- the floor ---------------------------------------------------------------------------------


def floor_csv(store: dict[str, Any]) -> Work:
    """The store's bytes into columns, written by ``pyarrow.csv``."""
    import pyarrow as pa
    from pyarrow import csv

    if store["kind"] == "tiled":
        kept = ["time", *_runs.names(store["fields"])]

        def work(run: str, out: Path) -> None:
            csv.write_csv(_columns.arrow(store, run).select(kept), out / "floor.csv")

        return work

    def work(run: str, out: Path) -> None:
        csv.write_csv(pa.table(_columns.read(store, run)), out / "floor.csv")

    return work


def floor_spec(store: dict[str, Any]) -> Work:
    """The store's bytes into columns, written by ``pyarrow.csv`` with blanks."""
    import pyarrow as pa
    from pyarrow import csv

    options = csv.WriteOptions(include_header=False, delimiter=" ")

    def work(run: str, out: Path) -> None:
        table = pa.table(_columns.read(store, run))
        with (out / "floor.dat").open("wb") as file:
            file.write(f"#F floor.dat\n\n#S 1  scan\n#N {table.num_columns}\n".encode())
            file.write(("#L " + "  ".join(table.column_names) + "\n").encode())
            csv.write_csv(table, file, options)

    return work


def floor_json(store: dict[str, Any]) -> Work:
    """The store's bytes into columns, written by orjson."""
    import orjson

    def work(run: str, out: Path) -> None:
        columns = _columns.read(store, run)
        text = orjson.dumps({"data": columns}, option=orjson.OPT_SERIALIZE_NUMPY)
        (out / "floor.json").write_bytes(text)

    return work


def floor_same_json(store: dict[str, Any]) -> Work:
    """The store's bytes into columns, timestamps too, and all that our own file says written by orjson."""
    import orjson

    recorded = {
        run: _recorded(store, run, lambda path: json.loads(path.read_text())) for run in _both(store)
    }
    stamps = _columns.TIMESTAMP

    def work(run: str, out: Path) -> None:
        columns = _columns.read(store, run, timestamps=True)
        whole = dict(recorded[run])
        primary = {**whole["streams"]["primary"], "time": columns.pop("time")}
        primary["timestamps"] = {k[len(stamps) :]: v for k, v in columns.items() if k.startswith(stamps)}
        primary["data"] = {k: v for k, v in columns.items() if not k.startswith(stamps)}
        whole["streams"] = {**whole["streams"], "primary": primary}
        (out / "floor.json").write_bytes(orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY))

    return work


def floor_hdf5(store: dict[str, Any]) -> Work:
    """The store's bytes into columns, each a dataset of h5py's."""
    import h5py

    def work(run: str, out: Path) -> None:
        with h5py.File(out / "floor.h5", "w") as file:
            for name, values in _columns.read(store, run).items():
                file[name] = values

    return work


def _both(store: dict[str, Any]) -> tuple[str, str]:
    return store["small"], store["run"]


def _recorded(store: dict[str, Any], run: str, look: Callable[[Path], Any]) -> Any:
    """Return what is in the file that ours makes of a run, which a floor is to write again."""
    import tempfile

    from bluesky_export import export

    with tempfile.TemporaryDirectory() as folder:
        (path,) = export(run, store["format"], f"{folder}/", catalog=_stores.open_store(store)).files
        return look(path)


def floor_same_datasets(store: dict[str, Any]) -> Work:
    """The store's bytes into columns, and every object of our own file written again by h5py."""
    import h5py

    def look(path: Path) -> list[tuple[str, Any, dict[str, Any]]]:
        found: list[tuple[str, Any, dict[str, Any]]] = []

        def keep(name: str, obj: Any) -> None:
            data = obj[()] if isinstance(obj, h5py.Dataset) else None
            attributes = {
                key: value
                for key, value in obj.attrs.items()
                if key not in ("DIMENSION_LIST", "REFERENCE_LIST")
            }
            found.append((name, (data, getattr(obj, "dtype", None)), attributes))

        with h5py.File(path) as file:
            file.visititems(keep)
        return found

    recorded = {run: _recorded(store, run, look) for run in _both(store)}
    timestamps = store["format"] == "hdf5"

    def work(run: str, out: Path) -> None:
        _columns.read(store, run, timestamps=timestamps)
        with h5py.File(out / "floor.h5", "w") as file:
            for name, (data, dtype), attributes in recorded[run]:
                obj = (
                    file.require_group(name)
                    if data is None
                    else file.create_dataset(name, data=data, dtype=dtype)
                )
                for key, value in attributes.items():
                    obj.attrs[key] = value

    return work


# -- whether it is right -----------------------------------------------------------------------


def _expected(store: dict[str, Any]) -> dict[str, np.ndarray]:
    return _runs.columns(store["events"], store["fields"])


def _compare(found: Callable[[str], Any], store: dict[str, Any], where: Path) -> None:
    # apstools' SPEC writer cuts numbers to ten digits behind the point; everybody else keeps every bit.
    same = np.allclose if where.name == "peer.dat" else np.array_equal
    for name, values in _expected(store).items():
        mine = np.asarray(found(name))
        if not (mine.shape == values.shape and same(mine, values)):
            raise AssertionError(f"{where}: {name} is not what was measured")


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a pattern that has the primary stream."""
    found = [path for path in folder.glob(pattern) if "baseline" not in path.name]
    if len(found) != 1:
        raise AssertionError(f"{folder} has {sorted(p.name for p in folder.iterdir())}")
    return found[0]


def checked(store: dict[str, Any]) -> Callable[[Path], None]:
    """Return what compares the files of a format with what was measured."""
    return {"csv": _check_csv, "json": _check_json, "hdf5": _check_hdf5, "nexus": _check_hdf5}.get(
        store["format"], _check_spec if store["format"] == "spec" else _check_lines
    )(store)


def _check_csv(store: dict[str, Any]) -> Callable[[Path], None]:
    def check(out: Path) -> None:
        from pyarrow import csv

        path = only(out, "*.csv")
        table = csv.read_csv(path)
        _compare(lambda name: table.column(name).to_numpy(), store, path)

    return check


def _check_json(store: dict[str, Any]) -> Callable[[Path], None]:
    def check(out: Path) -> None:
        path = only(out, "*.json")
        whole = json.loads(path.read_text())

        def found(name: str) -> Any:
            if "streams" in whole:
                return whole["streams"]["primary"]["data"][name]
            if "data_vars" in whole:
                return whole["data_vars"][name]["data"]
            return whole["data"][name]

        _compare(found, store, path)

    return check


def _check_hdf5(store: dict[str, Any]) -> Callable[[Path], None]:
    def check(out: Path) -> None:
        import h5py

        path = next(iter([*out.glob("*.h5"), *out.glob("*.hdf")]))
        with h5py.File(path) as file:

            def found(name: str) -> Any:
                nexus = f"entry/instrument/bluesky/streams/primary/{name}/value"
                for place in (nexus, f"primary/{name}", name, f"entry/data/{name}"):
                    if place in file:
                        return file[place][()]
                raise AssertionError(f"{path} has no {name}")

            _compare(found, store, path)

    return check


def _check_spec(store: dict[str, Any]) -> Callable[[Path], None]:
    def check(out: Path) -> None:
        path = only(out, "*.dat")
        lines = path.read_text().splitlines()
        labels = next(line for line in lines if line.startswith("#L "))[3:].split("  ")
        rows = np.array(
            [line.split() for line in lines if line and not line.startswith("#")], dtype=np.float64
        )
        _compare(lambda name: rows[:, labels.index(name)], store, path)

    return check


def _check_lines(store: dict[str, Any]) -> Callable[[Path], None]:
    """jsonl, msgpack: the documents themselves."""

    def check(out: Path) -> None:
        path = next(iter([*out.glob("*.jsonl"), *out.glob("*.msgpack")]))
        found: dict[str, list[float]] = {name: [] for name in _runs.names(store["fields"])}
        for name, doc in documents_of(path):
            if name in ("event", "event_page") and "m" in doc["data"]:
                for key, values in doc["data"].items():
                    found[key] += [values] if name == "event" else list(values)
        _compare(lambda name: found[name], store, path)

    return check


def documents_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as file:
        if path.suffix == ".jsonl":
            import orjson

            for line in file:
                name, doc = orjson.loads(line)
                yield name, doc
            return
        import msgpack
        import msgpack_numpy

        for name, doc in msgpack.Unpacker(file, raw=False, object_hook=msgpack_numpy.decode):
            yield name, doc


# -- the contests ------------------------------------------------------------------------------

FLOORS = {
    "csv": ("read + pyarrow.csv", "floor_csv"),
    "json": ("read + orjson, the same content", "floor_same_json"),
    "hdf5": ("read + h5py, the same objects", "floor_same_datasets"),
    "spec": ("read + pyarrow.csv with blanks", "floor_spec"),
    "nexus": ("read + h5py, the same datasets", "floor_same_datasets"),
}
VALUES_ALONE = {
    "json": ("the fields' values alone, by orjson", "floor_json"),
    "hdf5": ("the fields' values alone, by h5py", "floor_hdf5"),
}
"""A file without metadata and timestamps, whatever it is good for: what our content costs."""
REPLAYS = {
    "spec": ("replay into SpecWriterCallback2", "replay_spec", 40),
    "nexus": ("replay into NXWriter", "replay_nexus", 20),
}


def _contest(
    name: str,
    title: str,
    store: dict[str, Any],
    form: str,
    peer: tuple[str, str, float],
    floor: float,
    **more: Any,
) -> Contest:
    store = {**store, "format": form}
    words, function, factor = peer
    floor_words, floor_function = FLOORS[form]
    here = __name__
    contenders = [
        Contender("peer", words, f"{here}:{function}", **more),
        Contender("ours", f"%export {form}", f"{here}:ours"),
        Contender("floor", floor_words, f"{here}:{floor_function}"),
    ]
    if form in VALUES_ALONE:
        less, less_function = VALUES_ALONE[form]
        contenders.append(Contender("values", less, f"{here}:{less_function}"))
    return Contest(
        name,
        title,
        store,
        contenders,
        checked(store),
        {words: factor, floor_words: floor},
    )


def _of_events(store: dict[str, Any], form: str, peer: tuple[str, str, float], floor: float) -> Contest:
    events = store["events"]
    title = f"databroker, one event a document, {events:,} events → {form}"
    return _contest(f"databroker-{events}-{form}", title, store, form, peer, floor)


@contextmanager
def databroker_events(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """databroker, one event a document: 10³ to csv, json and hdf5."""
    events = 200 if quick else 1000
    store = _stores.databroker(folder / "events", events)
    peers = {
        "csv": ("run.primary.read().to_pandas().to_csv()", "read_to_csv", 300),
        "json": ("json.dumps(run.primary.read().to_dict())", "read_to_json", 300),
        "hdf5": ("run.primary.read().to_netcdf()", "read_to_netcdf", 300),
    }
    yield [_of_events(store, form, peer, 2) for form, peer in peers.items()]


@contextmanager
def databroker_many(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """databroker, one event a document: 10⁵ to csv."""
    events = 5000 if quick else 100_000
    store = _stores.databroker(folder / "many", events)
    yield [_of_events(store, "csv", ("cat.v1[uid].table().to_csv()", "table_to_csv", 6), 2)]


@contextmanager
def databroker_pages(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """databroker, pages of 1,000 rows: 10⁴ to csv, spec and nexus."""
    events = 2000 if quick else 10_000
    store = _stores.databroker(folder / "pages", events, rows=1000)
    peers = {
        "csv": (("cat.v1[uid].table().to_csv()", "table_to_csv", 15), 2),
        **{form: (peer, 3) for form, peer in REPLAYS.items()},
    }
    yield [
        _contest(
            f"databroker-pages-{events}-{form}",
            f"databroker, pages of 1,000 rows, {events:,} events → {form}",
            store,
            form,
            peer,
            floor,
        )
        for form, (peer, floor) in peers.items()
    ]


@contextmanager
def databroker_replay(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """databroker, one event a document: 10⁴ to spec and nexus."""
    events = 1000 if quick else 10_000
    store = _stores.databroker(folder / "replay", events)
    yield [_of_events(store, form, peer, 3) for form, peer in REPLAYS.items()]


@contextmanager
def tiled(folder: Path, quick: bool) -> Iterator[list[Contest]]:
    """Tiled over HTTP: 10⁵ to csv; 10⁴ to spec and nexus."""
    with (
        _stores.tiled(folder / "tiled", 5000 if quick else 100_000) as large,
        _stores.tiled(folder / "tiled-replay", 500 if quick else 10_000) as store,
    ):
        title = "Tiled over HTTP, {events:,} events → {form}"
        spec = ("documents() into SpecWriterCallback2", "replay_tiled_spec", 40)
        nexus = ("documents() into NXWriter", "replay_tiled_nexus", 20)
        csv = ("run.primary.read().to_pandas().to_csv()", "read_to_csv", 6)
        yield [
            _contest(
                f"tiled-{one['events']}-{form}",
                title.format(events=one["events"], form=form),
                one,
                form,
                peer,
                floor,
            )
            for one, form, peer, floor in (
                (large, "csv", csv, 1.3),
                (store, "spec", spec, 3),
                (store, "nexus", nexus, 3),
            )
        ]


def _documents_of_tiled(
    store: dict[str, Any], receiver: Callable[[str, Any], None]
) -> Callable[[str], None]:
    client = _stores.open_store(store)

    def replay(run: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, doc in client[run].documents():
                receiver(name, doc)

    return replay


def replay_tiled_spec(store: dict[str, Any]) -> Work:
    """A Tiled run's ``documents()`` into apstools' SpecWriterCallback2."""
    from apstools.callbacks import SpecWriterCallback2

    def work(run: str, out: Path) -> None:
        writer = SpecWriterCallback2()
        writer.newfile(out / "peer.dat")
        _documents_of_tiled(store, writer.receiver)(run)

    return work


def replay_tiled_nexus(store: dict[str, Any]) -> Work:
    """A Tiled run's ``documents()`` into apstools' NXWriter."""
    from apstools.callbacks import NXWriter

    def work(run: str, out: Path) -> None:
        writer = NXWriter()
        writer.warn_on_missing_content = False
        writer.file_name = out / "peer.hdf"
        _documents_of_tiled(store, writer.receiver)(run)
        _wait_for(writer, out / "peer.hdf")

    return work


SUITES = {
    "databroker": databroker_events,
    "databroker-many": databroker_many,
    "databroker-pages": databroker_pages,
    "databroker-replay": databroker_replay,
    "tiled": tiled,
}
