"""The circuit breaker: after some failures in a row a dead store is asked now and then, by one at a time."""

import pytest

from callcov_auth.errors import AuthUnavailable
from callcov_auth.store.breaker import FAILURES, PROBE_PERIOD, Breaker
from tests.support.clock import Clock


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("reads", timer=clock)


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed("store_dead")


def lets_through(breaker: Breaker) -> bool:
    try:
        breaker.refuse()
        breaker.enter()
    except AuthUnavailable as refusal:
        assert refusal.reason == "store_down"
        return False
    return True


def test_few_failures_keep_nobody_away(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    assert all(lets_through(breaker) for _ in range(10))


def test_as_many_failures_in_a_row_as_say_that_it_is_dead_keep_all_away(breaker: Breaker) -> None:
    fail(breaker, FAILURES)
    assert not any(lets_through(breaker) for _ in range(10))


def test_an_answer_in_between_begins_the_row_anew(breaker: Breaker) -> None:
    fail(breaker, FAILURES - 1)
    breaker.succeeded()
    fail(breaker, FAILURES - 1)
    assert lets_through(breaker)


def test_one_probe_is_let_through_in_each_period(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    for _ in range(5):
        clock.advance(PROBE_PERIOD)
        assert [lets_through(breaker) for _ in range(3)] == [True, False, False]


def test_looking_takes_no_ones_probe_away(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.advance(PROBE_PERIOD)
    breaker.refuse()
    breaker.enter()
    with pytest.raises(AuthUnavailable):
        breaker.refuse()


def test_a_probe_that_fails_changes_nothing(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.advance(PROBE_PERIOD)
    breaker.enter()
    fail(breaker, 1)
    assert not lets_through(breaker)


def test_a_probe_that_succeeds_opens_the_way_for_all(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, FAILURES)
    clock.advance(PROBE_PERIOD)
    breaker.enter()
    breaker.succeeded()
    assert all(lets_through(breaker) for _ in range(10))
    fail(breaker, FAILURES - 1)
    assert lets_through(breaker)


def test_the_loss_and_the_end_of_it_are_told_once(breaker: Breaker, caplog: pytest.LogCaptureFixture) -> None:
    fail(breaker, FAILURES + 4)
    breaker.succeeded()
    breaker.succeeded()
    assert [record.message for record in caplog.records] == [
        "store_lost lane='reads' reason='store_dead'",
        "store_restored lane='reads'",
    ]
