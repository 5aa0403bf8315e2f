"""What a store promises, as functions that take an open and empty store and raise AssertionError.

for promise in PROMISES:
    await promise(store)        # each one with a store of its own
"""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction

from callcov_auth.store.protocol import Store
from tests.store.contract import changes, concurrency, generations, keys, listing, rotation, sessions, users

Promise = Callable[[Store], Awaitable[None]]

PROMISES: tuple[Promise, ...] = tuple(
    value
    for module in (users, keys, rotation, listing, sessions, generations, changes, concurrency)
    for name, value in vars(module).items()
    if iscoroutinefunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
)
