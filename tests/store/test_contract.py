"""Every promise of the store, kept by SQLite in a file and in memory, under asyncio and trio."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callcov_auth.store.protocol import Store
from callcov_auth.store.sql import SqlStore
from tests.store.contract import PROMISES, Promise

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["file", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = SqlStore("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'auth.db'}")
    await opened.open()
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("promise", PROMISES, ids=[promise.__name__ for promise in PROMISES])
async def test_the_store_keeps_its_promise(promise: Promise, store: Store) -> None:
    await promise(store)
