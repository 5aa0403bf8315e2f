"""Users: adding, finding, and each change with all that it brings about."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from callcov_auth.errors import Conflict
from callcov_auth.store.protocol import Change, Session, Store
from callcov_auth.testing.store_contract.samples import NOW, make_session, make_user, with_user

LATER = NOW + 60


async def a_user_is_found_by_id_and_by_email(store: Store) -> None:
    user = make_user()
    await store.add_user(user)
    assert await store.user(user.id) == user
    assert await store.user_by_email(user.email) == user


async def what_is_not_there_is_none(store: Store) -> None:
    await with_user(store)
    assert await store.user("usr_2") is None
    assert await store.user_by_email("usr_2@example.com") is None


async def a_user_may_have_no_scope(store: Store) -> None:
    user = make_user(scopes=frozenset())
    await store.add_user(user)
    assert await store.user(user.id) == user


async def a_taken_email_is_a_conflict_and_changes_nothing(store: Store) -> None:
    user = make_user()
    await store.add_user(user)
    with pytest.raises(Conflict):
        await store.add_user(make_user("usr_2", email=user.email))
    assert await store.users() == [user]


async def a_taken_id_is_a_conflict_and_changes_nothing(store: Store) -> None:
    user = make_user()
    await store.add_user(user)
    with pytest.raises(Conflict):
        await store.add_user(make_user(email="other@example.com"))
    assert await store.users() == [user]


async def many_users_are_added_at_once(store: Store) -> None:
    made = [make_user("usr_1"), make_user("usr_2", disabled_at=NOW, password_hash="")]
    await store.add_users(made)
    await store.add_users([])
    assert await store.users() == made


async def of_many_users_all_are_added_or_none(store: Store) -> None:
    user = make_user()
    await store.add_user(user)
    for taken in (make_user("usr_3", email=user.email), make_user(email="other@example.com")):
        with pytest.raises(Conflict):
            await store.add_users([make_user("usr_2"), taken])
    assert await store.users() == [user]


async def a_hash_near_a_place_is_that_of_the_next_user_by_email(store: Store) -> None:
    assert await store.password_hash_near("m") is None
    for name in ("bob", "eve", "zoe"):
        await store.add_user(make_user(f"usr_{name}", email=f"{name}@example.com", password_hash=name))
    places = {"a": "bob", "bob@example.com": "bob", "c": "eve", "ezra": "zoe", "zz": "bob"}
    assert {place: await store.password_hash_near(place) for place in places} == places


async def users_are_listed_oldest_first(store: Store) -> None:
    young, old, twin = make_user("usr_1", created_at=LATER), make_user("usr_3"), make_user("usr_2")
    for user in (young, old, twin):
        await store.add_user(user)
    assert await store.users() == [twin, old, young]


async def a_password_hash_is_renewed_where_the_old_one_still_stands(store: Store) -> None:
    user = make_user()
    await store.add_user(user)
    await store.renew_password_hash(user.id, old=user.password_hash, new="renewed")
    assert await store.user(user.id) == replace(user, password_hash="renewed")


async def a_password_hash_is_not_renewed_over_a_new_password(store: Store) -> None:
    user = make_user()
    await store.add_user(user)
    await store.change_password(user.id, "of the new password", at=LATER)
    await store.renew_password_hash(user.id, old=user.password_hash, new="renewed")
    assert await store.user(user.id) == replace(user, password_hash="of the new password")


async def renewing_a_hash_touches_nobody_else(store: Store) -> None:
    await store.add_user(make_user("usr_1", password_hash="shared"))
    other = make_user("usr_2", password_hash="shared")
    await store.add_user(other)
    await store.renew_password_hash("usr_1", old="shared", new="renewed")
    assert await store.user("usr_2") == other


async def renewing_a_hash_ends_no_session_and_tells_nobody(store: Store) -> None:
    user, session, cursor = make_user(), make_session(), await _cursor(store)
    await store.add_user(user)
    await store.add_session(session)
    await store.renew_password_hash(user.id, old=user.password_hash, new="renewed")
    assert await store.session(session.id) == session
    assert await store.changes_after(cursor) == (cursor, [])


async def a_new_password_ends_the_sessions_of_that_user_alone(store: Store) -> None:
    user, alive, others, ended = await _user_with_sessions(store)
    cursor = await _cursor(store)
    assert await store.change_password(user, "new", at=LATER)
    found = await store.user(user)
    assert found == make_user(user, password_hash="new")
    await _sessions_are(store, replace(alive, revoked_at=LATER), others, ended)
    assert await _told_since(store, cursor) == [Change("user", user)]


async def disabling_ends_the_sessions_of_that_user_alone(store: Store) -> None:
    user, alive, others, ended = await _user_with_sessions(store)
    cursor = await _cursor(store)
    assert await store.disable_user(user, at=LATER)
    assert await store.user(user) == make_user(user, disabled_at=LATER)
    await _sessions_are(store, replace(alive, revoked_at=LATER), others, ended)
    assert await _told_since(store, cursor) == [Change("user", user)]


async def enabling_gives_no_session_back(store: Store) -> None:
    user, alive, others, ended = await _user_with_sessions(store)
    await store.disable_user(user, at=LATER)
    cursor = await _cursor(store)
    assert await store.enable_user(user, at=LATER + 60)
    assert await store.user(user) == make_user(user)
    await _sessions_are(store, replace(alive, revoked_at=LATER), others, ended)
    assert await _told_since(store, cursor) == [Change("user", user)]


async def a_user_who_was_disabled_before_keeps_the_time(store: Store) -> None:
    await with_user(store)
    await store.disable_user("usr_1", at=LATER)
    assert await store.disable_user("usr_1", at=LATER + 60)
    assert await store.user("usr_1") == make_user(disabled_at=LATER)


async def new_scopes_are_told_and_end_no_session(store: Store) -> None:
    user, alive, others, ended = await _user_with_sessions(store)
    cursor = await _cursor(store)
    assert await store.set_user_scopes(user, frozenset({"calls:*"}), at=LATER)
    assert await store.user(user) == make_user(user, scopes=frozenset({"calls:*"}))
    await _sessions_are(store, alive, others, ended)
    assert await _told_since(store, cursor) == [Change("user", user)]


async def changing_a_user_who_is_not_there_is_false_and_tells_nobody(store: Store) -> None:
    cursor = await _cursor(store)
    assert not await store.change_password("usr_0", "new", at=LATER)
    assert not await store.set_user_scopes("usr_0", frozenset(), at=LATER)
    assert not await store.disable_user("usr_0", at=LATER)
    assert not await store.enable_user("usr_0", at=LATER)
    await store.renew_password_hash("usr_0", old="old", new="new")
    assert await store.users() == []
    assert await store.changes_after(cursor) == (cursor, [])


async def _user_with_sessions(store: Store) -> tuple[str, Session, Session, Session]:
    """A user, a session that is alive, one of somebody else, and one that was revoked before."""
    await with_user(store, "usr_1", "usr_2")
    alive, others = make_session("ses_1"), make_session("ses_2", subject="usr_2")
    ended = make_session("ses_3", revoked_at=NOW + 1)
    for session in (alive, others, ended):
        await store.add_session(session)
    return "usr_1", alive, others, ended


async def _sessions_are(store: Store, *expected: Session) -> None:
    assert [await store.session(session.id) for session in expected] == list(expected)


async def _cursor(store: Store) -> int:
    return (await store.changes_after(None))[0]


async def _told_since(store: Store, cursor: int) -> Sequence[Change] | None:
    return (await store.changes_after(cursor))[1]
