"""What another Auth on the same file changes is obeyed here after the next poll, and no restart."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from callcov_auth import Auth, AuthError
from callcov_auth.store.sql import SqlStore
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.polling import eventually
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

INTERVAL = 0.02
EMAIL, PASSWORD = "ada@example.com", "a long way to Tipperary"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two Auths as two processes have them; ``here`` has the key and the token in its cache."""

    here: Auth
    there: Auth
    user_id: str
    key_id: str
    session_id: str
    key: str = field(repr=False)
    token: str = field(repr=False)


@pytest.fixture
async def pair(tmp_path: Path, clock: Clock) -> AsyncIterator[Pair]:
    settings = make_settings(
        database_url=f"sqlite:///{tmp_path / 'auth.db'}",
        revocation_interval=INTERVAL,
        revocable_access_tokens=True,
    )
    # On a clock that stands still, trust in the cache never runs out: only a poll can empty it.
    async with Auth(settings, clock=clock) as here, Auth(settings, clock=clock) as there:
        user = await there.users.create(EMAIL, PASSWORD, scopes=["calls:read", "calls:write"])
        new = await there.keys.create(user.id, name="Server")
        tokens = await there.tokens.login(EMAIL, PASSWORD)
        key = f"Bearer {new.api_key.get_secret_value()}"
        token = f"Bearer {tokens.access_token.get_secret_value()}"
        await here.authenticate(key)
        session_id = (await here.authenticate(token)).session_id
        yield Pair(here, there, user.id, new.id, session_id, key, token)


Deed = Callable[[Pair], Awaitable[object]]
REFUSED_AFTER: dict[str, tuple[Deed, str]] = {
    "the key is revoked": (lambda pair: pair.there.keys.revoke(pair.key_id), "key"),
    "the session is ended": (lambda pair: pair.there.tokens.logout(session_id=pair.session_id), "token"),
    "the user is logged out everywhere": (
        lambda pair: pair.there.tokens.logout_everywhere(pair.user_id),
        "token",
    ),
    "a password is set": (lambda pair: pair.there.users.set_password(pair.user_id, PASSWORD + "!"), "token"),
    "the user is disabled, as to the key": (lambda pair: pair.there.users.disable(pair.user_id), "key"),
    "the user is disabled, as to the token": (lambda pair: pair.there.users.disable(pair.user_id), "token"),
}


@pytest.mark.parametrize(("deed", "credential"), REFUSED_AFTER.values(), ids=REFUSED_AFTER)
async def test_it_is_refused_here_as_revoked_when(deed: Deed, credential: str, pair: Pair) -> None:
    header = getattr(pair, credential)
    await deed(pair)
    await eventually(lambda: _is_refused(pair.here, header, "token_revoked"))


async def test_a_rotated_key_is_refused_here_when_its_grace_ends(pair: Pair) -> None:
    new = await pair.there.keys.rotate(pair.key_id, grace_seconds=0)
    await eventually(lambda: _is_refused(pair.here, pair.key, "token_expired"))
    assert (await pair.here.authenticate(f"Bearer {new.api_key.get_secret_value()}")).key_id == new.id


async def test_fewer_scopes_of_the_owner_are_fewer_of_the_key_here(pair: Pair) -> None:
    await pair.there.users.set_scopes(pair.user_id, ["calls:read"])

    async def is_cut() -> bool:
        return (await pair.here.authenticate(pair.key)).scopes == {"calls:read"}

    await eventually(is_cut)


async def test_it_is_refused_in_the_process_that_revoked_it_without_a_poll(pair: Pair) -> None:
    await pair.there.authenticate(pair.key)
    await pair.there.keys.revoke(pair.key_id)
    assert await _is_refused(pair.there, pair.key, "token_revoked")


async def test_without_a_background_task_the_first_request_after_the_interval_polls(
    pair: Pair, clock: Clock
) -> None:
    async with _opened_without_background(Auth(pair.here.settings, clock=clock)) as alone:
        await alone.authenticate(pair.key)
        await pair.there.keys.revoke(pair.key_id)
        assert (await alone.authenticate(pair.key)).key_id == pair.key_id
        clock.advance(INTERVAL)
        assert await _is_refused(alone, pair.key, "token_revoked")


async def test_without_a_background_task_the_cache_serves_on_after_the_poll(pair: Pair, clock: Clock) -> None:
    store = FaultyStore(SqlStore(pair.here.settings.database_url.get_secret_value()))
    async with _opened_without_background(Auth(pair.here.settings, store=store, clock=clock)) as alone:
        await alone.authenticate(pair.key)
        clock.advance(INTERVAL)
        store.fail("keys_by_digest")
        assert (await alone.authenticate(pair.key)).key_id == pair.key_id


@asynccontextmanager
async def _opened_without_background(auth: Auth) -> AsyncIterator[Auth]:
    await auth.open()
    yield auth
    await auth.aclose()


async def _is_refused(auth: Auth, header: str, code: str) -> bool:
    """Whether it is refused with this code and no other; until then it is let in."""
    try:
        await auth.authenticate(header)
    except AuthError as refusal:
        assert refusal.code == code
        return True
    return False
