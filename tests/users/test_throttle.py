"""Failed logins are bounded, through the route that clients use."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp

from callcov_auth import Auth, auth_routes
from callcov_auth.counting import LocalCounters
from callcov_auth.errors import AuthUnavailable, InvalidCredentials, RateLimited
from callcov_auth.rates import Rate
from callcov_auth.store.protocol import User
from callcov_auth.users.passwords import Passwords
from callcov_auth.users.throttle import ACCOUNT_FACTOR, KNOWN_FOR, MAX_WAITING, LoginThrottle
from tests.support.asgi import Answer, request
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

EMAIL = "user@example.com"
PASSWORD = "SecurePassword123!"
WRONG = "not the password"
HERE = "192.0.2.7"
ALLOWED = 5
ALLOWED_AN_ACCOUNT = ALLOWED * ACCOUNT_FACTOR


@pytest.fixture
async def user(auth: Auth) -> User:
    return await auth.users.create(EMAIL, PASSWORD)


@pytest.fixture
def app(auth: Auth, user: User) -> ASGIApp:
    return Starlette(routes=auth_routes(auth))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were verified."""
    verify, found = Passwords.verify, []

    async def noted(self: Passwords, password_hash: str | None, password: str) -> bool:
        found.append(password)
        return await verify(self, password_hash, password)

    monkeypatch.setattr(Passwords, "verify", noted)
    return found


async def login(
    app: ASGIApp, password: str = WRONG, email: str = EMAIL, address: str = HERE, **more: Any
) -> Answer:
    body = f'{{"email": "{email}", "password": "{password}"}}'.encode()
    return await request(app, "/api/v1/auth/login", body=body, method="POST", client=(address, 1), **more)


async def fail(app: ASGIApp, times: int = ALLOWED, **more: Any) -> None:
    answers = [await login(app, **more) for _ in range(times)]
    assert [(answer.status, answer.code) for answer in answers] == [(401, "invalid_credentials")] * times


async def flood(app: ASGIApp, times: int = ALLOWED_AN_ACCOUNT) -> None:
    """Fail at one account, from an address of its own each time."""
    for number in range(times):
        await fail(app, 1, address=f"198.51.{number // 256}.{number % 256}")


async def test_after_so_many_failures_no_password_is_hashed(app: ASGIApp, hashed: list[str]) -> None:
    await fail(app)
    refused = await login(app)
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert len(hashed) == ALLOWED


