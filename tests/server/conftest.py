"""One seeded database for all these tests; each module runs servers of its own on it."""

import anyio
import pytest

from tests.server.seeding import Seeded, seed


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    return anyio.run(seed, tmp_path_factory.mktemp("seeded"))


@pytest.fixture(scope="module", params=["h11", "httptools"])
def http_implementation(request: pytest.FixtureRequest) -> str:
    """Each of uvicorn's two readers of HTTP/1.1: what they let through differs."""
    return str(request.param)


@pytest.fixture(scope="module", params=["websockets-sansio", "wsproto"])
def websocket_implementation(request: pytest.FixtureRequest) -> str:
    """Each of uvicorn's ways to speak WebSocket."""
    return str(request.param)
