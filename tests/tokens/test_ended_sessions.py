"""Sessions of a user: listed, all ended at once, and what becomes of the access tokens that they gave."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from callcov_auth import Auth, AuthError
from callcov_auth.errors import TokenRevoked, ValidationFailed
from callcov_auth.store.protocol import User
from callcov_auth.store.sql import SqlStore
from callcov_auth.tokens.issuer import TokenPair
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

PASSWORD = "SecurePassword123!"
WEEK = 604800


@pytest.fixture
async def store() -> FaultyStore:
    return FaultyStore(SqlStore("sqlite://"))


@pytest.fixture
async def auth(clock: Clock, store: FaultyStore) -> AsyncIterator[Auth]:
    async with Auth(make_settings(revocable_access_tokens=True), store=store, clock=clock) as opened:
        yield opened


@pytest.fixture
async def user(auth: Auth) -> User:
    return await auth.users.create("user@example.com", PASSWORD, scopes=["calls:read"])


@pytest.fixture
async def stranger(auth: Auth) -> User:
    return await auth.users.create("stranger@example.com", PASSWORD)


def header(pair: TokenPair) -> str:
    return "Bearer " + pair.access_token.get_secret_value()


async def code_of(auth: Auth, credential: str) -> str:
    try:
        await auth.authenticate(credential)
    except AuthError as refusal:
        return refusal.code
    return "let in"


async def test_sessions_are_listed_newest_first_until_they_end(auth: Auth, user: User, clock: Clock) -> None:
    ids = []
    for _ in range(3):
        pair = await auth.tokens.login(user.email, PASSWORD)
        ids.append((await auth.authenticate(header(pair))).session_id)
        clock.advance(60)
    page = await auth.tokens.sessions(user.id)
    assert ([session.id for session in page.sessions], page.total) == (ids[::-1], 3)
    assert {session.subject for session in page.sessions} == {user.id}
    await auth.tokens.logout(session_id=ids[1])
    assert [session.id for session in (await auth.tokens.sessions(user.id)).sessions] == [ids[2], ids[0]]
    clock.advance(WEEK - 180)
    assert [session.id for session in (await auth.tokens.sessions(user.id)).sessions] == [ids[2]]


async def test_a_long_list_comes_in_pages(auth: Auth, user: User, clock: Clock) -> None:
    for _ in range(3):
        await auth.tokens.login(user.email, PASSWORD)
        clock.advance(1)
    first = await auth.tokens.sessions(user.id, limit=2)
    second = await auth.tokens.sessions(user.id, limit=2, cursor=first.cursor)
    assert (len(first.sessions), len(second.sessions), second.cursor) == (2, 1, None)


@pytest.mark.parametrize(
    ("subject", "fields", "named"),
    [
        ("", {}, "subject"),
        ("a\n", {}, "subject"),
        ("x" * 256, {}, "subject"),
        ("usr_1", {"limit": 0}, "limit"),
        ("usr_1", {"limit": 201}, "limit"),
        ("usr_1", {"cursor": "junk"}, "cursor"),
        ("usr_1", {"page": 1}, "page"),
    ],
)
async def test_what_is_not_listed(auth: Auth, subject: str, fields: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await auth.tokens.sessions(subject, **fields)
    assert set(caught.value.details["fields"]) == {named}


async def test_logged_out_everywhere_no_session_gives_a_token_and_the_next_login_does(
    auth: Auth, user: User, stranger: User
) -> None:
    pairs = [await auth.tokens.login(user.email, PASSWORD) for _ in range(2)]
    other = await auth.tokens.login(stranger.email, PASSWORD)
    for _ in range(2):
        await auth.tokens.logout_everywhere(user.id)
        for pair in pairs:
            with pytest.raises(TokenRevoked) as caught:
                await auth.tokens.refresh(pair.refresh_token.get_secret_value())
            assert caught.value.reason == "session_revoked"
    assert (await auth.tokens.sessions(user.id)).total == 0
    await auth.tokens.refresh(other.refresh_token.get_secret_value())
    again = await auth.tokens.login(user.email, PASSWORD)
    await auth.tokens.refresh(again.refresh_token.get_secret_value())


async def test_logging_out_everywhere_is_told_and_wants_a_name(
    auth: Auth, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "callcov_auth"):
        await auth.tokens.logout_everywhere(user.id)
    assert [record.getMessage() for record in caplog.records] == [
        f"logged_out_everywhere user_id={user.id!r}"
    ]
    with pytest.raises(ValidationFailed):
        await auth.tokens.logout_everywhere("")


async def test_a_service_is_logged_out_everywhere_by_its_name(auth: Auth) -> None:
    token = await auth.tokens.issue("service:billing")
    await auth.authenticate(f"Bearer {token}")
    await auth.tokens.logout_everywhere("service:billing")
    assert await code_of(auth, f"Bearer {token}") == "token_revoked"


Deed = Callable[[Auth, User, TokenPair], Awaitable[object]]


async def log_out(auth: Auth, _user: User, pair: TokenPair) -> None:
    await auth.tokens.logout(pair.refresh_token.get_secret_value())


async def log_out_by_the_access_token(auth: Auth, _user: User, pair: TokenPair) -> None:
    session_id = (await auth.authenticate(header(pair))).session_id
    await auth.tokens.logout(session_id=session_id)


async def log_out_everywhere(auth: Auth, user: User, _pair: TokenPair) -> None:
    await auth.tokens.logout_everywhere(user.id)


async def set_the_password(auth: Auth, user: User, _pair: TokenPair) -> None:
    await auth.users.set_password(user.id, PASSWORD + "!")


async def disable(auth: Auth, user: User, _pair: TokenPair) -> None:
    await auth.users.disable(user.id)


DEEDS: tuple[Deed, ...] = (
    log_out,
    log_out_by_the_access_token,
    log_out_everywhere,
    set_the_password,
    disable,
)


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
@pytest.mark.parametrize("is_cached", [True, False], ids=["cached", "not cached"])
async def test_the_access_token_is_refused_at_the_next_request(
    auth: Auth, user: User, stranger: User, deed: Deed, is_cached: bool
) -> None:
    pair, other = [await auth.tokens.login(each.email, PASSWORD) for each in (user, stranger)]
    if is_cached:
        await auth.authenticate(header(pair))
    await deed(auth, user, pair)
    assert await code_of(auth, header(pair)) == "token_revoked"
    assert await code_of(auth, header(other)) == "let in"


async def test_what_was_cached_of_one_session_is_dropped_alone(
    auth: Auth, user: User, store: FaultyStore
) -> None:
    kept, ended = [await auth.tokens.login(user.email, PASSWORD) for _ in range(2)]
    for pair in (kept, ended):
        await auth.authenticate(header(pair))
    await auth.tokens.logout(ended.refresh_token.get_secret_value())
    asked = store.calls["session"]
    await auth.authenticate(header(kept))
    assert store.calls["session"] == asked
    assert await code_of(auth, header(ended)) == "token_revoked"
    assert store.calls["session"] == asked + 1


async def test_api_keys_outlive_a_logout_everywhere(auth: Auth, user: User) -> None:
    key = await auth.keys.create(user.id, name="Server")
    credential = f"Bearer {key.api_key.get_secret_value()}"
    await auth.authenticate(credential)
    await auth.tokens.logout_everywhere(user.id)
    assert await code_of(auth, credential) == "let in"


async def test_a_session_that_cannot_be_looked_up_is_unavailable_and_not_refused(
    auth: Auth, user: User, store: FaultyStore
) -> None:
    pair = await auth.tokens.login(user.email, PASSWORD)
    store.fail("session")
    assert await code_of(auth, header(pair)) == "auth_unavailable"
    store.mend()
    assert await code_of(auth, header(pair)) == "let in"


async def test_where_access_tokens_are_not_revocable_they_run_out_by_themselves(clock: Clock) -> None:
    async with Auth(make_settings(), clock=clock) as auth:
        user = await auth.users.create("user@example.com", PASSWORD)
        pair = await auth.tokens.login(user.email, PASSWORD)
        await auth.tokens.logout_everywhere(user.id)
        assert await code_of(auth, header(pair)) == "let in"
        clock.advance(1800)
        assert await code_of(auth, header(pair)) == "token_expired"