async def test_the_refusal_tells_when_to_come_back(app: ASGIApp, clock: Clock) -> None:
    await fail(app)
    clock.advance(17.5)
    refused = await login(app)
    told = ("retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    assert [refused.headers[name] for name in told] == ["43", "5", "0", "43"]
    assert "www-authenticate" not in refused.headers
    clock.advance(43)
    assert (await login(app, PASSWORD)).status == 200


async def test_an_unknown_email_is_bounded_as_a_known_one_is(app: ASGIApp) -> None:
    unknown = "nobody@example.com"
    for _ in range(2):
        answers = [[await login(app, email=email) for _ in range(3)] for email in (EMAIL, unknown)]
        known_one, other = (
            [(a.status, a.code, a.json()["error"]["message"]) for a in part] for part in answers
        )
        assert known_one == other
    assert other[-1][0] == 429


async def test_the_case_of_an_email_gives_no_more_tries(app: ASGIApp) -> None:
    await fail(app, email="USER@example.com")
    assert (await login(app, email="user@EXAMPLE.com")).status == 429


async def test_what_is_right_takes_nothing_away(app: ASGIApp) -> None:
    for _ in range(3 * ALLOWED):
        assert (await login(app, PASSWORD)).status == 200
    await fail(app)
    assert (await login(app, PASSWORD)).status == 429


async def test_a_try_that_was_not_evaluated_takes_nothing_away(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: Any) -> bool:
        raise AuthUnavailable(reason="password_queue_full")

    with monkeypatch.context() as patch:
        patch.setattr(Passwords, "verify", busy)
        for _ in range(3 * ALLOWED):
            assert (await login(app)).status == 503
    await fail(app)


async def test_a_stranger_elsewhere_shuts_nobody_out(app: ASGIApp) -> None:
    await fail(app, address="198.51.100.1")
    assert (await login(app, address="198.51.100.1")).status == 429
    assert (await login(app, PASSWORD)).status == 200


async def test_other_accounts_are_not_touched(app: ASGIApp) -> None:
    await fail(app, email="other@example.com")
    assert (await login(app, PASSWORD)).status == 200


async def test_an_ipv6_network_is_one_address(app: ASGIApp) -> None:
    for number in range(ALLOWED):
        await fail(app, 1, address=f"2001:db8:0:1::{number}")
    assert (await login(app, address="2001:db8:0:1:ffff::1")).status == 429
    assert (await login(app, PASSWORD, address="2001:db8:0:2::1")).status == 200


@pytest.mark.parametrize("times", [100, 1000])
async def test_of_many_at_once_exactly_so_many_are_evaluated(
    app: ASGIApp, hashed: list[str], times: int
) -> None:
    statuses: Counter[int] = Counter()

    async def one() -> None:
        statuses[(await login(app)).status] += 1

    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(one)
    assert statuses == {401: ALLOWED, 429: times - ALLOWED}
    assert len(hashed) == ALLOWED


async def test_many_who_are_right_at_once_all_get_in(app: ASGIApp) -> None:
    statuses: Counter[int] = Counter()

    async def one() -> None:
        statuses[(await login(app, PASSWORD)).status] += 1

    async with anyio.create_task_group() as group:
        for _ in range(ALLOWED + MAX_WAITING):
            group.start_soon(one)
    assert statuses == {200: ALLOWED + MAX_WAITING}


async def test_a_flood_from_many_addresses_is_slowed(app: ASGIApp, clock: Clock) -> None:
    await flood(app)
    # One more from whoever comes first, and then one each two seconds.
    outcomes = []
    for number in range(8):
        outcomes.append((await login(app, address=f"203.0.113.{number}")).status)
        clock.advance(1)
    assert outcomes == [401, 429] * 4
    refused = await login(app, address="203.0.113.99")
    clock.advance(0.5)
    refused = await login(app, address="203.0.113.100")
    assert (refused.status, refused.headers["retry-after"]) == (429, "2")
    assert refused.headers["x-ratelimit-limit"] == str(ALLOWED_AN_ACCOUNT)


async def test_the_owner_gets_in_through_a_flood_from_a_known_address(app: ASGIApp, clock: Clock) -> None:
    assert (await login(app, PASSWORD)).status == 200
    clock.advance(KNOWN_FOR - 1)
    await flood(app)
    assert (await login(app, address="203.0.113.1")).status == 401
    assert (await login(app, address="203.0.113.2")).status == 429
    assert (await login(app, PASSWORD)).status == 200


async def test_an_address_is_known_for_a_while_alone(app: ASGIApp, clock: Clock) -> None:
    assert (await login(app, PASSWORD)).status == 200
    clock.advance(KNOWN_FOR)
    await flood(app)
    assert (await login(app, address="203.0.113.1")).status == 401
    assert (await login(app, PASSWORD)).status == 429


async def test_the_owner_gets_in_through_a_flood_from_a_new_address_slowly(
    app: ASGIApp, clock: Clock
) -> None:
    await flood(app)
    assert (await login(app, address="203.0.113.1")).status == 401
    refused = await login(app, PASSWORD)
    assert refused.status == 429
    clock.advance(int(refused.headers["retry-after"]))
    assert (await login(app, PASSWORD)).status == 200


async def test_an_address_cannot_try_every_account(user: User, clock: Clock) -> None:
    async with Auth(make_settings(failure_rate="7/minute"), clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        app = Starlette(routes=auth_routes(auth))
        assert (await login(app, PASSWORD)).status == 200
        for number in range(7):
            await fail(app, 1, email=f"user-{number}@example.com")
        refused = await login(app, email="one-more@example.com")
        assert (refused.status, refused.headers["x-ratelimit-limit"]) == (429, "7")
        assert (await login(app, email="one-more@example.com", address="203.0.113.1")).status == 401
        # Who logged in from here lately is not shut out by a neighbour.
        assert (await login(app, PASSWORD)).status == 200


async def test_without_an_address_the_account_is_counted_alone(auth: Auth, user: User, app: ASGIApp) -> None:
    for _ in range(ALLOWED):
        with pytest.raises(InvalidCredentials):
            await auth.tokens.login(EMAIL, WRONG)
    with pytest.raises(RateLimited) as caught:
        await auth.tokens.login(EMAIL, PASSWORD)
    assert (caught.value.limit, caught.value.reset, caught.value.reason) == (ALLOWED, 60, "login_rate")
    assert await auth.tokens.login(EMAIL, PASSWORD, address=HERE)
    assert (await login(app, PASSWORD)).status == 200


@pytest.mark.parametrize("address", [None, HERE])
async def test_a_rate_of_none_bounds_nothing(clock: Clock, address: str | None) -> None:
    async with Auth(make_settings(login_rate=None), clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        for _ in range(3 * ALLOWED):
            with pytest.raises(InvalidCredentials):
                await auth.tokens.login(EMAIL, WRONG, address=address)
        assert await auth.tokens.login(EMAIL, PASSWORD, address=address)


@pytest.mark.parametrize(
    ("headers", "address"),
    [([("X-Forwarded-For", "203.0.113.7")], "203.0.113.7"), ([], "10.0.0.1")],
)
async def test_behind_a_proxy_the_client_is_counted(
    clock: Clock, headers: Sequence[tuple[str, str]], address: str
) -> None:
    settings = make_settings(trusted_proxies=["10.0.0.0/8"], require_https=False)
    async with Auth(settings, clock=clock) as auth:
        app = Starlette(routes=auth_routes(auth))
        body = f'{{"email": "{EMAIL}", "password": "{WRONG}"}}'.encode()
        for expected in [401] * ALLOWED + [429]:
            answer = await request(
                app, "/api/v1/auth/login", headers, body=body, method="POST", client=("10.0.0.1", 1)
            )
            assert answer.status == expected
        with pytest.raises(RateLimited):
            await auth.tokens.login(EMAIL, WRONG, address=address)


@pytest.fixture
def counters(clock: Clock) -> LocalCounters:
    return LocalCounters(100, clock)


async def test_a_try_that_is_cancelled_counts_and_holds_nobody_up(counters: LocalCounters) -> None:
    throttle = LoginThrottle(Rate(1, 60), None, counters, b"key")
    with anyio.move_on_after(0.01):
        async with throttle.attempt(EMAIL, HERE):
            await anyio.sleep_forever()
    with pytest.raises(RateLimited):
        async with throttle.attempt(EMAIL, HERE):
            pass


async def test_no_counter_is_named_by_an_email(
    counters: LocalCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    async def noted(name: str, _: Rate) -> float:
        names.append(name)
        return 0

    monkeypatch.setattr(counters, "take", noted)
    async with LoginThrottle(Rate(5, 60), Rate(9, 60), counters, b"key").attempt(EMAIL, HERE):
        pass
    assert len(names) == 3
    assert not any(part in name for name in names for part in ("user", "example", HERE))


async def test_an_end_wakes_one_of_those_who_wait(
    counters: LocalCounters, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttle, take, taken = LoginThrottle(Rate(2, 60), None, counters, b"key"), counters.take, list[float]()

    async def counted(name: str, rate: Rate) -> float:
        taken.append(left := await take(name, rate))
        return left

    async def one() -> None:
        async with throttle.attempt(EMAIL, None):
            await anyio.sleep(0.001)

    monkeypatch.setattr(counters, "take", counted)
    async with anyio.create_task_group() as group:
        for _ in range(MAX_WAITING):
            group.start_soon(one)
    # Each waited once at most, but for those who were woken with the last.
    assert taken.count(0) == MAX_WAITING
    assert len(taken) <= 2 * MAX_WAITING + 2


async def test_who_gives_up_waiting_takes_nobodys_turn(counters: LocalCounters) -> None:
    throttle, let_go, got_in = (
        LoginThrottle(Rate(2, 60), None, counters, b"key"),
        anyio.Event(),
        anyio.Event(),
    )
    stays = anyio.Event()

    async def one(until: anyio.Event) -> None:
        async with throttle.attempt(EMAIL, None):
            await until.wait()

    async def patient() -> None:
        async with throttle.attempt(EMAIL, None):
            got_in.set()

    async with anyio.create_task_group() as group:
        group.start_soon(one, let_go)
        group.start_soon(one, stays)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.01):
            await one(let_go)
        group.start_soon(patient)
        await anyio.wait_all_tasks_blocked()
        let_go.set()
        with anyio.fail_after(10):
            await got_in.wait()
        stays.set()
