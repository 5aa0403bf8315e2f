"""With Redis, what one process revokes is refused by the others long before they poll; else as before."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from callcov_auth import Auth, AuthError, AuthSettings
from callcov_auth.cache import pushed, subscription
from callcov_auth.events import PushFailed
from callcov_auth.store.sql import SqlStore
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.polling import eventually
from tests.support.redis_server import RedisServer
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

# In seconds: none of these tests lasts until a poll, or each has had many.
NEVER, OFTEN = 60.0, 0.02
EMAIL, PASSWORD = "ada@example.com", "a long way to Tipperary"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two Auths as two processes have them, on one file and one Redis; ``here`` has all in its cache."""

    here: Auth
    there: Auth
    redis: RedisServer
    user_id: str
    key_id: str
    key: str = field(repr=False)
    token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    async def heard_by(self, count: int) -> None:
        await eventually(lambda: self._subscribers() == count)

    def _subscribers(self) -> int:
        channel = self.here.settings.revocation_channels[0]
        with self.redis.client() as client:
            return int(client.pubsub_numsub(channel)[0][1])

    def say(self, message: bytes | str) -> None:
        with self.redis.client() as client:
            client.publish(self.here.settings.revocation_channels[0], message)


Open = Callable[..., Any]


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


@asynccontextmanager
async def opened(settings: AuthSettings, server: RedisServer, clock: Clock) -> AsyncIterator[Pair]:
    # On a clock that stands still, so that trust in the cache never runs out.
    async with Auth(settings, clock=clock) as here, Auth(settings, clock=clock) as there:
        user = await there.users.create(EMAIL, PASSWORD, scopes=["calls:read"])
        new = await there.keys.create(user.id, name="Server")
        tokens = await there.tokens.login(EMAIL, PASSWORD)
        key = f"Bearer {new.api_key.get_secret_value()}"
        token = f"Bearer {tokens.access_token.get_secret_value()}"
        refresh_token = tokens.refresh_token.get_secret_value()
        pair = Pair(here, there, server, user.id, new.id, key, token, refresh_token)
        await pair.heard_by(2)
        for auth in (here, there):
            await eventually(lambda auth=auth: auth._push.subscribed)
        for header in (key, token):
            await here.authenticate(header)
        yield pair


@pytest.fixture
async def pair(settings: AuthSettings, own_redis: RedisServer, clock: Clock) -> AsyncIterator[Pair]:
    async with opened(settings, own_redis, clock) as pair:
        yield pair


@pytest.fixture
async def polling(settings: AuthSettings, own_redis: RedisServer, clock: Clock) -> AsyncIterator[Pair]:
    """The same, where polls come often."""
    async with opened(settings.replace(revocation_interval=OFTEN), own_redis, clock) as pair:
        yield pair


Deed = Callable[[Pair], Awaitable[object]]

REFUSED_AFTER: dict[str, tuple[Deed, str]] = {
    "the key is revoked": (lambda pair: pair.there.keys.revoke(pair.key_id), "key"),
    "the session is ended": (lambda pair: pair.there.tokens.logout(pair.refresh_token), "token"),
    "the user is disabled, as to the key": (lambda pair: pair.there.users.disable(pair.user_id), "key"),
    "the user is disabled, as to the token": (lambda pair: pair.there.users.disable(pair.user_id), "token"),
}


@pytest.mark.parametrize(("deed", "credential"), REFUSED_AFTER.values(), ids=REFUSED_AFTER)
async def test_it_is_refused_here_before_any_poll_when(deed: Deed, credential: str, pair: Pair) -> None:
    await deed(pair)
    await eventually(lambda: _is_refused(pair.here, getattr(pair, credential)))


