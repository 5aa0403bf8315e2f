"""What there is about SQLite's file: its connections, its mode, and files that are not as they should be."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from sqlalchemy import event
from sqlalchemy.pool import Pool

from callcov_auth.errors import AuthUnavailable
from callcov_auth.store import sqlite
from callcov_auth.store.protocol import Store
from callcov_auth.store.sql import SqlStore
from callcov_auth.testing.store_contract.samples import make_user, with_user
from tests.support.databases import Database

pytestmark = pytest.mark.anyio

FULL = 2


@pytest.fixture
def path(sqlite_database: Database) -> Path:
    return Path(sqlite_database.url.removeprefix("sqlite:///"))


@pytest.fixture
async def store(sqlite_database: Database) -> AsyncIterator[SqlStore]:
    opened = SqlStore(sqlite_database.url)
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
def pragmas_in_use() -> Iterator[set[tuple[Any, ...]]]:
    """Fills with what SQLite says of itself on every connection that a store takes."""
    seen: set[tuple[Any, ...]] = set()

    def look(connection: Any, *_: Any) -> None:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        with closing(connection.cursor()) as cursor:
            seen.add(tuple(cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in names))

    event.listen(Pool, "checkout", look)
    yield seen
    event.remove(Pool, "checkout", look)


async def test_every_connection_is_durable_patient_and_checks_foreign_keys(
    pragmas_in_use: set[tuple[Any, ...]], store: SqlStore
) -> None:
    await _at_once(*(lambda: store.user("usr_1") for _ in range(5)), *_additions(store, 5))
    assert pragmas_in_use == {("wal", FULL, 1, sqlite.BUSY_TIMEOUT_MS)}


async def test_a_new_file_is_its_owners_alone(path: Path, store: SqlStore) -> None:
    await with_user(store)
    for name in (path, f"{path}-wal", f"{path}-shm"):
        assert (await anyio.Path(name).stat()).st_mode & 0o777 == 0o600


async def test_a_file_that_was_there_keeps_its_mode(path: Path, sqlite_database: Database) -> None:
    await anyio.Path(path).touch(0o640)
    store = SqlStore(sqlite_database.url)
    await store.open()
    await store.aclose()
    assert (await anyio.Path(path).stat()).st_mode & 0o777 == 0o640


async def test_opening_a_new_file_waits_for_another_programs_lock(sqlite_database: Database) -> None:
    """As when several processes start on one new file: the switch to WAL is where SQLite does not wait."""
    store = SqlStore(sqlite_database.url)
    with sqlite_database.locked() as other:
        async with anyio.create_task_group() as group:
            group.start_soon(store.open)
            await anyio.sleep(0.1)
            await to_thread.run_sync(other.execute, "COMMIT")
    assert await store.users() == []
    await store.aclose()


async def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'no such folder' / 'auth.db'}")
    with pytest.raises(AuthUnavailable):
        await store.open()
    await store.aclose()


async def test_a_file_that_is_no_database_is_unavailable_and_left_as_it_is(
    path: Path, sqlite_database: Database
) -> None:
    minutes = b"minutes of the meeting" * 100
    await anyio.Path(path).write_bytes(minutes)
    store = SqlStore(sqlite_database.url)
    with pytest.raises(AuthUnavailable):
        await store.open()
    await store.aclose()
    assert await anyio.Path(path).read_bytes() == minutes


async def _at_once(*calls: Callable[[], Awaitable[object]]) -> None:
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call)


def _additions(store: Store, count: int) -> list[Callable[[], Awaitable[None]]]:
    return [lambda number=number: store.add_user(make_user(f"usr_{number}")) for number in range(count)]
