"""What SQLite adds to the contract: durable and concurrent files, other processes, faults."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from sqlalchemy import event
from sqlalchemy.pool import Pool

from callcov_auth.errors import AuthUnavailable, Conflict
from callcov_auth.store import sql, sqlite
from callcov_auth.store.protocol import Change, Store
from callcov_auth.store.sql import SqlStore
from tests.store.contract.samples import (
    NO_LIMIT,
    NOW,
    make_key,
    make_session,
    make_user,
    with_keys,
    with_user,
)
from tests.store.sqlite_files import query, run_sql, run_sql_in_another_process, url_of, write_lock

pytestmark = pytest.mark.anyio

FULL = 2
LATER = NOW + 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    opened = SqlStore(url_of(path))
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
async def impatient(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqlStore]:
    """A store that waits but a moment for a lock."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 20)
    opened = SqlStore(url_of(path))
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


async def test_a_file_that_was_there_keeps_its_mode(path: Path) -> None:
    await anyio.Path(path).touch(0o640)
    store = SqlStore(url_of(path))
    await store.open()
    await store.aclose()
    assert (await anyio.Path(path).stat()).st_mode & 0o777 == 0o640


async def test_what_was_stored_is_there_after_reopening(path: Path, store: SqlStore) -> None:
    await with_user(store)
    await store.aclose()
    reopened = SqlStore(url_of(path))
    await reopened.open()
    assert await reopened.users() == [make_user()]
    await reopened.aclose()


async def test_a_closed_store_can_be_opened_again(store: SqlStore) -> None:
    await with_user(store)
    await store.aclose()
    await store.open()
    assert await store.users() == [make_user()]


async def test_an_async_drivers_name_in_the_url_is_read_as_its_database(path: Path) -> None:
    store = SqlStore(f"sqlite+aiosqlite:///{path}")
    await store.open()
    await with_user(store)
    await store.aclose()
    assert query(path, "SELECT id FROM callcov_users") == [("usr_1",)]


async def test_a_write_of_another_process_is_seen_at_once(path: Path, store: SqlStore) -> None:
    await with_user(store)
    assert await store.user("usr_1") == make_user()
    run_sql_in_another_process(path, "UPDATE callcov_users SET scopes = 'calls:*'")
    assert await store.user("usr_1") == make_user(scopes=frozenset({"calls:*"}))


async def test_a_write_waits_for_another_programs_lock(path: Path, store: SqlStore) -> None:
    await _while_locked_for_a_moment(path, lambda: store.add_user(make_user()))
    assert await store.users() == [make_user()]


async def test_opening_a_new_file_waits_for_another_programs_lock(path: Path) -> None:
    """As when several processes start on one new file: the switch to WAL is where SQLite does not wait."""
    store = SqlStore(url_of(path))
    await _while_locked_for_a_moment(path, store.open)
    assert await store.users() == []
    await store.aclose()


async def test_a_lock_that_is_held_too_long_is_unavailable(path: Path, impatient: SqlStore) -> None:
    with write_lock(path), pytest.raises(AuthUnavailable) as refusal:
        await impatient.add_user(make_user())
    assert refusal.value.reason == "store_OperationalError"
    assert await impatient.users() == []


async def test_reads_go_on_while_a_write_waits_for_a_lock(path: Path, store: SqlStore) -> None:
    await with_user(store)
    with write_lock(path) as other:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: store.disable_user("usr_1", at=LATER))
            await anyio.wait_all_tasks_blocked()
            assert await store.user("usr_1") == make_user()
            await to_thread.run_sync(other.execute, "COMMIT")
    assert await store.user("usr_1") == make_user(disabled_at=LATER)


async def test_writes_go_on_when_the_lock_was_given_back(path: Path, impatient: SqlStore) -> None:
    with write_lock(path), pytest.raises(AuthUnavailable):
        await impatient.add_user(make_user())
    await impatient.add_user(make_user())
    assert await impatient.users() == [make_user()]


async def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    store = SqlStore(url_of(tmp_path / "no such folder" / "auth.db"))
    with pytest.raises(AuthUnavailable):
        await store.open()
    await store.aclose()


async def test_a_file_that_is_no_database_is_unavailable_and_left_as_it_is(path: Path) -> None:
    minutes = b"minutes of the meeting" * 100
    await anyio.Path(path).write_bytes(minutes)
    store = SqlStore(url_of(path))
    with pytest.raises(AuthUnavailable):
        await store.open()
    await store.aclose()
    assert await anyio.Path(path).read_bytes() == minutes


