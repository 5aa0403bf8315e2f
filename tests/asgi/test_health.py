"""The two paths of health, in front of whatever stands behind them."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.types import ASGIApp

from callcov_auth import Auth, AuthMiddleware
from callcov_auth.asgi.health import REMEMBERED_FOR, HealthPaths
from callcov_auth.errors import AuthUnavailable
from callcov_auth.store.sql import SqlStore
from tests.asgi.test_hot_path import App
from tests.support.asgi import connect, request
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

LIVE, READY = "/health/live", "/health/ready"
# Longer than these tests: no poll comes in between.
INTERVAL = 60


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(SqlStore("sqlite://"))


@pytest.fixture
async def auth(store: FaultyStore, clock: Clock) -> AsyncIterator[Auth]:
    async with Auth(make_settings(revocation_interval=INTERVAL), store=store, clock=clock) as opened:
        yield opened


@pytest.fixture
def app(auth: Auth) -> ASGIApp:
    return HealthPaths(AuthMiddleware(App(), auth=auth), auth=auth)


@pytest.mark.parametrize("path", [LIVE, READY])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_credential_is_asked_for(app: ASGIApp, path: str, scheme: str) -> None:
    answer = await request(app, path, scheme=scheme)
    assert (answer.status, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"


async def test_a_probe_may_ask_for_the_head_alone_and_changes_nothing(app: ASGIApp) -> None:
    assert (await request(app, READY, method="HEAD")).status == 200
    refused = await request(app, READY, method="POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/health", "/health/live/", "/health/ready/x", "/x/health/live"])
async def test_nothing_else_is_open(app: ASGIApp, path: str) -> None:
    assert (await request(app, path)).code == "missing_token"
    assert (await connect(app, LIVE))[0]["type"] == "websocket.close"


async def test_a_dead_store_is_not_ready_until_it_is_back(
    app: ASGIApp, store: FaultyStore, clock: Clock
) -> None:
    store.fail()
    refused = await request(app, READY)
    assert (refused.status, refused.json()) == (503, {"status": "unavailable"})
    assert refused.headers["retry-after"] == "1"
    assert (await request(app, LIVE)).status == 200
    store.mend()
    clock.advance(REMEMBERED_FOR)
    assert (await request(app, READY)).status == 200


async def test_a_cache_that_is_not_trusted_is_caught_up_with_by_the_probe(
    auth: Auth, app: ASGIApp, clock: Clock
) -> None:
    clock.advance(10 * INTERVAL)
    assert not auth._feed.trusts_cache(clock())
    assert (await request(app, READY)).status == 200
    assert auth._feed.trusts_cache(clock())


async def test_a_store_that_does_not_tell_what_changed_is_not_ready(
    app: ASGIApp, store: FaultyStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.advance(10 * INTERVAL)
    ask = store.changes_after

    async def only_where_it_stands(cursor: int | None) -> Any:
        if cursor is not None:
            raise AuthUnavailable(reason="store_down")
        return await ask(cursor)

    monkeypatch.setattr(store, "changes_after", only_where_it_stands)
    assert (await request(app, READY)).status == 503


async def test_without_a_background_task_the_probe_catches_up(store: FaultyStore, clock: Clock) -> None:
    auth = Auth(make_settings(), store=store, clock=clock)
    app = HealthPaths(AuthMiddleware(App(), auth=auth), auth=auth)
    for _ in range(2):
        assert (await request(app, READY)).status == 200
        clock.advance(1000)
    await auth.aclose()


async def test_a_flood_of_probes_is_one_question(app: ASGIApp, store: FaultyStore, clock: Clock) -> None:
    before = store.calls["changes_after"]
    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(request, app, READY)
    assert store.calls["changes_after"] == before + 1
    clock.advance(REMEMBERED_FOR)
    await request(app, READY)
    assert store.calls["changes_after"] == before + 2
