"""Connections that are kept between reads: how long, how many, and what becomes of them after an error."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError

from callcov_auth.store.readers import Readers
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
def readers(engine: Engine, opened: Opened, clock: Clock) -> Iterator[Readers]:
    made = Readers(engine, longest=LONGEST, timer=clock)
    yield made
    made.dispose()
    assert opened.now == 0


def read(readers: Readers) -> int:
    with readers.connection() as connection:
        return int(connection.execute(text("SELECT 7")).scalar_one())


def end(readers: Readers) -> None:
    """Read on a connection that turns out to have ended."""
    reader = readers.take()
    reader.connection.invalidate()
    readers.give_up(reader)


def test_one_read_after_another_takes_the_same_connection(readers: Readers, opened: Opened) -> None:
    assert [read(readers) for _ in range(3)] == [7, 7, 7]
    assert opened.ever == 1


def test_what_is_kept_is_in_no_transaction(readers: Readers) -> None:
    read(readers)
    with readers.connection() as connection:
        assert not connection.in_transaction()


def test_those_who_read_at_once_have_one_each(readers: Readers, opened: Opened) -> None:
    for _ in range(3):
        with readers.connection() as one, readers.connection() as other:
            assert one.connection.driver_connection is not other.connection.driver_connection
    assert opened.ever == 2


def test_after_so_long_a_connection_is_made_anew(readers: Readers, opened: Opened, clock: Clock) -> None:
    read(readers)
    clock.advance(LONGEST - 1)
    read(readers)
    assert opened.ever == 1
    clock.advance(1)
    read(readers)
    assert (opened.ever, opened.now) == (2, 1)


def test_when_one_has_ended_none_that_was_kept_with_it_is_used_again(
    readers: Readers, opened: Opened
) -> None:
    with readers.connection(), readers.connection():
        pass
    end(readers)
    with readers.connection(), readers.connection():
        assert (opened.ever, opened.now) == (4, 2)


def test_one_that_was_lent_when_another_ended_is_not_used_again(readers: Readers, opened: Opened) -> None:
    with readers.connection():
        end(readers)
    read(readers)
    assert opened.ever == 3


def test_an_error_that_ends_no_connection_costs_none(readers: Readers, opened: Opened) -> None:
    with pytest.raises(OperationalError), readers.connection() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))
    assert read(readers) == 7
    assert opened.ever == 1


def test_disposed_of_it_holds_nothing_and_can_be_used_again(readers: Readers, opened: Opened) -> None:
    read(readers)
    readers.dispose()
    assert opened.now == 0
    assert read(readers) == 7
