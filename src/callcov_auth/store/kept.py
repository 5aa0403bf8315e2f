"""Connections for reads, kept open between one read and the next.

To fetch one from SQLAlchemy's pool and to give it back takes as long as a lookup itself.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

from sqlalchemy import Connection, Dialect, Engine


@dataclass(frozen=True, slots=True)
class Reader:
    """A connection and the driver's own, since when it is kept, and which generation it is of."""

    connection: Connection
    driver: Any
    since: float
    generation: int


class Readers:
    """Connections of ``engine`` that are kept for at most ``longest`` seconds. ``timer`` is monotonic.

    Used from any thread. There are never more of them than threads that read at once. When one turns out to
    have ended, the others of its generation are thought to have ended with it.
    """

    def __init__(
        self, engine: Engine, *, longest: float = inf, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine = engine
        self._longest = longest
        self._timer = timer
        self._idle: list[Reader] = []
        self._generation = 0

    @property
    def dialect(self) -> Dialect:
        return self.engine.dialect

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection."""
        reader = self.take()
        try:
            yield reader.connection
            # What SQLAlchemy calls a transaction; in autocommit the database knows of none.
            reader.connection.rollback()
        except BaseException:
            self.give_up(reader)
            raise
        self.give_back(reader)

    def take(self) -> Reader:
        """Return a reader, for one of ``give_back`` and ``give_up``."""
        while (reader := self._latest()) is not None:
            if reader.generation == self._generation and self._timer() - reader.since < self._longest:
                return reader
            # So that the engine does not lend it again.
            reader.connection.invalidate()
            reader.connection.close()
        connection = self.engine.connect()
        driver = connection.connection.driver_connection
        return Reader(connection, driver, self._timer(), self._generation)

    def give_back(self, reader: Reader) -> None:
        self._idle.append(reader)

    def give_up(self, reader: Reader) -> None:
        """Give it to the engine, after an error; the engine sees what is to be done."""
        if reader.connection.invalidated:
            self._generation += 1
        reader.connection.close()

    def dispose(self) -> None:
        while (reader := self._latest()) is not None:
            reader.connection.close()
        self.engine.dispose()

    def _latest(self) -> Reader | None:
        # Another thread may take the last one between a look and a step.
        try:
            return self._idle.pop()
        except IndexError:
            return None
