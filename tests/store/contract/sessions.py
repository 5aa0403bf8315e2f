"""Sessions: begun by a login, ended by a logout, forgotten after their time."""

from callcov_auth.store.protocol import Change, Store
from tests.store.contract.samples import NOW, make_session, make_user, with_user

LATER = NOW + 60


async def a_session_is_found_by_its_id(store: Store) -> None:
    session = make_session()
    await store.add_session(session)
    assert await store.session(session.id) == session
    assert await store.session("ses_0") is None


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
    assert Change("session", "ses_1") in (await store.changes_after(cursor))[1]


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
