"""The tests that a store must pass, also one of your own: see callcov_auth.store.protocol.

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def store(self): ...      # an open and empty store, another one for each test

Without pytest's classes, ``PROMISES`` are the same as functions: ``await promise(store)``. A store that also
keeps an audit log has AuditContract, and ``AUDIT_PROMISES``, for that.
"""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any

import pytest

from callcov_auth.store.protocol import AuditStore, Store
from callcov_auth.testing.store_contract import (
    audit,
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

AuditPromise = Callable[[AuditStore], Awaitable[None]]


def _in(*modules: ModuleType) -> tuple[Any, ...]:
    return tuple(
        value
        for module in modules
        for name, value in vars(module).items()
        if iscoroutinefunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    )


PROMISES: tuple[Promise, ...] = _in(
    users, keys, rotation, listing, sessions, generations, changes, concurrency
)
AUDIT_PROMISES: tuple[AuditPromise, ...] = _in(audit)


class StoreContract:
    """Subclass it, and give it a fixture ``store``. They run on the loops of ``anyio_backend``."""

    @pytest.mark.anyio
    @pytest.mark.parametrize("promise", PROMISES, ids=[promise.__name__ for promise in PROMISES])
    async def test_the_store_keeps_its_promise(self, promise: Promise, store: Store) -> None:
        await promise(store)


class AuditContract:
    """For a store with an audit log, beside StoreContract and on the same fixture."""

    @pytest.mark.anyio
    @pytest.mark.parametrize("promise", AUDIT_PROMISES, ids=[promise.__name__ for promise in AUDIT_PROMISES])
    async def test_the_store_keeps_its_audit_promise(self, promise: AuditPromise, store: AuditStore) -> None:
        await promise(store)
