"""Limits over several processes: two servers on one database and one Redis."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from callcov_auth import Auth, AuthMiddleware, AuthSettings, auth_routes
from callcov_auth.counting_redis import PAUSE
from tests.keys.test_validator import bearer
from tests.support.asgi import Answer, post, request
from tests.support.polling import eventually
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

EMAIL, PASSWORD = "user@example.com", "SecurePassword123!"
LOGIN = "/api/v1/auth/login"
FORGED = [("authorization", "Bearer sk_live_" + "x" * 48)]


async def hello(_: Request) -> Response:
    return Response()


@dataclass(frozen=True, slots=True)
class Servers:
    auths: tuple[Auth, ...]
    apps: tuple[ASGIApp, ...]

    async def header_of_new_key(self, **fields: Any) -> str:
        owner = await self.auths[0].users.by_email(EMAIL)
        return bearer(await self.auths[0].keys.create(owner.id, name="k", **fields))

    async def login(self, server: int, password: str) -> Answer:
        return await post(self.apps[server], LOGIN, {"email": EMAIL, "password": password})

    async def ask(self, server: int, headers: list[tuple[str, str]]) -> Answer:
        return await request(self.apps[server], "/x", headers)


@pytest.fixture
async def servers(own_redis: RedisServer, tmp_path: Path) -> AsyncIterator[Servers]:
    settings = make_settings(
        database_url=f"sqlite:///{tmp_path}/auth.db",
        redis_url=own_redis.url,
        failure_rate="10/minute",
        revocation_interval=0.05,
    )
    async with AsyncExitStack() as stack:
        auths = [await stack.enter_async_context(Auth(settings)) for _ in range(2)]
        await auths[0].users.create(EMAIL, PASSWORD, scopes=["calls:read"])
        yield Servers(tuple(auths), tuple(map(_app, auths)))


def _app(auth: Auth) -> ASGIApp:
    return AuthMiddleware(Starlette(routes=[Route("/x", hello), *auth_routes(auth)]), auth=auth)


async def test_failed_logins_add_up(servers: Servers) -> None:
    statuses: Counter[int] = Counter()

    async def one(server: int) -> None:
        statuses[(await servers.login(server, "wrong")).status] += 1

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, number % 2)
    assert statuses == {401: 5, 429: 95}
    refused = await servers.login(1, PASSWORD)
    assert (refused.status, refused.headers["x-ratelimit-limit"]) == (429, "5")
    assert 0 < int(refused.headers["retry-after"]) <= 60


async def test_right_logins_take_nothing_away(servers: Servers) -> None:
    for number in range(12):
        assert (await servers.login(number % 2, PASSWORD)).status == 200


async def test_uses_of_a_key_add_up(servers: Servers) -> None:
    header = await servers.header_of_new_key(rate="7/minute")
    statuses: Counter[int] = Counter()

    async def one(server: int) -> None:
        statuses[(await servers.ask(server, [("authorization", header)])).status] += 1

    async with anyio.create_task_group() as group:
        for number in range(60):
            group.start_soon(one, number % 2)
    assert statuses == {200: 7, 429: 53}


async def test_refused_credentials_add_up(servers: Servers) -> None:
    for number in range(10):
        assert (await servers.ask(number % 2, FORGED)).status == 401

    async def is_refused_unread() -> bool:
        return [(await servers.ask(server, FORGED)).status for server in (0, 1)] == [429, 429]

    await eventually(is_refused_unread)


async def test_without_redis_each_server_counts_by_itself(servers: Servers, own_redis: RedisServer) -> None:
    header = await servers.header_of_new_key(rate="7/minute")
    assert (await servers.ask(0, [("authorization", header)])).status == 200
    own_redis.kill()
    for server in (0, 1):
        uses = [(await servers.ask(server, [("authorization", header)])).status for _ in range(8)]
        assert uses == [200] * 7 + [429]
        refused = [(await servers.ask(server, FORGED)).status for _ in range(11)]
        assert refused == [401] * 10 + [429]
        logins = [(await servers.login(server, "wrong")).status for _ in range(6)]
        assert logins == [401] * 5 + [429]
    own_redis.start()
    await anyio.sleep(PAUSE)
    # What was counted meanwhile is forgotten; from now on they count together.
    logins = [(await servers.login(number % 2, "wrong")).status for number in range(6)]
    assert logins == [401] * 5 + [429]


async def test_without_a_background_task_refusals_are_told_by_the_requests(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    settings: AuthSettings = make_settings(
        database_url=f"sqlite:///{tmp_path}/auth.db", redis_url=own_redis.url, failure_rate="2/minute"
    ).replace(revocation_interval=0.01)
    one, other = Auth(settings), Auth(settings)
    for auth in (one, other):
        assert (await request(_app(auth), "/x", FORGED)).status == 401

    async def is_refused_unread() -> bool:
        statuses = [(await request(_app(auth), "/x", FORGED)).status for auth in (one, other)]
        await anyio.sleep(0.02)
        return statuses == [429, 429]

    await eventually(is_refused_unread)
    for auth in (one, other):
        await auth.aclose()