async def test_what_is_said_makes_a_process_look_at_the_store(
    settings: AuthSettings, own_redis: RedisServer, clock: Clock
) -> None:
    async with opened(settings.replace(revocation_interval=4.0), own_redis, clock) as pair:
        # Told by somebody who writes to the database and knows one of the channel's words.
        store = SqlStore(settings.database_url.get_secret_value())
        await store.revoke_key(pair.key_id, at=clock.now)
        await store.aclose()
        pair.say("key:another")
        await eventually(lambda: _is_refused(pair.here, pair.key))


async def test_a_process_without_background_tasks_tells_too(
    pair: Pair, settings: AuthSettings, clock: Clock
) -> None:
    alone = Auth(settings, clock=clock)
    await alone.open()
    await alone.keys.revoke(pair.key_id)
    await alone.aclose()
    await eventually(lambda: _is_refused(pair.here, pair.key))


async def test_a_caller_who_is_cancelled_after_the_commit_has_it_told(pair: Pair) -> None:
    with anyio.CancelScope() as scope:
        store, revoke = pair.there.store, pair.there.store.revoke_key

        async def revoke_and_hang_up(*args: Any, **kwargs: Any) -> None:
            await revoke(*args, **kwargs)
            scope.cancel()

        store.revoke_key = revoke_and_hang_up  # type: ignore[method-assign]
        await pair.there.keys.revoke(pair.key_id)
    await eventually(lambda: _is_refused(pair.here, pair.key))


async def test_while_a_secret_is_changed_both_secrets_processes_hear_each_other(
    settings: AuthSettings, own_redis: RedisServer, clock: Clock
) -> None:
    old, new = settings.secret.get_secret_value(), make_settings().secret.get_secret_value()
    before = settings.replace(previous_secrets=(new,))
    after = settings.replace(secret=new, previous_secrets=(old,))
    async with opened(before, own_redis, clock) as pair, Auth(after, clock=clock) as newer:
        await newer.authenticate(pair.key)
        await pair.heard_by(3)
        await newer.keys.revoke(pair.key_id)
        await eventually(lambda: _is_refused(pair.here, pair.key))


async def test_another_deployment_on_the_same_redis_hears_nothing(pair: Pair, clock: Clock) -> None:
    other = make_settings(redis_url=pair.redis.url)
    assert not set(other.revocation_channels) & set(pair.here.settings.revocation_channels)


async def test_a_flushed_redis_goes_on_telling(pair: Pair) -> None:
    pair.redis.flush()
    await pair.there.keys.revoke(pair.key_id)
    await eventually(lambda: _is_refused(pair.here, pair.key))


JUNK = [b"", b"key", b"key:", b":x", b"\xff:\xfe", b"shop:1", b"key:" + b"x" * 2000, b"KEY:x", b"{}" * 400]


async def test_junk_is_passed_over_and_what_is_said_after_it_is_heard(pair: Pair) -> None:
    version = pair.here.callers.version
    for message in JUNK:
        pair.say(message)
    pair.say("key:nobody's")
    await eventually(lambda: pair.here.callers.version != version)
    # Of all these, the last alone was a message.
    assert pair.here.callers.version == version + 1
    assert pair.here.callers.get(pair.key.encode()) is not None
    await pair.there.keys.revoke(pair.key_id)
    await eventually(lambda: _is_refused(pair.here, pair.key))


async def test_a_lie_costs_a_lookup_and_changes_nothing(pair: Pair) -> None:
    pair.say(f"key:{pair.key_id}")
    await eventually(lambda: pair.here.callers.get(pair.key.encode()) is None)
    assert (await pair.here.authenticate(pair.key)).key_id == pair.key_id


