"""Handing files to Globus, against a server on loopback that speaks the part of the Transfer API we use."""

from __future__ import annotations

import json
import logging
import re
import shlex
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bluesky_export import globus
from bluesky_export.errors import OutputError, UsageError
from bluesky_export.globus import TOKEN, Plan, hand_over
from bluesky_export.session import BlueskyExport, set_settings
from bluesky_export.verifying import verify

from .memory_catalog import MemoryCatalog
from .replaying import run_of
from .shell import new_shell

SOURCE, DESTINATION = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
SECRET = "Ag-secret-token-0123456789"


class Transfers:
    """What the server was asked, and what it shall answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.tokens: set[str] = set()
        self.submitted: list[dict[str, Any]] = []
        self.fail: list[int] = []
        """Statuses of the next answers to a submission."""
        self.message = "no"

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        self.asked.append((method, path))
        if method == "GET" and path.endswith("/submission_id"):
            return 200, {"DATA_TYPE": "submission_id", "value": str(uuid.UUID(int=7))}
        if method == "POST" and path.endswith("/transfer"):
            if self.fail:
                status = self.fail.pop(0)
                return status, {"code": "Refused", "message": self.message, "request_id": "r"}
            self.submitted.append(json.loads(body))
            return 202, {
                "DATA_TYPE": "transfer_result",
                "code": "Accepted",
                "task_id": str(uuid.UUID(int=9)),
            }
        if method == "GET" and "/task/" in path:
            return 200, {"DATA_TYPE": "task", "status": "ACTIVE"}
        return 404, {"code": "NotFound", "message": path}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Transfers]:
    transfers = Transfers()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            transfers.tokens.add(self.headers.get("Authorization", ""))
            status, answer = transfers.answer(self.command, self.path, body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = handle_one  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_TRANSFER", f"http://127.0.0.1:{http.server_port}/")
    monkeypatch.setenv(TOKEN, SECRET)
    monkeypatch.setattr(globus, "_STORE", tmp_path / "none" / "storage.db")
    monkeypatch.setattr("globus_sdk.transport.requests.time.sleep", lambda _seconds: None)
    yield transfers
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(autouse=True)
def fresh_settings() -> Iterator[BlueskyExport]:
    settings = BlueskyExport()
    set_settings(settings)
    yield settings
    set_settings(None)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "data"
    (folder / "a b").mkdir(parents=True)
    made = [folder / "one.csv", folder / "a b" / "it's.json"]
    for path in made:
        path.write_text("x")
    return made


def plan(**given: Any) -> Plan:
    return Plan.parse(f"{DESTINATION}:/in/box/", SOURCE, **given)


def test_files_are_submitted(server, files, tmp_path):
    said: list[str] = []
    handed = hand_over(files, plan(label="July <1>"), say=said.append)
    (sent,) = server.submitted
    assert sent["source_endpoint"] == SOURCE
    assert sent["destination_endpoint"] == DESTINATION
    assert sent["submission_id"] == str(uuid.UUID(int=7))
    assert sent["label"] == "July _1_"
    assert sent["verify_checksum"] is True
    assert [(item["source_path"], item["destination_path"]) for item in sent["DATA"]] == [
        (str(files[0]), "/in/box/one.csv"),
        (str(files[1]), "/in/box/a b/it's.json"),
    ]
    assert handed.task == str(uuid.UUID(int=9))
    assert handed.task in said[-1]
    assert "ACTIVE" in said[-1]
    assert server.tokens == {f"Bearer {SECRET}"}
    assert not list((tmp_path / "data").glob("globus-*"))


def test_paths_are_those_of_the_endpoint(server, files, tmp_path, fresh_settings):
    fresh_settings.globus_source = SOURCE
    fresh_settings.globus_paths = {
        str(tmp_path): "/far",
        f"{tmp_path}/data/a b": "/near",
        f"{tmp_path}/da": "/no",
    }
    hand_over(files, Plan.parse(f"{DESTINATION}:~/box"))
    (sent,) = server.submitted
    assert [item["source_path"] for item in sent["DATA"]] == ["/far/data/one.csv", "/near/it's.json"]
    assert [item["destination_path"] for item in sent["DATA"]] == ["~/box/one.csv", "~/box/a b/it's.json"]


def test_a_busy_service_is_asked_again_with_the_same_submission(server, files):
    server.fail = [503, 503]
    handed = hand_over(files, plan())
    assert handed.task
    assert [path for method, path in server.asked if method == "POST"] == ["/v0.10/transfer"] * 3
    assert sum(path.endswith("submission_id") for _, path in server.asked) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "globus login"), (403, "no permission"), (404, "no endpoint"), (409, "under way"), (503, "503")],
)
def test_a_refusal_is_one_line_and_leaves_a_batch_file(server, files, status, said, caplog):
    server.fail = [status] * 20
    server.message = f"bad \x1b[31m token {SECRET}"
    with caplog.at_level(logging.DEBUG), pytest.raises(OutputError, match=said) as raised:
        hand_over(files, plan())
    text = str(raised.value)
    assert "\n" not in text
    assert "\x1b" not in text
    assert SECRET not in text
    assert SECRET not in caplog.text
    assert raised.value.__cause__ is None
    (batch,) = files[0].parent.glob("globus-*.txt")
    assert str(batch) in text
    assert SECRET not in batch.read_text()
    assert all(path.read_text() == "x" for path in files)


def test_a_service_that_cannot_be_reached(server, files, monkeypatch):
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_TRANSFER", "http://127.0.0.1:9/")
    with pytest.raises(OutputError, match=r"cannot be reached .*; the files are written"):
        hand_over(files, plan())


def test_without_a_token_a_batch_file_is_written(server, files, monkeypatch):
    monkeypatch.delenv(TOKEN)
    said: list[str] = []
    handed = hand_over(files, plan(label="a b"), say=said.append)
    assert server.asked == []
    assert handed.batch is not None
    lines = [shlex.split(line) for line in handed.batch.read_text().splitlines()]
    assert lines == [[str(files[0]), "/in/box/one.csv"], [str(files[1]), "/in/box/a b/it's.json"]]
    words = shlex.split(handed.command)
    assert words == [
        "globus", "transfer", SOURCE, DESTINATION, "--batch", str(handed.batch), "--label", "a b",
    ]  # fmt: skip
    assert handed.command in said[-1]
    assert hand_over(files, plan()).batch != handed.batch


def test_the_token_that_globus_login_has_stored(server, files, monkeypatch, tmp_path):
    from globus_sdk.token_storage import SQLiteTokenStorage, TokenStorageData

    monkeypatch.delenv(TOKEN)
    store = tmp_path / "storage.db"
    monkeypatch.setattr(globus, "_STORE", store)
    for ends, expected in ((time.time() + 3600, True), (time.time() - 1, False)):
        storage = SQLiteTokenStorage(store, namespace="userprofile/production")
        token = TokenStorageData(
            resource_server="transfer.api.globus.org",
            identity_id=None,
            scope="urn:globus:auth:scope:transfer.api.globus.org:all",
            access_token="stored-token",
            refresh_token=None,
            expires_at_seconds=int(ends),
            token_type="Bearer",
        )
        storage.store_token_data_by_resource_server({"transfer.api.globus.org": token})
        storage.close()
        server.tokens.clear()
        assert bool(hand_over(files, plan()).task) == expected
        assert server.tokens == ({"Bearer stored-token"} if expected else set())
    store.write_text("no database at all, " * 100)
    assert hand_over(files, plan()).batch


def test_a_dry_run_asks_and_writes_nothing(server, files):
    said: list[str] = []
    handed = hand_over(files, plan(), dry_run=True, say=said.append)
    assert (handed.task, handed.batch, server.asked) == (None, None, [])
    assert f"would transfer {files[0]} to {DESTINATION}:/in/box/one.csv" in said
    assert not list(files[0].parent.glob("globus-*"))


@pytest.mark.parametrize(
    ("destination", "source", "said"),
    [
        ("here", SOURCE, "ENDPOINT:/path/"),
        ("my laptop:/in/", SOURCE, "as its UUID"),
        (f"{DESTINATION}:in", SOURCE, "ENDPOINT:/path/"),
        (f"{DESTINATION}:/in/", None, "globus_source"),
        (f"{DESTINATION}:/in/", "mine", "UUID of the endpoint"),
    ],
)
def test_what_cannot_be_understood(destination, source, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        Plan.parse(destination, source)


def test_secrets_are_in_no_repr(server, files):
    handed = hand_over(files, plan())
    assert SECRET not in f"{handed!r} {plan()!r} {globus!r}"


def test_typed_into_a_session_with_a_bundle(server, tmp_path):
    catalog = MemoryCatalog([run_of({"m": [1.5]})])
    to = f"--globus {DESTINATION}:/in/ --globus-source {SOURCE}"
    with new_shell() as shell:
        shell.run("%load_ext bluesky_export")
        shell.ns["mine"] = catalog
        assert "would transfer" in shell.run(f"%export -1 csv {tmp_path}/ --catalog mine {to} --dry-run")
        said = shell.run(
            f"%export -1 csv,json {tmp_path}/b --catalog mine --bundle folder {to} --label July"
        )
        assert "Globus transfers 1 item" in said
        assert verify(tmp_path / "b")
        (sent,) = server.submitted
        (item,) = sent["DATA"]
        assert (item["source_path"], item["destination_path"]) == (f"{tmp_path}/b", "/in/b")
        assert item["recursive"] is True
        assert "--globus" in shell.fails(f"%export -1 csv {tmp_path}/ --catalog mine --label x")
        server.fail = [403]
        *_, line = shell.run(f"%export -1 json {tmp_path}/ --catalog mine {to}", ok=False).splitlines()
        assert line.startswith("OutputError: Globus refused")
        assert "no permission" in line
    assert len(list(tmp_path.glob("*.json"))) == 1
