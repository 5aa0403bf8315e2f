"""The cache that counts its hits, and is the same cache in all else."""

import pytest

from callcov_auth.cache.counted import CountedCache, Tally
from callcov_auth.cache.principals import PrincipalCache
from callcov_auth.store.protocol import Change
from tests.cache.test_principals import caller, held, remember
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(0)


def counted(tally: Tally, size: int, clock: Clock, *, hashed: bool = False) -> CountedCache:
    cache = CountedCache(size, timer=clock, tally=tally, hashed=hashed)
    cache.trusted_until = float("inf")
    return cache


@pytest.mark.parametrize("hashed", [False, True])
def test_each_hit_is_counted_and_nothing_else(clock: Clock, hashed: bool) -> None:
    tally = Tally()
    cache = counted(tally, 4, clock, hashed=hashed)
    remember(cache, b"a", caller("a"), until=10)
    assert held(cache, b"a", b"other", b"a") == [True, False, True]
    assert tally.hits == 2
    clock.advance(10)
    assert held(cache, b"a") == [False]
    remember(cache, b"a", caller("a"))
    cache.trusted_until = 5
    assert held(cache, b"a") == [False]
    assert (tally.hits, cache.holds(b"a")) == (2, True)


def test_the_middlewares_own_way_of_a_hit_counts_too(clock: Clock) -> None:
    tally = Tally()
    cache = counted(tally, 100, clock)
    remember(cache, b"a", caller("a"))
    # As AuthMiddleware has it in its path, in a cache that is far from full.
    assert cache.find(b"a") is not None
    assert cache.keeps_order
    cache.touch(b"a")
    assert tally.hits == 1


def test_it_drops_what_was_used_longest_ago(clock: Clock) -> None:
    cache = counted(Tally(), 2, clock)
    for name in (b"a", b"b"):
        remember(cache, name, caller(name.decode()))
    assert held(cache, b"a") == [True]
    remember(cache, b"c", caller("c"))
    assert held(cache, b"a", b"b", b"c") == [True, False, True]


def test_it_asks_for_the_order_whatever_is_forgotten(clock: Clock) -> None:
    cache = counted(Tally(), 100, clock)
    remember(cache, b"a", caller("a", key="k"))
    cache.forget(Change("key", "k"))
    cache.clear()
    assert cache.keeps_order
    assert len(cache) == 0


def test_two_that_share_a_tally_count_together(clock: Clock) -> None:
    tally = Tally()
    caches = [counted(tally, 4, clock) for _ in range(2)]
    for cache in caches:
        remember(cache, b"a", caller("a"))
        cache.get(b"a")
    assert tally.hits == 2


def test_one_that_counts_not_has_no_more_to_do(clock: Clock) -> None:
    cache = PrincipalCache(100, timer=clock)
    remember(cache, b"a", caller("a"))
    assert not cache.keeps_order
