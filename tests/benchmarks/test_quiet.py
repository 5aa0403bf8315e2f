"""Work that other programs disturbed is done again, and where that does not help, it is said."""

import os
from collections.abc import Iterator

import pytest

from benchmarks.harness import quiet
from benchmarks.harness.quiet import MOST_TRIES, Watch


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What others spend while each piece of work is done, in seconds; nothing after these."""
    spent: list[float] = []

    def readings() -> Iterator[float]:
        total = 0.0
        while True:
            yield total
            total += spent.pop(0) if spent else 0.0
            yield total

    reading = readings()
    monkeypatch.setattr(quiet, "foreign_seconds", lambda _servers: next(reading))
    return spent


def test_work_that_was_left_alone_is_done_once(foreign: list[float]) -> None:
    watch, done = Watch([]), iter(range(10))
    assert watch.left_alone(lambda: next(done)) == 0
    assert watch.remarks() == ""


def test_disturbed_work_is_done_again(foreign: list[float]) -> None:
    foreign += [5.0, 5.0]
    watch, done = Watch([]), iter(range(10))
    assert watch.left_alone(lambda: next(done)) == 2
    assert watch.remarks() == ""


def test_where_the_machine_is_never_quiet_it_is_said(foreign: list[float]) -> None:
    foreign += [5.0] * MOST_TRIES
    watch, done = Watch([]), iter(range(10))
    assert watch.left_alone(lambda: next(done)) == MOST_TRIES - 1
    assert watch.left_alone(lambda: next(done)) == MOST_TRIES
    assert watch.remarks() == "; other programs disturbed 1 of 2 batches"


def test_the_time_of_this_process_is_no_foreign_one() -> None:
    before = quiet.seconds_of(os.getpid())
    while quiet.seconds_of(os.getpid()) < before + 0.1:
        pass
    own = sum(os.times()[:2])
    assert own >= 0.1
    assert quiet.busy_seconds() >= own
