"""What both databases add to the contract: durable, concurrent, shared with others, and bounded."""

import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import anyio
import pytest
from anyio import to_thread
from sqlalchemy import Engine, event

from callcov_auth.errors import AuthUnavailable, Conflict
from callcov_auth.store import postgres, sql, sqlite, statements
from callcov_auth.store.protocol import AuditEntry, Change, Store
from callcov_auth.store.sql import SqlStore
from callcov_auth.testing.store_contract.samples import (
    NO_LIMIT,
    NOW,
    make_key,
    make_session,
    make_user,
    with_keys,
    with_user,
)
from tests.support.databases import Database

pytestmark = pytest.mark.anyio

LATER = NOW + 60
# What SQLite does, in instructions of its machine, to read a row and pass it over.
STEPS_A_ROW = 4

OTHER_PROCESS = """
import sys
kind, url, statement = sys.argv[1:]
if kind == "sqlite":
    import sqlite3
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20, isolation_level=None)
else:
    import psycopg
    connection = psycopg.connect(url, autocommit=True)
connection.execute(statement)
connection.close()
"""


@pytest.fixture
async def store(database: Database) -> AsyncIterator[SqlStore]:
    opened = SqlStore(database.url)
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.fixture
async def impatient(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqlStore]:
    """A store that waits but a moment for a lock."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 20)
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", 0.02)
    opened = SqlStore(database.url)
    await opened.open()
    yield opened
    await opened.aclose()


async def test_what_was_stored_is_there_after_reopening(database: Database, store: SqlStore) -> None:
    await with_user(store)
    await store.aclose()
    reopened = SqlStore(database.url)
    await reopened.open()
    assert await reopened.users() == [make_user()]
    await reopened.aclose()


async def test_a_closed_store_can_be_opened_again(store: SqlStore) -> None:
    await with_user(store)
    await store.aclose()
    await store.open()
    assert await store.users() == [make_user()]


@pytest.mark.parametrize("driver", ["aiosqlite", "asyncpg", "psycopg"])
async def test_a_drivers_name_in_the_url_is_read_as_its_database(driver: str, database: Database) -> None:
    scheme, _, rest = database.url.partition("://")
    store = SqlStore(f"{scheme}+{driver}://{rest}")
    await store.open()
    await with_user(store)
    await store.aclose()
    assert database.query("SELECT id FROM callcov_users") == [("usr_1",)]


async def test_a_write_of_another_process_is_seen_at_once(database: Database, store: SqlStore) -> None:
    await with_user(store)
    assert await store.user("usr_1") == make_user()
    statement = "UPDATE callcov_users SET scopes = 'calls:*'"
    command = [sys.executable, "-c", OTHER_PROCESS, database.kind, database.url, statement]
    await anyio.run_process(command)
    assert await store.user("usr_1") == make_user(scopes=frozenset({"calls:*"}))


async def test_a_write_waits_for_another_programs_lock(database: Database, store: SqlStore) -> None:
    with database.locked() as other:
        async with anyio.create_task_group() as group:
            group.start_soon(store.add_user, make_user())
            await anyio.sleep(0.1)
            await to_thread.run_sync(other.execute, "COMMIT")
    assert await store.users() == [make_user()]


async def test_a_lock_that_is_held_too_long_is_unavailable(database: Database, impatient: SqlStore) -> None:
    with database.locked(), pytest.raises(AuthUnavailable) as refusal:
        await impatient.add_user(make_user())
    told = {"sqlite": "store_OperationalError", "postgres": "store_LockNotAvailable"}
    assert refusal.value.reason == told[database.kind]
    assert await impatient.users() == []


async def test_reads_go_on_while_a_write_waits_for_a_lock(database: Database, store: SqlStore) -> None:
    await with_user(store)
    with database.locked() as other:
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: store.disable_user("usr_1", at=LATER))
            await anyio.wait_all_tasks_blocked()
            assert await store.user("usr_1") == make_user()
            await to_thread.run_sync(other.execute, "COMMIT")
    assert await store.user("usr_1") == make_user(disabled_at=LATER)


async def test_writes_go_on_when_the_lock_was_given_back(database: Database, impatient: SqlStore) -> None:
    with database.locked(), pytest.raises(AuthUnavailable):
        await impatient.add_user(make_user())
    await impatient.add_user(make_user())
    assert await impatient.users() == [make_user()]


async def test_a_caller_cancelled_while_the_lock_is_held_leaves_all_or_nothing(
    database: Database, store: SqlStore
) -> None:
    await with_user(store)
    old, new = make_key("key_1"), make_key("key_2", created_at=LATER)
    await with_keys(store, old)

    async def rotate() -> None:
        await store.replace_key(old.id, new, ends_at=LATER, max_active=NO_LIMIT)

    with database.locked() as other:
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
LAST_PART_FAILS = {
    "sqlite": "CREATE TRIGGER full BEFORE INSERT ON callcov_revocations "
    "BEGIN SELECT RAISE(ABORT, 'full'); END",
    "postgres": 'ALTER TABLE callcov_revocations ADD CONSTRAINT "full" CHECK (id < 0)',
}


@pytest.mark.parametrize("write", WRITES_OF_SEVERAL_PARTS.values(), ids=WRITES_OF_SEVERAL_PARTS)
async def test_a_write_that_fails_in_its_last_part_undoes_the_others(
    write: Write, new_database: Database
) -> None:
    store = SqlStore(new_database.url)
    await store.open()
    await with_user(store)
    await with_keys(store, make_key())
    await store.add_session(make_session())
    new_database.run(LAST_PART_FAILS[new_database.kind])
    with pytest.raises((Conflict, AuthUnavailable)):
        await write(store)
    assert await store.users() == [make_user()]
    assert await store.session("ses_1") == make_session()
    page = await store.keys(None, at=NOW, include_expired=True, limit=NO_LIMIT, cursor=None)
    assert page.keys == [make_key()]
    await store.aclose()


async def test_a_session_that_cannot_be_added_undoes_what_its_login_deleted(
    database: Database, store: SqlStore
) -> None:
    """It is written past SQLAlchemy, which undoes and names errors for all else."""
    await with_user(store)
    await store.add_session(make_session(expires_at=LATER))
    await store.add_session(make_session("ses_2"))
    with pytest.raises(Conflict):
        # The first has ended by then, and the second has the same id.
        await store.add_session(make_session("ses_2", created_at=LATER, expires_at=LATER + 1))
    assert await store.session("ses_1") == make_session(expires_at=LATER)
    # On the same connection.
    await store.add_session(make_session("ses_3"))
    assert database.query("SELECT id FROM callcov_sessions ORDER BY id") == [
        ("ses_1",),
        ("ses_2",),
        ("ses_3",),
    ]


async def test_a_session_waits_for_another_writer_no_longer_than_the_bound(
    database: Database, impatient: SqlStore
) -> None:
    await with_user(impatient)
    password_hash = make_user().password_hash
    with database.locked(), pytest.raises(AuthUnavailable) as refusal:
        await impatient.add_session(make_session(), password_hash=password_hash)
    assert refusal.value.reason in ("store_OperationalError", "store_LockNotAvailable")
    assert await impatient.add_session(make_session(), password_hash=password_hash)


async def test_as_many_changes_as_one_poll_reads_are_told_one_by_one(
    database: Database, store: SqlStore
) -> None:
    _make_changes(database, statements.MAX_CHANGES)
    cursor, changes = await store.changes_after(0)
    assert changes == [Change("key", f"key_{number}") for number in range(1, statements.MAX_CHANGES + 1)]
    assert await store.changes_after(cursor) == (cursor, [])


@pytest.mark.parametrize("known", [0, 1])
async def test_more_changes_than_one_poll_reads_are_told_as_too_many(
    known: int, database: Database, store: SqlStore
) -> None:
    _make_changes(database, statements.MAX_CHANGES + known + 1)
    cursor, changes = await store.changes_after(known)
    assert changes is None
    await store.revoke_session("ses_1", at=NOW)
    assert (await store.changes_after(cursor))[1] == [Change("session", "ses_1")]


async def test_just_as_many_changes_after_a_known_one_are_told(database: Database, store: SqlStore) -> None:
    _make_changes(database, statements.MAX_CHANGES + 1)
    _, changes = await store.changes_after(1)
    assert changes is not None
    assert len(changes) == statements.MAX_CHANGES


async def test_changes_are_forgotten_when_no_cache_can_contradict_them_any_more(
    database: Database, store: SqlStore
) -> None:
    await store.revoke_session("ses_1", at=NOW - sql.CHANGES_KEPT - 1)
    await store.revoke_session("ses_2", at=NOW - sql.CHANGES_KEPT)
    await store.revoke_session("ses_3", at=NOW)
    kept = database.query("SELECT target_id FROM callcov_revocations ORDER BY id")
    assert kept == [("ses_2",), ("ses_3",)]


async def test_a_cursor_never_meets_a_change_under_a_number_that_was_used_before(
    database: Database, store: SqlStore
) -> None:
    await store.revoke_session("ses_1", at=NOW)
    cursor, _ = await store.changes_after(None)
    database.run("DELETE FROM callcov_revocations")
    await store.revoke_session("ses_2", at=NOW)
    assert (await store.changes_after(cursor))[1] == [Change("session", "ses_2")]


async def test_in_a_database_that_was_set_back_everything_may_have_changed(
    database: Database, store: SqlStore
) -> None:
    """As a backup does it, or a fail-over to a server that had not heard of the newest writes."""
    for number in range(5):
        await store.revoke_session(f"ses_{number}", at=NOW)
    cursor, _ = await store.changes_after(None)
    database.run("DELETE FROM callcov_revocations WHERE id > 3")
    newest, changes = await store.changes_after(cursor)
    assert (newest, changes) == (3, None)
    assert await store.changes_after(newest) == (newest, [])


def _make_changes(database: Database, count: int) -> None:
    database.run(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
        f"INSERT INTO callcov_revocations (target, target_id, at) SELECT 'key', 'key_' || i, {NOW} FROM n"
    )


async def test_what_is_older_is_not_read_for_what_came_since(store: SqlStore, database: Database) -> None:
    nobody = dict.fromkeys(("actor", "subject", "key_id", "session_id", "client", "request_id"))
    old, new = 20_000, 2_000
    await store.add_audit_entries(
        [AuditEntry(at=NOW + at, event="key_created", detail="{}", **nobody) for at in range(old + new)]
    )
    if database.kind == "postgres":
        database.run("ANALYZE callcov_audit")
    asked: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        page = await store.audit_entries(after=0, since=NOW + old, limit=10)
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    assert [entry.at for entry in page] == [NOW + old + number for number in range(10)]
    assert _passed_over(database, *asked[-1]) < old / 2


def _passed_over(database: Database, statement: str, values: Any) -> int:
    """Return about how many rows are read in vain: as PostgreSQL tells, and as SQLite's steps let guess."""
    with database.connection() as connection:
        if database.kind == "postgres":
            told = connection.execute(f"EXPLAIN ANALYZE {statement}", values).fetchall()
            return sum(map(int, re.findall(r"Rows Removed by Filter: (\d+)", str(told))))
        steps = count()
        connection.set_progress_handler(lambda: next(steps) < 0, STEPS_A_ROW)
        assert connection.execute(statement, values).fetchall()
        return next(steps)
