"""SQLite's file on a full disk, read-only, or locked: what is answered, and how it recovers."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Connection, event

from callcov_auth import Auth
from callcov_auth.errors import AuthUnavailable
from callcov_auth.store import sqlite
from callcov_auth.store.breaker import FAILURES
from callcov_auth.store.sql import SqlStore
from tests.support.databases import Database
from tests.support.polling import eventually
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


class Disk:
    """Sets what SQLite finds in every write from now on."""

    pragma: str | None = None

    def __call__(self, connection: Connection) -> None:
        if self.pragma is not None:
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA {self.pragma}")


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
async def auth(sqlite_database: Database, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Auth]:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 20)
    store = SqlStore(sqlite_database.url)
    event.listen(store._database.writing.engine, "begin", disk)
    async with Auth(make_settings(max_active_keys=10_000, cache_ttl=0.000001), store=store) as opened:
        yield opened


@pytest.fixture
async def owner(auth: Auth) -> str:
    return (await auth.users.create("ada@example.com", "a long way to Tipperary")).id


@pytest.mark.parametrize(
    ("fault", "cure"),
    [("max_page_count = 1", "max_page_count = 1000000"), ("query_only = 1", "query_only = 0")],
    ids=["full", "read-only"],
)
async def test_a_disk_that_takes_nothing_more_lets_in_and_refuses_writes(
    auth: Auth, owner: str, disk: Disk, fault: str, cure: str
) -> None:
    header = await _a_key(auth, owner)
    before = await auth.keys.list(owner, limit=200)
    disk.pragma = fault
    await _fill_up(auth, owner)
    kept = await auth.keys.list(owner, limit=200)
    with pytest.raises(AuthUnavailable):
        await auth.keys.create(owner, name="Refused")
    assert (await auth.authenticate(header)).subject == owner
    assert (await auth.keys.list(owner, limit=200)).total == kept.total >= before.total
    disk.pragma = cure
    await eventually(lambda: _writes(auth, owner))


async def test_while_another_program_holds_the_lock_keys_are_let_in(
    auth: Auth, owner: str, sqlite_database: Database
) -> None:
    header = await _a_key(auth, owner)
    with sqlite_database.locked():
        for _ in range(FAILURES):
            with pytest.raises(AuthUnavailable):
                await auth.keys.create(owner, name="Refused")
        with pytest.raises(AuthUnavailable) as refusal:
            await auth.keys.create(owner, name="Refused at once")
        assert (await auth.authenticate(header)).subject == owner
    assert refusal.value.reason == "store_down"
    await eventually(lambda: _writes(auth, owner))


async def _a_key(auth: Auth, owner: str) -> str:
    return f"Bearer {(await auth.keys.create(owner, name='Used')).api_key.get_secret_value()}"


async def _fill_up(auth: Auth, owner: str) -> None:
    """Write until nothing goes any more: the last pages had room."""

    async def is_full() -> bool:
        return not await _writes(auth, owner)

    await eventually(is_full)


async def _writes(auth: Auth, owner: str) -> bool:
    try:
        await auth.keys.create(owner, name="Written")
    except AuthUnavailable:
        return False
    return True
