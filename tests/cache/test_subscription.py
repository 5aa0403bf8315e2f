"""A subscription hears what is said from its first moment on, and ends where it may have missed something."""

from collections.abc import Callable, Iterator

import pytest
import redis

from callcov_auth.cache import subscription as module
from callcov_auth.cache.subscription import Subscription
from callcov_auth.redis_pool import redis_pool
from tests.support.clock import Clock
from tests.support.polling import eventually_in_thread
from tests.support.redis_server import RedisServer

CHANNELS = ("one", "two")

Subscribe = Callable[[str], Subscription]


@pytest.fixture
def subscribe(clock: Clock) -> Iterator[Subscribe]:
    made = []

    def subscribe(url: str) -> Subscription:
        pool = redis_pool(url, timeout=0.2, connections=2, tries=1)
        made.append(Subscription(pool, CHANNELS, timer=clock))
        return made[-1]

    yield subscribe
    for subscription in made:
        subscription.close()


def test_it_hears_all_its_channels_in_order(redis_url: str, subscribe: Subscribe) -> None:
    subscription = subscribe(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        client.publish("one", b"1")
        client.publish("other", b"never")
        client.publish("two", b"2")
    assert subscription.next() == [b"1", b"2"]
    assert subscription.next() == []


def test_one_call_brings_a_bounded_number_of_messages(
    redis_url: str, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_MESSAGES", 2)
    subscription = subscribe(redis_url)
    with redis.Redis.from_url(redis_url) as client:
        for number in range(3):
            client.publish("one", number)
    assert subscription.next() == [b"0", b"1"]
    assert subscription.next() == [b"2"]


def test_it_ends_with_its_connection(own_redis: RedisServer, subscribe: Subscribe) -> None:
    subscription = subscribe(own_redis.url)
    own_redis.kill()
    with pytest.raises(redis.ConnectionError):
        subscription.next()


def test_a_connection_that_was_made_again_ends_it_too(redis_url: str, subscribe: Subscribe) -> None:
    subscription = subscribe(redis_url)
    subscription._pubsub.connection.disconnect()
    with pytest.raises(redis.ConnectionError, match="made again"):
        subscription.next()


def test_a_server_that_answers_is_heard_on_and_on(
    own_redis: RedisServer, subscribe: Subscribe, clock: Clock
) -> None:
    subscription = subscribe(own_redis.url)
    for _ in range(5):
        clock.advance(module.MAX_SILENCE)
        assert subscription.next() == []


def test_a_server_that_is_silent_for_too_long_is_given_up(
    own_redis: RedisServer, subscribe: Subscribe, clock: Clock
) -> None:
    subscription = subscribe(own_redis.url)
    own_redis.pause()
    clock.advance(module.MAX_SILENCE)
    assert subscription.next() == []
    clock.advance(0.001)
    with pytest.raises(redis.TimeoutError, match="nothing is heard"):
        subscription.next()


def test_none_is_made_on_a_server_that_is_silent(own_redis: RedisServer, subscribe: Subscribe) -> None:
    own_redis.pause()
    with pytest.raises((redis.TimeoutError, redis.ConnectionError)):
        subscribe(own_redis.url)


def test_none_is_made_that_is_not_confirmed(
    own_redis: RedisServer, subscribe: Subscribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis.client.PubSub, "get_message", lambda *_, **__: None)
    with pytest.raises(redis.TimeoutError, match="not confirmed"):
        subscribe(own_redis.url)
    with own_redis.client() as client:
        eventually_in_thread(lambda: client.pubsub_numsub("one") == [(b"one", 0)])
