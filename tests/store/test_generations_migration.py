"""A session from before there were generations goes on, with rotation and without."""

import pytest
from alembic import command

from callcov_auth import Auth
from callcov_auth.store.protocol import Session
from tests.support.clock import Clock
from tests.support.databases import Database, alembic
from tests.support.settings import make_settings
from tests.support.tokens import Forge

ADD_SESSION = "INSERT INTO callcov_sessions (id, subject, created_at, expires_at) VALUES "


@pytest.fixture
def older(new_database: Database, clock: Clock) -> Database:
    """A database of the third schema, with a user and a session in it."""
    alembic(new_database, lambda config: command.upgrade(config, "0003"))
    new_database.run(
        "INSERT INTO callcov_users VALUES ('usr_1', 'a@example.com', 'hash', 'calls:read', 1.0, NULL)",
        f"{ADD_SESSION} ('ses_1', 'usr_1', {clock.now}, {clock.now + 1800})",
    )
    return new_database


@pytest.mark.anyio
@pytest.mark.parametrize("rotates", [False, True])
async def test_an_older_session_is_refreshed(older: Database, clock: Clock, rotates: bool) -> None:
    settings = make_settings(database_url=older.url, rotate_refresh_tokens=rotates)
    async with Auth(settings, clock=clock) as auth:
        forge = Forge(auth)
        before = forge.token(forge.header(typ="rt+jwt"), forge.claims())
        pair = await auth.tokens.refresh(before)
        session = await auth.store.session("ses_1")
    assert (pair.refresh_token.get_secret_value() == before) is not rotates
    rotated = (1, (clock.now,)) if rotates else (0, ())
    assert session == Session("ses_1", "usr_1", clock.now, clock.now + 1800, None, *rotated)


def test_a_process_of_the_version_before_still_begins_sessions(older: Database) -> None:
    alembic(older, lambda config: command.upgrade(config, "0004"))
    older.run(f"{ADD_SESSION} ('ses_2', 'usr_1', 1, 2)")
    rows = older.query("SELECT generation, superseded FROM callcov_sessions")
    assert rows == [(0, ""), (0, "")]
