"""The keyring kept true to the store: what another process did is known here; a dead store hurts little."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from secrets import token_bytes
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette

from callcov_auth import Auth, AuthSettings, auth_routes
from callcov_auth.errors import AuthUnavailable, InvalidToken
from callcov_auth.events import SigningKeyUnreadable
from callcov_auth.store.protocol import SealedKey
from callcov_auth.store.sql import SqlStore
from callcov_auth.tokens.guards import take_apart
from callcov_auth.tokens.sealing import Seals
from callcov_auth.tokens.stored_keys import COOL_DOWN, KEYRING_INTERVAL
from tests.support.asgi import request
from tests.support.clock import Clock
from tests.support.issuers import as_setting, signer, trusted_party
from tests.support.polling import TIMEOUT, eventually
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


class Watched(SqlStore):
    """Counts how often the signing keys are read, fails while ``error`` is set, and waits for ``gate``."""

    reads = 0
    error: Exception | None = None
    gate: anyio.Event | None = None

    async def signing_keys(self) -> Any:
        self.reads += 1
        if self.gate is not None:
            with anyio.fail_after(TIMEOUT):
                await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await super().signing_keys()


class Two:
    """Two Auths on one file, as two processes have them, neither with a task in the background."""

    def __init__(self, settings: AuthSettings, clock: Clock) -> None:
        self.store = Watched(settings.database_url.get_secret_value())
        self.here = Auth(settings, store=self.store, clock=clock)
        self.there = Auth(settings, clock=clock)


@pytest.fixture
async def two(tmp_path: Path, clock: Clock) -> AsyncIterator[Two]:
    pair = Two(make_settings(database_url=f"sqlite:///{tmp_path}/a.db"), clock)
    await pair.here.open()
    await pair.there.open()
    pair.store.reads = 0
    yield pair
    await pair.here.aclose()
    await pair.there.aclose()


def bearer(token: str) -> str:
    return f"Bearer {token}"


def kid_of(token: str) -> Any:
    return take_apart(token).header["kid"]


def kids(auth: Auth) -> list[str]:
    return [key["kid"] for key in auth.tokens.public_keys()["keys"]]


async def reason(auth: Auth, token: str) -> str:
    with pytest.raises((InvalidToken, AuthUnavailable)) as caught:
        await auth.authenticate(bearer(token))
    return caught.value.reason


async def stray_token(clock: Clock) -> str:
    """A token under a ``kid`` that nobody here has."""
    async with Auth(make_settings(), clock=clock) as stranger:
        return await stranger.tokens.issue("usr_1")


# What another process did


async def test_a_key_that_another_process_added_a_moment_ago_is_known(two: Two) -> None:
    await two.there.signing_keys.add()
    token = await two.there.tokens.issue("usr_1")
    assert (await two.here.authenticate(bearer(token))).subject == "usr_1"


async def test_a_key_is_shown_by_every_process_within_the_interval(two: Two, clock: Clock) -> None:
    app = Starlette(routes=auth_routes(two.here))
    kid = await two.there.signing_keys.add()
    clock.advance(KEYRING_INTERVAL)
    shown = (await request(app, "/.well-known/jwks.json")).json()["keys"]
    assert [key["kid"] for key in shown] == [kid]


async def test_every_process_signs_with_it(two: Two, clock: Clock) -> None:
    kid = await two.there.signing_keys.add()
    clock.advance(KEYRING_INTERVAL)
    await two.here.ensure_open()
    assert kid_of(await two.here.tokens.issue("usr_1")) == kid


async def test_a_key_that_another_process_retired_is_gone_within_the_interval(two: Two, clock: Clock) -> None:
    first = await two.there.signing_keys.add()
    token = await two.there.tokens.issue("usr_1")
    await two.here.authenticate(bearer(token))
    await two.there.signing_keys.add(signs_in=0)
    await two.there.signing_keys.retire(first)
    clock.advance(KEYRING_INTERVAL)
    assert await reason(two.here, token) == "token_unknown_kid"


async def test_a_caller_in_the_cache_goes_with_the_key(two: Two, clock: Clock) -> None:
    first = await two.there.signing_keys.add()
    header = bearer(await two.there.tokens.issue("usr_1"))
    await two.here.authenticate(header)
    await two.there.signing_keys.add(signs_in=0)
    await two.here.signing_keys.list()
    assert two.here.callers.get(header.encode()) is not None, "a key more takes nothing away"
    await two.there.signing_keys.retire(first)
    await two.here.signing_keys.list()
    assert two.here.callers.get(header.encode()) is None


async def test_a_task_in_the_background_hears_of_it_without_a_request(tmp_path: Path, clock: Clock) -> None:
    shared = make_settings(database_url=f"sqlite:///{tmp_path}/a.db", revocation_interval=0.01)
    async with Auth(shared, clock=clock) as here, Auth(shared, clock=clock) as there:
        kid = await there.signing_keys.add()
        assert kids(here) == []
        clock.advance(KEYRING_INTERVAL)
        await eventually(lambda: kids(here) == [kid])


async def test_the_keys_are_there_when_it_has_opened(tmp_path: Path, clock: Clock) -> None:
    shared = make_settings(database_url=f"sqlite:///{tmp_path}/a.db")
    async with Auth(shared, clock=clock) as before:
        kid = await before.signing_keys.add()
        token = await before.tokens.issue("usr_1")
    async with Auth(shared, clock=clock) as after:
        assert kids(after) == [kid]
        assert await after.authenticate(bearer(token))


# How often the store is asked


async def test_the_store_is_asked_once_in_the_interval(two: Two, clock: Clock) -> None:
    for _ in range(3):
        await two.here.ensure_open()
    assert two.store.reads == 0, "opening has read them"
    clock.advance(KEYRING_INTERVAL - 0.01)
    await two.here.ensure_open()
    assert two.store.reads == 0
    clock.advance(0.01)
    for _ in range(3):
        await two.here.ensure_open()
    assert two.store.reads == 1


async def test_unknown_names_ask_the_store_once_in_the_cool_down(two: Two, clock: Clock) -> None:
    tokens = [await stray_token(clock) for _ in range(3)]
    for token in tokens:
        assert await reason(two.here, token) == "token_unknown_kid"
    assert two.store.reads == 1
    clock.advance(COOL_DOWN)
    for token in tokens:
        assert await reason(two.here, token) == "token_unknown_kid"
    assert two.store.reads == 2


async def test_a_known_name_asks_nobody(two: Two) -> None:
    token = await two.here.tokens.issue("usr_1")
    await two.here.authenticate(bearer(token))
    assert two.store.reads == 0


async def test_all_who_come_with_a_new_key_wait_for_one_answer(two: Two) -> None:
    await two.there.signing_keys.add()
    tokens = [await two.there.tokens.issue(f"usr_{number}") for number in range(20)]
    taken: list[str] = []

    async def take(token: str) -> None:
        taken.append((await two.here.authenticate(bearer(token))).subject)

    two.store.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        for token in tokens:
            group.start_soon(take, token)
        await eventually(lambda: two.store.reads == 1)
        await anyio.wait_all_tasks_blocked()
        assert taken == []
        two.store.gate.set()
    assert sorted(taken) == sorted(f"usr_{number}" for number in range(20))
    assert two.store.reads == 1


async def test_who_goes_away_takes_the_answer_from_nobody(two: Two) -> None:
    await two.there.signing_keys.add()
    token = await two.there.tokens.issue("usr_1")
    two.store.gate = anyio.Event()
    taken: list[str] = []
    gone = anyio.CancelScope()

    async def take(scope: anyio.CancelScope) -> None:
        with scope:
            taken.append((await two.here.authenticate(bearer(token))).subject)

    async with anyio.create_task_group() as group:
        group.start_soon(take, gone)
        await eventually(lambda: two.store.reads == 1)
        gone.cancel()
        group.start_soon(take, anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        two.store.gate.set()
    assert "usr_1" in taken
    assert two.store.reads == 1


# A store that does not answer


async def test_a_dead_store_leaves_the_keyring_as_it_is(two: Two, clock: Clock) -> None:
    kid = await two.there.signing_keys.add()
    token = await two.there.tokens.issue("usr_1")
    clock.advance(KEYRING_INTERVAL)
    await two.here.ensure_open()
    two.store.error = AuthUnavailable(reason="store_dead")
    clock.advance(KEYRING_INTERVAL)
    assert (await two.here.authenticate(bearer(token))).subject == "usr_1"
    assert kids(two.here) == [kid]


async def test_what_an_unknown_name_means_cannot_be_known_then(two: Two, clock: Clock) -> None:
    await two.there.signing_keys.add()
    token = await two.there.tokens.issue("usr_1")
    two.store.error = AuthUnavailable(reason="store_dead")
    for _ in range(2):
        with pytest.raises(AuthUnavailable) as caught:
            await two.here.authenticate(bearer(token))
        assert (caught.value.reason, caught.value.retry_after) == ("signing_keys_unavailable", COOL_DOWN)
    two.store.error = None
    clock.advance(COOL_DOWN)
    assert (await two.here.authenticate(bearer(token))).subject == "usr_1"
    assert await reason(two.here, await stray_token(clock)) == "token_unknown_kid"


async def test_a_dead_store_is_asked_again_soon_and_not_by_everybody(two: Two, clock: Clock) -> None:
    two.store.error = AuthUnavailable(reason="store_dead")
    clock.advance(KEYRING_INTERVAL)
    for _ in range(3):
        await two.here.ensure_open()
    assert two.store.reads == 1
    clock.advance(COOL_DOWN)
    await two.here.ensure_open()
    assert two.store.reads == 2


async def test_whoever_comes_while_the_keys_are_read_goes_on_with_those_there_are(
    two: Two, clock: Clock
) -> None:
    token = await two.here.tokens.issue("usr_1")
    clock.advance(KEYRING_INTERVAL)
    two.store.gate = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(two.here.ensure_open)
        await eventually(lambda: two.store.reads == 1)
        with anyio.fail_after(10):
            assert (await two.here.authenticate(bearer(token))).subject == "usr_1"
        two.store.gate.set()


async def test_without_its_keys_it_does_not_open(clock: Clock) -> None:
    store = Watched("sqlite://")
    store.error = AuthUnavailable(reason="store_dead")
    with pytest.raises(AuthUnavailable):
        await Auth(make_settings(), store=store, clock=clock).open()


async def test_a_resource_server_asks_no_store_for_keys(clock: Clock) -> None:
    party = trusted_party("ES256", int(clock()))
    settings = AuthSettings(_env_file=None, accept={"token"}, trusted_issuers=[as_setting(party)])
    store = Watched("sqlite://")
    auth = Auth(settings, store=store, clock=clock)
    await auth.open()
    clock.advance(KEYRING_INTERVAL)
    with pytest.raises(InvalidToken):
        await auth.authenticate(bearer(await stray_token(clock)))
    assert store.reads == 0
    with pytest.raises(RuntimeError, match=r"no signing keys.*CALLCOV_AUTH_SECRET"):
        await auth.signing_keys.add()
    await auth.aclose()


async def test_an_older_secret_gives_a_resource_server_no_key(clock: Clock) -> None:
    party = trusted_party("ES256", int(clock()))
    old = make_settings().secret
    more = {"accept": {"token"}, "trusted_issuers": [as_setting(party)], "previous_secrets": [old]}
    async with Auth(make_settings(secret=old), clock=clock) as before:
        token = await before.tokens.issue("usr_1")
    async with Auth(AuthSettings(_env_file=None, **more), clock=clock) as auth:
        assert await reason(auth, token) == "token_unknown_kid"


# Seals


def unreadable(caplog: pytest.LogCaptureFixture) -> list[SigningKeyUnreadable]:
    events = [getattr(record, "event", None) for record in caplog.records]
    return [event for event in events if isinstance(event, SigningKeyUnreadable)]


def all_files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_the_database_shows_nothing_of_a_private_key(tmp_path: Path, clock: Clock) -> None:
    settings = make_settings(database_url=f"sqlite:///{tmp_path}/a.db")
    async with Auth(settings, clock=clock) as auth:
        await auth.signing_keys.add("ES256")
        number = auth.tokens.keyring.signing.key.private_numbers().private_value
        x = auth.tokens.public_keys()["keys"][0]["x"]
    kept = all_files(tmp_path)
    assert b"callcov_signing_keys" in kept
    for hidden in (number.to_bytes(32), str(number).encode(), f"{number:x}".encode(), b'"d"', x.encode()):
        assert hidden not in kept


def test_two_seals_of_one_key_differ() -> None:
    seals = Seals([token_bytes(32)])
    assert seals.seal("k", b"private") != seals.seal("k", b"private")


async def test_a_key_of_an_older_secret_goes_on(tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    old, new = (make_settings().secret for _ in range(2))
    async with Auth(make_settings(secret=old, database_url=url), clock=clock) as auth:
        kid = await auth.signing_keys.add()
        token = await auth.tokens.issue("usr_1")
    changed = make_settings(secret=new, previous_secrets=[old], database_url=url)
    async with Auth(changed, clock=clock) as auth:
        assert (await auth.authenticate(bearer(token))).subject == "usr_1"
        assert kid_of(await auth.tokens.issue("usr_1")) == kid
        added = await auth.signing_keys.add()
        needing = {key.kid: key.previous_secret for key in await auth.signing_keys.list() if key.created_at}
        assert needing == {kid: True, added: False}
    async with Auth(make_settings(secret=new, database_url=url), clock=clock) as auth:
        assert kids(auth) == [added]


@pytest.mark.parametrize("place", ["pepper", "secret"])
async def test_without_a_secret_the_pepper_seals(place: str, tmp_path: Path, clock: Clock) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    own = [signer("ES256", "own").private_jwk()]
    pepper = make_settings().secret
    settings = AuthSettings(_env_file=None, pepper=pepper, signing_keys=own, database_url=url)
    async with Auth(settings, clock=clock) as auth:
        kid = await auth.signing_keys.add()
    later = settings if place == "pepper" else settings.replace(secret=make_settings().secret)
    async with Auth(later, clock=clock) as auth:
        assert kids(auth) == ["own", kid]


async def test_a_key_of_a_lost_secret_is_passed_over_and_told_once(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    async with Auth(make_settings(database_url=url), clock=clock) as auth:
        kid = await auth.signing_keys.add()
        token = await auth.tokens.issue("usr_1")
    async with Auth(make_settings(database_url=url), clock=clock) as auth:
        assert await reason(auth, token) == "token_unknown_kid"
        assert take_apart(await auth.tokens.issue("usr_1")).header["alg"] == "HS256"
        assert [key.state for key in await auth.signing_keys.list()] == ["signing", "unreadable"]
        assert unreadable(caplog) == [SigningKeyUnreadable(kid, "sealed_under_another_secret")]
        await auth.signing_keys.retire(kid)
        assert [key.state for key in await auth.signing_keys.list()] == ["signing", "retired"]


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(12), bytes(12 + 16), bytes(300)])
async def test_who_can_write_to_the_database_adds_no_key(sealed: bytes, two: Two, clock: Clock) -> None:
    forged = SealedKey("forged", "ES256", sealed, clock(), clock())
    await two.store.add_signing_key(forged, retiring=clock(), only_if_newest=None)
    assert [key.state for key in await two.here.signing_keys.list()] == ["signing", "unreadable"]
    assert kids(two.here) == []


async def test_a_retired_key_does_not_come_back_under_anothers_name(
    tmp_path: Path, two: Two, clock: Clock
) -> None:
    first = await two.there.signing_keys.add()
    token = await two.there.tokens.issue("usr_1")
    await two.there.signing_keys.add(signs_in=0)
    await two.there.signing_keys.retire(first)
    await two.here.signing_keys.list()
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection, connection:
        seal = connection.execute("SELECT sealed FROM callcov_signing_keys WHERE kid = ?", (first,))
        connection.execute("UPDATE callcov_signing_keys SET sealed = ?", seal.fetchone())
    states = [key.state for key in await two.here.signing_keys.list()]
    assert states == ["signing", "retired", "unreadable"]
    assert kids(two.here) == []
    assert await reason(two.here, token) == "token_unknown_kid"


async def test_a_key_that_the_rules_refuse_is_passed_over(
    two: Two, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    seals = two.here._own_keys.seals
    weak = SealedKey("weak", "RS256", seals.seal("weak", b'{"kty":"RSA"}'), clock(), clock())
    await two.store.add_signing_key(weak, retiring=clock(), only_if_newest=None)
    assert [key.state for key in await two.here.signing_keys.list()] == ["signing", "unreadable"]
    (event,) = unreadable(caplog)
    assert (event.kid, "names its 'kid'" in event.reason) == ("weak", True)
