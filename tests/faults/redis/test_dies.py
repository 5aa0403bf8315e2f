"""A Redis that is down, silent, emptied or far away costs speed and nothing else."""

import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from callcov_auth import Auth, AuthError, AuthSettings
from callcov_auth.cache import pushed, subscription
from callcov_auth.events import PushFailed
from callcov_auth.store.sql import SqlStore
from tests.faults.redis.pairs import EMAIL, NEVER, PASSWORD, Pair, opened, told
from tests.support.clock import Clock
from tests.support.faulty_store import FaultyStore
from tests.support.polling import eventually
from tests.support.proxy import Proxy, proxy_to
from tests.support.redis_server import RedisServer
from tests.support.revoked import is_refused

pytestmark = pytest.mark.anyio


async def test_a_flushed_redis_goes_on_telling(pair: Pair) -> None:
    pair.redis.flush()
    await pair.there.keys.revoke(pair.key_id)
    await eventually(lambda: is_refused(pair.here, pair.key))


async def test_what_was_told_to_nobody_is_caught_up_with_when_redis_is_back(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    pair.redis.kill()
    await pair.there.keys.revoke(pair.key_id)
    assert (await pair.here.authenticate(pair.key)).key_id == pair.key_id
    await eventually(lambda: told(caplog).count("push_lost") == 2)
    pair.redis.start()
    await eventually(lambda: is_refused(pair.here, pair.key))
    await eventually(lambda: told(caplog).count("push_restored") == 2)
    assert told(caplog).count("push_lost") == 2
    assert told(caplog).count("push_failed") == 1


async def test_after_it_came_back_redis_tells_again(pair: Pair, clock: Clock) -> None:
    pair.redis.kill()
    await eventually(lambda: not pair.here._push.subscribed and not pair.there._push.subscribed)
    pair.redis.start()
    await pair.heard_by(2)
    clock.advance(pushed.DOWN_FOR)
    await pair.there.keys.revoke(pair.key_id)
    await eventually(lambda: is_refused(pair.here, pair.key))


async def test_without_redis_the_poll_finds_it(polling: Pair) -> None:
    polling.redis.kill()
    await polling.there.keys.revoke(polling.key_id)
    await eventually(lambda: is_refused(polling.here, polling.key))


async def test_a_redis_that_is_silent_holds_no_revocation_up_and_the_poll_finds_it(polling: Pair) -> None:
    polling.redis.pause()
    with anyio.fail_after(10):
        await polling.there.keys.revoke(polling.key_id)
    assert await is_refused(polling.there, polling.key)
    await eventually(lambda: is_refused(polling.here, polling.key))


async def test_a_redis_that_stays_silent_is_given_up_and_found_again(
    pair: Pair, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    pair.redis.pause()
    clock.advance(subscription.MAX_SILENCE + 1)
    await eventually(lambda: told(caplog).count("push_lost") == 2)
    pair.redis.resume()
    await eventually(lambda: told(caplog).count("push_restored") == 2)


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
            assert await is_refused(cut_off, pair.key)


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
        assert told(caplog).count("push_lost") == 1


@pytest.fixture
def network(own_redis: RedisServer) -> Iterator[Proxy]:
    """What stands between the two processes and Redis."""
    with proxy_to(lambda: socket.create_connection(("127.0.0.1", own_redis.port))) as proxy:
        yield proxy


@pytest.fixture
async def far(
    network: Proxy, settings: AuthSettings, own_redis: RedisServer, clock: Clock
) -> AsyncIterator[Pair]:
    """Two processes whose way to Redis has faults, and which never poll while a test lasts."""
    url = f"redis://127.0.0.1:{network.port}/0"
    async with opened(settings.replace(redis_url=url), own_redis, clock) as pair:
        yield pair


async def test_a_slow_way_to_redis_makes_a_revocation_late_and_no_more(far: Pair, network: Proxy) -> None:
    network.delay(0.05)
    await far.there.keys.revoke(far.key_id)
    await eventually(lambda: is_refused(far.here, far.key))


async def test_connections_that_are_reset_are_made_again_and_nothing_is_missed(
    far: Pair, network: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    network.cut()
    await eventually(lambda: told(caplog).count("push_lost") == 2)
    await far.there.keys.revoke(far.key_id)
    network.mend()
    await eventually(lambda: is_refused(far.here, far.key))
    await eventually(lambda: told(caplog).count("push_restored") == 2)


async def test_half_open_connections_are_given_up_and_nothing_is_missed(
    far: Pair, network: Proxy, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    network.hang()
    await far.there.keys.revoke(far.key_id)
    network.mend()
    # Each side of the old connections thinks that it is connected: only time tells.
    assert (await far.here.authenticate(far.key)).key_id == far.key_id
    clock.advance(subscription.MAX_SILENCE + 0.1)
    await eventually(lambda: is_refused(far.here, far.key))
    assert told(caplog).count("push_failed") == 1
    await eventually(lambda: told(caplog).count("push_restored") == 2)


def _failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    events = [getattr(record, "event", None) for record in caplog.records]
    return [event.reason for event in events if isinstance(event, PushFailed)]
