"""The feed: what other processes changed, and how long the cache is trusted without it."""

import random

import anyio
import anyio.lowlevel
import pytest
from trio.testing import MockClock

from callcov_auth.cache.feed import Feed
from callcov_auth.cache.principals import PrincipalCache
from callcov_auth.errors import AuthUnavailable
from callcov_auth.principal import Principal
from callcov_auth.store.protocol import Change
from tests.support.clock import Clock

pytestmark = pytest.mark.anyio


class Changes:
    """As much of a store as the feed reads."""

    def __init__(self) -> None:
        self.rows: list[Change] = []
        self.fails = False
        self.error: Exception | None = None
        self.too_many = False
        self.polls = 0

    async def changes_after(self, cursor: int | None) -> tuple[int, list[Change] | None]:
        self.polls += 1
        # As a store in a worker thread does, let others go on meanwhile.
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        if self.fails:
            raise AuthUnavailable(reason="store_OperationalError")
        if self.too_many:
            return len(self.rows), None
        return len(self.rows), [] if cursor is None else self.rows[cursor:]


@pytest.fixture
def store() -> Changes:
    return Changes()


def remember(cache: PrincipalCache) -> None:
    caller = Principal(subject="u", issuer="callcov", kind="api_key", key_id="k")
    cache.put(b"h", caller, float("inf"), version=cache.version)


@pytest.fixture
def cache(clock: Clock) -> PrincipalCache:
    cache = PrincipalCache(8, timer=clock)
    remember(cache)
    return cache


@pytest.fixture
def feed(store: Changes, cache: PrincipalCache, clock: Clock) -> Feed:
    return Feed(store, cache, interval=2.0, timer=clock)  # type: ignore[arg-type]


async def test_nothing_is_trusted_before_the_first_poll(feed: Feed, clock: Clock) -> None:
    assert not feed.trusts_cache(clock())
    await feed.poll()
    assert feed.trusts_cache(clock())


async def test_what_was_cached_before_the_first_answer_is_forgotten(
    feed: Feed, cache: PrincipalCache
) -> None:
    await feed.poll()
    assert cache.get(b"h") is None


async def test_each_change_is_applied_once(feed: Feed, store: Changes, cache: PrincipalCache) -> None:
    store.rows.append(Change("key", "other"))
    await feed.poll()
    remember(cache)
    await feed.poll()
    assert cache.get(b"h") is not None
    store.rows.append(Change("key", "k"))
    await feed.poll()
    assert cache.get(b"h") is None
    version = cache.version
    await feed.poll()
    assert cache.version == version


async def test_more_changes_than_can_be_told_empty_the_cache(
    feed: Feed, store: Changes, cache: PrincipalCache, clock: Clock
) -> None:
    store.too_many = True
    await feed.poll()
    assert cache.get(b"h") is None
    assert feed.trusts_cache(clock())


async def test_this_process_hears_of_its_own_changes_at_once(feed: Feed, cache: PrincipalCache) -> None:
    await feed.poll()
    remember(cache)
    await feed.publish(Change("key", "k"))
    assert cache.get(b"h") is None


@pytest.mark.parametrize(("in_background", "trusted"), [(True, 6.0), (False, 2.0)])
async def test_trust_lasts_three_intervals_where_a_task_polls_and_one_where_none_does(
    feed: Feed, clock: Clock, in_background: bool, trusted: float
) -> None:
    feed.in_background = in_background
    await feed.poll()
    clock.advance(trusted - 0.01)
    assert feed.trusts_cache(clock())
    clock.advance(0.01)
    assert not feed.trusts_cache(clock())


async def test_a_failed_poll_lets_trust_run_out_and_is_told_once(
    feed: Feed, store: Changes, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    feed.in_background = True
    await feed.poll()
    store.fails = True
    for _ in range(3):
        clock.advance(2)
        await feed.poll()
    assert not feed.trusts_cache(clock())
    store.fails = False
    for _ in range(2):
        await feed.poll()
    assert feed.trusts_cache(clock())
    names = [record.getMessage().split()[0] for record in caplog.records]
    assert names == ["feed_lost", "feed_restored"]


async def test_catching_up_polls_only_when_trust_has_run_out(
    feed: Feed, store: Changes, clock: Clock
) -> None:
    assert await feed.catch_up()
    assert not await feed.catch_up()
    assert store.polls == 1
    clock.advance(2)
    assert await feed.catch_up()
    assert store.polls == 2


def polls_in(seconds: float, feed: Feed, store: Changes, *, called_every: float | None = None) -> int:
    """How often the feed polls in so many seconds, of a clock that jumps to whatever is waited for."""

    async def run() -> None:
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.keep_polling)
                while True:
                    await anyio.sleep(called_every or seconds)
                    feed.hear([Change("key", "k")])

    anyio.run(run, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
    return store.polls


def test_it_polls_once_an_interval(feed: Feed, store: Changes) -> None:
    assert polls_in(9, feed, store) == 4


@pytest.mark.parametrize(("share", "polls"), [(0.0, 1), (0.7, 1), (1.0, 0)])
def test_it_polls_within_a_quarter_of_an_interval_after_it_was_called(
    share: float, polls: int, feed: Feed, store: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: least + share * (most - least))
    assert polls_in(1.6, feed, store, called_every=1.2) == polls


def test_a_call_never_puts_a_poll_off(feed: Feed, store: Changes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: most)
    assert polls_in(9, feed, store, called_every=1.9) == 4


def test_a_flood_of_calls_costs_four_polls_an_interval_at_most(
    feed: Feed, store: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda least, most: least)
    assert polls_in(9, feed, store, called_every=0.01) == 17


def test_a_poll_that_fails_in_an_unforeseen_way_is_tried_again(
    feed: Feed, store: Changes, caplog: pytest.LogCaptureFixture
) -> None:
    store.error = ZeroDivisionError()
    assert polls_in(9, feed, store) == 4
    assert caplog.text.count("housekeeping failed; it is tried again") == 4


async def test_what_is_heard_is_forgotten_at_once(feed: Feed, cache: PrincipalCache) -> None:
    await feed.poll()
    remember(cache)
    feed.hear([Change("key", "other"), Change("user", "u")])
    assert cache.get(b"h") is None


class Told:
    """As much of a push as the feed uses, which looks at the cache when it is told."""

    def __init__(self, cache: PrincipalCache) -> None:
        self.cache = cache
        self.told: list[tuple[Change, bool]] = []

    async def publish(self, change: Change) -> None:
        self.told.append((change, self.cache.get(b"h") is None))


async def test_others_are_told_after_this_process_has_forgotten(
    store: Changes, cache: PrincipalCache, clock: Clock
) -> None:
    push = Told(cache)
    feed = Feed(store, cache, interval=2.0, timer=clock, push=push)  # type: ignore[arg-type]
    await feed.poll()
    remember(cache)
    await feed.publish(Change("key", "k"))
    assert push.told == [(Change("key", "k"), True)]


async def test_of_all_who_catch_up_at_once_one_polls(feed: Feed, store: Changes) -> None:
    polled: list[bool] = []

    async def catch_up() -> None:
        polled.append(await feed.catch_up())

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(catch_up)
    assert sorted(polled) == [False] * 4 + [True]
    assert store.polls == 1
