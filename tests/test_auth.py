"""``Auth``: its life, its cache, and its feed put together."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from callcov_auth import Auth
from callcov_auth.errors import AuthUnavailable, InvalidToken, TokenRevoked
from callcov_auth.keys.format import mint
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
    assert auth.callers.get(header.encode()) is first
    assert store.lookups == 1
    clock.advance(0.1)
    assert auth.callers.get(header.encode()) is None
    await auth.authenticate(header)
    assert store.lookups == 2
    await auth.aclose()


async def test_a_credential_has_one_entry_however_it_is_written(clock: Clock) -> None:
    """Else whoever holds one key could push every other out of the cache."""
    auth, store, header = await counted(clock, cache_size=2)
    key = header.removeprefix("Bearer ")
    for spaces in range(1, 50):
        await auth.authenticate(f"bearer{' ' * spaces}{key}")
        await auth.authenticate(f" BEARER{' ' * spaces}{key}\t")
    assert (len(auth.callers), store.lookups) == (1, 1)
    assert auth.callers.get(header.encode()) is not None
    await auth.aclose()


class SlowStore(CountingStore):
    """Holds each lookup of a key until it ``may_answer``."""

    may_answer = True
    error: AuthUnavailable | None = None

    async def keys_by_digest(self, digests: Any, salted_prefixes: Any = ()) -> Any:
        found = await super().keys_by_digest(digests, salted_prefixes)
        while not self.may_answer:
            await anyio.sleep(0.001)
        if self.error is not None:
            raise self.error
        return found


async def slow(clock: Clock) -> tuple[Auth, SlowStore, str]:
    store = SlowStore("sqlite://")
    auth = Auth(make_settings(), store=store, clock=clock)
    await auth.open()
    owner = await auth.users.create("o@example.com", "SecurePassword123!")
    header = bearer(await auth.keys.create(owner.id, name="k"))
    store.may_answer = False
    return auth, store, header


async def test_a_thousand_requests_at_once_for_one_cold_key_make_one_query(clock: Clock) -> None:
    auth, store, header = await slow(clock)
    found: set[str | None] = set()

    async def ask() -> None:
        found.add((await auth.authenticate(header)).key_id)

    async with anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(ask)
        while not store.lookups:
            await anyio.sleep(0.001)
        store.may_answer = True
    assert (store.lookups, len(found)) == (1, 1)
    await auth.aclose()


async def test_a_thousand_requests_at_once_for_one_unknown_key_make_one_query(clock: Clock) -> None:
    auth, store, _ = await slow(clock)
    unknown, reasons = "Bearer " + mint(auth.settings.key_mac_key, "live"), []

    async def ask() -> None:
        with pytest.raises(InvalidToken) as caught:
            await auth.authenticate(unknown)
        reasons.append(caught.value.reason)

    async with anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(ask)
        while not store.lookups:
            await anyio.sleep(0.001)
        store.may_answer = True
    assert (store.lookups, set(reasons)) == (1, {"key_unknown"})
    await auth.aclose()


async def test_the_first_callers_cancellation_costs_the_others_nothing(clock: Clock) -> None:
    auth, store, header = await slow(clock)
    first, found = anyio.CancelScope(), []

    async def gives_up() -> None:
        with first:
            await auth.authenticate(header)

    async def ask() -> None:
        found.append((await auth.authenticate(header)).kind)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gives_up)
        while not store.lookups:
            await anyio.sleep(0.001)
        for _ in range(10):
            tasks.start_soon(ask)
        await anyio.sleep(0.01)
        first.cancel()
        store.may_answer = True
    assert found == ["api_key"] * 10
    assert store.lookups <= 2
    await auth.aclose()


async def test_what_is_revoked_while_it_is_looked_up_is_not_good_for_the_next_request(clock: Clock) -> None:
    auth, store, header = await slow(clock)
    key_id = (await auth.keys.list(limit=1)).keys[0].id
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(auth.authenticate, header)
        while not store.lookups:
            await anyio.sleep(0.001)
        await auth.keys.revoke(key_id)
        store.may_answer = True
    with pytest.raises(TokenRevoked):
        await auth.authenticate(header)
    await auth.aclose()


async def test_whoever_joins_a_lookup_after_the_revocation_is_refused(clock: Clock) -> None:
    """The lookup began before the revocation, so its answer is not for who asks after it."""
    auth, store, header = await slow(clock)
    key_id = (await auth.keys.list(limit=1)).keys[0].id
    outcomes: list[str] = []

    async def ask() -> None:
        try:
            outcomes.append((await auth.authenticate(header)).kind)
        except TokenRevoked:
            outcomes.append("revoked")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        while not store.lookups:
            await anyio.sleep(0.001)
        await auth.keys.revoke(key_id)
        tasks.start_soon(ask)
        await anyio.sleep(0.01)
        store.may_answer = True
    assert sorted(outcomes) == ["api_key", "revoked"]
    await auth.aclose()


async def test_refusals_are_not_remembered(clock: Clock) -> None:
    auth, _, header = await counted(clock)
    with pytest.raises(InvalidToken):
        await auth.authenticate(header + "x")
    assert auth.callers.get(header.encode() + b"x") is None
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
            while here.callers.get(bearer(key).encode()) is not None:
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
        before = auth.callers.trusted_until
        store.error = None
        with anyio.fail_after(10):
            while auth.callers.trusted_until == before:
                await anyio.sleep(0.005)


class SlowDisk(SqlStore):
    """Begins to note when keys were used, and does not come back."""

    writing = False

    async def touch_keys(self, last_used: Mapping[str, float]) -> None:
        self.writing = True
        await anyio.sleep_forever()


async def test_a_write_that_waits_for_the_disk_does_not_keep_the_feed_from_asking() -> None:
    store = SlowDisk("sqlite://")
    async with Auth(make_settings(revocation_interval=0.01), store=store) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        await auth.authenticate(bearer(await auth.keys.create(owner.id, name="k")))
        with anyio.fail_after(10):
            while not store.writing:
                await anyio.sleep(0.005)
            before = auth.callers.trusted_until
            while auth.callers.trusted_until == before:
                await anyio.sleep(0.005)
        # Closing writes it down, and waits for its grace alone.
        store.touch_keys = super(SlowDisk, store).touch_keys  # type: ignore[method-assign]


async def test_without_a_feed_the_store_is_asked_each_time(clock: Clock) -> None:
    store = Failing("sqlite://")
    auth = Auth(make_settings(), store=store, clock=clock)
    await auth.open()
    owner = await auth.users.create("o@example.com", "SecurePassword123!")
    key = await auth.keys.create(owner.id, name="k")
    await auth.authenticate(bearer(key))
    store.error = AuthUnavailable()
    clock.advance(1)
    assert auth.callers.get(bearer(key).encode()) is None
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
