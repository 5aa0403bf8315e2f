"""What differs between the databases, as one record that each of them fills in."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, func, select

from callcov_auth.store.kept import KeptConnections
from callcov_auth.store.prepared import Execute

# Names of the locks that are held until a transaction ends, within callcov-auth (pg_advisory_xact_lock).
Lock = int
MIGRATION: Lock = 1
FEED: Lock = 2
SIGNING_KEYS: Lock = 3
AUDIT: Lock = 4

# Told apart from other programs' advisory locks in the same database: "call" in ASCII.
_CLASS = 0x63616C6C


class Writing(Protocol):
    """Connections for writes: an Engine, KeptConnections, or what stands around one."""

    def begin(self) -> AbstractContextManager[Connection]:
        """Lend a connection in a transaction, which ends with the block."""
        ...

    def dispose(self) -> None:
        """Close all of them."""
        ...


@dataclass(frozen=True, slots=True)
class Database:
    """A database, and how it wants to be used."""

    reading: KeptConnections
    """In autocommit: each statement is a transaction of its own, and one round trip."""
    writing: Writing
    readers: int
    """How many pieces of work may read at once; each has a connection that is open or can be opened."""
    writers: int
    takes_turns: bool
    """Whether there is but one connection, for reads and writes."""
    begin: Callable[[Connection, float | None], None]
    """Begins a write, which may take so many seconds; None for the usual bound."""
    prepared: Callable[[], AbstractContextManager[Execute]]
    """A write of prepared statements alone, as fast as the driver lets it be. Raises SQLAlchemy's errors."""
    snapshot: Callable[[Connection, float], None]
    """Begins to read what there is at one moment; each statement may take so many seconds."""
    prepare: Callable[[], None]
    """What must be there before the first connection."""
    errors: tuple[type[Exception], ...]
    """The driver's errors, for those that SQLAlchemy lets through."""
    is_lost: Callable[[Exception, Any], bool]
    """Whether a driver's error and its connection say that another connection is needed."""
    is_stale: Callable[[Exception], bool]
    """Whether a read failed for a connection that had ended before; another one may serve."""
    is_collision: Callable[[Exception], bool]
    """Whether a write was undone for the sake of another; the same again may succeed."""
    file: str | None = None

    def dispose(self) -> None:
        self.reading.dispose()
        self.writing.dispose()


def hold(connection: Connection, lock: Lock) -> None:
    """Let one transaction at a time pass, over all processes, until it has ended.

    SQLite has done so already, with the one write lock that it takes at the beginning.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_CLASS, lock)))


def never(*_: Any) -> bool:
    return False
