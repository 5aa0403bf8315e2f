"""Counters in a real Redis, as several processes share them."""

import time
from collections import Counter
from collections.abc import AsyncIterator

import anyio
import pytest

from callcov_auth.counting_redis import PAUSE, TIMEOUT, RedisCounters
from callcov_auth.errors import AuthUnavailable
from callcov_auth.events import CountersLost, CountersRestored
from callcov_auth.failures import MAX_SHARED, Failures
from callcov_auth.rates import Rate
from tests.support.clock import Clock
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

KEY = b"k" * 32
RATE = Rate(5, 60)


@pytest.fixture
async def counters(redis_url: str) -> AsyncIterator[list[RedisCounters]]:
    """Those of three processes."""
    made = [RedisCounters(redis_url, key=KEY, timer=time.monotonic) for _ in range(3)]
    yield made
    for each in made:
        await each.aclose()


async def test_a_rate_is_one_over_all_processes(counters: list[RedisCounters]) -> None:
    one, two, three = counters
    assert [await each.take("a", RATE) for each in (one, two, three, one, two)] == [0] * 5
    left = await three.take("a", RATE)
    assert 55 < left <= 60
    assert await three.take("b", RATE) == 0
    await one.give_back("a", RATE)
    assert await two.take("a", RATE) == 0
    assert await two.take("a", RATE) > 0


async def test_of_many_at_once_exactly_so_many_are_taken(counters: list[RedisCounters]) -> None:
    taken: Counter[bool] = Counter()

    async def one(each: RedisCounters) -> None:
        taken[await each.take("a", RATE) == 0] += 1

    async with anyio.create_task_group() as group:
        for number in range(300):
            group.start_soon(one, counters[number % 3])
    assert taken == {True: 5, False: 295}


async def test_a_window_ends(counters: list[RedisCounters]) -> None:
    second = Rate(1, 1)
    assert await counters[0].take("a", second) == 0
    left = await counters[1].take("a", second)
    assert 0 < left <= 1
    await anyio.sleep(left + 0.05)
    # What comes back late takes nothing from the next window.
    await counters[0].give_back("a", second)
    assert await counters[1].take("a", second) == 0
    assert await counters[1].take("a", second) > 0


async def test_what_one_remembers_all_know(counters: list[RedisCounters]) -> None:
    one, two, _ = counters
    assert not await two.remembers("a")
    await one.remember("a", 1)
    assert await two.remembers("a")
    # A count of the same name is another thing.
    assert await two.take("a", RATE) == 0
    await anyio.sleep(1.1)
    assert not await two.remembers("a")


async def test_nothing_stays_in_redis_for_ever_and_nothing_can_be_read(
    counters: list[RedisCounters], redis_server: RedisServer
) -> None:
    one = counters[0]
    await one.take("user@example.com", RATE)
    await one.give_back("user@example.com", RATE)
    await one.remember("192.0.2.7", 60)
    await one.totals({"192.0.2.8": 3}, 60)
    with redis_server.client() as client:
        keys = client.keys()
        assert len(keys) == 3
        for key in keys:
            assert 0 < client.ttl(key) <= 60
            assert key.startswith(b"callcov-auth:count:")
            assert not any(part in key for part in (b"user", b"192"))


async def test_another_deployment_counts_by_itself(counters: list[RedisCounters], redis_url: str) -> None:
    other = RedisCounters(redis_url, key=b"o" * 32, timer=time.monotonic)
    for _ in range(5):
        await counters[0].take("a", RATE)
    assert await other.take("a", RATE) == 0
    await other.aclose()


