"""Both kinds of database, for a test to take the one after the other; and each from outside the store."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import psycopg
import pytest

from callcov_auth.store.sql import SqlStore
from callcov_auth.store.tables import metadata
from tests.support.postgres_server import PostgresServer

Kind = Literal["sqlite", "postgres"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgres")


@dataclass(frozen=True, slots=True)
class Database:
    """A database that a store is to be opened on."""

    kind: Kind
    url: str

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self.connection() as connection:
            return [tuple(row) for row in connection.execute(statement).fetchall()]

    def run(self, *statements: str) -> None:
        with self.connection() as connection:
            for statement in statements:
                connection.execute(statement)

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection of another program's, outside of a transaction until it begins one."""
        if self.kind == "sqlite":
            file = self.url.removeprefix("sqlite:///")
            made: Any = sqlite3.connect(file, timeout=20, isolation_level=None, check_same_thread=False)
        else:
            made = psycopg.connect(self.url, autocommit=True)
        with closing(made):
            yield made


@pytest.fixture(scope="session")
def _emptied_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """One database that has its tables; making one takes longer than most tests."""
    with postgres_server.database() as url:
        anyio.run(_open_and_close, url)
        yield url


@pytest.fixture
def postgres_database(_emptied_postgres: str) -> Database:
    """A database on PostgreSQL with our tables and nothing in them."""
    database = Database("postgres", _emptied_postgres)
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    database.run(f"TRUNCATE {tables} RESTART IDENTITY")
    return database


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Database:
    return Database("sqlite", f"sqlite:///{tmp_path / 'auth.db'}")


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Database:
    """Each kind in turn, with nothing in it."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture(params=KINDS)
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Each kind in turn, that no store was ever opened on."""
    if request.param == "sqlite":
        yield Database("sqlite", f"sqlite:///{tmp_path / 'new.db'}")
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        yield Database("postgres", url)


async def _open_and_close(url: str) -> None:
    store = SqlStore(url)
    await store.open()
    await store.aclose()
