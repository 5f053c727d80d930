"""Runs in Tiled whose values are in files, and servers on MongoDB."""

from __future__ import annotations

import http.server
import json
import threading
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest

from bluesky_export.catalogs._tiled_external import filename_template
from bluesky_export.catalogs.tiled import TiledCatalog, is_tiled
from bluesky_export.errors import BlueskyExportError

from ..corpus import Pairs, needs_real_data, real_data
from ..fixtures_tiled import TiledServer, as_stored
from .odd_runs import key, make_run
from .reading_back import singles
from .tiled_runs import columns, put

# -- detector files ----------------------------------------------------------------------------


@needs_real_data
def test_detector_files(client: Any, server: TiledServer) -> None:
    import h5py
    import tifffile

    root = server.folder / "detector"
    (root / "tiff_files").mkdir(parents=True)
    frames = np.arange(3 * 13 * 17).reshape(3, 13, 17)
    with h5py.File(root / "dataset.h5", "w") as file:
        file["/entry/data/data_1"] = np.arange(3.0)
        file["/entry/data/data_2"] = frames
    images = [np.full((1, 10, 15), n, "u1") for n in range(3)]
    for n, image in enumerate(images):
        tifffile.imwrite(root / "tiff_files" / f"img_{n:05d}.tif", image)
    text = (real_data() / "btp_external_assets.json").read_text()  # type: ignore[operator]
    text = text.replace("{{ uuid }}", str(uuid.uuid4())[:23]).replace("{{ root_path }}", str(root)[1:])
    documents = [(item["name"], item["doc"]) for item in json.loads(text)]
    run = put(client, documents)
    found = list(run.documents())
    internal = [pair for pair in found if not pair[0].startswith("stream_")]
    stored = as_stored(documents)
    assert singles(internal) == singles(stored)
    resources = {doc["data_key"]: doc for name, doc in found if name == "stream_resource"}
    given = {doc["data_key"]: doc for name, doc in documents if name == "stream_resource"}
    assert resources.keys() == given.keys()
    for field, resource in resources.items():
        assert (resource["uri"], resource["mimetype"]) == (given[field]["uri"], given[field]["mimetype"])
        for parameter in ("dataset", "template"):
            assert resource["parameters"].get(parameter) == given[field]["parameters"].get(parameter)
        (datum,) = (
            doc
            for name, doc in found
            if name == "stream_datum" and doc["stream_resource"] == resource["uid"]
        )
        assert datum["indices"] == {"start": 0, "stop": 3}
        assert datum["seq_nums"] == {"start": 1, "stop": 4}
        owner = next(doc for doc in run.descriptors() if field in doc["data_keys"])
        assert datum["descriptor"] == owner["uid"]
    order = [name for name, _ in found]
    assert order.index("stream_resource") > max(n for n, name in enumerate(order) if name == "descriptor")


def test_external_values_that_tiled_knows_nothing_of(client: Any) -> None:
    documents = make_run(
        {"x": (key("number"), [1.0]), "image": (key("array", [4, 4], external="STREAM:"), ["d/0"])}
    )
    for name, doc in documents:
        if name == "event":
            del doc["data"]["image"], doc["timestamps"]["image"]
    run = put(client, documents)
    assert columns(run).keys() == {"x"}
    assert "external field image: Tiled has no values of it in stream primary" in run.notes


