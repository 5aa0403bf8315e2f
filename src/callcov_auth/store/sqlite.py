"""What is SQLite's own: the file, the connection's pragmas, and its way into WAL."""

import os
import sqlite3
import time
from contextlib import suppress
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.pool import StaticPool

# How long a write waits for another process to give the lock back, in milliseconds.
BUSY_TIMEOUT_MS = 5000


def sqlite_engine(url: URL) -> Engine:
    options: dict[str, Any] = {"hide_parameters": True, "connect_args": {"check_same_thread": False}}
    if url.database in (None, "", ":memory:"):
        options["poolclass"] = StaticPool
    else:
        # One connection for each lane; a third caller cannot come.
        options |= {"pool_size": 2, "max_overflow": 0}
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
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


def create_private(name: str | None) -> None:
    """Make a new database file readable for its owner alone, since it holds password hashes."""
    if not name or name.startswith((":", "file:")):
        return
    # What goes wrong here goes wrong in connecting too, and is told there.
    with suppress(OSError):
        os.close(os.open(name, os.O_CREAT | os.O_EXCL, 0o600))
