"""Fixtures for every room's tests."""

import os
from collections.abc import AsyncIterator

import pytest

# First, for it takes away a variable that names no setting.
import tests.support.vectors  # noqa: F401
from callcov_auth import Auth
from tests.support.clock import Clock
from tests.support.settings import make_settings

# Real servers of Redis and PostgreSQL; the scan of all that the run shows, for every secret that it makes;
# what OpenTelemetry is told.
pytest_plugins = [
    "tests.support.redis_server",
    "tests.support.postgres_server",
    "tests.support.databases",
    "tests.support.leak_watch",
    "tests.support.otel",
]


@pytest.fixture(autouse=True)
def no_settings_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A ``CALLCOV_AUTH_*`` variable or a ``.env`` of the person who runs the tests changes nothing."""
    for name in list(os.environ):
        if name.upper().startswith("CALLCOV_AUTH_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def auth(clock: Clock) -> AsyncIterator[Auth]:
    """An open Auth over a database in memory, on a clock that the test moves."""
    async with Auth(make_settings(), clock=clock) as opened:
        yield opened
