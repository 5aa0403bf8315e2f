"""Many callers at once are all served; what a cancelled one began is done whole, or was never begun."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
from anyio import lowlevel

from callcov_auth.store.protocol import Change, Store
from callcov_auth.testing.store_contract.samples import (
    NO_LIMIT,
    NOW,
    make_key,
    make_session,
    make_user,
    with_keys,
    with_user,
)

LATER = NOW + 60
# How many turns of the loop a call is given before it is cancelled: before it starts, as it waits, after.
PATIENCE = (0, 1, 2, 3, 5, 8, 50)


async def readers_and_writers_at_once_are_all_served(store: Store) -> None:
    users = [make_user(f"usr_{number}") for number in range(50)]
    async with anyio.create_task_group() as group:
        for user in users:
            group.start_soon(store.add_user, user)
            group.start_soon(store.user, user.id)
    assert {user.id for user in await store.users()} == {user.id for user in users}


async def a_cancelled_addition_is_whole_or_absent(store: Store) -> None:
    await with_user(store)
    for turns in PATIENCE:
        key = make_key(f"key_{turns}")
        await _cancelled_after(turns, partial(store.add_key, key, max_active=NO_LIMIT))
        assert await store.key(key.id) in (key, None)


async def a_cancelled_rotation_changes_both_keys_or_neither(store: Store) -> None:
    await with_user(store)
    for turns in PATIENCE:
        old, new = make_key(f"old_{turns}"), make_key(f"new_{turns}", created_at=LATER)
        await with_keys(store, old)
        await _cancelled_after(
            turns,
            partial(store.replace_key, old.id, new, ends_at=LATER, max_active=NO_LIMIT),
        )
        ended = await store.key(old.id) != old
        assert ended == (await store.key(new.id) == new)


async def a_cancelled_disabling_ends_the_sessions_too_or_nothing(store: Store) -> None:
    for turns in PATIENCE:
        user_id = f"usr_{turns}"
        session = make_session(f"ses_{turns}", subject=user_id)
        await with_user(store, user_id)
        await store.add_session(session)
        cursor, _ = await store.changes_after(None)
        await _cancelled_after(turns, partial(store.disable_user, user_id, at=LATER))
        disabled = await store.user(user_id) != make_user(user_id)
        assert disabled == (await store.session(session.id) != session)
        assert disabled == ((await store.changes_after(cursor))[1] == [Change("user", user_id)])


async def a_cancelled_advance_is_whole_or_absent(store: Store) -> None:
    for turns in PATIENCE:
        session = make_session(f"ses_{turns}")
        await store.add_session(session)
        await _cancelled_after(
            turns, partial(store.advance_session, session.id, generation=0, superseded=(NOW,))
        )
        advanced = replace(session, generation=1, superseded=(NOW,))
        assert await store.session(session.id) in (session, advanced)


async def a_store_serves_on_after_its_callers_were_cancelled(store: Store) -> None:
    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(store.add_user, make_user(f"usr_{number}"))
        await lowlevel.checkpoint()
        group.cancel_scope.cancel()
    await store.add_user(make_user("usr_last"))
    assert await store.user("usr_last") == make_user("usr_last")


async def _cancelled_after(turns: int, call: Callable[[], Coroutine[Any, Any, object]]) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        for _ in range(turns):
            await lowlevel.checkpoint()
        group.cancel_scope.cancel()
