"""Counters with a window each."""

import pytest

from callcov_auth.counting import LocalCounters, Windows, whole_seconds
from callcov_auth.rates import Rate
from tests.support.clock import Clock

pytestmark = pytest.mark.anyio

RATE = Rate(2, 60)


async def test_a_window_ends_a_period_after_its_first_count(clock: Clock) -> None:
    counters = LocalCounters(10, clock)
    assert await counters.take("a", RATE) == 0
    clock.advance(40)
    assert await counters.take("a", RATE) == 0
    assert await counters.take("a", RATE) == 20
    assert await counters.take("b", RATE) == 0
    clock.advance(20)
    assert await counters.take("a", RATE) == 0


async def test_what_is_given_back_can_be_taken_again(clock: Clock) -> None:
    counters = LocalCounters(10, clock)
    for _ in range(2):
        await counters.take("a", RATE)
    await counters.give_back("a", RATE)
    assert await counters.take("a", RATE) == 0
    assert await counters.take("a", RATE) == 60


async def test_more_is_not_given_back_than_was_taken(clock: Clock) -> None:
    counters = LocalCounters(10, clock)
    await counters.give_back("a", RATE)
    await counters.take("a", RATE)
    for _ in range(3):
        await counters.give_back("a", RATE)
    assert [await counters.take("a", RATE) for _ in range(3)] == [0, 0, 60]


async def test_what_is_remembered_is_forgotten_in_time(clock: Clock) -> None:
    counters = LocalCounters(10, clock)
    assert not await counters.remembers("a")
    await counters.remember("a", 60)
    clock.advance(59)
    assert await counters.remembers("a")
    clock.advance(1)
    assert not await counters.remembers("a")


async def test_counts_push_nothing_out_that_is_remembered(clock: Clock) -> None:
    counters = LocalCounters(3, clock)
    await counters.remember("a", 60)
    for number in range(10):
        await counters.take(str(number), RATE)
    assert await counters.remembers("a")


def test_windows_have_a_bound_and_the_oldest_goes_first(clock: Clock) -> None:
    windows = Windows(2, clock)
    for name in ("a", "b", "a", "c"):
        windows.add(name, 60)
    assert len(windows) == 2
    assert windows.find("a") is None
    assert windows.find("b") is not None


@pytest.mark.parametrize(("seconds", "whole"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.01, 2), (59.5, 60)])
def test_nobody_is_told_to_come_back_too_early(seconds: float, whole: int) -> None:
    assert whole_seconds(seconds) == whole
