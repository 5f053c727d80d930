"""Each kind of Tiled server, for the modules that do not start one of their own."""

from __future__ import annotations

from typing import Any

import pytest

from ..fixtures_tiled import TiledServer


@pytest.fixture(scope="module", params=["bluesky", "stock"])
def server(request: pytest.FixtureRequest, tiled_scratch: dict[str, TiledServer]) -> TiledServer:
    return tiled_scratch[request.param]


@pytest.fixture(scope="module")
def client(server: TiledServer) -> Any:
    return server.client()