def test_filled_external_values_are_marked(client: Any) -> None:
    fields = {
        "x": (key("number"), [1.0, 2.0]),
        "image": (key("array", [2], external="FILESTORE:"), [[1.0, 2.0]] * 2),
    }
    documents = make_run(fields)
    for name, doc in documents:
        if name == "event":
            doc["filled"] = {"image": True}
    run = put(client, documents)
    (page,) = (doc for name, doc in run.documents() if name == "event_page")
    assert page["filled"] == {"image": [True, True]}
    assert page["data"]["image"].tolist() == [[1.0, 2.0]] * 2


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (["img_00007.tif", "img_00008.tif"], ("img_{:05d}.tif", 7)),
        (["s5_9.npy", "s5_10.npy", "s5_11.npy"], ("s5_{:d}.npy", 9)),
        (["a%20{b}_1.tif", "a%20{b}_2.tif"], ("a {{b}}_{:01d}.tif", 1)),
        (["a_1.tif", "a_3.tif"], None),
        (["a_1.tif", "b_2.tif"], None),
        (["a_09.tif", "a_8.tif"], None),
        (["a.tif", "a.tif"], None),
    ],
)
def test_file_sequences(names: list[str], template: tuple[str, int] | None) -> None:
    folder = "file://localhost/some/where/"
    found = filename_template([folder + name for name in names])
    assert found == (None if template is None else (folder, *template))
    assert filename_template([folder + names[0], "file://localhost/else/where/" + names[1]]) is None


# -- servers on MongoDB ------------------------------------------------------------------------


class _Mongo(http.server.BaseHTTPRequestHandler):
    """A stand-in for a server on MongoDB: its runs have no tables, but it gives documents."""

    documents: Pairs
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        start, stop = (doc for name, doc in self.documents if name in ("start", "stop"))
        base = f"http://127.0.0.1:{self.server.server_address[1]}/api/v1"
        node = {
            "id": start["uid"],
            "attributes": {
                "metadata": {"start": start, "stop": stop},
                "specs": [{"name": "BlueskyRun", "version": "2.0"}],
                "structure_family": "container",
            },
            "links": {"self": f"{base}/metadata/{start['uid']}", "search": f"{base}/search/{start['uid']}"},
        }
        if "/documents/" in self.path:
            lines = [json.dumps({"name": name, "doc": doc}) for name, doc in self.documents]
            self._answer("\n".join(lines), "application/json-seq")
        elif "/search/" in self.path:
            self._answer(json.dumps({"data": [node], "links": {"next": None}}), "application/json")
        else:
            self._answer(json.dumps({"data": node}), "application/json")

    def _answer(self, text: str, kind: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def mongo() -> Iterator[tuple[Any, Pairs, list[str]]]:
    documents = make_run({"x": (key("number"), [1.0, 2.0, 3.0]), "t": (key("string"), ["a", "b", "c"])})
    handler = type("Handler", (_Mongo,), {"documents": documents, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, httpx.Client() as connection:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}/api/v1"
        specs = [{"name": "CatalogOfBlueskyRuns", "version": "1"}]
        item = {
            "attributes": {"specs": specs, "sorting": [{"key": "time", "direction": 1}]},
            "links": {"self": f"{base}/metadata/", "search": f"{base}/search/"},
        }
        client = SimpleNamespace(
            uri=f"{base}/metadata/", item=item, _queries=[], context=SimpleNamespace(http_client=connection)
        )
        yield client, documents, handler.asked  # type: ignore[attr-defined]
        server.shutdown()


def test_servers_on_mongodb(mongo: tuple[Any, Pairs, list[str]]) -> None:
    client, documents, asked = mongo
    assert not is_tiled(client)
    catalog = TiledCatalog(client)
    (run,) = catalog.newest(1)
    assert "sort=-time" in asked[-1]
    assert catalog.by_uid(run.uid[:6])[0].uid == run.uid
    assert "partial_uid" in asked[-1]
    assert catalog.by_uid("zzzzzz") == []
    assert singles(run.documents(2)) == singles(documents)
    assert [name for name, _ in run.documents(2)].count("event_page") == 2
    assert [doc["name"] for doc in run.descriptors()] == ["primary"]
    assert run.counts() == {"primary": 3}
    assert run.notes == ()


def test_a_run_of_another_kind_is_an_error_of_that_run(client: Any) -> None:
    from tiled.structures.core import Spec

    start = {"uid": str(uuid.uuid4()), "time": 1.0, "scan_id": 4242}
    client.create_container(start["uid"], metadata={"start": start}, specs=[Spec("BlueskyRun", "2.0")])
    (run,) = TiledCatalog(client).by_uid(start["uid"])
    assert run.scan_id == 4242
    with pytest.raises(BlueskyExportError):
        list(run.documents())
