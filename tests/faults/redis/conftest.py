"""Fixtures for the tests of Redis: two processes, and an impatience that tests need."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callcov_auth import AuthSettings
from callcov_auth.cache import pushed, subscription
from tests.faults.redis.pairs import NEVER, OFTEN, Pair, opened
from tests.support.clock import Clock
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushed, "RECONNECT_PAUSE", (0.01, 0.02))
    monkeypatch.setattr(subscription, "TICK", 0.02)


@pytest.fixture
def settings(tmp_path: Path, own_redis: RedisServer) -> AuthSettings:
    return make_settings(
        database_url=f"sqlite:///{tmp_path / 'auth.db'}",
        redis_url=own_redis.url,
        revocation_interval=NEVER,
        revocable_access_tokens=True,
    )


@pytest.fixture
async def pair(settings: AuthSettings, own_redis: RedisServer, clock: Clock) -> AsyncIterator[Pair]:
    async with opened(settings, own_redis, clock) as pair:
        yield pair


@pytest.fixture
async def polling(settings: AuthSettings, own_redis: RedisServer, clock: Clock) -> AsyncIterator[Pair]:
    """The same, where polls come often."""
    async with opened(settings.replace(revocation_interval=OFTEN), own_redis, clock) as pair:
        yield pair
