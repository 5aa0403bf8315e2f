"""The tests that a store must pass, also one of your own: see callcov_auth.store.protocol.

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self): ...      # an open and empty store, another one for each test

Without pytest's classes, ``PROMISES`` are the same as functions: ``await promise(store)``.
"""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction

import pytest

from callcov_auth.store.protocol import Store
from callcov_auth.testing.store_contract import (
    changes,
    concurrency,
    generations,
    keys,
    listing,
    rotation,
    sessions,
    users,
)

Promise = Callable[[Store], Awaitable[None]]
"""It takes an open and empty store, and raises AssertionError."""

PROMISES: tuple[Promise, ...] = tuple(
    value
    for module in (users, keys, rotation, listing, sessions, generations, changes, concurrency)
    for name, value in vars(module).items()
    if iscoroutinefunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
)


class StoreContract:
    """Subclass it, and give it a fixture ``store``. They run on the loops of ``anyio_backend``."""

    @pytest.mark.anyio
    @pytest.mark.parametrize("promise", PROMISES, ids=[promise.__name__ for promise in PROMISES])
    async def test_the_store_keeps_its_promise(self, promise: Promise, store: Store) -> None:
        await promise(store)
