"""A database from before there were stored signing keys gets their table, and keeps what it has."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from callcov_auth.store import schema
from callcov_auth.store.tables import metadata, signing_keys

USER = "INSERT INTO callcov_users VALUES ('usr_1', 'a@example.com', 'hash', 'calls:read', 1.0, NULL)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of the first schema, with a user in it."""
    made = tmp_path / "a.db"
    _alembic(made, lambda config: command.upgrade(config, "0001"))
    _query(made, USER)
    return made


def test_the_table_is_added_and_the_rows_are_kept(path: Path) -> None:
    assert not _tables(path) & {signing_keys.name}
    _alembic(path, lambda config: command.upgrade(config, "0002"))
    assert signing_keys.name in _tables(path)
    assert _query(path, "SELECT id, scopes FROM callcov_users") == [("usr_1", "calls:read")]


def test_the_table_is_what_the_code_says(path: Path, tmp_path: Path) -> None:
    _alembic(path, lambda config: command.upgrade(config, "0002"))
    direct = tmp_path / "direct.db"
    engine = create_engine(f"sqlite:///{direct}")
    metadata.create_all(engine, tables=[signing_keys])
    engine.dispose()
    assert _definition(path) == _definition(direct)


def test_the_way_back_takes_the_table_alone(path: Path) -> None:
    before = _tables(path)
    _alembic(path, lambda config: command.upgrade(config, "0002"))
    _alembic(path, lambda config: command.downgrade(config, "0001"))
    assert _tables(path) == before
    assert _query(path, "SELECT id FROM callcov_users") == [("usr_1",)]


def _alembic(path: Path, run: Callable[[Config], None]) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        run(config)
    engine.dispose()


def _query(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def _tables(path: Path) -> set[str]:
    return {name for (name,) in _query(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def _definition(path: Path) -> str:
    ((text,),) = _query(path, f"SELECT sql FROM sqlite_master WHERE name = '{signing_keys.name}'")
    return "".join(text.split())