async def test_a_caller_cancelled_while_the_lock_is_held_leaves_all_or_nothing(
    path: Path, store: SqlStore
) -> None:
    await with_user(store)
    old, new = make_key("key_1"), make_key("key_2", created_at=LATER)
    await with_keys(store, old)

    async def rotate() -> None:
        await store.replace_key(old.id, new, ends_at=LATER, max_active=NO_LIMIT)

    with write_lock(path) as other:
        async with anyio.create_task_group() as group:
            group.start_soon(rotate)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            # Commit from a thread, for a write that was begun is waited for, and it waits for this.
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(other.execute, "COMMIT")
    ended = await store.key(old.id) != old
    assert ended == (await store.key(new.id) == new)


Write = Callable[[Store], Awaitable[object]]
WRITES_OF_SEVERAL_PARTS: dict[str, Write] = {
    "change_password": lambda store: store.change_password("usr_1", "new", at=LATER),
    "set_user_scopes": lambda store: store.set_user_scopes("usr_1", frozenset({"*"}), at=LATER),
    "disable_user": lambda store: store.disable_user("usr_1", at=LATER),
    "revoke_key": lambda store: store.revoke_key("key_1", at=LATER),
    "replace_key": lambda store: store.replace_key(
        "key_1", make_key("key_2"), ends_at=LATER, max_active=NO_LIMIT
    ),
    "revoke_session": lambda store: store.revoke_session("ses_1", at=LATER),
}


@pytest.mark.parametrize("write", WRITES_OF_SEVERAL_PARTS.values(), ids=WRITES_OF_SEVERAL_PARTS)
async def test_a_write_that_fails_in_its_last_part_undoes_the_others(
    write: Write, path: Path, store: SqlStore
) -> None:
    await with_user(store)
    await with_keys(store, make_key())
    await store.add_session(make_session())
    run_sql(
        path,
        "CREATE TRIGGER full BEFORE INSERT ON callcov_revocations BEGIN SELECT RAISE(ABORT, 'full'); END",
    )
    with pytest.raises((Conflict, AuthUnavailable)):
        await write(store)
    assert await store.users() == [make_user()]
    assert await store.session("ses_1") == make_session()
    page = await store.keys(None, at=NOW, include_expired=True, limit=NO_LIMIT, cursor=None)
    assert page.keys == [make_key()]


async def test_as_many_changes_as_one_poll_reads_are_told_one_by_one(path: Path, store: SqlStore) -> None:
    _make_changes(path, sql.MAX_CHANGES)
    cursor, changes = await store.changes_after(0)
    assert changes == [Change("key", f"key_{number}") for number in range(1, sql.MAX_CHANGES + 1)]
    assert await store.changes_after(cursor) == (cursor, [])


async def test_more_changes_than_one_poll_reads_are_told_as_too_many(path: Path, store: SqlStore) -> None:
    _make_changes(path, sql.MAX_CHANGES + 5)
    cursor, changes = await store.changes_after(0)
    assert changes is None
    await store.revoke_session("ses_1", at=NOW)
    assert (await store.changes_after(cursor))[1] == [Change("session", "ses_1")]


async def test_changes_are_forgotten_when_no_cache_can_contradict_them_any_more(
    path: Path, store: SqlStore
) -> None:
    await store.revoke_session("ses_1", at=NOW - sql.CHANGES_KEPT - 1)
    await store.revoke_session("ses_2", at=NOW - sql.CHANGES_KEPT)
    await store.revoke_session("ses_3", at=NOW)
    kept = query(path, "SELECT target_id FROM callcov_revocations ORDER BY id")
    assert kept == [("ses_2",), ("ses_3",)]


async def test_a_cursor_never_meets_a_change_under_a_number_that_was_used_before(
    path: Path, store: SqlStore
) -> None:
    await store.revoke_session("ses_1", at=NOW)
    cursor, _ = await store.changes_after(None)
    run_sql(path, "DELETE FROM callcov_revocations")
    await store.revoke_session("ses_2", at=NOW)
    assert (await store.changes_after(cursor))[1] == [Change("session", "ses_2")]


def _make_changes(path: Path, count: int) -> None:
    run_sql(
        path,
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
        f"INSERT INTO callcov_revocations (target, target_id, at) SELECT 'key', 'key_' || i, {NOW} FROM n",
    )


async def _while_locked_for_a_moment(path: Path, call: Callable[[], Awaitable[object]]) -> None:
    with write_lock(path) as other:
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.sleep(0.1)
            await to_thread.run_sync(other.execute, "COMMIT")


async def _at_once(*calls: Callable[[], Awaitable[object]]) -> None:
    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(call)


def _additions(store: Store, count: int) -> list[Callable[[], Awaitable[None]]]:
    return [lambda number=number: store.add_user(make_user(f"usr_{number}")) for number in range(count)]
