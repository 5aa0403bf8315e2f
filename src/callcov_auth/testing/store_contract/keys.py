"""Keys: adding under a limit, finding, revoking, noting their use."""

from dataclasses import replace

import anyio
import pytest

from callcov_auth.errors import Conflict, KeyLimitReached
from callcov_auth.store.protocol import Change, OwnedKey, Store
from callcov_auth.testing.store_contract.samples import (
    NO_LIMIT,
    NOW,
    make_key,
    make_user,
    with_keys,
    with_user,
)

LATER = NOW + 60


async def a_key_is_found_by_id_with_every_field(store: Store) -> None:
    await with_user(store)
    plain = make_key("key_1")
    full = make_key(
        "key_2",
        name="Ein Schlüssel, 'quoted'; -- 鍵",
        description="two\nlines \N{KEY}",
        environment="test",
        segment="staging",
        scopes=frozenset({"calls:*", "analysis:read"}),
        created_at=NOW + 0.25,
        expires_at=NOW + 90.5,
        imported=True,
    )
    await with_keys(store, plain, full)
    assert await store.key("key_1") == plain
    assert await store.key("key_2") == full


async def a_key_is_found_by_digest_with_what_bears_on_it_of_its_owner(store: Store) -> None:
    owner, key = make_user(scopes=frozenset({"a", "b"})), make_key()
    await store.add_user(owner)
    await with_keys(store, key)
    found = await store.keys_by_digest([bytes(32), key.digest])
    assert list(found) == [OwnedKey(key, owner.scopes, owner_disabled=False)]


async def a_key_shows_its_owners_change_at_once(store: Store) -> None:
    await with_user(store)
    key = make_key()
    await with_keys(store, key)
    await store.set_user_scopes("usr_1", frozenset({"calls:read"}), at=LATER)
    await store.disable_user("usr_1", at=LATER)
    found = await store.keys_by_digest([key.digest])
    assert list(found) == [OwnedKey(key, frozenset({"calls:read"}), owner_disabled=True)]


async def a_key_that_is_not_there_is_none(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key())
    assert await store.key("key_2") is None
    assert list(await store.keys_by_digest([make_key("key_2").digest])) == []
    assert list(await store.keys_by_digest([])) == []


async def an_id_that_no_database_could_hold_is_found_nowhere(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key())
    for junk in ("key_1\0", "\0", "k" * 10_000):
        assert await store.key(junk) is None
        assert await store.session(junk) is None
        assert await store.user(junk) is None
        assert await store.user_by_email(junk) is None


async def a_taken_digest_or_id_is_a_conflict_and_changes_nothing(store: Store) -> None:
    await with_user(store)
    key = make_key()
    await with_keys(store, key)
    with pytest.raises(Conflict):
        await store.add_key(make_key("key_2", digest=key.digest), max_active=NO_LIMIT)
    with pytest.raises(Conflict):
        await store.add_key(make_key("key_1", digest=bytes(32)), max_active=NO_LIMIT)
    assert await store.key("key_2") is None
    assert await store.key("key_1") == key


async def a_key_without_an_owner_is_a_conflict(store: Store) -> None:
    with pytest.raises(Conflict):
        await store.add_key(make_key(owner="usr_0"), max_active=NO_LIMIT)
    assert await store.key("key_1") is None


async def one_key_beyond_the_limit_is_refused_and_not_stored(store: Store) -> None:
    await with_user(store)
    for number in range(2):
        await store.add_key(make_key(f"key_{number}"), max_active=2)
    with pytest.raises(KeyLimitReached):
        await store.add_key(make_key("key_2"), max_active=2)
    assert await store.key("key_2") is None


async def keys_that_work_no_more_do_not_count(store: Store) -> None:
    await with_user(store)
    await with_keys(
        store,
        make_key("key_1", revoked_at=NOW),
        make_key("key_2", expires_at=LATER - 1),
        make_key("key_3", expires_at=LATER),
    )
    await store.add_key(make_key("key_4", created_at=LATER), max_active=1)
    assert await store.key("key_4") is not None


async def keys_that_still_work_count(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key("key_1", expires_at=LATER + 0.5))
    with pytest.raises(KeyLimitReached):
        await store.add_key(make_key("key_2", created_at=LATER), max_active=1)


async def another_owners_keys_do_not_count(store: Store) -> None:
    await with_user(store, "usr_1", "usr_2")
    await store.add_key(make_key("key_1", owner="usr_1"), max_active=1)
    await store.add_key(make_key("key_2", owner="usr_2"), max_active=1)
    assert await store.key("key_2") is not None


async def twenty_at_once_under_a_limit_of_ten_are_ten(store: Store) -> None:
    await with_user(store)
    refused: list[str] = []

    async def add(key_id: str) -> None:
        try:
            await store.add_key(make_key(key_id), max_active=10)
        except KeyLimitReached:
            refused.append(key_id)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(add, f"key_{number}")
    page = await store.keys("usr_1", at=NOW, include_expired=True, limit=NO_LIMIT, cursor=None)
    assert page.total == 10
    assert {key.id for key in page.keys} | set(refused) == {f"key_{number}" for number in range(20)}


async def revoking_sets_the_time_once_and_tells(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key("key_1"), make_key("key_2"))
    cursor, _ = await store.changes_after(None)
    await store.revoke_key("key_1", at=LATER)
    await store.revoke_key("key_1", at=LATER + 60)
    assert await store.key("key_1") == make_key("key_1", revoked_at=LATER)
    assert await store.key("key_2") == make_key("key_2")
    assert Change("key", "key_1") in ((await store.changes_after(cursor))[1] or ())


async def revoking_what_is_not_there_makes_nothing(store: Store) -> None:
    await store.revoke_key("key_0", at=LATER)
    assert await store.key("key_0") is None


async def a_use_is_noted_for_many_keys_at_once(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key("key_1"), make_key("key_2"), make_key("key_3"))
    await store.touch_keys({"key_1": NOW + 1, "key_2": NOW + 2.5})
    assert [await _last_use(store, f"key_{number}") for number in (1, 2, 3)] == [NOW + 1, NOW + 2.5, None]


async def an_earlier_use_never_replaces_a_later_one(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key("key_1"), make_key("key_2"))
    await store.touch_keys({"key_1": LATER, "key_2": NOW})
    await store.touch_keys({"key_1": NOW, "key_2": LATER})
    assert await _last_use(store, "key_1") == LATER
    assert await _last_use(store, "key_2") == LATER


async def noting_a_use_changes_nothing_else_and_tells_nobody(store: Store) -> None:
    await with_user(store)
    key = make_key()
    await with_keys(store, key)
    cursor, _ = await store.changes_after(None)
    await store.touch_keys({key.id: LATER, "key_0": LATER})
    assert await store.key(key.id) == replace(key, last_used_at=LATER)
    assert await store.key("key_0") is None
    assert await store.changes_after(cursor) == (cursor, [])


async def noting_no_use_is_nothing(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key())
    await store.touch_keys({})
    assert await store.key("key_1") == make_key()


async def imported_keys_are_known_of(store: Store) -> None:
    await with_user(store)
    await with_keys(store, make_key("key_1"))
    assert await store.has_imported_keys() is False
    await with_keys(store, make_key("key_2", imported=True, origin=bytes(32)))
    assert await store.has_imported_keys() is True


async def _last_use(store: Store, key_id: str) -> float | None:
    key = await store.key(key_id)
    assert key is not None
    return key.last_used_at
