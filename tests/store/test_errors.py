"""The database's own errors: they name what failed, and never show a value that was stored or asked for."""

import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from callcov_auth.errors import AuthError, AuthUnavailable
from callcov_auth.store.protocol import Store
from callcov_auth.store.sql import SqlStore
from callcov_auth.testing.store_contract.samples import NO_LIMIT, NOW, make_key, make_session, make_user
from tests.support.databases import Database

pytestmark = pytest.mark.anyio

VALUE = "a-value-that-nobody-may-see"
DIGEST = VALUE.encode().ljust(32, b".")

Call = Callable[[Store], Awaitable[object]]
CALLS: dict[str, Call] = {
    "add_user": lambda store: store.add_user(make_user(email=VALUE, password_hash=VALUE)),
    "user": lambda store: store.user(VALUE),
    "user_by_email": lambda store: store.user_by_email(VALUE),
    "renew_password_hash": lambda store: store.renew_password_hash("usr_1", old=VALUE, new=VALUE),
    "change_password": lambda store: store.change_password("usr_1", VALUE, at=NOW),
    "add_key": lambda store: store.add_key(make_key(name=VALUE, digest=DIGEST), max_active=NO_LIMIT),
    "keys_by_digest": lambda store: store.keys_by_digest([DIGEST]),
    "key": lambda store: store.key(VALUE),
    "touch_keys": lambda store: store.touch_keys({VALUE: NOW}),
    "add_session": lambda store: store.add_session(make_session(VALUE)),
    "session": lambda store: store.session(VALUE),
}


@pytest.fixture
async def broken(new_database: Database) -> AsyncIterator[SqlStore]:
    """A store whose tables are gone."""
    store = SqlStore(new_database.url)
    await store.open()
    new_database.run(*(f"DROP TABLE callcov_{name}" for name in ("api_keys", "sessions", "users")))
    yield store
    await store.aclose()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_broken_database_is_unavailable_and_its_error_is_dropped(
    call: Call, broken: SqlStore
) -> None:
    with pytest.raises(AuthUnavailable) as refusal:
        await call(broken)
    # SQLite's own word for it, and PostgreSQL's.
    assert refusal.value.reason in ("store_OperationalError", "store_UndefinedTable")
    _assert_nothing_shows(refusal.value)


async def test_a_conflict_does_not_show_what_conflicts(database: Database) -> None:
    store = SqlStore(database.url)
    await store.open()
    user = make_user(VALUE, email=VALUE, password_hash=VALUE)
    await store.add_user(user)
    with pytest.raises(AuthError) as refusal:
        await store.add_user(user)
    _assert_nothing_shows(refusal.value)
    await store.aclose()


async def test_the_databases_own_log_shows_no_value(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    # SQLAlchemy looks at the level as the engine is made, so it is set before.
    with caplog.at_level(logging.DEBUG, "sqlalchemy"), caplog.at_level(logging.DEBUG, "psycopg"):
        store = SqlStore(database.url)
        await store.open()
        await store.add_user(make_user(password_hash=VALUE))
        await store.renew_password_hash("usr_1", old=VALUE, new=VALUE * 2)
        await store.keys_by_digest([DIGEST])
        await store.aclose()
    assert "UPDATE callcov_users" in caplog.text
    assert VALUE not in caplog.text


def _assert_nothing_shows(error: AuthError) -> None:
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.details) + error.reason
    assert VALUE not in shown
    assert error.__cause__ is None
    assert error.__context__ is None
