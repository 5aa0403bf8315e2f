"""Two processes on one database whose transactions overlap: the outcome is that of one after the other."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio import to_thread
from sqlalchemy import event

from callcov_auth.errors import AuthError
from callcov_auth.store.prepared import Lookup
from callcov_auth.store.protocol import Change, SealedKey
from callcov_auth.store.sql import SqlStore
from callcov_auth.testing.store_contract.samples import (
    NO_LIMIT,
    NOW,
    make_key,
    make_session,
    make_user,
    with_keys,
    with_user,
)
from tests.support.databases import Database
from tests.support.polling import TIMEOUT

pytestmark = pytest.mark.anyio

LATER = NOW + 60
# In seconds: how long the second is given to come before the first, which a lock should keep it from.
CHANCE = 0.15

Call = Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class Pair:
    """Two stores as two processes have them; a write of ``here`` can be held just before its commit."""

    here: SqlStore
    there: SqlStore
    _reached: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)
    _holds: bool = False
    said: list[Any] = field(default_factory=list)
    """What the first and the second came to, in the order of their calls: a result or a refusal's code."""

    async def overlap(
        self, first: Call, second: Call, *, meanwhile: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        """Hold ``first``, of here, before its commit, and give ``second``, of there, a chance to overtake."""
        self.said = [None, None]
        done = anyio.Event()

        async def overtake() -> None:
            await self._note(1, second)
            done.set()

        self._holds = True
        async with anyio.create_task_group() as group:
            group.start_soon(self._note, 0, first)
            assert await to_thread.run_sync(self._reached.wait, TIMEOUT)
            group.start_soon(overtake)
            with anyio.move_on_after(CHANCE):
                await done.wait()
            if meanwhile is not None:
                await meanwhile()
            self._released.set()
        self._holds = False

    def hold_commits(self) -> None:
        """See every commit of here, before its first connection is made."""
        engine = self.here._database.writing.engine
        if engine.dialect.name == "sqlite":
            # What it runs itself, for not all writes come by way of SQLAlchemy.
            event.listen(engine, "connect", lambda driver, _: driver.set_trace_callback(self._ran))
        else:
            event.listen(engine, "commit", self._hold)

    def _ran(self, statement: str) -> None:
        if statement == "COMMIT":
            self._hold()

    def _hold(self, *_: Any) -> None:
        if self._holds:
            self._reached.set()
            assert self._released.wait(TIMEOUT)

    async def _note(self, place: int, call: Call) -> None:
        try:
            self.said[place] = await call()
        except AuthError as refusal:
            self.said[place] = refusal.code


@pytest.fixture
async def pair(database: Database) -> AsyncIterator[Pair]:
    here, there = SqlStore(database.url), SqlStore(database.url)
    pair = Pair(here, there)
    pair.hold_commits()
    await here.open()
    await there.open()
    yield pair
    await here.aclose()
    await there.aclose()


async def test_the_last_free_place_for_a_key_is_given_once(pair: Pair) -> None:
    await with_user(pair.here)
    await pair.overlap(
        lambda: pair.here.add_key(make_key("key_1"), max_active=1),
        lambda: pair.there.add_key(make_key("key_2"), max_active=1),
    )
    assert pair.said == [None, "key_limit_reached"]


async def test_two_owners_do_not_wait_for_each_other_in_vain(pair: Pair) -> None:
    await with_user(pair.here, "usr_1", "usr_2")
    await pair.overlap(
        lambda: pair.here.add_key(make_key("key_1", owner="usr_1"), max_active=1),
        lambda: pair.there.add_key(make_key("key_2", owner="usr_2"), max_active=1),
    )
    assert pair.said == [None, None]


async def test_a_login_that_a_new_password_follows_is_ended_by_it(pair: Pair) -> None:
    await with_user(pair.here)
    await pair.overlap(
        lambda: pair.here.add_session(make_session(), password_hash=make_user().password_hash),
        lambda: pair.there.change_password("usr_1", "new", at=LATER),
    )
    assert pair.said == [True, True]
    assert await pair.here.session("ses_1") == make_session(revoked_at=LATER)


async def test_a_login_that_follows_a_new_password_begins_nothing(pair: Pair) -> None:
    await with_user(pair.here)
    await pair.overlap(
        lambda: pair.here.change_password("usr_1", "new", at=LATER),
        lambda: pair.there.add_session(make_session(), password_hash=make_user().password_hash),
    )
    assert pair.said == [True, False]
    assert await pair.here.session("ses_1") is None


async def test_a_login_that_disabling_follows_is_ended_by_it(pair: Pair) -> None:
    await with_user(pair.here)
    await pair.overlap(
        lambda: pair.here.add_session(make_session(), password_hash=make_user().password_hash),
        lambda: pair.there.disable_user("usr_1", at=LATER),
    )
    assert await pair.here.session("ses_1") == make_session(revoked_at=LATER)


async def test_a_key_that_is_being_revoked_gets_no_successor(pair: Pair) -> None:
    await with_user(pair.here)
    await with_keys(pair.here, make_key("key_1"))
    new = make_key("key_2", created_at=LATER)
    await pair.overlap(
        lambda: pair.here.revoke_key("key_1", at=LATER),
        lambda: pair.there.replace_key("key_1", new, ends_at=LATER, max_active=NO_LIMIT),
    )
    assert pair.said == [None, "conflict"]
    assert await pair.here.key("key_2") is None


async def test_of_two_rotations_that_end_the_old_key_at_once_one_is_made(pair: Pair) -> None:
    await with_user(pair.here)
    await with_keys(pair.here, make_key("key_1"))
    first, second = make_key("key_2", created_at=LATER), make_key("key_3", created_at=LATER)
    await pair.overlap(
        lambda: pair.here.replace_key("key_1", first, ends_at=LATER, max_active=NO_LIMIT),
        lambda: pair.there.replace_key("key_1", second, ends_at=LATER, max_active=NO_LIMIT),
    )
    assert pair.said == [None, "conflict"]


async def test_of_two_who_know_one_newest_signing_key_one_adds_the_next(pair: Pair) -> None:
    await pair.overlap(
        lambda: pair.here.add_signing_key(_sealed("a"), retiring=LATER, only_if_newest=None),
        lambda: pair.there.add_signing_key(_sealed("b"), retiring=LATER, only_if_newest=None),
    )
    assert pair.said == [True, False]
    assert [key.kid for key in await pair.here.signing_keys()] == ["a"]


async def test_a_reader_of_the_feed_passes_over_no_change_that_is_committed_later(pair: Pair) -> None:
    """Else its cursor would stand beyond a revocation that it never heard of."""
    cursor, _ = await pair.there.changes_after(None)
    told: list[Change] = []

    async def poll() -> None:
        nonlocal cursor
        cursor, changes = await pair.there.changes_after(cursor)
        told.extend(changes or [])

    await pair.overlap(
        lambda: pair.here.revoke_session("ses_1", at=NOW),
        lambda: pair.there.revoke_session("ses_2", at=NOW),
        meanwhile=poll,
    )
    await poll()
    assert told == [Change("session", "ses_1"), Change("session", "ses_2")]


def _sealed(kid: str) -> SealedKey:
    return SealedKey(kid, "ES256", b"sealed", NOW, NOW, None)


async def test_what_is_revoked_while_a_poll_finds_nothing_is_for_the_next(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor, _ = await pair.here.changes_after(None)
    look_up = pair.here.lanes.look_up

    async def and_then_one_is_revoked(lookup: Lookup[Any], values: Mapping[str, Any]) -> list[Any]:
        found = await look_up(lookup, values)
        monkeypatch.undo()
        await pair.there.revoke_session("ses_1", at=NOW)
        return found

    monkeypatch.setattr(pair.here.lanes, "look_up", and_then_one_is_revoked)
    assert await pair.here.changes_after(cursor) == (cursor, [])
    assert (await pair.here.changes_after(cursor))[1] == [Change("session", "ses_1")]
