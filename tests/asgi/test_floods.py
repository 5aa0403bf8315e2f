"""An address whose credentials were refused too often is refused unread, and nobody else is."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from callcov_auth import Auth, AuthMiddleware, auth_routes
from callcov_auth.failures import MAX_ADDRESSES, Failures
from callcov_auth.rates import Rate
from callcov_auth.store.protocol import User
from tests.keys.test_validator import bearer
from tests.support.asgi import Answer, connect, post, request
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

PASSWORD = "SecurePassword123!"
ALLOWED = 100
HERE, ELSEWHERE = "192.0.2.7", "203.0.113.1"
FORGED = [("authorization", "Bearer sk_live_" + "x" * 48)]


class Site:
    """An app behind the middleware, a user with a key, and how many lookups there were."""

    def __init__(self, auth: Auth, store: FaultyStore) -> None:
        self.auth = auth
        self.store = store
        routes = [Route("/x", self._hello), Route("/open", self._hello), *auth_routes(auth)]
        self.app: ASGIApp = AuthMiddleware(Starlette(routes=routes), auth=auth)

    async def _hello(self, _: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def add_user(self) -> User:
        return await self.auth.users.create("user@example.com", PASSWORD, scopes=["calls:read"])

    async def new_key(self, owner: User) -> list[tuple[str, str]]:
        return [("authorization", bearer(await self.auth.keys.create(owner.id, name="k")))]

    async def ask(
        self, headers: Sequence[tuple[str, str]], address: str = HERE, path: str = "/x", **more: Any
    ) -> Answer:
        return await request(self.app, path, headers, client=(address, 1), **more)

    async def flood(
        self, headers: Sequence[tuple[str, str]] = FORGED, times: int = ALLOWED, **more: Any
    ) -> None:
        statuses = [(await self.ask(headers, **more)).status for _ in range(times)]
        assert statuses == [401] * times


@pytest.fixture
def settings() -> dict[str, Any]:
    return {"failure_rate": "100/minute", "cache_ttl": 600, "public_paths": ["/open"]}


@pytest.fixture
async def site(settings: dict[str, Any], clock: Clock) -> Any:
    made = make_settings(**settings)
    store = FaultyStore(Auth(made).store)
    async with Auth(made, store=store, clock=clock) as auth:  # type: ignore[arg-type]
        yield Site(auth, store)


@pytest.fixture
async def user(site: Site) -> User:
    return await site.add_user()


async def test_past_the_rate_an_address_is_refused_unread(site: Site, clock: Clock) -> None:
    await site.flood(times=1)
    clock.advance(17.5)
    await site.flood(times=ALLOWED - 1)
    refused = await site.ask(FORGED)
    assert (refused.status, refused.code) == (429, "rate_limited")
    told = ("retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    assert [refused.headers[name] for name in told] == ["43", "100", "0", "43"]
    assert "www-authenticate" not in refused.headers


async def test_a_good_credential_that_is_not_yet_known_is_not_looked_up(
    site: Site, user: User, clock: Clock
) -> None:
    key = await site.new_key(user)
    await site.flood()
    before = site.store.calls["keys_by_digest"]
    assert (await site.ask(key)).status == 429
    assert site.store.calls["keys_by_digest"] == before
    assert (await site.ask(key, ELSEWHERE)).status == 200
    # Now it is known, and is good from everywhere.
    assert (await site.ask(key)).status == 200


@pytest.mark.parametrize("write", ["{}", " {} "], ids=["as it is kept", "with spaces around"])
async def test_who_is_known_goes_on_behind_the_same_address(
    site: Site, user: User, clock: Clock, write: str
) -> None:
    ((name, value),) = await site.new_key(user)
    key = [(name, write.format(value))]
    assert (await site.ask(key)).status == 200
    await site.flood()
    for _ in range(2 * ALLOWED):
        assert (await site.ask(key)).status == 200


async def test_who_is_known_is_looked_up_again_behind_the_same_address(
    site: Site, user: User, clock: Clock
) -> None:
    key = await site.new_key(user)
    assert (await site.ask(key)).status == 200
    clock.advance(600)
    await site.flood()
    before = site.store.calls["keys_by_digest"]
    statuses = []

    async def one() -> None:
        statuses.append((await site.ask(key)).status)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(one)
    assert statuses == [200] * 10
    assert site.store.calls["keys_by_digest"] == before + 1


async def test_what_was_revoked_is_known_no_more(site: Site, user: User) -> None:
    created = await site.auth.keys.create(user.id, name="k")
    key = [("authorization", bearer(created))]
    assert (await site.ask(key)).status == 200
    await site.flood()
    await site.auth.keys.revoke(created.id)
    assert (await site.ask(key)).status == 429
    assert (await site.ask(key, ELSEWHERE)).code == "token_revoked"


async def test_after_the_window_the_address_is_as_any_other(site: Site, user: User, clock: Clock) -> None:
    key = await site.new_key(user)
    await site.flood()
    clock.advance(59.9)
    assert (await site.ask(key)).status == 429
    clock.advance(0.1)
    await site.flood()
    assert (await site.ask(key)).status == 429
    clock.advance(60)
    assert (await site.ask(key)).status == 200
    assert site.auth.failures.are_quiet


async def test_other_addresses_are_not_touched(site: Site, user: User) -> None:
    await site.flood()
    assert (await site.ask(FORGED, ELSEWHERE)).status == 401
    assert (await site.ask(await site.new_key(user), ELSEWHERE)).status == 200


async def test_an_ipv6_network_is_one_address(site: Site) -> None:
    for number in range(ALLOWED):
        assert (await site.ask(FORGED, f"2001:db8:0:1::{number:x}")).status == 401
    assert (await site.ask(FORGED, "2001:db8:0:1:ffff::1")).status == 429
    assert (await site.ask(FORGED, "2001:db8:0:2::1")).status == 401


async def test_no_credential_is_no_try(site: Site) -> None:
    await site.flood([], 2 * ALLOWED)
    assert (await site.ask(FORGED)).status == 401


async def test_what_is_refused_for_another_reason_is_no_try(site: Site, user: User) -> None:
    key = await site.new_key(user)
    for _ in range(2 * ALLOWED):
        assert (await site.ask(key, path="/api/v1/users/me")).status == 403
    assert (await site.ask(FORGED)).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Basic dXNlcjpwYXNz")],
        [("authorization", "")],
        [("authorization", "Bearer a"), ("authorization", "Bearer b")],
        [("authorization", "Bearer a.b.c")],
    ],
)
async def test_every_bad_credential_is_a_try(site: Site, headers: list[tuple[str, str]]) -> None:
    await site.flood(headers)
    assert (await site.ask(FORGED)).status == 429


async def test_an_open_path_stays_open_without_a_credential(site: Site) -> None:
    await site.flood(path="/open")
    assert (await site.ask([], path="/open")).status == 200
    assert (await site.ask(FORGED, path="/open")).status == 429


async def test_refused_refreshes_are_tries(site: Site, user: User) -> None:
    body = b'{"refresh_token": "a.b.c"}'
    refresh = {"path": "/api/v1/auth/refresh", "method": "POST"}
    await site.flood([], ALLOWED - 1, body=body, **refresh)
    await site.flood(times=1)
    assert (await site.ask([], body=body, **refresh)).status == 429
    assert (await site.ask(FORGED)).status == 429
    pair = await site.auth.tokens.login("user@example.com", PASSWORD)
    good = f'{{"refresh_token": "{pair.refresh_token.get_secret_value()}"}}'.encode()
    assert (await site.ask([], body=good, **refresh)).status == 429
    assert (await site.ask([], ELSEWHERE, body=good, **refresh)).status == 200
    # A body that is none is refused before.
    assert (await site.ask([], body=b"{}", **refresh)).status == 422


async def test_good_refreshes_are_none(site: Site, user: User) -> None:
    pair = await site.auth.tokens.login("user@example.com", PASSWORD)
    good = f'{{"refresh_token": "{pair.refresh_token.get_secret_value()}"}}'.encode()
    for _ in range(2 * ALLOWED):
        assert (await site.ask([], body=good, path="/api/v1/auth/refresh", method="POST")).status == 200


async def test_a_store_that_is_dead_is_nobodys_try(site: Site, user: User) -> None:
    pair = await site.auth.tokens.login("user@example.com", PASSWORD)
    body = f'{{"refresh_token": "{pair.refresh_token.get_secret_value()}"}}'.encode()
    site.store.fail("session")
    for _ in range(2 * ALLOWED):
        assert (await site.ask([], body=body, path="/api/v1/auth/refresh", method="POST")).status == 503
    site.store.mend()
    assert (await site.ask([], body=body, path="/api/v1/auth/refresh", method="POST")).status == 200


async def test_routes_without_the_middleware_count_too(site: Site) -> None:
    app = Starlette(routes=auth_routes(site.auth))
    for _ in range(ALLOWED):
        assert (await post(app, "/api/v1/auth/logout", {}, "a.b.c")).status == 401
    assert (await post(app, "/api/v1/auth/logout", {}, "a.b.c")).status == 429
    assert (await site.ask(FORGED, "127.0.0.1")).status == 429


async def test_a_websocket_is_refused_too(site: Site) -> None:
    extensions = {"websocket.http.response": {}}
    for expected in [401] * ALLOWED + [429]:
        sent = await connect(site.app, "/x", FORGED, client=(HERE, 1), extensions=extensions)
        assert sent[0]["status"] == expected


@pytest.mark.parametrize("client", [None, ("testclient", 1)])
async def test_where_no_address_is_known_nobody_is_counted(site: Site, client: Any) -> None:
    for _ in range(2 * ALLOWED):
        assert (await request(site.app, "/x", FORGED, client=client)).status == 401


@pytest.mark.parametrize("settings", [{"failure_rate": None, "public_paths": ["/open"]}])
async def test_a_rate_of_none_bounds_nothing(site: Site) -> None:
    await site.flood(times=3 * ALLOWED)
    refresh = {"path": "/api/v1/auth/refresh", "method": "POST"}
    await site.flood([], 2 * ALLOWED, body=b'{"refresh_token": "a.b.c"}', **refresh)


@pytest.mark.parametrize(
    "settings",
    [{"failure_rate": "3/minute", "trusted_proxies": ["10.0.0.0/8", "unix"], "require_https": False}],
)
@pytest.mark.parametrize("proxy", [("10.0.0.1", 1), None])
async def test_behind_a_proxy_the_client_is_counted(site: Site, proxy: Any) -> None:
    for expected in [401, 401, 401, 429]:
        from_one = [*FORGED, ("x-forwarded-for", "198.51.100.1")]
        assert (await request(site.app, "/x", from_one, client=proxy)).status == expected
    from_other = [*FORGED, ("x-forwarded-for", "198.51.100.2")]
    assert (await request(site.app, "/x", from_other, client=proxy)).status == 401


@pytest.mark.parametrize(
    "settings", [{"failure_rate": "3/minute", "trusted_proxies": ["unix"], "require_https": False}]
)
async def test_a_proxy_that_tells_no_address_is_not_counted_itself(site: Site) -> None:
    for _ in range(10):
        assert (await request(site.app, "/x", FORGED, client=None)).status == 401


@pytest.mark.parametrize(
    "settings", [{"failure_rate": "3/minute", "optional_paths": ["/x"], "hash_cached_credentials": True}]
)
async def test_where_a_bad_credential_counts_as_none_it_is_still_a_try(site: Site, user: User) -> None:
    key = await site.new_key(user)
    assert (await site.ask(key)).status == 200
    assert [(await site.ask(FORGED)).status for _ in range(4)] == [200, 200, 200, 429]
    assert (await site.ask(key)).status == 200


def test_memory_has_a_ceiling(clock: Clock) -> None:
    failures = Failures(Rate(1, 60), clock)
    for number in range(MAX_ADDRESSES + 10):
        failures.note(str(number))
    assert len(failures) == MAX_ADDRESSES
