"""The schema: migrations give what the code says, older databases are brought along, newer are refused."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import copytree

import anyio
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from callcov_auth.errors import AuthUnavailable
from callcov_auth.store import schema
from callcov_auth.store.protocol import SchemaError
from callcov_auth.store.sql import SqlStore
from callcov_auth.store.tables import metadata
from callcov_auth.testing.store_contract.samples import make_user
from tests.support.databases import Database, alembic, engine_of

NEWEST = "0010"
TABLES = {
    *("callcov_users", "callcov_api_keys", "callcov_sessions", "callcov_revocations"),
    *("callcov_signing_keys", "callcov_audit", "callcov_schema"),
}
CURE = "CALLCOV_AUTH_AUTO_MIGRATE=true"

# What a later version of the package might bring.
NEXT_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9998", "0010", None, None


def upgrade() -> None:
    op.create_table("callcov_notes", sa.Column("id", sa.Integer(), nullable=False))
    op.add_column("callcov_users", sa.Column("note", sa.Text()))
"""
BROKEN_STATEMENT = '    op.execute("INSERT INTO no_such_table VALUES (1)")\n'

OPENER = """
import sys, time, anyio
from callcov_auth.store.sql import SqlStore


async def open_and_close(url):
    store = SqlStore(url)
    try:
        await store.open()
    finally:
        await store.aclose()


print("ready", flush=True)
for line in sys.stdin:
    start, url = line.split()
    while time.time() < float(start):
        pass
    anyio.run(open_and_close, url)
    print("opened", flush=True)
"""
ROUNDS = 10
AT_ONCE = 4
# Seconds, enough for each process to have read where to start.
TOGETHER_IN = 0.02


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Calling it turns the installed package into a later version, with one more migration."""

    def install(migration: str) -> None:
        copied = tmp_path / "later" / "migrations"
        copytree(Path(schema.__file__).parent / "migrations", copied)
        (copied / "versions" / "v9998_next.py").write_text(migration)
        monkeypatch.setattr(schema, "__file__", str(copied.parent / "schema.py"))

    return install


def test_the_migrations_give_exactly_the_tables(new_database: Database) -> None:
    anyio.run(_open_and_close, new_database)
    with engine_of(new_database) as engine, engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": "callcov_schema"}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    assert differences == []


def test_the_migrations_and_the_tables_are_the_same_to_the_letter(
    new_databases: Callable[[], Database],
) -> None:
    """Beyond what Alembic compares: AUTOINCREMENT, and the names of constraints."""
    migrated, direct = new_databases(), new_databases()
    anyio.run(_open_and_close, migrated)
    migrated.run("DROP TABLE callcov_schema")
    with engine_of(direct) as engine:
        metadata.create_all(engine)
    assert migrated.definitions() == direct.definitions()


def test_an_empty_database_is_brought_up_to_date(new_database: Database) -> None:
    anyio.run(_open_and_close, new_database)
    assert new_database.tables() == TABLES
    assert _revision(new_database) == [(NEWEST,)]


def test_opening_twice_changes_nothing(new_database: Database) -> None:
    anyio.run(_open_and_close, new_database)
    before = new_database.definitions()
    anyio.run(_open_and_close, new_database)
    assert new_database.definitions() == before


def test_a_database_that_is_made_like_the_one_before_is_the_same_to_the_letter(
    new_databases: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_made", {})
    migrated, like_it = new_databases(), new_databases()
    anyio.run(_add_a_user, migrated)
    anyio.run(_open_and_close, like_it)
    assert like_it.definitions() == migrated.definitions()
    assert _revision(like_it) == [(NEWEST,)]
    assert like_it.query("SELECT id FROM callcov_users") == []


def test_what_another_program_keeps_comes_into_no_other_database(
    new_databases: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_made", {})
    shared, own = new_databases(), new_databases()
    shared.run("CREATE TABLE orders (id INTEGER)", "INSERT INTO orders VALUES (7)")
    anyio.run(_open_and_close, shared)
    anyio.run(_open_and_close, own)
    assert own.tables() == TABLES


def test_another_programs_tables_in_the_same_database_are_left_alone(new_database: Database) -> None:
    new_database.run("CREATE TABLE orders (id INTEGER)", "INSERT INTO orders VALUES (7)")
    anyio.run(_open_and_close, new_database)
    assert new_database.query("SELECT id FROM orders") == [(7,)]
    assert new_database.tables() == {"orders", *TABLES}


def test_an_older_database_is_brought_up_to_date_and_keeps_its_rows(
    new_database: Database, next_version: Callable[[str], None]
) -> None:
    anyio.run(_add_a_user, new_database)
    next_version(NEXT_MIGRATION)
    anyio.run(_open_and_close, new_database)
    assert _revision(new_database) == [("9998",)]
    assert new_database.query("SELECT id, note FROM callcov_users") == [("usr_1", None)]


def test_an_older_database_is_refused_where_migrating_is_off(
    new_database: Database, next_version: Callable[[str], None]
) -> None:
    anyio.run(_open_and_close, new_database)
    next_version(NEXT_MIGRATION)
    with pytest.raises(SchemaError, match=rf"is {NEWEST}, .* needs 9998: set {CURE}"):
        anyio.run(_open_and_close, new_database, False)
    assert _revision(new_database) == [(NEWEST,)]


def test_an_empty_database_is_refused_where_migrating_is_off(new_database: Database) -> None:
    with pytest.raises(SchemaError, match=rf"is empty, .* needs {NEWEST}: set {CURE}"):
        anyio.run(_open_and_close, new_database, False)
    assert new_database.tables() == set()


def test_a_database_up_to_date_opens_where_migrating_is_off(new_database: Database) -> None:
    anyio.run(_open_and_close, new_database)
    anyio.run(_open_and_close, new_database, False)
    assert _revision(new_database) == [(NEWEST,)]


@pytest.mark.parametrize("migrate", [True, False])
def test_a_newer_database_is_refused_and_left_as_it_is(new_database: Database, migrate: bool) -> None:
    anyio.run(_add_a_user, new_database)
    new_database.run("UPDATE callcov_schema SET version_num = '9999'")
    with pytest.raises(SchemaError, match=rf"is 9999, newer than .* knows \({NEWEST}\): upgrade the package"):
        anyio.run(_open_and_close, new_database, migrate)
    assert _revision(new_database) == [("9999",)]
    assert new_database.query("SELECT id FROM callcov_users") == [("usr_1",)]


def test_a_migration_that_fails_half_way_leaves_the_old_schema(
    new_database: Database, next_version: Callable[[str], None]
) -> None:
    anyio.run(_add_a_user, new_database)
    before = new_database.definitions()
    next_version(NEXT_MIGRATION + BROKEN_STATEMENT)
    with pytest.raises(AuthUnavailable):
        anyio.run(_open_and_close, new_database)
    assert new_database.definitions() == before
    assert _revision(new_database) == [(NEWEST,)]
    assert new_database.query("SELECT id FROM callcov_users") == [("usr_1",)]


def test_threads_that_open_one_empty_database_at_once_are_all_served(
    new_databases: Callable[[], Database],
) -> None:
    for _ in range(ROUNDS):
        database = new_databases()
        together = threading.Barrier(AT_ONCE)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            opened = [threads.submit(_open_together, database, together) for _ in range(AT_ONCE)]
        assert [future.exception() for future in opened] == [None] * AT_ONCE
        assert _revision(database) == [(NEWEST,)]


def test_processes_that_open_one_empty_database_at_once_are_all_served(
    new_databases: Callable[[], Database],
) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(_opener()) for _ in range(AT_ONCE)]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * AT_ONCE
        for _ in range(ROUNDS):
            database = new_databases()
            start = time.time() + TOGETHER_IN
            for process in processes:
                process.stdin.write(f"{start} {database.url}\n")
                process.stdin.flush()
            said = [process.stdout.readline() or process.stderr.read() for process in processes]
            assert said == ["opened\n"] * AT_ONCE
            assert _revision(database) == [(NEWEST,)]


def test_the_scripts_lead_down_to_nothing_and_up_again(new_database: Database) -> None:
    anyio.run(_open_and_close, new_database)
    made = new_database.definitions()
    alembic(new_database, lambda config: command.downgrade(config, "base"))
    assert new_database.tables() - {"callcov_schema"} == set()
    alembic(new_database, lambda config: command.upgrade(config, "head"))
    assert new_database.definitions() == made
    assert _revision(new_database) == [(NEWEST,)]


async def _open_and_close(database: Database, auto_migrate: bool = True) -> None:
    store = SqlStore(database.url, auto_migrate=auto_migrate)
    try:
        await store.open()
    finally:
        await store.aclose()


async def _add_a_user(database: Database) -> None:
    store = SqlStore(database.url)
    await store.open()
    await store.add_user(make_user())
    await store.aclose()


def _open_together(database: Database, together: threading.Barrier) -> None:
    together.wait(20)
    anyio.run(_open_and_close, database)


@contextmanager
def _opener() -> Iterator["subprocess.Popen[str]"]:
    """Another process, which opens a store for each URL that it is given."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", OPENER], text=True, **pipes) as process:
        yield process
        process.stdin.close()
        process.wait(60)


def _revision(database: Database) -> list[tuple[str]]:
    return database.query("SELECT version_num FROM callcov_schema")