async def test_while_redis_is_lost_this_process_counts_by_itself(
    own_redis: RedisServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    counters = RedisCounters(own_redis.url, key=KEY, timer=clock)
    await counters.remember("known", 60)
    assert await counters.take("a", RATE) == 0
    own_redis.kill()
    assert [await counters.take("a", RATE) for _ in range(6)] == [0] * 5 + [60]
    await counters.give_back("a", RATE)
    assert await counters.take("a", RATE) == 0
    assert await counters.remembers("known")
    assert not await counters.remembers("unknown")
    await counters.remember("another", 60)
    own_redis.start()
    # It is left alone for a moment, and nobody waits for it.
    assert await counters.take("a", RATE) == 60
    clock.advance(PAUSE)
    assert await counters.take("a", RATE) == 0
    told = [record.event for record in caplog.records]  # type: ignore[attr-defined]
    assert told == [CountersLost("redis_ConnectionError"), CountersRestored()]
    await counters.aclose()


async def test_a_redis_that_was_started_anew_is_no_failure(own_redis: RedisServer) -> None:
    counters = RedisCounters(own_redis.url, key=KEY, timer=time.monotonic)
    for _ in range(5):
        assert await counters.take("a", RATE) == 0
    own_redis.kill()
    own_redis.start()
    # Its scripts and counts are gone with it, and the connection is found closed.
    assert await counters.take("a", RATE) == 0
    await counters.aclose()


async def test_a_redis_that_hangs_holds_nobody_up_for_long(own_redis: RedisServer) -> None:
    counters = RedisCounters(own_redis.url, key=KEY, timer=time.monotonic)
    assert await counters.take("a", RATE) == 0
    own_redis.pause()
    taken: Counter[bool] = Counter()

    async def one() -> None:
        taken[await counters.take("a", RATE) == 0] += 1

    # Of a hundred as many wait as there are threads, and all others are told at once.
    with anyio.fail_after(8 * TIMEOUT):
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(one)
    assert taken == {True: 5, False: 95}
    own_redis.resume()
    await counters.aclose()


async def test_refusals_add_up_over_all_processes(counters: list[RedisCounters], clock: Clock) -> None:
    here, there = Failures(RATE, clock), Failures(RATE, clock)
    for failures in (here, there):
        for _ in range(3):
            failures.note("192.0.2.7")
        failures.note("203.0.113.1")
    await here.share(counters[0])
    assert here.are_quiet
    await there.share(counters[1])
    there.refuse("203.0.113.1")
    with pytest.raises(Exception, match="Too many failed attempts"):
        there.refuse("192.0.2.7")
    # The other process hears of it with its next refusal from there.
    here.note("192.0.2.7")
    await here.share(counters[0])
    assert not here.are_quiet
    # A third one knows nothing yet.
    Failures(RATE, clock).refuse("192.0.2.7")


async def test_nothing_is_told_where_nothing_was_refused(clock: Clock) -> None:
    unreachable = RedisCounters("redis://127.0.0.1:1/0", key=KEY, timer=clock)
    await Failures(RATE, clock).share(unreachable)
    await unreachable.aclose()


async def test_what_cannot_be_told_counts_here_on(counters: list[RedisCounters], clock: Clock) -> None:
    unreachable = RedisCounters("redis://127.0.0.1:1/0", key=KEY, timer=clock)
    failures = Failures(RATE, clock)
    for _ in range(4):
        failures.note("192.0.2.7")
    with pytest.raises(AuthUnavailable):
        await failures.share(unreachable)
    failures.note("192.0.2.7")
    assert not failures.are_quiet
    await failures.share(counters[0])
    await unreachable.aclose()


async def test_a_window_that_ended_meanwhile_is_not_opened_again(
    counters: list[RedisCounters], clock: Clock
) -> None:
    failures = Failures(RATE, clock)
    for _ in range(5):
        failures.note("192.0.2.7")
    clock.advance(60)
    await failures.share(counters[0])
    failures.refuse("192.0.2.7")


async def test_what_is_told_at_once_has_a_bound(
    counters: list[RedisCounters], clock: Clock, redis_server: RedisServer
) -> None:
    failures = Failures(RATE, clock)
    for number in range(MAX_SHARED + 50):
        failures.note(str(number))
        failures.note("0")
    await failures.share(counters[0])
    with redis_server.client() as client:
        assert client.dbsize() == MAX_SHARED
        assert max(int(client.get(key)) for key in client.scan_iter()) == MAX_SHARED + 51
