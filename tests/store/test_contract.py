"""Every promise of the store, kept by SQLite in a file and in memory and by PostgreSQL, on both loops."""

from collections.abc import AsyncIterator

import pytest

from callcov_auth.store.protocol import Store
from callcov_auth.store.sql import SqlStore
from callcov_auth.testing.store_contract import AuditContract, StoreContract
from tests.support.databases import Database


@pytest.fixture(params=["file", "memory", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "sqlite://"
    name = {"file": "sqlite_database", "postgres": "postgres_database"}[request.param]
    found: Database = request.getfixturevalue(name)
    return found.url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = SqlStore(url)
    await opened.open()
    yield opened
    await opened.aclose()


class TestSqlStore(StoreContract, AuditContract):
    """Those that a store of anybody's must pass."""
