"""Connections that are kept between reads: how long, how many, and what becomes of them after an error."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError

from callcov_auth.store import kept as kept_module
from callcov_auth.store.kept import FULL_FOR, KeptConnections
from tests.support.clock import Clock

LONGEST = 60


class Opened:
    """Counts the connections that an engine has opened, and those of them that are open."""

    def __init__(self, engine: Engine) -> None:
        self.ever = self.now = 0
        event.listen(engine, "connect", self._connected)
        event.listen(engine, "close", self._closed)

    def _connected(self, *_: object) -> None:
        self.ever += 1
        self.now += 1

    def _closed(self, *_: object) -> None:
        self.now -= 1


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return create_engine(
        f"sqlite:///{tmp_path_factory.mktemp('db') / 'some.db'}", pool_size=2, max_overflow=0
    )


@pytest.fixture
def opened(engine: Engine) -> Opened:
    return Opened(engine)


@pytest.fixture
def kept(engine: Engine, opened: Opened, clock: Clock) -> Iterator[KeptConnections]:
    made = KeptConnections(engine, longest=LONGEST, timer=clock)
    yield made
    made.dispose()
    assert opened.now == 0


def read(kept: KeptConnections) -> int:
    with kept.connection() as connection:
        return int(connection.execute(text("SELECT 7")).scalar_one())


def end(kept: KeptConnections) -> None:
    """Read on a connection that turns out to have ended."""
    lost = kept.take()
    lost.connection.invalidate()
    kept.give_up(lost)


def test_one_read_after_another_takes_the_same_connection(kept: KeptConnections, opened: Opened) -> None:
    assert [read(kept) for _ in range(3)] == [7, 7, 7]
    assert opened.ever == 1


def test_what_is_kept_is_in_no_transaction(kept: KeptConnections) -> None:
    read(kept)
    with kept.connection() as connection:
        assert not connection.in_transaction()


def test_those_who_read_at_once_have_one_each(kept: KeptConnections, opened: Opened) -> None:
    for _ in range(3):
        with kept.connection() as one, kept.connection() as other:
            assert one.connection.driver_connection is not other.connection.driver_connection
    assert opened.ever == 2


def test_after_so_long_a_connection_is_made_anew(kept: KeptConnections, opened: Opened, clock: Clock) -> None:
    read(kept)
    clock.advance(LONGEST - 1)
    read(kept)
    assert opened.ever == 1
    clock.advance(1)
    read(kept)
    assert (opened.ever, opened.now) == (2, 1)


def test_when_one_has_ended_none_that_was_kept_with_it_is_used_again(
    kept: KeptConnections, opened: Opened
) -> None:
    with kept.connection(), kept.connection():
        pass
    end(kept)
    with kept.connection(), kept.connection():
        assert (opened.ever, opened.now) == (4, 2)


def test_one_that_was_lent_when_another_ended_is_not_used_again(
    kept: KeptConnections, opened: Opened
) -> None:
    with kept.connection():
        end(kept)
    read(kept)
    assert opened.ever == 3


def test_an_error_that_ends_no_connection_costs_none(kept: KeptConnections, opened: Opened) -> None:
    with pytest.raises(OperationalError), kept.connection() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))
    assert read(kept) == 7
    assert opened.ever == 1


def test_disposed_of_it_holds_nothing_and_can_be_used_again(kept: KeptConnections, opened: Opened) -> None:
    read(kept)
    kept.dispose()
    assert opened.now == 0
    assert read(kept) == 7


class Full:
    """A server that takes no more connections than ``most``, or says that it is not there."""

    def __init__(self, engine: Engine, most: int) -> None:
        self.most, self.open, self.refused = most, 0, 0
        event.listen(engine, "do_connect", self._connect)

    def _connect(self, *_: object) -> None:
        if self.open >= self.most:
            self.refused += 1
            raise sqlite3.OperationalError("too many connections")
        self.open += 1


@pytest.fixture
def full(engine: Engine) -> Full:
    return Full(engine, most=1)


@pytest.fixture
def taking_turns(engine: Engine, full: Full, clock: Clock) -> Iterator[KeptConnections]:
    made = KeptConnections(engine, is_refused=lambda _: True, timer=clock)
    yield made
    made.dispose()


def test_where_no_more_can_be_opened_threads_take_turns(taking_turns: KeptConnections, full: Full) -> None:
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: read(taking_turns), range(200))) == [7] * 200
    assert full.open == 1
    assert full.refused < 8, "which is not tried at each turn"


def test_after_a_while_a_further_one_is_tried(
    taking_turns: KeptConnections, full: Full, clock: Clock
) -> None:
    def two_at_once() -> None:
        with ThreadPoolExecutor(1) as thread, taking_turns.connection():
            second = thread.submit(read, taking_turns)
            eventually_waits(taking_turns, second)
        assert second.result() == 7

    two_at_once()
    full.most = 2
    two_at_once()
    assert (full.open, full.refused) == (1, 1)
    clock.advance(FULL_FOR)
    with taking_turns.connection(), taking_turns.connection():
        assert (full.open, full.refused) == (2, 1)


def eventually_waits(kept: KeptConnections, done: "Future[int]") -> None:
    """Return when a thread waits for what this one has."""
    while not kept._waiting:
        assert not done.done()
        time.sleep(0.001)


def test_where_none_is_open_a_refusal_is_told_at_once(
    taking_turns: KeptConnections, full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.most = 0
    # In the place of what is waited on: to wait would be another error.
    monkeypatch.setattr(taking_turns, "_handed", SimpleNamespace(get_nowait=SimpleQueue().get_nowait))
    with pytest.raises(OperationalError):
        taking_turns.take()


def test_what_is_kept_too_long_by_others_is_not_waited_for(
    taking_turns: KeptConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "LOOKS", 2)
    with taking_turns.connection(), pytest.raises(OperationalError):
        taking_turns.take()


def test_one_that_ends_while_another_waits_for_it_is_not_handed_on(
    taking_turns: KeptConnections, full: Full
) -> None:
    lost = taking_turns.take()
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(read, taking_turns)
        eventually_waits(taking_turns, second)
        lost.connection.invalidate()
        taking_turns.give_up(lost)
        with pytest.raises(OperationalError):
            second.result()


def test_room_is_made_by_closing_one_of_several(
    taking_turns: KeptConnections, opened: Opened, full: Full
) -> None:
    full.most = 3
    with taking_turns.connection(), taking_turns.connection():
        assert opened.now == 2
    assert taking_turns.make_room()
    assert opened.now == 1
    assert not taking_turns.make_room(), "the last one stays"
    assert read(taking_turns) == 7


def test_who_made_room_does_not_take_it_back(taking_turns: KeptConnections, full: Full, clock: Clock) -> None:
    full.most = 3
    with taking_turns.connection(), taking_turns.connection():
        pass
    taking_turns.make_room()
    with ThreadPoolExecutor(1) as thread, taking_turns.connection():
        second = thread.submit(read, taking_turns)
        eventually_waits(taking_turns, second)
    assert (second.result(), full.open) == (7, 2)
