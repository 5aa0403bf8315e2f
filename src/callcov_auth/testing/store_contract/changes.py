"""The feed: every change that contradicts a cached principal, once, in order, to each who asks."""

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


async def asking_for_the_cursor_tells_no_change(store: Store) -> None:
    await with_user(store)
    await store.disable_user("usr_1", at=NOW)
    assert (await store.changes_after(None))[1] == []


async def changes_come_in_the_order_in_which_they_were_made(store: Store) -> None:
    cursor = await _with_one_of_each(store)
    await store.set_user_scopes("usr_1", frozenset(), at=NOW)
    await store.revoke_session("ses_1", at=NOW)
    await store.revoke_key("key_1", at=NOW)
    await store.disable_user("usr_1", at=NOW)
    _, told = await store.changes_after(cursor)
    assert told == [
        Change("user", "usr_1"),
        Change("session", "ses_1"),
        Change("key", "key_1"),
        Change("user", "usr_1"),
    ]


async def what_was_read_is_not_told_again(store: Store) -> None:
    cursor = await _with_one_of_each(store)
    await store.revoke_key("key_1", at=NOW)
    after_first, _ = await store.changes_after(cursor)
    assert await store.changes_after(after_first) == (after_first, [])
    await store.revoke_session("ses_1", at=NOW)
    after_second, told = await store.changes_after(after_first)
    assert told == [Change("session", "ses_1")]
    assert after_second > after_first


async def each_reader_has_a_cursor_of_its_own(store: Store) -> None:
    slow = await _with_one_of_each(store)
    await store.revoke_key("key_1", at=NOW)
    quick, _ = await store.changes_after(slow)
    await store.revoke_session("ses_1", at=NOW)
    assert (await store.changes_after(quick))[1] == [Change("session", "ses_1")]
    assert (await store.changes_after(slow))[1] == [Change("key", "key_1"), Change("session", "ses_1")]


async def the_newest_cursor_is_where_a_reader_of_all_arrives(store: Store) -> None:
    cursor = await _with_one_of_each(store)
    await store.revoke_key("key_1", at=NOW)
    newest, _ = await store.changes_after(None)
    assert (await store.changes_after(cursor))[0] == newest


async def what_contradicts_nothing_is_not_told(store: Store) -> None:
    cursor, _ = await store.changes_after(None)
    await store.add_user(make_user())
    await store.add_key(make_key(), max_active=NO_LIMIT)
    await store.add_session(make_session())
    await store.renew_password_hash("usr_1", old=make_user().password_hash, new="renewed")
    await store.touch_keys({"key_1": NOW})
    assert await store.changes_after(cursor) == (cursor, [])


async def _with_one_of_each(store: Store) -> int:
    """A user, a key and a session, and the cursor behind them."""
    await with_user(store)
    await with_keys(store, make_key())
    await store.add_session(make_session())
    return (await store.changes_after(None))[0]
