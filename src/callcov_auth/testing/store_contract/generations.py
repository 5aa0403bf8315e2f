"""Generations of a session's refresh tokens: one after another, each made once."""

from dataclasses import replace

import anyio

from callcov_auth.store.protocol import Store
from callcov_auth.testing.store_contract.samples import NOW, make_session

LATER = NOW + 60.123456789


async def a_session_keeps_its_generation_and_its_times_to_the_last_digit(store: Store) -> None:
    session = make_session(generation=3, superseded=(LATER, NOW + 1 / 3, NOW))
    await store.add_session(session)
    assert await store.session(session.id) == session


async def advancing_makes_the_next_generation_and_nothing_else(store: Store) -> None:
    session, bystander = make_session("ses_1"), make_session("ses_2")
    await store.add_session(session)
    await store.add_session(bystander)
    cursor, _ = await store.changes_after(None)
    assert await store.advance_session("ses_1", generation=0, superseded=(NOW,)) is True
    assert await store.advance_session("ses_1", generation=1, superseded=(LATER, NOW)) is True
    assert await store.session("ses_1") == replace(session, generation=2, superseded=(LATER, NOW))
    assert await store.session("ses_2") == bystander
    assert await store.changes_after(cursor) == (cursor, [])


async def a_generation_that_is_not_the_newest_has_no_other_successor(store: Store) -> None:
    session = make_session(generation=2, superseded=(NOW,))
    await store.add_session(session)
    for generation in (0, 1, 3):
        assert await store.advance_session("ses_1", generation=generation, superseded=(LATER,)) is False
    assert await store.session("ses_1") == session


async def what_was_revoked_does_not_advance(store: Store) -> None:
    await store.add_session(make_session())
    await store.revoke_session("ses_1", at=LATER)
    assert await store.advance_session("ses_1", generation=0, superseded=(LATER,)) is False
    assert await store.session("ses_1") == make_session(revoked_at=LATER)


async def what_is_not_there_does_not_advance(store: Store) -> None:
    assert await store.advance_session("ses_0", generation=0, superseded=(NOW,)) is False
    assert await store.session("ses_0") is None


async def of_twenty_at_once_one_makes_the_next_generation(store: Store) -> None:
    await store.add_session(make_session())
    made: list[int] = []

    async def advance(number: int) -> None:
        if await store.advance_session("ses_1", generation=0, superseded=(NOW + number,)):
            made.append(number)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(advance, number)
    assert len(made) == 1
    assert await store.session("ses_1") == make_session(generation=1, superseded=(NOW + made[0],))
