"""A session from before there were generations goes on, with rotation and without."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from callcov_auth import Auth
from callcov_auth.store import schema
from callcov_auth.store.protocol import Session
from tests.store.sqlite_files import query, run_sql, url_of
from tests.support.clock import Clock
from tests.support.settings import make_settings
from tests.support.tokens import Forge

ADD_SESSION = "INSERT INTO callcov_sessions (id, subject, created_at, expires_at) VALUES "


@pytest.fixture
def path(tmp_path: Path, clock: Clock) -> Path:
    """A database of the third schema, with a user and a session in it."""
    made = tmp_path / "auth.db"
    _upgrade(made, "0003")
    run_sql(
        made,
        "INSERT INTO callcov_users VALUES ('usr_1', 'a@example.com', 'hash', 'calls:read', 1.0, NULL)",
        f"{ADD_SESSION} ('ses_1', 'usr_1', {clock.now}, {clock.now + 1800})",
    )
    return made


@pytest.mark.anyio
@pytest.mark.parametrize("rotates", [False, True])
async def test_an_older_session_is_refreshed(path: Path, clock: Clock, rotates: bool) -> None:
    settings = make_settings(database_url=url_of(path), rotate_refresh_tokens=rotates)
    async with Auth(settings, clock=clock) as auth:
        forge = Forge(auth)
        before = forge.token(forge.header(typ="rt+jwt"), forge.claims())
        pair = await auth.tokens.refresh(before)
        session = await auth.store.session("ses_1")
    assert (pair.refresh_token.get_secret_value() == before) is not rotates
    rotated = (1, (clock.now,)) if rotates else (0, ())
    assert session == Session("ses_1", "usr_1", clock.now, clock.now + 1800, None, *rotated)


def test_a_process_of_the_version_before_still_begins_sessions(path: Path) -> None:
    _upgrade(path, "0004")
    run_sql(path, f"{ADD_SESSION} ('ses_2', 'usr_1', 1, 2)")
    rows = query(path, "SELECT generation, superseded FROM callcov_sessions")
    assert rows == [(0, ""), (0, "")]


def _upgrade(path: Path, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    engine = create_engine(url_of(path))
    with engine.begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
