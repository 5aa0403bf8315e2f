"""Refresh tokens that rotate: one newest generation, a grace for whoever asks twice, the end for a thief."""

import json
import logging
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from callcov_auth import Auth
from callcov_auth.errors import AuthUnavailable, InvalidToken, TokenExpired, TokenRevoked
from callcov_auth.events import RefreshReused
from callcov_auth.store.protocol import Session
from callcov_auth.store.sql import SqlStore
from callcov_auth.tokens.families import GENERATION, MAX_IN_GRACE
from tests.support.clock import Clock
from tests.support.databases import Database
from tests.support.polling import eventually
from tests.support.revoked import is_refused
from tests.support.settings import make_settings
from tests.support.tokens import Forge

pytestmark = pytest.mark.anyio

EMAIL, PASSWORD = "user@example.com", "SecurePassword123!"
WEEK = 604800
GRACE = 10


@pytest.fixture
async def auth(clock: Clock, tmp_path: Path) -> AsyncIterator[Auth]:
    settings = make_settings(rotate_refresh_tokens=True, database_url=f"sqlite:///{tmp_path / 'auth.db'}")
    async with Auth(settings, clock=clock) as opened:
        await opened.users.create(EMAIL, PASSWORD, scopes=["calls:read"])
        yield opened


@pytest.fixture
async def first(auth: Auth) -> str:
    """The refresh token that login gave."""
    return (await auth.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def generation(token: str) -> int:
    return int(claims_of(token).get(GENERATION, 0))


async def refreshed(auth: Auth, token: str) -> str:
    return (await auth.tokens.refresh(token)).refresh_token.get_secret_value()


async def reason_for(auth: Auth, token: str) -> str:
    with pytest.raises(TokenRevoked) as caught:
        await auth.tokens.refresh(token)
    assert caught.value.message == "The session was ended"
    return caught.value.reason


async def session_of(auth: Auth, token: str) -> Session:
    session = await auth.store.session(claims_of(token)["sid"])
    assert session is not None
    return session


async def test_each_refresh_gives_the_next_token_of_the_same_session(
    auth: Auth, first: str, clock: Clock
) -> None:
    tokens = [first]
    for _ in range(3):
        clock.advance(1500)
        tokens.append(await refreshed(auth, tokens[-1]))
    assert len(set(tokens)) == 4
    assert GENERATION not in claims_of(first)
    assert [generation(token) for token in tokens] == [0, 1, 2, 3]
    assert {claims_of(token)["sid"] for token in tokens} == {claims_of(first)["sid"]}


async def test_the_session_ends_seven_days_after_login_however_often_it_was_refreshed(
    auth: Auth, first: str, clock: Clock
) -> None:
    end, token = claims_of(first)["exp"], first
    while clock() + 86400 < end:
        clock.advance(86399)
        token = await refreshed(auth, token)
        assert claims_of(token)["exp"] == end
    clock.now = end - 1
    token = await refreshed(auth, token)
    clock.now = end
    with pytest.raises(TokenExpired):
        await auth.tokens.refresh(token)


async def test_asking_twice_within_the_grace_gives_the_same_generation(
    auth: Auth, first: str, clock: Clock
) -> None:
    """A lost answer, or a second tab."""
    second = await refreshed(auth, first)
    clock.advance(GRACE - 0.001)
    again = await auth.tokens.refresh(first)
    assert generation(again.refresh_token.get_secret_value()) == generation(second) == 1
    await auth.authenticate("Bearer " + again.access_token.get_secret_value())
    assert (await session_of(auth, first)).generation == 1


async def test_tokens_of_one_generation_are_equally_good(auth: Auth, first: str, clock: Clock) -> None:
    mine, yours = await refreshed(auth, first), await refreshed(auth, first)
    clock.advance(1500)
    third = await refreshed(auth, mine)
    assert generation(await refreshed(auth, yours)) == generation(third) == 2


async def test_an_older_one_in_its_grace_is_answered_with_the_newest(
    auth: Auth, first: str, clock: Clock
) -> None:
    second = await refreshed(auth, first)
    clock.advance(6)
    third = await refreshed(auth, second)
    clock.advance(3)
    assert [generation(await refreshed(auth, token)) for token in (first, second)] == [2, 2]
    clock.advance(6)
    # The first was superseded 15 seconds ago, the second 9.
    assert generation(await refreshed(auth, second)) == 2
    assert await reason_for(auth, first) == "refresh_reused"
    assert await reason_for(auth, third) == "session_revoked"


async def test_reuse_after_the_grace_ends_the_session_for_everybody(
    auth: Auth, first: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    second = await refreshed(auth, first)
    clock.advance(GRACE)
    with caplog.at_level("INFO", "callcov_auth"):
        assert await reason_for(auth, first) == "refresh_reused"
        assert await reason_for(auth, second) == "session_revoked"
        assert await reason_for(auth, first) == "session_revoked"
    session = await session_of(auth, first)
    assert session.revoked_at == clock()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.event == RefreshReused(session.subject, session.id)
    assert record.getMessage() == (f"refresh_reused user_id={session.subject!r} session_id={session.id!r}")


async def test_reuse_of_any_generation_ends_the_session(auth: Auth, first: str, clock: Clock) -> None:
    second = await refreshed(auth, first)
    newest = second
    for _ in range(4):
        clock.advance(1500)
        newest = await refreshed(auth, newest)
    assert await reason_for(auth, second) == "refresh_reused"
    assert await reason_for(auth, newest) == "session_revoked"


async def test_reuse_ends_one_session_alone(auth: Auth, first: str, clock: Clock) -> None:
    other = (await auth.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()
    await refreshed(auth, first)
    clock.advance(GRACE)
    await reason_for(auth, first)
    assert generation(await refreshed(auth, other)) == 1


async def test_without_a_grace_the_second_asking_ends_the_session(clock: Clock) -> None:
    settings = make_settings(rotate_refresh_tokens=True, refresh_grace=0)
    async with Auth(settings, clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        first = (await auth.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()
        await auth.tokens.refresh(first)
        assert await reason_for(auth, first) == "refresh_reused"


async def test_reuse_ends_revocable_access_tokens_in_every_process(auth: Auth, clock: Clock) -> None:
    settings = auth.settings.replace(revocable_access_tokens=True, revocation_interval=0.02)
    async with Auth(settings, clock=clock) as here:
        pair = await here.tokens.login(EMAIL, PASSWORD)
        stolen, header = (
            pair.refresh_token.get_secret_value(),
            "Bearer " + pair.access_token.get_secret_value(),
        )
        await here.authenticate(header)
        await auth.tokens.refresh(stolen)
        clock.advance(GRACE)
        await reason_for(auth, stolen)
        await eventually(lambda: is_refused(here, header))


@pytest.mark.parametrize("seconds", [-GRACE + 0.001, -1, 0])
async def test_another_clock_may_be_a_little_behind(
    auth: Auth, first: str, clock: Clock, seconds: float
) -> None:
    # A token is not good before its own time, so the second process' clock is that of login's at least.
    clock.advance(GRACE)
    await refreshed(auth, first)
    clock.advance(seconds)
    assert generation(await refreshed(auth, first)) == 1


async def test_a_clock_that_is_set_far_back_makes_no_old_token_good(
    auth: Auth, first: str, clock: Clock
) -> None:
    clock.advance(GRACE)
    await refreshed(auth, first)
    clock.advance(-GRACE)
    assert await reason_for(auth, first) == "refresh_reused"


async def test_fifty_at_once_over_two_processes_are_one_family(database: Database, clock: Clock) -> None:
    settings = make_settings(rotate_refresh_tokens=True, database_url=database.url)
    given: list[str] = []

    async with Auth(settings, clock=clock) as here, Auth(settings, clock=clock) as there:
        await here.users.create(EMAIL, PASSWORD)
        first = (await here.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()

        async def ask(process: Auth) -> None:
            given.append(await refreshed(process, first))

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(ask, (here, there)[number % 2])
        assert [generation(token) for token in given] == [1] * 50
        assert (await session_of(here, first)).generation == 1


async def test_a_client_too_eager_gets_no_newer_one_until_the_oldest_is_past_its_grace(
    auth: Auth, first: str, clock: Clock
) -> None:
    token = first
    for _ in range(MAX_IN_GRACE):
        token = await refreshed(auth, token)
    assert await refreshed(auth, token) == token
    assert generation(token) == generation(await refreshed(auth, first)) == MAX_IN_GRACE
    clock.advance(GRACE)
    assert generation(await refreshed(auth, token)) == MAX_IN_GRACE + 1
    assert len((await session_of(auth, first)).superseded) == 1


async def test_logout_with_any_of_its_tokens_ends_the_session(auth: Auth, first: str, clock: Clock) -> None:
    second = await refreshed(auth, first)
    clock.advance(GRACE)
    await auth.tokens.logout(first)
    assert await reason_for(auth, second) == "session_revoked"


async def test_looking_at_a_superseded_token_tells_it_and_ends_nothing(
    auth: Auth, first: str, clock: Clock
) -> None:
    second = await refreshed(auth, first)
    assert (await auth.tokens.session_of(first))[0].generation == 1
    clock.advance(GRACE)
    with pytest.raises(TokenRevoked) as caught:
        await auth.tokens.session_of(first)
    assert (caught.value.reason, caught.value.message) == (
        "refresh_superseded",
        "The refresh token was superseded",
    )
    assert (await auth.tokens.session_of(second))[0].revoked_at is None


async def test_a_session_goes_on_when_rotation_is_switched_on_and_off(auth: Auth, clock: Clock) -> None:
    async with Auth(auth.settings.replace(rotate_refresh_tokens=False), clock=clock) as without:
        first = (await without.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()
        assert await refreshed(without, first) == first
        second = await refreshed(auth, first)
        assert (generation(second), await refreshed(without, second)) == (1, second)
        assert generation(await refreshed(without, first)) == 1
        clock.advance(WEEK / 2)
        assert await refreshed(without, second) == second
        third = await refreshed(auth, second)
        clock.advance(GRACE)
        assert await reason_for(without, second) == "refresh_reused"
        assert await reason_for(auth, third) == "session_revoked"


async def test_a_token_from_before_the_database_was_set_back_is_refused_and_ends_nothing(
    auth: Auth, first: str
) -> None:
    claims = claims_of(first)
    forge = Forge(auth)
    newer = forge.token(forge.header(typ="rt+jwt"), claims | {GENERATION: 1})
    with pytest.raises(InvalidToken) as caught:
        await auth.tokens.refresh(newer)
    assert caught.value.reason == "token_generation_unknown"
    assert generation(await refreshed(auth, first)) == 1


class Overtaken(SqlStore):
    """Lets something else happen just before a session would advance."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.before_advancing: Any = None

    async def advance_session(self, session_id: str, *, generation: int, superseded: Sequence[float]) -> bool:
        meanwhile, self.before_advancing = self.before_advancing, None
        if meanwhile is not None:
            await meanwhile()
        return await super().advance_session(session_id, generation=generation, superseded=superseded)


@pytest.fixture
async def overtaken(clock: Clock) -> AsyncIterator[tuple[Auth, Overtaken]]:
    store = Overtaken("sqlite://")
    async with Auth(make_settings(rotate_refresh_tokens=True), store=store, clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        yield auth, store


async def test_whoever_is_overtaken_by_another_refresh_gets_what_that_made(
    overtaken: tuple[Auth, Overtaken],
) -> None:
    auth, store = overtaken
    first = (await auth.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()
    store.before_advancing = lambda: auth.tokens.refresh(first)
    assert generation(await refreshed(auth, first)) == 1
    assert (await session_of(auth, first)).generation == 1


async def test_whoever_is_overtaken_by_a_logout_is_refused(overtaken: tuple[Auth, Overtaken]) -> None:
    auth, store = overtaken
    first = (await auth.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()
    store.before_advancing = lambda: auth.tokens.logout(first)
    assert await reason_for(auth, first) == "session_revoked"
    assert (await session_of(auth, first)).generation == 0


class NeverAdvances(SqlStore):
    async def advance_session(self, session_id: str, *, generation: int, superseded: Sequence[float]) -> bool:
        return False


async def test_a_store_that_neither_advances_nor_says_why_is_unavailable(clock: Clock) -> None:
    settings = make_settings(rotate_refresh_tokens=True)
    async with Auth(settings, store=NeverAdvances("sqlite://"), clock=clock) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        first = (await auth.tokens.login(EMAIL, PASSWORD)).refresh_token.get_secret_value()
        with pytest.raises(AuthUnavailable) as caught:
            await auth.tokens.refresh(first)
    assert caught.value.reason == "session_contended"
