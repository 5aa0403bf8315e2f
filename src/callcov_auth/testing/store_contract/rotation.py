"""Rotation: a new key and the end of the old one, both or neither."""

from dataclasses import replace

import pytest

from callcov_auth.errors import Conflict, KeyLimitReached
from callcov_auth.store.protocol import Change, Key, Store
from callcov_auth.testing.store_contract.samples import NO_LIMIT, NOW, make_key, with_keys, with_user

ROTATED_AT = NOW + 60
ENDS_AT = NOW + 3600


async def the_new_key_stands_beside_the_old_which_ends_in_time(store: Store) -> None:
    old, new = await _old_and_new(store)
    cursor, _ = await store.changes_after(None)
    await store.replace_key(old.id, new, ends_at=ENDS_AT, max_active=NO_LIMIT)
    assert await store.key(old.id) == replace(old, expires_at=ENDS_AT, rotated_lifetime=0)
    assert await store.key(new.id) == new
    assert (await store.changes_after(cursor))[1] == [Change("key", old.id)]


async def an_old_key_that_ends_later_is_cut_short(store: Store) -> None:
    old, new = await _old_and_new(store, expires_at=ENDS_AT + 1)
    await store.replace_key(old.id, new, ends_at=ENDS_AT, max_active=NO_LIMIT)
    lifetime = ENDS_AT + 1 - old.created_at
    assert await store.key(old.id) == replace(old, expires_at=ENDS_AT, rotated_lifetime=lifetime)


async def what_a_key_was_to_last_is_noted_at_its_first_rotation(store: Store) -> None:
    old, new = await _old_and_new(store, expires_at=ENDS_AT + 1)
    await store.replace_key(old.id, new, ends_at=ENDS_AT, max_active=NO_LIMIT)
    another = make_key("key_3", created_at=ROTATED_AT)
    await store.replace_key(old.id, another, ends_at=ENDS_AT - 1, max_active=NO_LIMIT)
    lifetime = ENDS_AT + 1 - old.created_at
    assert await store.key(old.id) == replace(old, expires_at=ENDS_AT - 1, rotated_lifetime=lifetime)


async def an_old_key_that_ends_sooner_keeps_its_end(store: Store) -> None:
    old, new = await _old_and_new(store, expires_at=ENDS_AT - 1)
    await store.replace_key(old.id, new, ends_at=ENDS_AT, max_active=NO_LIMIT)
    assert await store.key(old.id) == old


async def only_the_old_key_ends(store: Store) -> None:
    old, new = await _old_and_new(store)
    bystander = make_key("key_3")
    await with_keys(store, bystander)
    await store.replace_key(old.id, new, ends_at=ENDS_AT, max_active=NO_LIMIT)
    assert await store.key(bystander.id) == bystander


async def a_rotation_beyond_the_limit_changes_nothing(store: Store) -> None:
    old, new = await _old_and_new(store)
    with pytest.raises(KeyLimitReached):
        await _rotate_and_see_nothing(store, old, new, max_active=1)


async def a_rotation_to_a_taken_digest_changes_nothing(store: Store) -> None:
    old, new = await _old_and_new(store)
    with pytest.raises(Conflict):
        await _rotate_and_see_nothing(store, old, replace(new, digest=old.digest), max_active=NO_LIMIT)


async def a_key_that_works_no_more_has_no_successor(store: Store) -> None:
    """Whoever revokes a key must not meet its successor, made by a rotation that began a moment before."""
    await with_user(store)
    revoked = make_key("key_1", revoked_at=ROTATED_AT)
    expired = make_key("key_3", expires_at=ROTATED_AT)
    await with_keys(store, revoked, expired)
    for old in (revoked, expired):
        with pytest.raises(Conflict):
            await _rotate_and_see_nothing(
                store, old, make_key("key_2", created_at=ROTATED_AT), max_active=NO_LIMIT
            )


async def _old_and_new(store: Store, **changes: float) -> tuple[Key, Key]:
    """A key that is stored, and one that is to follow it."""
    await with_user(store)
    old = make_key("key_1", **changes)
    await with_keys(store, old)
    return old, make_key("key_2", created_at=ROTATED_AT)


async def _rotate_and_see_nothing(store: Store, old: Key, new: Key, *, max_active: int) -> None:
    cursor, _ = await store.changes_after(None)
    try:
        await store.replace_key(old.id, new, ends_at=ENDS_AT, max_active=max_active)
    finally:
        assert await store.key(old.id) == old
        assert await store.key(new.id) is None
        assert await store.changes_after(cursor) == (cursor, [])
