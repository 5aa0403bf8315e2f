"""Both kinds of database, for a test to take the one after the other; and each from outside the store."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

import anyio
import psycopg
import pytest
from alembic.config import Config
from sqlalchemy import Engine, create_engine

from callcov_auth.store import schema
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

    @contextmanager
    def locked(self) -> Iterator[Any]:
        """Hold what writes need, until the block ends or the connection that it gives commits."""
        with self.connection() as connection:
            if self.kind == "sqlite":
                connection.execute("BEGIN IMMEDIATE")
            else:
                connection.execute("BEGIN")
                connection.execute("LOCK TABLE callcov_users IN EXCLUSIVE MODE")
            yield connection

    def tables(self) -> set[str]:
        """The names of all tables, also of other programs'."""
        if self.kind == "sqlite":
            rows = self.query(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
        else:
            rows = self.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in rows}

    def definitions(self) -> list[tuple[Any, ...]]:
        """All that the database keeps of our tables, their columns, constraints and indexes."""
        if self.kind == "postgres":
            return [row for statement in _POSTGRES_DEFINITIONS for row in self.query(statement)]
        rows = self.query(
            "SELECT name, sql FROM sqlite_master WHERE name LIKE '%callcov%' AND sql IS NOT NULL"
        )
        return sorted((name, *_clauses(text)) for name, text in rows if name != "callcov_schema")


# In the order of their names, since a column that came later stands at the end.
_POSTGRES_DEFINITIONS = (
    "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default "
    "FROM information_schema.columns WHERE table_name LIKE 'callcov%' ORDER BY 1, 2",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE conrelid::regclass::text LIKE 'callcov%' AND conrelid::regclass::text <> 'callcov_schema' "
    "ORDER BY 1, 2",
    "SELECT tablename, indexdef FROM pg_indexes WHERE tablename LIKE 'callcov%' "
    "AND tablename <> 'callcov_schema' ORDER BY 1, 2",
    "SELECT sequencename, data_type::text FROM pg_sequences ORDER BY 1",
)


def _clauses(text: str) -> list[str]:
    """The parts of a definition, but for white space and, of a table, their order."""
    clauses = "".join(text.split()).removesuffix(")").split(",")
    return sorted(clauses) if text.startswith("CREATE TABLE") else clauses


@contextmanager
def engine_of(database: Database) -> Iterator[Engine]:
    engine = create_engine(database.url.replace("postgresql:", "postgresql+psycopg:"))
    yield engine
    engine.dispose()


def alembic(database: Database, run: Callable[[Config], None]) -> None:
    """Let ``run`` give a command of Alembic's, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with engine_of(database) as engine, engine.begin() as connection:
        if database.kind == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        run(config)


@pytest.fixture(scope="session")
def _shared_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """One database that has its tables; making one takes longer than most tests."""
    with postgres_server.database() as url:
        anyio.run(_open_and_close, url)
        yield url


@pytest.fixture
def postgres_database(_shared_postgres: str, postgres_server: PostgresServer) -> Iterator[Database]:
    """A database on PostgreSQL with our tables and nothing in them."""
    database = Database("postgres", _shared_postgres)
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    database.run(f"TRUNCATE {tables} RESTART IDENTITY")
    yield database
    postgres_server.forget(_shared_postgres)


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Database:
    return Database("sqlite", f"sqlite:///{tmp_path / 'auth.db'}")


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Database:
    """Each kind in turn, with nothing in it."""
    found: Database = request.getfixturevalue(f"{request.param}_database")
    return found


@pytest.fixture(params=KINDS)
def new_databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Each kind in turn: calling it makes a database that no store was ever opened on."""
    numbers = count(1)
    if request.param == "sqlite":
        yield lambda: Database("sqlite", f"sqlite:///{tmp_path / f'new_{next(numbers)}.db'}")
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with ExitStack() as stack:
        yield lambda: Database("postgres", stack.enter_context(server.database()))


@pytest.fixture
def new_database(new_databases: Callable[[], Database]) -> Database:
    return new_databases()


async def _open_and_close(url: str) -> None:
    store = SqlStore(url)
    await store.open()
    await store.aclose()