async def test_what_was_told_to_nobody_is_caught_up_with_when_redis_is_back(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    pair.redis.kill()
    await pair.there.keys.revoke(pair.key_id)
    assert (await pair.here.authenticate(pair.key)).key_id == pair.key_id
    await eventually(lambda: _told(caplog).count("push_lost") == 2)
    pair.redis.start()
    await eventually(lambda: _is_refused(pair.here, pair.key))
    await eventually(lambda: _told(caplog).count("push_restored") == 2)
    assert _told(caplog).count("push_lost") == 2
    assert _told(caplog).count("push_failed") == 1


async def test_after_it_came_back_redis_tells_again(pair: Pair, clock: Clock) -> None:
    pair.redis.kill()
    await eventually(lambda: not pair.here._push.subscribed and not pair.there._push.subscribed)
    pair.redis.start()
    await pair.heard_by(2)
    clock.advance(pushed.DOWN_FOR)
    await pair.there.keys.revoke(pair.key_id)
    await eventually(lambda: _is_refused(pair.here, pair.key))


async def test_without_redis_the_poll_finds_it(polling: Pair) -> None:
    polling.redis.kill()
    await polling.there.keys.revoke(polling.key_id)
    await eventually(lambda: _is_refused(polling.here, polling.key))


async def test_a_redis_that_is_silent_holds_no_revocation_up_and_the_poll_finds_it(polling: Pair) -> None:
    polling.redis.pause()
    with anyio.fail_after(10):
        await polling.there.keys.revoke(polling.key_id)
    assert await _is_refused(polling.there, polling.key)
    await eventually(lambda: _is_refused(polling.here, polling.key))


async def test_a_redis_that_stays_silent_is_given_up_and_found_again(
    pair: Pair, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    pair.redis.pause()
    clock.advance(subscription.MAX_SILENCE + 1)
    await eventually(lambda: _told(caplog).count("push_lost") == 2)
    pair.redis.resume()
    await eventually(lambda: _told(caplog).count("push_restored") == 2)


async def test_a_dead_redis_is_asked_once_a_second_and_no_more(
    pair: Pair, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    pair.redis.pause()
    keys = [(await pair.there.keys.create(pair.user_id, name=f"{number}")).id for number in range(4)]
    for key_id in keys[:3]:
        await pair.there.keys.revoke(key_id)
    assert _failures(caplog) == ["TimeoutError"]
    clock.advance(pushed.DOWN_FOR)
    await pair.there.keys.revoke(keys[3])
    assert _failures(caplog) == ["TimeoutError"] * 2


async def test_cut_off_from_both_what_is_cached_is_refused_as_unknown_after_three_intervals(
    settings: AuthSettings, own_redis: RedisServer, clock: Clock
) -> None:
    async with opened(settings, own_redis, clock) as pair:
        store = FaultyStore(SqlStore(settings.database_url.get_secret_value()))
        async with Auth(settings.replace(cache_ttl=3600), store=store, clock=clock) as cut_off:
            await eventually(lambda: cut_off._push.subscribed)
            await cut_off.authenticate(pair.key)
            own_redis.kill()
            store.fail()
            clock.advance(3 * NEVER - 0.001)
            assert (await cut_off.authenticate(pair.key)).key_id == pair.key_id
            clock.advance(0.001)
            with pytest.raises(AuthError) as refusal:
                await cut_off.authenticate(pair.key)
            assert refusal.value.code == "auth_unavailable"
            store.mend()
            await pair.there.keys.revoke(pair.key_id)
            assert await _is_refused(cut_off, pair.key)


async def test_an_auth_starts_and_serves_while_redis_is_dead(
    settings: AuthSettings,
    own_redis: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = 0

    def subscribe(*args: Any, **kwargs: Any) -> subscription.Subscription:
        nonlocal attempts
        attempts += 1
        return subscription.Subscription(*args, **kwargs)

    monkeypatch.setattr(pushed, "Subscription", subscribe)
    own_redis.kill()
    async with Auth(settings) as auth:
        await auth.users.create(EMAIL, PASSWORD)
        await auth.tokens.login(EMAIL, PASSWORD)
        await eventually(lambda: attempts >= 3)
        assert _told(caplog).count("push_lost") == 1


async def test_a_closed_auth_leaves_no_connection(settings: AuthSettings, own_redis: RedisServer) -> None:
    async with Auth(settings) as auth:
        user = await auth.users.create(EMAIL, PASSWORD)
        await eventually(lambda: auth._push.subscribed)
        await auth.users.disable(user.id)
        with own_redis.client() as client:
            assert len(client.client_list()) == 3
    with own_redis.client() as client:
        await eventually(lambda: len(client.client_list()) == 1)


async def test_a_password_in_the_url_is_used_and_shown_nowhere(
    settings: AuthSettings, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(tmp_path_factory.mktemp("redis"), requirepass="correct-horse-22")
    server.start()
    try:
        right, wrong = (
            server.url.replace("//", f"//:{word}-22@") for word in ("correct-horse", "wrong-horse")
        )
        async with Auth(settings.replace(redis_url=right)) as auth:
            await eventually(lambda: auth._push.subscribed)
        async with Auth(settings.replace(redis_url=wrong)) as auth:
            await eventually(lambda: "push_lost" in _told(caplog))
            shown = f"{auth!r} {auth.settings!r} {caplog.text}"
        assert "push_lost reason='AuthenticationError'" in shown
        assert "horse-22" not in shown
    finally:
        server.stop()


TO_TELL = "+publish +subscribe +ping &callcov-auth:revocations:*"
TO_COUNT = (
    "+eval +evalsha +script|load +get +set +incr +incrby +decr +expire +pttl +exists ~callcov-auth:count*"
)


def test_the_rights_tried_here_are_those_of_the_docs() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    for right in f"{TO_TELL} {TO_COUNT}".split():
        assert right in documented


async def test_a_user_of_redis_with_the_documented_rights_alone_will_do(
    pair: Pair, settings: AuthSettings, caplog: pytest.LogCaptureFixture
) -> None:
    few = _user(pair.redis, "few", f"{TO_TELL} {TO_COUNT}")
    async with Auth(settings.replace(redis_url=few, failure_rate="100/minute")) as auth:
        await eventually(lambda: auth._push.subscribed)
        await auth.keys.revoke(pair.key_id)
        await eventually(lambda: _is_refused(pair.here, pair.key))
        await auth.tokens.login(EMAIL, PASSWORD, address="192.0.2.1")
        with pytest.raises(AuthError) as refusal:
            await auth.tokens.login(EMAIL, "a short way", address="192.0.2.1")
        assert refusal.value.code == "invalid_credentials"
        auth.failures.note("192.0.2.1")
        await auth._share_failures()
    assert not {"push_lost", "push_failed", "counters_lost"} & set(_told(caplog))


async def test_a_user_of_redis_who_may_not_listen_is_told_of(
    pair: Pair, settings: AuthSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with Auth(settings.replace(redis_url=_user(pair.redis, "deaf", "+subscribe"))):
        await eventually(lambda: "push_lost reason='NoPermissionError'" in caplog.text)


def _user(server: RedisServer, name: str, rights: str) -> str:
    with server.client() as client:
        client.execute_command(
            "ACL", "SETUSER", name, "on", ">few-rights-22", "resetchannels", *rights.split()
        )
    return server.url.replace("//", f"//{name}:few-rights-22@")


async def test_a_resource_server_needs_no_pushes() -> None:
    issuer = {"issuer": "https://login.example.com", "audience": "calls", "discovery": True}
    settings = make_settings(
        secret=None, accept={"token"}, trusted_issuers=[issuer], redis_url="redis://cache/0"
    )
    assert Auth(settings)._push is None


async def _is_refused(auth: Auth, header: str) -> bool:
    """Whether it is refused as revoked and in no other way; until then it is let in."""
    try:
        await auth.authenticate(header)
    except AuthError as refusal:
        assert refusal.code == "token_revoked"
        return True
    return False


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().split()[0] for record in caplog.records if record.name == "callcov_auth"]


def _failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    events = [getattr(record, "event", None) for record in caplog.records]
    return [event.reason for event in events if isinstance(event, PushFailed)]
