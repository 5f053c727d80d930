"""Folders: made by databroker-pack and moved since, written for intake, or bare files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgpack
import msgpack_numpy
import numpy as np
import pytest

from bluesky_export.catalogs import open_catalog
from bluesky_export.documents.pages import page_to_events
from bluesky_export.errors import NoCatalog, RunUnreadable, UsageError
from tests.corpus import Pairs, needs_real_data, real_data
from tests.fixtures_databroker import FACTORIES, files_of, mongo_catalog, mongo_server, pack, quiet

from .test_databroker import events_by_stream, make_run, uids_of


def write_msgpack(folder: Path, pairs: Pairs, **options) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pairs[0][1]['uid']}.msgpack"
    path.write_bytes(
        b"".join(msgpack.packb(list(pair), default=msgpack_numpy.encode, **options) for pair in pairs)
    )
    return path


def write_jsonl(folder: Path, pairs: Pairs) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pairs[0][1]['uid']}.jsonl"
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    return path


@needs_real_data
def test_a_real_packed_folder_in_another_place(tmp_path):
    shutil.copytree(real_data() / "packed-simple", tmp_path / "from a colleague [2026]")
    catalog = open_catalog(str(tmp_path / "from a colleague [2026]"))
    assert len(catalog) == 3
    stems = {path.stem for path in (real_data() / "packed-simple" / "documents").iterdir()}
    assert set(uids_of(catalog.newest(9))) == stems
    with_image = [run for run in catalog.newest(9) if any(n == "resource" for n, _ in run.documents())]
    assert with_image
    for run in with_image:
        for name, doc in run.documents():
            if name == "resource":
                root = Path(run.root_map[doc["root"]])
                assert root.is_dir()
                assert root.is_relative_to(tmp_path)
                assert list(root.glob(doc["resource_path"] + "*"))


@needs_real_data
def test_databroker_reads_the_same_from_the_real_folder():
    folder = real_data() / "packed-simple"
    with quiet():
        from databroker._drivers.msgpack import BlueskyMsgpackCatalog

        native = BlueskyMsgpackCatalog(f"{folder}/documents/*.msgpack")
        for run in open_catalog(str(folder)).newest(9):
            theirs = native[run.uid]
            assert run.start == theirs.metadata["start"]
            assert run.stop == theirs.metadata["stop"]
            assert events_by_stream(run.documents()) == events_by_stream(theirs.documents(fill="no"))


def test_a_folder_made_by_databroker_pack_is_complete():
    runs = [make_run(1e9 + number, scan_id=number) for number in range(3)]
    with FACTORIES["packed"](runs) as catalog:
        assert [run.scan_id for run in catalog.newest(5)] == [2, 1, 0]
        for run, pairs in zip(catalog.newest(5), reversed(runs), strict=True):
            assert run.start == pairs[0][1]
            assert run.stop == pairs[-1][1]
            assert events_by_stream(run.documents()) == events_by_stream(pairs)


def test_external_files_of_a_pack_are_found_where_they_are_now(tmp_path):
    """databroker-pack --copy-external: real frames, written by a simulated detector."""
    with quiet():
        from bluesky import RunEngine
        from bluesky.plans import count
        from ophyd.sim import SynSignalWithRegistry

        frames = tmp_path / "frames"
        frames.mkdir()
        detector = SynSignalWithRegistry(
            func=lambda: np.arange(12, dtype="uint16").reshape(3, 4), name="img", save_path=str(frames)
        )
        engine, pairs = RunEngine({}), []
        engine(count([detector], 2), lambda name, doc: pairs.append((name, doc)))
        with FACTORIES["msgpack"]([pairs]) as source:
            folder = Path(files_of(source)[0]).parent
            target = tmp_path / "packed"
            code = (
                "import warnings; warnings.simplefilter('ignore')\n"
                "import sys; sys.argv[0] = 'databroker-pack'\n"
                "import intake, databroker\n"
                "from databroker_pack.commandline.pack import main\n"
                "main()\n"
            )
            (tmp_path / "intake").mkdir()
            (tmp_path / "intake" / "c.yml").write_text(
                "sources:\n  mine:\n    driver: bluesky-msgpack-catalog\n"
                f"    args: {{paths: ['{folder}/*.msgpack']}}\n"
            )
            done = subprocess.run(
                [sys.executable, "-c", code, "mine", "--all", "--copy-external", str(target)],
                env={
                    "INTAKE_PATH": str(tmp_path / "intake"),
                    "HOME": str(tmp_path),
                    "PATH": "/usr/bin:/bin",
                },
                capture_output=True,
                text=True,
                check=False,
            )
    assert done.returncode == 0, done.stderr
    target.rename(tmp_path / "moved")
    shutil.rmtree(frames)
    (run,) = open_catalog(str(tmp_path / "moved")).newest(5)
    (root,) = {doc["root"] for name, doc in run.documents() if name == "resource"}
    found = sorted(Path(run.root_map[root]).glob("*.npy"))
    assert len(found) == 2
    assert np.load(found[0]).dtype == np.dtype("uint16")


@pytest.mark.parametrize("sub", ["", "documents"])
def test_a_bare_folder_of_both_kinds(tmp_path, sub):
    write_msgpack(tmp_path / sub, make_run(1e9, scan_id=1))
    write_jsonl(tmp_path / sub, make_run(1e9 + 1, scan_id=2))
    catalog = open_catalog(str(tmp_path))
    assert [run.scan_id for run in catalog.newest(5)] == [2, 1]
    assert catalog.newest(1)[0].root_map == {}
    write_jsonl(tmp_path / sub, make_run(1e9 + 2, scan_id=3))
    assert [run.scan_id for run in catalog.newest(1)] == [3]


def test_other_json_lines_are_no_runs(tmp_path):
    write_jsonl(tmp_path, make_run(scan_id=1))
    (tmp_path / "log.jsonl").write_text('{"level": "info"}\n[1, 2]\n')
    (tmp_path / "headless.jsonl").write_text('["event", {}]\n')
    found = {run.status: run for run in open_catalog(str(tmp_path)).newest(5)}
    assert found.keys() == {"success", "unreadable"}
    assert "does not begin with a start document" in found["unreadable"].notes[0]


def test_copies_of_one_run_are_one_run(tmp_path):
    pairs = make_run(stop=False)
    write_msgpack(tmp_path, pairs)
    whole = make_run(pairs[0][1]["time"], pairs[0][1]["uid"])
    write_jsonl(tmp_path, whole)
    (run,) = open_catalog(str(tmp_path)).newest(5)
    assert run.status == "success"  # the file that was written last
    assert len(open_catalog(str(tmp_path))) == 1


def test_paths_without_relative_paths(tmp_path):
    """databroker-pack before 0.2, and files for intake."""
    write_msgpack(tmp_path / "documents", make_run(scan_id=4))
    for paths in (
        ["/home/somebody/else/documents/*.msgpack"],
        "/home/somebody/else/documents/*.msgpack",
        ["{{ CATALOG_DIR }}/documents/*.msgpack"],
        ["documents/*.msgpack"],
        [str(tmp_path / "documents" / "*.msgpack")],
    ):
        source = {"driver": "bluesky-msgpack-catalog", "args": {"paths": paths}}
        (tmp_path / "catalog.yml").write_text(json.dumps({"sources": {"any": source}}))
        assert [run.scan_id for run in open_catalog(str(tmp_path)).newest(3)] == [4], paths


def test_a_root_map_in_all_its_forms(tmp_path):
    write_jsonl(tmp_path / "documents", make_run())
    (tmp_path / "external_files" / "abc").mkdir(parents=True)
    roots = {
        "relative": "external_files/abc",
        "templated": "{{ CATALOG_DIR }}/external_files/abc",
        "elsewhere": "/home/somebody/external_files/abc",
        "unknown": "/data/share",
    }
    source = {
        "driver": "bluesky-jsonl-catalog",
        "args": {"paths": [], "root_map": roots},
        "metadata": {"relative_paths": ["./documents/*.jsonl"]},
    }
    (tmp_path / "catalog.yml").write_text(json.dumps({"sources": {"packed_catalog": source}}))
    (run,) = open_catalog(str(tmp_path)).newest(3)
    here = str(tmp_path / "external_files" / "abc")
    assert run.root_map == {
        "relative": here,
        "templated": here,
        "elsewhere": here,
        "unknown": "/data/share",
    }


def test_a_mongo_source_in_a_folder(tmp_path):
    with mongo_server() as server, mongo_catalog(server) as native:
        insert = native._get_serializer()
        for name, doc in make_run(scan_id=9):
            insert(name, doc)
        uri = f"mongodb://127.0.0.1:{server.port}/runs"
        arguments = {"metadatastore_db": uri, "asset_registry_db": uri}
        source = {"driver": "bluesky-mongo-normalized-catalog", "args": arguments}
        (tmp_path / "catalog.yml").write_text(json.dumps({"sources": {"db": source}}))
        with quiet():
            catalog = open_catalog(str(tmp_path))
            try:
                assert [run.scan_id for run in catalog.newest(3)] == [9]
            finally:
                catalog.catalog._metadatastore_db.client.close()
                catalog.catalog._asset_registry_db.client.close()


def test_a_folder_with_several_catalogs_is_ambiguous(tmp_path):
    (tmp_path / "catalog.yml").write_text("sources: {one: {driver: x}, two: {driver: x}}")
    with pytest.raises(UsageError, match="one, two"):
        open_catalog(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sources: [", "cannot be read"),
        ("nothing: 1", "describes no catalog"),
        ("[]", "describes no catalog"),
        ("sources: {one: {driver: bluesky-jsonl-catalog}}", "names no files"),
        ("sources: {one: {driver: no_such_driver}}", "cannot be opened"),
    ],
)
def test_a_catalog_file_that_is_none(tmp_path, content, said):
    (tmp_path / "catalog.yml").write_text(content)
    with quiet(), pytest.raises(NoCatalog, match=said) as caught:
        open_catalog(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_folder_without_documents(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(NoCatalog, match="holds no catalog"):
        open_catalog(str(tmp_path))


def test_a_plain_name_may_be_a_folder_here(tmp_path, monkeypatch):
    write_jsonl(tmp_path / "myruns", make_run(scan_id=5))
    monkeypatch.chdir(tmp_path)
    with quiet():
        assert [run.scan_id for run in open_catalog("myruns").newest(2)] == [5]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [run.scan_id for run in open_catalog("~/myruns").newest(2)] == [5]


def test_a_pickle_is_not_opened(tmp_path):
    """msgpack-numpy keeps object arrays as pickles: a folder from others could run anything."""
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (trap,))

    pairs = make_run()
    data = np.empty(1, dtype=object)
    data[0] = Trap()
    pairs[2][1]["data"]["x"] = data
    write_msgpack(tmp_path / "runs", pairs)
    (run,) = open_catalog(str(tmp_path / "runs")).newest(2)
    assert run.status == "success"
    with pytest.raises(RunUnreadable, match="pickle"):
        list(run.documents())
    assert not trap.exists()


def test_arrays_keep_dtype_and_shape(tmp_path):
    pairs = make_run(rows=2)
    values = [np.arange(6, dtype="float32").reshape(2, 3), np.ones((2, 3), dtype=">i2")]
    for (_, event), value in zip(pairs[2:4], values, strict=True):
        event["data"] = {"x": value, "n": np.uint64(2**64 - 1)}
    write_msgpack(tmp_path, pairs)
    (run,) = open_catalog(str(tmp_path)).newest(1)
    (page,) = [doc for name, doc in run.documents() if name == "event_page"]
    for event, value in zip(page_to_events(page), values, strict=True):
        assert event["data"]["x"].dtype == value.dtype
        np.testing.assert_array_equal(event["data"]["x"], value)
        assert event["data"]["n"] == 2**64 - 1
        assert isinstance(event["data"]["n"], np.uint64)


def test_json_that_orjson_would_change(tmp_path):
    """Integers beyond 64 bits, NaN, infinities, a lone surrogate: as Python's json has them."""
    odd = {"big": 2**70, "low": -(2**63) - 1, "inf": float("inf"), "text": "\ud800", "f": 0.1}
    write_jsonl(tmp_path, make_run(**odd))
    (run,) = open_catalog(str(tmp_path)).newest(1)
    assert {key: run.start[key] for key in odd} == odd
    assert type(run.start["big"]) is int


