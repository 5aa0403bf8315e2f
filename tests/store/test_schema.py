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
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine

from callcov_auth.errors import AuthUnavailable
from callcov_auth.store import schema
from callcov_auth.store.protocol import SchemaError
from callcov_auth.store.sql import SqlStore
from callcov_auth.store.tables import metadata
from tests.store.contract.samples import make_user
from tests.store.sqlite_files import query, run_sql, url_of

NEWEST = "0004"
TABLES = {
    *("callcov_users", "callcov_api_keys", "callcov_sessions", "callcov_revocations"),
    *("callcov_signing_keys", "callcov_schema"),
}
CURE = "CALLCOV_AUTH_AUTO_MIGRATE=true"

# What a later version of the package might bring.
NEXT_MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9998", "0004", None, None


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
def path(tmp_path: Path) -> Path:
    return tmp_path / "auth.db"


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Calling it turns the installed package into a later version, with one more migration."""

    def install(migration: str) -> None:
        copied = tmp_path / "later" / "migrations"
        copytree(Path(schema.__file__).parent / "migrations", copied)
        (copied / "versions" / "v9998_next.py").write_text(migration)
        monkeypatch.setattr(schema, "__file__", str(copied.parent / "schema.py"))

    return install


def test_the_migrations_give_exactly_the_tables(path: Path) -> None:
    anyio.run(_open_and_close, path)
    engine = create_engine(url_of(path))
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": "callcov_schema"}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    assert differences == []


def test_the_migrations_and_the_tables_are_the_same_to_the_letter(path: Path, tmp_path: Path) -> None:
    """Beyond what Alembic compares: AUTOINCREMENT, and the names of constraints."""
    anyio.run(_open_and_close, path)
    direct = tmp_path / "direct.db"
    engine = create_engine(url_of(direct))
    metadata.create_all(engine)
    engine.dispose()
    assert _definitions(path) == _definitions(direct)


def test_an_empty_database_is_brought_up_to_date(path: Path) -> None:
    anyio.run(_open_and_close, path)
    assert _tables(path) == TABLES
    assert _revision(path) == [(NEWEST,)]


def test_opening_twice_changes_nothing(path: Path) -> None:
    anyio.run(_open_and_close, path)
    before = query(path, "SELECT * FROM sqlite_master")
    anyio.run(_open_and_close, path)
    assert query(path, "SELECT * FROM sqlite_master") == before


def test_another_programs_tables_in_the_same_file_are_left_alone(path: Path) -> None:
    run_sql(path, "CREATE TABLE orders (id INTEGER)", "INSERT INTO orders VALUES (7)")
    anyio.run(_open_and_close, path)
    assert query(path, "SELECT id FROM orders") == [(7,)]


def test_an_older_database_is_brought_up_to_date_and_keeps_its_rows(
    path: Path, next_version: Callable[[str], None]
) -> None:
    anyio.run(_add_a_user, path)
    next_version(NEXT_MIGRATION)
    anyio.run(_open_and_close, path)
    assert _revision(path) == [("9998",)]
    assert query(path, "SELECT id, note FROM callcov_users") == [("usr_1", None)]


def test_an_older_database_is_refused_where_migrating_is_off(
    path: Path, next_version: Callable[[str], None]
) -> None:
    anyio.run(_open_and_close, path)
    next_version(NEXT_MIGRATION)
    with pytest.raises(SchemaError, match=rf"is {NEWEST}, .* needs 9998: set {CURE}"):
        anyio.run(_open_and_close, path, False)
    assert _revision(path) == [(NEWEST,)]


def test_an_empty_database_is_refused_where_migrating_is_off(path: Path) -> None:
    with pytest.raises(SchemaError, match=rf"is empty, .* needs {NEWEST}: set {CURE}"):
        anyio.run(_open_and_close, path, False)
    assert _tables(path) == set()


def test_a_database_up_to_date_opens_where_migrating_is_off(path: Path) -> None:
    anyio.run(_open_and_close, path)
    anyio.run(_open_and_close, path, False)
    assert _revision(path) == [(NEWEST,)]


@pytest.mark.parametrize("migrate", [True, False])
def test_a_newer_database_is_refused_and_left_as_it_is(path: Path, migrate: bool) -> None:
    anyio.run(_add_a_user, path)
    run_sql(path, "UPDATE callcov_schema SET version_num = '9999'")
    with pytest.raises(SchemaError, match=rf"is 9999, newer than .* knows \({NEWEST}\): upgrade the package"):
        anyio.run(_open_and_close, path, migrate)
    assert _revision(path) == [("9999",)]
    assert query(path, "SELECT id FROM callcov_users") == [("usr_1",)]


def test_a_migration_that_fails_half_way_leaves_the_old_schema(
    path: Path, next_version: Callable[[str], None]
) -> None:
    anyio.run(_add_a_user, path)
    before = _definitions(path)
    next_version(NEXT_MIGRATION + BROKEN_STATEMENT)
    with pytest.raises(AuthUnavailable):
        anyio.run(_open_and_close, path)
    assert _definitions(path) == before
    assert _revision(path) == [(NEWEST,)]
    assert query(path, "SELECT id FROM callcov_users") == [("usr_1",)]


def test_threads_that_open_one_empty_file_at_once_are_all_served(tmp_path: Path) -> None:
    for number in range(ROUNDS):
        path = tmp_path / f"{number}.db"
        together = threading.Barrier(AT_ONCE)
        with ThreadPoolExecutor(AT_ONCE) as threads:
            opened = [threads.submit(_open_together, path, together) for _ in range(AT_ONCE)]
        assert [future.exception() for future in opened] == [None] * AT_ONCE
        assert _revision(path) == [(NEWEST,)]


def test_processes_that_open_one_empty_file_at_once_are_all_served(tmp_path: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(_opener()) for _ in range(AT_ONCE)]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * AT_ONCE
        for number in range(ROUNDS):
            path = tmp_path / f"{number}.db"
            start = time.time() + TOGETHER_IN
            for process in processes:
                process.stdin.write(f"{start} {url_of(path)}\n")
                process.stdin.flush()
            said = [process.stdout.readline() or process.stderr.read() for process in processes]
            assert said == ["opened\n"] * AT_ONCE
            assert _revision(path) == [(NEWEST,)]


def test_the_scripts_lead_down_to_nothing_and_up_again(path: Path) -> None:
    anyio.run(_open_and_close, path)
    made = _definitions(path)
    _alembic(path, lambda config: command.downgrade(config, "base"))
    assert _tables(path) - {"callcov_schema"} == set()
    _alembic(path, lambda config: command.upgrade(config, "head"))
    assert _definitions(path) == made
    assert _revision(path) == [(NEWEST,)]


async def _open_and_close(path: Path, auto_migrate: bool = True) -> None:
    store = SqlStore(url_of(path), auto_migrate=auto_migrate)
    try:
        await store.open()
    finally:
        await store.aclose()


async def _add_a_user(path: Path) -> None:
    store = SqlStore(url_of(path))
    await store.open()
    await store.add_user(make_user())
    await store.aclose()


def _open_together(path: Path, together: threading.Barrier) -> None:
    together.wait(20)
    anyio.run(_open_and_close, path)


@contextmanager
def _opener() -> Iterator["subprocess.Popen[str]"]:
    """Another process, which opens a store for each URL that it is given."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", OPENER], text=True, **pipes) as process:
        yield process
        process.stdin.close()
        process.wait(60)


def _alembic(path: Path, run: Callable[[Config], None]) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    engine = create_engine(url_of(path))
    with engine.begin() as connection:
        config.attributes["connection"] = _locked(connection)
        run(config)
    engine.dispose()


def _locked(connection: Connection) -> Connection:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    return connection


def _definitions(path: Path) -> dict[str, list[str]]:
    """What SQLite keeps of our tables and indexes, but for white space and the order of the clauses."""
    rows = query(path, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name LIKE '%callcov%'")
    return {name: _clauses(text) for name, text in rows if name != "callcov_schema"}


def _clauses(text: str) -> list[str]:
    clauses = "".join(text.split()).removesuffix(")").split(",")
    return sorted(clauses) if text.startswith("CREATE TABLE") else clauses


def _tables(path: Path) -> set[str]:
    rows = query(path, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    return {name for (name,) in rows}


def _revision(path: Path) -> list[tuple[str]]:
    return query(path, "SELECT version_num FROM callcov_schema")
