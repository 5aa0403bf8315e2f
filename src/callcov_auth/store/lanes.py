"""How a piece of work gets to the database: one hop to a worker thread, one connection, one transaction.

Reads and writes have lanes of their own, so that no lookup waits for a write to reach the disk. Each wait
on the way has a bound: for a lane, for the database, and for nothing at all while it is known to be dead.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from anyio import move_on_after
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError

from callcov_auth.errors import AuthError, AuthUnavailable, Conflict
from callcov_auth.events import OnEvent
from callcov_auth.store.breaker import Breaker
from callcov_auth.store.database import Database
from callcov_auth.store.prepared import Execute, Lookup
from callcov_auth.threads import Threads

T = TypeVar("T")
Work = Callable[[Connection], T]

# How long a call waits until it is its turn, in seconds.
LANE_TIMEOUT = 5.0


@dataclass(slots=True)
class _Turns:
    """How many may be at the database at once, and how many have come and not left."""

    width: int
    threads: Threads
    inside: int = 0


@dataclass(frozen=True, slots=True)
class _Lane:
    turns: _Turns
    breaker: Breaker


class Lanes:
    """The ways to one database. ``timer`` is monotonic, in seconds."""

    def __init__(
        self,
        database: Database,
        *,
        timer: Callable[[], float] = time.monotonic,
        on_event: OnEvent | None = None,
    ) -> None:
        self._database = database
        self._errors: tuple[type[Exception], ...] = (SQLAlchemyError, *database.errors)
        self._reads = _Lane(
            _turns(database.readers, "reads"), Breaker("reads", timer=timer, on_event=on_event)
        )
        writers = self._reads.turns if database.takes_turns else _turns(database.writers, "writes")
        self._writes = _Lane(writers, Breaker("writes", timer=timer, on_event=on_event))

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` in autocommit. Raises AuthUnavailable, and what ``work`` raises."""
        return await self._run(self._reads, partial(self._reading, work))

    async def look_up(self, lookup: Lookup[T], values: Mapping[str, Any]) -> list[T]:
        """Return what a lookup finds. Raises AuthUnavailable."""
        return await self._run(self._reads, partial(self._looking_up, lookup, values))

    async def write(self, work: Work[T], *, seconds: float | None = None) -> T:
        """Run ``work`` in a transaction, which may take ``seconds``. Raises Conflict, AuthUnavailable."""
        return await self._run(self._writes, partial(self._writing, partial(self._write_once, work, seconds)))

    async def write_prepared(self, work: Callable[[Execute], T]) -> T:
        """Run ``work`` of prepared statements in a transaction. Raises Conflict, AuthUnavailable."""
        return await self._run(self._writes, partial(self._writing, partial(self._write_prepared, work)))

    async def snapshot(self, work: Work[T], *, seconds: float) -> T:
        """Run ``work`` on what there is at one moment; each of its statements may take ``seconds``."""
        return await self._run(self._writes, partial(self._watching, work, seconds))

    async def aside(self, work: Callable[[], T]) -> T:
        """Run what needs no connection where a write would run."""
        return await self._writes.turns.threads.run(work)

    async def _run(self, lane: _Lane, hop: Callable[[], T]) -> T:
        lane.breaker.refuse()
        turns, work = lane.turns, partial(self._guarded, lane.breaker, hop)
        turns.inside += 1
        try:
            if turns.inside <= turns.width:
                # Nobody to wait for, and so nothing to bound.
                return await turns.threads.run(work)
            # Work that has begun is not given up: it has bounds of its own.
            with move_on_after(LANE_TIMEOUT):
                return await turns.threads.run(work)
        finally:
            turns.inside -= 1
        raise AuthUnavailable(reason="store_busy")

    def _reading(self, work: Work[T]) -> T:
        try:
            return self._read_once(work)
        except SQLAlchemyError as error:
            if not self._database.is_stale(error):
                raise
        # The others of the pool were dropped with it, so this one is new.
        return self._read_once(work)

    def _looking_up(self, lookup: Lookup[T], values: Mapping[str, Any]) -> list[T]:
        reading = self._database.reading
        kept = reading.take()
        try:
            found = lookup.found(kept.driver, values)
        except self._database.errors as error:
            is_lost = self._database.is_lost(error, kept.driver)
            if is_lost:
                kept.connection.invalidate(error)
            reading.give_up(kept)
            ended = DBAPIError(None, None, error, hide_parameters=True, connection_invalidated=is_lost)
            if not self._database.is_stale(ended):
                raise
            # SQLAlchemy's own way, by which those of the pool are dropped that have ended with this one.
            return self._reading(partial(lookup.over, values))
        except BaseException:
            reading.give_up(kept)
            raise
        reading.give_back(kept)
        return found

    def _read_once(self, work: Work[T]) -> T:
        with self._database.reading.connection() as connection:
            return work(connection)

    def _writing(self, write: Callable[[], T]) -> T:
        try:
            return write()
        except SQLAlchemyError as error:
            if not self._database.is_collision(error):
                raise
        return write()

    def _write_once(self, work: Work[T], seconds: float | None) -> T:
        with self._database.writing.begin() as connection:
            self._database.begin(connection, seconds)
            return work(connection)

    def _write_prepared(self, work: Callable[[Execute], T]) -> T:
        with self._database.prepared() as execute:
            return work(execute)

    def _watching(self, work: Work[T], seconds: float) -> T:
        with self._database.writing.begin() as connection:
            self._database.snapshot(connection, seconds)
            return work(connection)

    def _guarded(self, breaker: Breaker, hop: Callable[[], T]) -> T:
        """Turn the database's errors into refusals; their texts may hold values, so they are dropped."""
        breaker.enter()
        refusal: AuthError
        is_outage = False
        try:
            result = hop()
        except IntegrityError:
            refusal = Conflict(reason="integrity_error")
        except self._errors as error:
            refusal = AuthUnavailable(reason=f"store_{_name(error)}")
            is_outage = _is_outage(error)
        except AuthError as said_no:
            refusal = said_no
        else:
            breaker.succeeded()
            return result
        if is_outage:
            breaker.failed(refusal.reason)
        else:
            breaker.succeeded()
        raise refusal


def _turns(width: int, name: str) -> _Turns:
    return _Turns(width, Threads(width, name))


def _name(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return type(cause).__name__


def _is_outage(error: Exception) -> bool:
    """Whether the database may be gone; it answers all else, and at once."""
    wrapped = isinstance(error, OperationalError | InterfaceError)
    return wrapped or not isinstance(error, DBAPIError)