def test_mark_of_the_stop_inside_other_values(tmp_path):
    """The stop document is looked for from the end of the file: look-alikes must not be taken."""
    look_alike = b"\x92\xa4stop\x81\xa9run_start\xa1x"
    pairs = make_run(stop=False, note='["stop", {"run_start": "x"}]', raw=look_alike * 3)
    write_msgpack(tmp_path / "m", pairs)
    text = [(name, {k: v for k, v in doc.items() if k != "raw"}) for name, doc in pairs]
    write_jsonl(tmp_path / "j", [*text, ("event", {**text[-1][1], "seq_num": 4, "note": '\n["stop", {}]'})])
    for kind in "mj":
        (run,) = open_catalog(str(tmp_path / kind)).newest(1)
        assert run.stop is None, kind


def test_a_stop_after_much_data_and_before_late_documents(tmp_path):
    pairs = make_run(rows=1)
    pairs[2][1]["data"]["x"] = np.zeros(300_000)
    late = ("resource", {"uid": "late", "spec": "x", "root": "/", "resource_path": "y" * 40_000})
    write_msgpack(tmp_path, [*pairs, late])
    (run,) = open_catalog(str(tmp_path)).newest(1)
    assert run.stop == pairs[-1][1]


def test_old_bulk_documents_are_events(tmp_path):
    pairs = make_run(rows=4)
    events = [doc for name, doc in pairs if name == "event"]
    bulk = ("bulk_events", {events[0]["descriptor"]: events})
    datums = {"resource": "r", "datum_ids": ["r/0", "r/1"], "datum_kwarg_list": [{"i": 0}, {"i": 1}]}
    write_jsonl(tmp_path, [*pairs[:2], ("bulk_datum", datums), bulk, pairs[-1]])
    (run,) = open_catalog(str(tmp_path)).newest(1)
    assert events_by_stream(run.documents()) == events_by_stream(pairs)
    (page,) = [doc for name, doc in run.documents() if name == "datum_page"]
    assert page == {"resource": "r", "datum_id": ["r/0", "r/1"], "datum_kwargs": {"i": [0, 1]}}


def test_opening_a_folder_does_not_import_databroker(tmp_path):
    write_msgpack(tmp_path / "documents", make_run())
    source = {
        "driver": "bluesky-msgpack-catalog",
        "metadata": {"relative_paths": ["./documents/*.msgpack"]},
    }
    (tmp_path / "catalog.yml").write_text(json.dumps({"sources": {"packed_catalog": source}}))
    code = (
        "import sys\n"
        "from bluesky_export.catalogs import open_catalog\n"
        f"(run,) = open_catalog({str(tmp_path)!r}).newest(3)\n"
        "assert [name for name, _ in run.documents()][-1] == 'stop'\n"
        "assert not {'databroker', 'intake', 'pandas', 'tiled'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pack_reads_what_we_list(tmp_path):
    """The factory's own check: databroker-pack's manifest names exactly the runs we see."""
    runs = [make_run(1e9 + n) for n in range(2)]
    with FACTORIES["packed"](runs) as catalog:
        folder = Path(catalog.name)
        listed = (folder / "documents_manifest.txt").read_text().split()
        assert sorted(Path(line).stem for line in listed) == sorted(uids_of(catalog.newest(5)))
    assert pack.__doc__
