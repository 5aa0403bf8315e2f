"""A database from before there were stored signing keys gets their table, and keeps what it has."""

from collections.abc import Callable
from typing import Any

import pytest
from alembic import command

from callcov_auth.store.tables import signing_keys
from tests.support.databases import Database, alembic, engine_of

USER = "INSERT INTO callcov_users VALUES ('usr_1', 'a@example.com', 'hash', 'calls:read', 1.0, NULL)"


@pytest.fixture
def older(new_database: Database) -> Database:
    """A database of the first schema, with a user in it."""
    alembic(new_database, lambda config: command.upgrade(config, "0001"))
    new_database.run(USER)
    return new_database


def test_the_table_is_added_and_the_rows_are_kept(older: Database) -> None:
    assert signing_keys.name not in older.tables()
    alembic(older, lambda config: command.upgrade(config, "0002"))
    assert signing_keys.name in older.tables()
    assert older.query("SELECT id, scopes FROM callcov_users") == [("usr_1", "calls:read")]


def test_the_table_is_what_the_code_says(new_databases: Callable[[], Database]) -> None:
    migrated, direct = new_databases(), new_databases()
    alembic(migrated, lambda config: command.upgrade(config, "0002"))
    with engine_of(direct) as engine, engine.begin() as connection:
        signing_keys.create(connection)
    assert _about_signing_keys(migrated) == _about_signing_keys(direct)


def test_the_way_back_takes_the_table_alone(older: Database) -> None:
    before = older.tables()
    alembic(older, lambda config: command.upgrade(config, "0002"))
    alembic(older, lambda config: command.downgrade(config, "0001"))
    assert older.tables() == before
    assert older.query("SELECT id FROM callcov_users") == [("usr_1",)]


def _about_signing_keys(database: Database) -> list[tuple[Any, ...]]:
    found = [row for row in database.definitions() if row[0] == signing_keys.name]
    assert found
    return found
