"""Connections that are kept open between one piece of work and the next.

To fetch one from SQLAlchemy's pool and to give it back takes as long as a lookup itself.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, QueuePool
from sqlalchemy.exc import DBAPIError

# How often a thread looks whether another still has the connection that it waits for, and how often it looks
# at most, in seconds and times.
LOOK, LOOKS = 0.1, 20
# For how long no further connection is tried where the server took no more, in seconds.
FULL_FOR = 1.0


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
    have ended, the others of its generation are thought to have ended with it. Where no further one can be
    opened, and ``is_refused`` says that the server is there, threads take turns with those that are open.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        longest: float = inf,
        is_refused: Callable[[DBAPIError], bool] = lambda _: False,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self._longest = longest
        self._is_refused = is_refused
        self._timer = timer
        self._idle: list[Kept] = []
        self._generation = 0
        # Threads that wait for a connection of another's, and what was given back while there were any.
        self._waiting = 0
        self._counting = Lock()
        self._handed: SimpleQueue[Kept] = SimpleQueue()
        self._full_until = -inf

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
        kept = self._good()
        if kept is not None:
            return kept
        if self._timer() < self._full_until:
            return self._anothers() or self._new()
        try:
            return self._new()
        except DBAPIError as error:
            kept = self._anothers() if self._is_refused(error) else None
            if kept is None:
                raise
            self._full_until = self._timer() + FULL_FOR
            return kept

    def give_back(self, kept: Kept) -> None:
        # Who waits comes first, or those who are at work would take it again and again.
        if self._waiting:
            self._handed.put(kept)
        else:
            self._idle.append(kept)

    def give_up(self, kept: Kept) -> None:
        """Give it to the engine, after an error; the engine sees what is to be done."""
        if kept.connection.invalidated:
            self._generation += 1
        kept.connection.close()

    def make_room(self) -> bool:
        """Close one of several when no work has it, for somebody who has none. Whether that was done."""
        if self._open < 2:
            return False
        # Or those who read would take what is free then.
        self._full_until = self._timer() + FULL_FOR
        kept = self._anothers()
        if kept is None:
            return False
        _end(kept)
        return True

    def dispose(self) -> None:
        while (kept := self._latest()) is not None:
            kept.connection.close()
        self.engine.dispose()

    def _new(self) -> Kept:
        connection = self.engine.connect()
        driver = connection.connection.driver_connection
        return Kept(connection, driver, self._timer(), self._generation)

    def _good(self) -> Kept | None:
        while (kept := self._latest()) is not None:
            if self._holds(kept):
                return kept
        return None

    def _holds(self, kept: Kept) -> bool:
        """Whether it may be used once more; if not, it is closed."""
        if kept.generation == self._generation and self._timer() - kept.since < self._longest:
            return True
        _end(kept)
        return False

    def _anothers(self) -> Kept | None:
        """Wait for a connection that another thread has now; None where none has one, or gives it back."""
        with self._counting:
            self._waiting += 1
        try:
            for _ in range(LOOKS):
                # Given back before this one waited.
                kept = self._good()
                if kept is not None or not self._are_lent:
                    return kept
                with suppress(Empty):
                    kept = self._handed.get(timeout=LOOK)
                    if self._holds(kept):
                        return kept
            return None
        finally:
            with self._counting:
                self._waiting -= 1

    @property
    def _are_lent(self) -> bool:
        return self._open > len(self._idle)

    @property
    def _open(self) -> int:
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def _latest(self) -> Kept | None:
        # Another thread may take the last one between a look and a step.
        try:
            return self._idle.pop()
        except IndexError:
            pass
        # Handed to one who waits no more.
        try:
            return self._handed.get_nowait()
        except Empty:
            return None


def _end(kept: Kept) -> None:
    # Closed alone, the engine would lend it again.
    kept.connection.invalidate()
    kept.connection.close()
