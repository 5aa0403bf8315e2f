"""SQLite from outside the store: what another program does to the same file."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

_OTHER_PROCESS = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
connection.execute(sys.argv[2])
connection.close()
"""


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def run_sql(path: Path, *statements: str) -> None:
    with closing(_connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(_connect(path)) as connection:
        return connection.execute(statement).fetchall()


def run_sql_in_another_process(path: Path, statement: str) -> None:
    subprocess.run([sys.executable, "-c", _OTHER_PROCESS, str(path), statement], check=True, timeout=60)


@contextmanager
def write_lock(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold the database's write lock, until the block ends or the connection commits."""
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=20, isolation_level=None, check_same_thread=False)
