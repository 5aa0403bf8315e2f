"""Sessions: begun by a login, ended by a logout, forgotten after their time."""

from dataclasses import replace

import pytest

from callcov_auth.errors import ValidationFailed
from callcov_auth.store.protocol import Change, SessionPage, Store
from callcov_auth.testing.store_contract.samples import NOW, make_session, make_user, with_user

LATER = NOW + 60


async def a_session_is_found_by_its_id(store: Store) -> None:
    session = make_session()
    await store.add_session(session)
    assert await store.session(session.id) == session
    assert await store.session("ses_0") is None


async def the_sessions_of_a_subject_with_the_longest_name_end_too(store: Store) -> None:
    session = make_session(subject="é" * 255)
    await store.add_session(session)
    cursor, _ = await store.changes_after(None)
    await store.revoke_sessions(session.subject, at=LATER)
    assert await store.session(session.id) == replace(session, revoked_at=LATER)
    assert (await store.changes_after(cursor))[1] == [Change("user", session.subject)]


async def a_subject_of_a_session_need_not_be_a_user(store: Store) -> None:
    session = make_session(subject="service:billing é")
    await store.add_session(session)
    assert await store.session(session.id) == session


async def revoking_a_session_sets_the_time_once_and_tells(store: Store) -> None:
    await store.add_session(make_session("ses_1"))
    await store.add_session(make_session("ses_2"))
    cursor, _ = await store.changes_after(None)
    await store.revoke_session("ses_1", at=LATER)
    await store.revoke_session("ses_1", at=LATER + 60)
    assert await store.session("ses_1") == make_session("ses_1", revoked_at=LATER)
    assert await store.session("ses_2") == make_session("ses_2")
    assert Change("session", "ses_1") in ((await store.changes_after(cursor))[1] or ())


async def revoking_a_session_that_is_not_there_makes_none(store: Store) -> None:
    await store.revoke_session("ses_0", at=LATER)
    assert await store.session("ses_0") is None


async def a_new_session_forgets_those_of_its_subject_that_ended(store: Store) -> None:
    await store.add_session(make_session("ses_1", expires_at=LATER))
    await store.add_session(make_session("ses_2", created_at=LATER, expires_at=LATER + 1))
    assert await store.session("ses_1") is None
    assert await store.session("ses_2") is not None


async def a_session_that_goes_on_is_not_forgotten(store: Store) -> None:
    alive = make_session("ses_1", expires_at=LATER + 0.5)
    revoked = make_session("ses_2", expires_at=LATER + 0.5, revoked_at=NOW)
    for session in (alive, revoked, make_session("ses_3", created_at=LATER, expires_at=LATER + 1)):
        await store.add_session(session)
    assert await store.session("ses_1") == alive
    assert await store.session("ses_2") == revoked


async def another_subjects_sessions_are_not_forgotten(store: Store) -> None:
    await with_user(store, "usr_1", "usr_2")
    others = make_session("ses_1", subject="usr_2", expires_at=LATER)
    await store.add_session(others)
    await store.add_session(make_session("ses_2", created_at=LATER + 1, expires_at=LATER + 2))
    assert await store.session("ses_1") == others


async def a_login_that_a_new_password_overtook_begins_no_session(store: Store) -> None:
    await with_user(store)
    verified = make_user().password_hash
    assert await store.add_session(make_session("ses_1"), password_hash=verified)
    await store.change_password("usr_1", "$argon2id$another", at=NOW)
    assert not await store.add_session(make_session("ses_2"), password_hash=verified)
    assert await store.session("ses_2") is None
    assert await store.add_session(make_session("ses_3"), password_hash="$argon2id$another")


async def a_login_of_a_user_who_was_disabled_meanwhile_begins_no_session(store: Store) -> None:
    await with_user(store)
    await store.disable_user("usr_1", at=NOW)
    assert not await store.add_session(make_session(), password_hash=make_user().password_hash)


async def sessions_that_are_alive_are_listed_newest_first(store: Store) -> None:
    alive = [
        make_session("ses_1", expires_at=LATER + 0.5),
        make_session("ses_3", created_at=NOW + 1, generation=2, superseded=(NOW + 9, NOW + 5)),
        make_session("ses_2", created_at=NOW + 2 / 3),
    ]
    ended = [make_session("ses_4", expires_at=LATER), make_session("ses_5", revoked_at=NOW)]
    for session in (*alive, *ended, make_session("ses_6", subject="usr_2")):
        await store.add_session(session)
    page = await store.sessions("usr_1", at=LATER, limit=10, cursor=None)
    assert page == SessionPage([alive[1], alive[2], alive[0]], 3, None)
    assert await store.sessions("usr_0", at=LATER, limit=10, cursor=None) == SessionPage([], 0, None)


async def pages_of_sessions_hold_each_session_once(store: Store) -> None:
    for number in (3, 0, 4, 2, 1):
        await store.add_session(make_session(f"ses_{number}"))
    found, cursor = [], None
    for size in (2, 2, 1):
        page = await store.sessions("usr_1", at=NOW, limit=2, cursor=cursor)
        assert (len(page.sessions), page.total) == (size, 5)
        found += [session.id for session in page.sessions]
        cursor = page.cursor
    assert (found, cursor) == (["ses_4", "ses_3", "ses_2", "ses_1", "ses_0"], None)


async def what_is_no_cursor_of_sessions_is_refused_by_name(store: Store) -> None:
    await store.add_session(make_session())
    with pytest.raises(ValidationFailed) as refusal:
        await store.sessions("usr_1", at=NOW, limit=10, cursor="ses_1")
    assert refusal.value.details["fields"].keys() == {"cursor"}


async def revoking_all_of_a_subject_ends_those_alone_and_tells(store: Store) -> None:
    own = [make_session("ses_1"), make_session("ses_2", generation=1, superseded=(NOW,))]
    earlier, others = make_session("ses_3", revoked_at=NOW), make_session("ses_4", subject="usr_2")
    for session in (*own, earlier, others):
        await store.add_session(session)
    cursor, _ = await store.changes_after(None)
    await store.revoke_sessions("usr_1", at=LATER)
    for session in own:
        assert await store.session(session.id) == replace(session, revoked_at=LATER)
    assert await store.session("ses_3") == earlier
    assert await store.session("ses_4") == others
    assert (await store.changes_after(cursor))[1] == [Change("user", "usr_1")]


async def a_subject_as_long_as_may_be_is_told_whole(store: Store) -> None:
    subject = "é" * 255
    await store.add_session(make_session(subject=subject))
    cursor, _ = await store.changes_after(None)
    await store.revoke_sessions(subject, at=LATER)
    assert (await store.changes_after(cursor))[1] == [Change("user", subject)]
