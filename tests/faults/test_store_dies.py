"""A store that dies under way: what is still answered, what is refused, what is kept until it is back."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio
import pytest

from callcov_auth import Auth, AuthError, AuthSettings
from callcov_auth.cache.feed import TRUSTED_INTERVALS
from callcov_auth.errors import AuthUnavailable, TokenRevoked
from callcov_auth.events import Event, FeedLost, FeedRestored, LastUseLost
from callcov_auth.store.sql import SqlStore
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.polling import eventually
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

# In real seconds the background task polls this often; trust runs out by the clock that tests move.
INTERVAL = 0.01
TRUST = TRUSTED_INTERVALS * INTERVAL
EMAIL, PASSWORD = "ada@example.com", "a long way to Tipperary"


@dataclass(frozen=True, slots=True)
class Scene:
    """An open Auth, the store that can be made to fail, and a key that was used a moment ago."""

    auth: Auth
    store: FaultyStore
    owner: str
    key_id: str
    header: str = field(repr=False)

    async def a_cold_header(self) -> str:
        key = await self.auth.keys.create(self.owner, name="Cold")
        return f"Bearer {key.api_key.get_secret_value()}"

    async def polls(self, count: int = 3) -> None:
        """Wait for so many polls of the feed that begin from now on."""
        # One more, for the first of them may have begun before.
        enough = self.store.calls["changes_after"] + count + 1
        await eventually(lambda: self.store.calls["changes_after"] >= enough)


@pytest.fixture
def settings() -> AuthSettings:
    return make_settings(revocation_interval=INTERVAL)


@pytest.fixture
async def scene(settings: AuthSettings, clock: Clock) -> AsyncIterator[Scene]:
    store = FaultyStore(SqlStore("sqlite://"))
    async with Auth(settings, store=store, clock=clock) as auth:
        user = await auth.users.create(EMAIL, PASSWORD)
        key = await auth.keys.create(user.id, name="Hot")
        header = f"Bearer {key.api_key.get_secret_value()}"
        await auth.authenticate(header)
        scene = Scene(auth, store, user.id, key.id, header)
        await scene.polls(1)
        yield scene


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> list[Event]:
    """Every event from now on, as it is logged."""
    seen: list[Event] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if hasattr(record, "event"):
                seen.append(record.event)

    handler, logger = Collector(), logging.getLogger("callcov_auth")
    with caplog.at_level(logging.DEBUG, "callcov_auth"):
        logger.addHandler(handler)
        yield seen
        logger.removeHandler(handler)


async def test_a_key_used_a_moment_ago_is_served_while_the_cache_is_trusted(
    scene: Scene, clock: Clock
) -> None:
    scene.store.fail()
    await scene.polls()
    clock.advance(TRUST * 0.99)
    principal = await scene.auth.authenticate(scene.header)
    assert principal.key_id == scene.key_id


async def test_when_the_trust_runs_out_the_store_is_asked_and_the_answer_is_unavailable(
    scene: Scene, clock: Clock
) -> None:
    scene.store.fail()
    await scene.polls()
    clock.advance(TRUST)
    with pytest.raises(AuthUnavailable) as refusal:
        await scene.auth.authenticate(scene.header)
    assert dict(refusal.value.headers())["retry-after"] == "1"


async def test_a_key_not_seen_before_is_unavailable_at_once(scene: Scene) -> None:
    header = await scene.a_cold_header()
    scene.store.fail()
    with pytest.raises(AuthUnavailable):
        await scene.auth.authenticate(header)


async def test_a_forged_key_needs_no_store_to_be_refused(scene: Scene) -> None:
    scene.store.fail()
    with pytest.raises(AuthError) as refusal:
        await scene.auth.authenticate(scene.header[:-1] + ("a" if scene.header[-1] != "a" else "b"))
    assert refusal.value.code == "invalid_token"


async def test_everything_is_served_again_when_the_store_is_back(scene: Scene, clock: Clock) -> None:
    cold = await scene.a_cold_header()
    scene.store.fail()
    await scene.polls()
    clock.advance(TRUST)
    with pytest.raises(AuthUnavailable):
        await scene.auth.authenticate(scene.header)
    scene.store.mend()
    assert (await scene.auth.authenticate(scene.header)).key_id == scene.key_id
    assert (await scene.auth.authenticate(cold)).is_authenticated
    await scene.polls(1)
    scene.store.fail("keys_by_digest")
    assert (await scene.auth.authenticate(cold)).is_authenticated


async def test_login_and_refresh_are_unavailable_and_never_wrong_credentials(scene: Scene) -> None:
    pair = await scene.auth.tokens.login(EMAIL, PASSWORD)
    scene.store.fail()
    with pytest.raises(AuthUnavailable):
        await scene.auth.tokens.login(EMAIL, PASSWORD)
    with pytest.raises(AuthUnavailable):
        await scene.auth.tokens.refresh(pair.refresh_token.get_secret_value())


async def test_a_login_that_cannot_rehash_is_still_a_login(clock: Clock) -> None:
    cheap, dearer = make_settings(), {"password_time_cost": 2}
    store = FaultyStore(SqlStore("sqlite://"))
    async with Auth(cheap, store=store, clock=clock) as before:
        await before.users.create(EMAIL, PASSWORD)
        async with Auth(cheap.replace(**dearer), store=store, clock=clock) as after:
            store.fail("renew_password_hash")
            assert (await after.tokens.login(EMAIL, PASSWORD)).expires_in > 0
            assert store.calls["renew_password_hash"] == 1


async def test_an_access_token_needs_no_store(scene: Scene, clock: Clock) -> None:
    token = await scene.auth.tokens.issue("service")
    scene.store.fail()
    clock.advance(TRUST)
    assert (await scene.auth.authenticate(f"Bearer {token}")).subject == "service"


async def test_a_revocable_access_token_is_unavailable_without_its_session(
    settings: AuthSettings, clock: Clock
) -> None:
    store = FaultyStore(SqlStore("sqlite://"))
    async with Auth(settings.replace(revocable_access_tokens=True), store=store, clock=clock) as auth:
        token = await auth.tokens.issue("service")
        store.fail()
        with pytest.raises(AuthUnavailable):
            await auth.authenticate(f"Bearer {token}")


async def test_losing_the_feed_and_getting_it_back_is_told_once(scene: Scene, events: list[Event]) -> None:
    scene.store.fail("changes_after")
    await scene.polls()
    scene.store.mend()
    await scene.polls()
    feed = [event for event in events if isinstance(event, FeedLost | FeedRestored)]
    assert feed == [FeedLost("store_dead"), FeedRestored()]


async def test_a_store_that_fails_in_an_unforeseen_way_does_not_end_the_polling(
    scene: Scene, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    scene.store.fail(fault=lambda: ZeroDivisionError("a bug in somebody's store"))
    await scene.polls()
    clock.advance(TRUST)
    with pytest.raises(ZeroDivisionError):
        await scene.auth.authenticate(scene.header)
    assert "housekeeping failed; it is tried again" in caplog.text
    scene.store.mend()
    await scene.polls(1)
    scene.store.fail("keys_by_digest")
    assert scene.auth.callers.get(scene.header.encode()) is not None


async def test_a_use_is_written_when_the_store_is_back(scene: Scene, clock: Clock) -> None:
    await eventually(lambda: _last_use_is(scene, clock.now))
    clock.advance(3600)
    used_at = clock.now
    await scene.auth.authenticate(scene.header)
    scene.store.fail("touch_keys")
    tried = scene.store.calls["touch_keys"]
    clock.advance(3600)
    await scene.auth.authenticate(scene.header)
    await eventually(lambda: scene.store.calls["touch_keys"] > tried + 2)
    scene.store.mend()
    await eventually(lambda: _last_use_is(scene, used_at + 3600))


async def test_a_use_is_kept_whatever_the_writing_of_it_raises(scene: Scene, clock: Clock) -> None:
    scene.store.fail("touch_keys", fault=lambda: ZeroDivisionError("a bug in somebody's store"))
    tried = scene.store.calls["touch_keys"]
    clock.advance(3600)
    await scene.auth.authenticate(scene.header)
    await eventually(lambda: scene.store.calls["touch_keys"] > tried)
    scene.store.mend()
    await eventually(lambda: _last_use_is(scene, clock.now))


async def test_closing_beside_a_dead_store_tells_what_was_lost(clock: Clock, events: list[Event]) -> None:
    store = FaultyStore(SqlStore("sqlite://"))
    async with Auth(make_settings(), store=store, clock=clock) as auth:
        user = await auth.users.create(EMAIL, PASSWORD)
        key = await auth.keys.create(user.id, name="Hot")
        await auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")
        store.fail("touch_keys")
    assert [event for event in events if isinstance(event, LastUseLost)] == [LastUseLost(1)]


async def test_closing_writes_what_was_being_written_by_the_background_task(clock: Clock) -> None:
    """The task is cancelled in the middle of its write; the write is made all the same."""
    stuck = _StuckStore(SqlStore("sqlite://"))
    auth = Auth(make_settings(revocation_interval=INTERVAL), store=stuck, clock=clock)
    async with auth:
        user = await auth.users.create(EMAIL, PASSWORD)
        key = await auth.keys.create(user.id, name="Hot")
        await auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")
        await stuck.reached.wait()
    assert stuck.written == [{key.id: clock.now}]


async def test_nothing_cached_before_the_feed_first_answered_is_trusted(clock: Clock) -> None:
    """The feed's first answer is only where it stands: what changed before it has not been told."""
    store = FaultyStore(SqlStore("sqlite://"))
    store.fail("changes_after")
    async with Auth(make_settings(revocation_interval=INTERVAL), store=store, clock=clock) as auth:
        user = await auth.users.create(EMAIL, PASSWORD)
        key = await auth.keys.create(user.id, name="Hot")
        header = f"Bearer {key.api_key.get_secret_value()}"
        await auth.authenticate(header)
        # As another process does it: this one is not told.
        await store.revoke_key(key.id, at=clock.now)
        store.mend()
        await eventually(lambda: auth._feed.trusts_cache(clock.now))
        with pytest.raises(TokenRevoked):
            await auth.authenticate(header)


class _StuckStore(FaultyStore):
    """Its first ``touch_keys`` never comes back; the later ones are noted."""

    def __init__(self, store: SqlStore) -> None:
        super().__init__(store)
        self.reached = anyio.Event()
        self.written: list[dict[str, float]] = []

    async def touch_keys(self, last_used: dict[str, float]) -> None:
        if not self.reached.is_set():
            self.reached.set()
            await anyio.sleep_forever()
        self.written.append(dict(last_used))


async def _last_use_is(scene: Scene, moment: float) -> bool:
    return (await scene.auth.keys.get(scene.key_id)).last_used_at == moment
