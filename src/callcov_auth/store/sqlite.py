"""What is SQLite's own: the file, the connection's pragmas, its way into WAL, and its one write lock."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from callcov_auth.store.database import Database, never
from callcov_auth.store.kept import KeptConnections
from callcov_auth.store.prepared import Execute

# How long a write waits for another process to give the lock back, in milliseconds.
BUSY_TIMEOUT_MS = 5000


def sqlite_database(url: str) -> Database:
    """``url`` is SQLAlchemy's; ``sqlite://`` is memory."""
    parsed = make_url(url).set(drivername="sqlite")
    in_memory = parsed.database in (None, "", ":memory:")
    options: dict[str, Any] = {"hide_parameters": True, "connect_args": {"check_same_thread": False}}
    # One connection for each lane; a third caller cannot come.
    options |= {"poolclass": StaticPool} if in_memory else {"pool_size": 2, "max_overflow": 0}
    engine = create_engine(parsed, **options)
    event.listen(engine, "connect", _prepare_connection)
    kept = KeptConnections(engine)
    return Database(
        # It opens no transaction for a SELECT by itself: each one sees the newest commit.
        reading=kept,
        writing=kept,
        readers=1,
        writers=1,
        takes_turns=in_memory,
        begin=_begin,
        prepared=partial(_prepared, kept),
        snapshot=_snapshot,
        prepare=partial(_create_private, parsed.database),
        errors=(sqlite3.Error,),
        is_lost=never,
        is_stale=never,
        is_collision=never,
        file=None if in_memory else parsed.database,
    )


# The write lock is taken now, for a transaction that reads first cannot take it later without failing.
_BEGIN = "BEGIN IMMEDIATE"


def _begin(connection: Connection, _seconds: float | None) -> None:
    connection.exec_driver_sql(_BEGIN)


@contextmanager
def _prepared(kept: KeptConnections) -> Iterator[Execute]:
    """Begin a write past SQLAlchemy, which takes longer over a session than SQLite itself."""
    with kept.lent() as lent:
        driver = lent.driver
        try:
            driver.execute(_BEGIN)
            yield lambda prepared, values: driver.execute(prepared.sql, prepared.parameters(values))
            driver.execute("COMMIT")
        except sqlite3.Error as error:
            raise DBAPIError.instance(None, None, error, sqlite3.Error, hide_parameters=True) from None


def _snapshot(connection: Connection, _seconds: float) -> None:
    # In WAL, writers go on meanwhile.
    connection.exec_driver_sql("BEGIN")


def _prepare_connection(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _switch_to_wal(cursor)
    # FULL: an acknowledged write outlives a power cut, not only a killed process.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _switch_to_wal(cursor: Any) -> None:
    # The one step for which SQLite itself does not wait while another process holds the lock.
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)


def _create_private(name: str | None) -> None:
    """Make a new database file readable for its owner alone, since it holds password hashes."""
    if not name or name.startswith((":", "file:")):
        return
    # What goes wrong here goes wrong in connecting too, and is told there.
    with suppress(OSError):
        os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o600))
