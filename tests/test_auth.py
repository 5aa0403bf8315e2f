"""``Auth``: its life, its cache, and its feed put together."""

from typing import Any

import anyio
import pytest

from callcov_auth import Auth
from callcov_auth.errors import AuthUnavailable, InvalidToken, TokenRevoked
from callcov_auth.store.sql import SqlStore
from tests.keys.test_validator import CountingStore, bearer
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


async def counted(clock: Clock, **settings: Any) -> tuple[Auth, CountingStore, str]:
    store = CountingStore("sqlite://")
    auth = Auth(make_settings(**settings), store=store, clock=clock)
    await auth.open()
    owner = await auth.users.create("o@example.com", "SecurePassword123!")
    return auth, store, bearer(await auth.keys.create(owner.id, name="k"))


async def test_a_credential_is_looked_up_once_in_its_time(clock: Clock) -> None:
    auth, store, header = await counted(clock, cache_ttl=60, revocation_interval=60)
    first = await auth.authenticate(header)
    clock.advance(59.9)
    assert await auth.authenticate(header.encode()) is first
    assert auth.recall(header.encode()) is first
    assert store.lookups == 1
    clock.advance(0.1)
    assert auth.recall(header.encode()) is None
    await auth.authenticate(header)
    assert store.lookups == 2
    await auth.aclose()


async def test_refusals_are_not_remembered(clock: Clock) -> None:
    auth, _, header = await counted(clock)
    with pytest.raises(InvalidToken):
        await auth.authenticate(header + "x")
    assert auth.recall(header.encode() + b"x") is None
    await auth.aclose()


@pytest.mark.parametrize("value", ["Bearer sk_é", "Bearer \U0001f600", "", "Bearer"])
async def test_text_that_is_no_header_value_is_refused(auth: Auth, value: str) -> None:
    with pytest.raises(InvalidToken):
        await auth.authenticate(value)


async def test_it_opens_at_first_use(clock: Clock) -> None:
    auth = Auth(make_settings(), clock=clock)
    with pytest.raises(InvalidToken):
        await auth.authenticate("Bearer sk_live_x")
    assert repr(auth) == "Auth(opened=True)"
    await auth.aclose()


async def test_it_closes_when_the_last_user_closes(tmp_path: Any) -> None:
    auth = Auth(make_settings(database_url=f"sqlite:///{tmp_path}/a.db"))
    async with auth:
        async with auth:
            assert repr(auth) == "Auth(opened=True)"
        assert repr(auth) == "Auth(opened=True)"
        await auth.users.list()
    assert repr(auth) == "Auth(opened=False)"
    async with auth:
        await auth.users.list()


async def test_it_can_be_opened_again_after_it_could_not(tmp_path: Any) -> None:
    folder = tmp_path / "later"
    auth = Auth(make_settings(database_url=f"sqlite:///{folder}/a.db"))
    with pytest.raises(AuthUnavailable):
        await auth.open()
    assert repr(auth) == "Auth(opened=False)"
    folder.mkdir()
    async with auth:
        assert await auth.users.list() == []


async def two_processes(tmp_path: Any, clock: Clock, **settings: Any) -> tuple[Auth, Auth]:
    """Two Auths over one file, as two processes have it."""
    shared = make_settings(database_url=f"sqlite:///{tmp_path}/a.db", **settings)
    return Auth(shared, clock=clock), Auth(shared, clock=clock)


async def test_anothers_revocation_is_heard_within_the_interval(tmp_path: Any, clock: Clock) -> None:
    here, there = await two_processes(tmp_path, clock)
    await here.open()
    await there.open()
    owner = await there.users.create("o@example.com", "SecurePassword123!")
    key = await there.keys.create(owner.id, name="k")
    await here.authenticate(bearer(key))
    await there.keys.revoke(key.id)
    clock.advance(1.0)
    with pytest.raises(TokenRevoked):
        await here.authenticate(bearer(key))
    await here.aclose()
    await there.aclose()


async def test_a_background_task_hears_it_without_a_request(tmp_path: Any) -> None:
    shared = make_settings(database_url=f"sqlite:///{tmp_path}/a.db", revocation_interval=0.01)
    async with Auth(shared) as here, Auth(shared) as there:
        owner = await there.users.create("o@example.com", "SecurePassword123!")
        key = await there.keys.create(owner.id, name="k")
        await here.authenticate(bearer(key))
        await there.keys.revoke(key.id)
        with anyio.fail_after(10):
            while here._cache.get(bearer(key).encode(), 0) is not None:
                await anyio.sleep(0.005)


class Failing(SqlStore):
    """Fails on every poll of the feed while ``error`` is set."""

    error: Exception | None = None

    async def changes_after(self, cursor: int | None) -> Any:
        if self.error is not None:
            raise self.error
        return await super().changes_after(cursor)


async def test_housekeeping_outlives_a_store_that_fails_in_any_way(caplog: pytest.LogCaptureFixture) -> None:
    store = Failing("sqlite://")
    async with Auth(make_settings(revocation_interval=0.01), store=store) as auth:
        store.error = ZeroDivisionError()
        with anyio.fail_after(10):
            while "housekeeping failed" not in caplog.text:
                await anyio.sleep(0.005)
        before = auth._feed.trusted_until
        store.error = None
        with anyio.fail_after(10):
            while auth._feed.trusted_until == before:
                await anyio.sleep(0.005)


async def test_without_a_feed_the_store_is_asked_each_time(clock: Clock) -> None:
    store = Failing("sqlite://")
    auth = Auth(make_settings(), store=store, clock=clock)
    await auth.open()
    owner = await auth.users.create("o@example.com", "SecurePassword123!")
    key = await auth.keys.create(owner.id, name="k")
    await auth.authenticate(bearer(key))
    store.error = AuthUnavailable()
    clock.advance(1)
    assert auth.recall(bearer(key).encode()) is None
    assert (await auth.authenticate(bearer(key))).key_id == key.id
    await auth.aclose()


async def test_last_use_is_written_without_a_background_task_too(clock: Clock) -> None:
    auth, _, header = await counted(clock)
    principal = await auth.authenticate(header)
    used_at = clock()
    clock.advance(1)
    await auth.authenticate(header)
    assert (await auth.keys.get(principal.key_id or "")).last_used_at == used_at
    await auth.aclose()


async def test_many_first_uses_at_once_open_it_once(tmp_path: Any) -> None:
    auth = Auth(make_settings(database_url=f"sqlite:///{tmp_path}/a.db"))
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(auth.ensure_open)
    await auth.aclose()
    assert repr(auth) == "Auth(opened=False)"


async def test_the_block_that_began_the_background_ends_it(tmp_path: Any) -> None:
    auth = Auth(make_settings(database_url=f"sqlite:///{tmp_path}/a.db"))
    await auth.ensure_open()
    async with auth:
        assert auth._feed.in_background
    assert not auth._feed.in_background
    assert repr(auth) == "Auth(opened=True)"
    await auth.aclose()
