"""What is PostgreSQL's own: its address, as psycopg takes it, and statements that it keeps."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, event, text

from callcov_auth.settings import SettingsError
from callcov_auth.store import postgres
from callcov_auth.store.postgres import postgres_database
from callcov_auth.store.sql import SqlStore
from callcov_auth.testing.store_contract.samples import make_key, with_keys, with_user
from tests.support.postgres_server import PostgresServer

PASSWORD = "a-password-that-nobody-may-see"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://app:{PASSWORD}@db.example/auth?colour={PASSWORD}",
        f"postgresql://app:{PASSWORD}@[::1/auth",
    ],
)
def test_an_address_that_cannot_be_read_stops_the_start_and_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"DATABASE_URL: .* write postgresql://USER:PASS") as refusal:
        SqlStore(url)
    assert PASSWORD not in str(refusal.value)
    assert refusal.value.__context__ is None


def test_what_libpq_knows_can_be_said() -> None:
    options = postgres._options(
        "postgres://app@one.example:5432,two.example:5433/auth?target_session_attrs=read-write"
    )
    assert options["host"] == "one.example,two.example"
    assert options["target_session_attrs"] == "read-write"


def test_asyncpgs_word_for_tls_is_understood() -> None:
    assert postgres._options("postgresql+asyncpg://db.example/auth?ssl=require")["sslmode"] == "require"


@pytest.fixture
async def store(postgres_server: PostgresServer) -> AsyncIterator[SqlStore]:
    """On a database of its own, with a key in it."""
    with postgres_server.database() as url:
        opened = SqlStore(url)
        await opened.open()
        await with_user(opened)
        await with_keys(opened, make_key())
        yield opened
        await opened.aclose()


async def _look_up(store: SqlStore) -> None:
    for _ in range(2 * postgres.PREPARE_THRESHOLD):
        assert len(await store.keys_by_digest([make_key().digest])) == 1


async def _kept(store: SqlStore) -> int:
    """How many statements the server keeps for the connection that was used last."""
    counted = "SELECT count(*) FROM pg_prepared_statements WHERE from_sql = false"
    return await store.lanes.read(lambda connection: int(connection.exec_driver_sql(counted).scalar_one()))


@pytest.mark.anyio
async def test_the_server_keeps_a_statement_that_is_asked_again(store: SqlStore) -> None:
    await _look_up(store)
    assert await _kept(store) > 0


@pytest.mark.anyio
async def test_behind_a_pooler_no_statement_is_kept(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pooler tells a process id that is none of the server's."""
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", property(lambda _: 1))
    await store.aclose()
    await _look_up(store)
    assert await _kept(store) == 0


@pytest.mark.anyio
async def test_a_statement_that_a_migration_has_overtaken_is_answered(store: SqlStore) -> None:
    """PostgreSQL refuses to go on with it, and psycopg does not forget it."""
    await _look_up(store)
    change = "ALTER TABLE callcov_users ALTER COLUMN scopes TYPE varchar(5000)"
    await store.lanes.write(lambda connection: connection.exec_driver_sql(change))
    await _look_up(store)


def test_a_place_of_the_writers_pool_that_cannot_be_filled_is_passed_over(tmp_path: Path) -> None:
    ours: Any = postgres_database("postgresql:///auth").writing
    engine = create_engine(
        f"sqlite:///{tmp_path}/some.db",
        pool_size=2,
        max_overflow=0,
        pool_use_lifo=ours.engine.pool._pool.use_lifo,
    )
    lost, kept = engine.connect(), engine.connect()
    kept.close()
    lost.invalidate()
    lost.close()

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("too many connections")

    event.listen(engine, "do_connect", full)
    writers = type(ours)(engine)
    for _ in range(4):
        with writers.begin() as connection:
            assert connection.execute(text("SELECT 7")).scalar_one() == 7
    writers.dispose()
