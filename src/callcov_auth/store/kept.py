"""Connections that are kept open between one piece of work and the next.

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
class Kept:
    """A connection and the driver's own, since when it is kept, and which generation it is of."""

    connection: Connection
    driver: Any
    since: float
    generation: int


class KeptConnections:
    """Connections of ``engine`` that are kept for at most ``longest`` seconds. ``timer`` is monotonic.

    Used from any thread. There are never more of them than threads that work at once. When one turns out to
    have ended, the others of its generation are thought to have ended with it.
    """

    def __init__(
        self, engine: Engine, *, longest: float = inf, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine = engine
        self._longest = longest
        self._timer = timer
        self._idle: list[Kept] = []
        self._generation = 0

    @property
    def dialect(self) -> Dialect:
        return self.engine.dialect

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection in autocommit."""
        with self.lent() as kept:
            yield kept.connection
            # What SQLAlchemy calls a transaction; the database knows of none.
            kept.connection.rollback()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Lend a connection in a transaction, as ``Engine.begin`` does."""
        with self.lent() as kept, kept.connection.begin():
            yield kept.connection

    @contextmanager
    def lent(self) -> Iterator[Kept]:
        """Lend a connection as it is, for who leaves no transaction open but by an error."""
        kept = self.take()
        try:
            yield kept
        except BaseException:
            self.give_up(kept)
            raise
        self.give_back(kept)

    def take(self) -> Kept:
        """Return a connection, for one of ``give_back`` and ``give_up``."""
        while (kept := self._latest()) is not None:
            if kept.generation == self._generation and self._timer() - kept.since < self._longest:
                return kept
            # So that the engine does not lend it again.
            kept.connection.invalidate()
            kept.connection.close()
        connection = self.engine.connect()
        driver = connection.connection.driver_connection
        return Kept(connection, driver, self._timer(), self._generation)

    def give_back(self, kept: Kept) -> None:
        self._idle.append(kept)

    def give_up(self, kept: Kept) -> None:
        """Give it to the engine, after an error; the engine sees what is to be done."""
        if kept.connection.invalidated:
            self._generation += 1
        kept.connection.close()

    def dispose(self) -> None:
        while (kept := self._latest()) is not None:
            kept.connection.close()
        self.engine.dispose()

    def _latest(self) -> Kept | None:
        # Another thread may take the last one between a look and a step.
        try:
            return self._idle.pop()
        except IndexError:
            return None
