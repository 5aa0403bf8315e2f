"""Keys with a rate of their own."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.types import ASGIApp

from callcov_auth import Auth, AuthMiddleware
from callcov_auth.errors import RateLimited, ValidationFailed
from callcov_auth.store.protocol import User
from callcov_auth.store.sql import SqlStore
from tests.asgi.test_hot_path import App
from tests.keys.test_validator import bearer
from tests.support.asgi import Answer, request
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

RATE = "7/minute"
ALLOWED = 7


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(SqlStore("sqlite://"))


@pytest.fixture(params=[False, True], ids=["by header", "by hash"])
async def auth(request: pytest.FixtureRequest, store: FaultyStore, clock: Clock) -> AsyncIterator[Auth]:
    settings = make_settings(hash_cached_credentials=request.param, cache_ttl=600)
    async with Auth(settings, store=store, clock=clock) as opened:
        yield opened


@pytest.fixture
async def owner(auth: Auth) -> User:
    return await auth.users.create("o@example.com", "SecurePassword123!", scopes=["calls:read"])


class Endpoint(App):
    """Answers, so that a status can be seen."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def app(auth: Auth) -> ASGIApp:
    return AuthMiddleware(Endpoint(), auth=auth)


async def ask(app: ASGIApp, header: str) -> Answer:
    return await request(app, "/x", [("authorization", header)])


async def statuses(app: ASGIApp, header: str, times: int) -> list[int]:
    return [(await ask(app, header)).status for _ in range(times)]


async def test_a_key_is_used_no_more_often_than_its_rate(
    auth: Auth, app: ASGIApp, owner: User, clock: Clock
) -> None:
    header = bearer(await auth.keys.create(owner.id, name="k", rate=RATE))
    assert await statuses(app, header, 1) == [200]
    clock.advance(17.5)
    assert await statuses(app, header, ALLOWED) == [200] * (ALLOWED - 1) + [429]
    refused = await ask(app, header)
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert refused.json()["error"]["message"] == "The API key was used as often as its rate allows"
    told = ("retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    assert [refused.headers[name] for name in told] == ["43", str(ALLOWED), "0", "43"]
    clock.advance(43)
    assert await statuses(app, header, ALLOWED + 1) == [200] * ALLOWED + [429]


async def test_each_key_counts_by_itself(auth: Auth, app: ASGIApp, owner: User) -> None:
    one, other = [bearer(await auth.keys.create(owner.id, name=name, rate=RATE)) for name in "ab"]
    free = bearer(await auth.keys.create(owner.id, name="c"))
    assert 429 in await statuses(app, one, ALLOWED + 1)
    assert await statuses(app, other, ALLOWED) == [200] * ALLOWED
    assert await statuses(app, free, 10 * ALLOWED) == [200] * (10 * ALLOWED)


async def test_of_many_at_once_exactly_so_many_get_in(
    auth: Auth, app: ASGIApp, owner: User, store: FaultyStore
) -> None:
    header = bearer(await auth.keys.create(owner.id, name="k", rate=RATE))
    found: Counter[int] = Counter()

    async def one() -> None:
        found[(await ask(app, header)).status] += 1

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(one)
    assert found == {200: ALLOWED, 429: 100 - ALLOWED}
    assert store.calls["keys_by_digest"] == 1


async def test_its_bearer_is_remembered_and_counted_all_the_same(
    auth: Auth, app: ASGIApp, owner: User, store: FaultyStore
) -> None:
    header = bearer(await auth.keys.create(owner.id, name="k", rate=RATE))
    await statuses(app, header, 3 * ALLOWED)
    assert store.calls["keys_by_digest"] == 1
    # However the header is written, the key is the same.
    assert (await ask(app, f"bearer  {header.removeprefix('Bearer ')}")).status == 429


async def test_no_header_names_what_is_remembered_of_it(auth: Auth, app: ASGIApp, owner: User) -> None:
    header = bearer(await auth.keys.create(owner.id, name="k", rate=RATE))
    assert (await ask(app, header)).status == 200
    assert auth.callers.find(header.encode()) is None
    assert auth.callers.get(header.encode()) is None
    assert len(auth.callers) == 1


async def test_revoking_ends_it_at_once(auth: Auth, app: ASGIApp, owner: User) -> None:
    key = await auth.keys.create(owner.id, name="k", rate=RATE)
    assert (await ask(app, bearer(key))).status == 200
    await auth.keys.revoke(key.id)
    assert (await ask(app, bearer(key))).code == "token_revoked"


async def test_a_rotated_key_keeps_its_rate(auth: Auth, app: ASGIApp, owner: User) -> None:
    key = await auth.keys.create(owner.id, name="k", rate=RATE)
    new = await auth.keys.rotate(key.id)
    assert (await auth.keys.get(new.id)).rate == RATE
    assert await statuses(app, bearer(new), ALLOWED + 1) == [200] * ALLOWED + [429]


async def test_an_imported_key_may_have_one(auth: Auth, owner: User) -> None:
    key = await auth.keys.import_digest(owner.id, b"d" * 32, name="k", rate=RATE)
    assert (await auth.keys.get(key.id)).rate == RATE


async def test_authenticate_counts_too(auth: Auth, owner: User) -> None:
    header = bearer(await auth.keys.create(owner.id, name="k", rate=RATE))
    for _ in range(ALLOWED):
        assert (await auth.authenticate(header)).subject == owner.id
    with pytest.raises(RateLimited) as caught:
        await auth.authenticate(header)
    assert caught.value.reason == "key_rate"


@pytest.mark.parametrize("rate", ["often", "0/minute", "1/second;2/minute", "", f"1/{'0' * 30}1 seconds", 7])
async def test_what_is_no_rate_is_refused(auth: Auth, owner: User, rate: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await auth.keys.create(owner.id, name="k", rate=rate)
    assert list(caught.value.details["fields"]) == ["rate"]


async def test_who_is_known_by_a_rated_key_goes_on_in_a_flood(store: FaultyStore, clock: Clock) -> None:
    async with Auth(make_settings(failure_rate="2/minute"), store=store, clock=clock) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        header = bearer(await auth.keys.create(owner.id, name="k", rate=RATE))
        app = AuthMiddleware(Endpoint(), auth=auth)
        assert (await ask(app, header)).status == 200
        assert await statuses(app, "Bearer junk", 3) == [401, 401, 429]
        assert (await ask(app, header)).status == 200
