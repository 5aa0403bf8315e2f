"""Connections for reads, kept open between one read and the next.

To fetch one from SQLAlchemy's pool and to give it back takes as long as a lookup itself.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf

from sqlalchemy import Connection, Dialect, Engine


@dataclass(frozen=True, slots=True)
class _Kept:
    """A connection, since when it is kept, and which generation it is of; see ``Readers``."""

    connection: Connection
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
        self._idle: list[_Kept] = []
        self._generation = 0

    @property
    def dialect(self) -> Dialect:
        return self.engine.dialect

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection. After an error it is given back to the engine, which sees what is to be done."""
        kept = self._take()
        is_whole = False
        try:
            yield kept.connection
            is_whole = not kept.connection.invalidated
        finally:
            if is_whole:
                self._keep(kept)
            else:
                self._give_up(kept.connection)

    def dispose(self) -> None:
        while (kept := self._latest()) is not None:
            kept.connection.close()
        self.engine.dispose()

    def _take(self) -> _Kept:
        while (kept := self._latest()) is not None:
            if kept.generation == self._generation and self._timer() - kept.since < self._longest:
                return kept
            # So that the engine does not lend it again.
            kept.connection.invalidate()
            kept.connection.close()
        return _Kept(self.engine.connect(), self._timer(), self._generation)

    def _latest(self) -> _Kept | None:
        # Another thread may take the last one between a look and a step.
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _keep(self, kept: _Kept) -> None:
        # What SQLAlchemy calls a transaction; in autocommit the database knows of none.
        if kept.connection.in_transaction():
            kept.connection.rollback()
        self._idle.append(kept)

    def _give_up(self, connection: Connection) -> None:
        if connection.invalidated:
            self._generation += 1
        connection.close()
