"""Our signing keys come and go, by hand and by the calendar, and no token is refused for it."""

import json
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest

from callcov_auth import Auth
from callcov_auth.errors import (
    AuthUnavailable,
    Conflict,
    InvalidToken,
    NotFound,
    TokenExpired,
    ValidationFailed,
)
from callcov_auth.events import Event, SigningKeyAdded, SigningKeyRetired
from callcov_auth.setting_types import SigningAlgorithm
from callcov_auth.tokens import rotation
from callcov_auth.tokens.guards import take_apart
from callcov_auth.tokens.jwk import PRIVATE_MEMBERS, load_key_set
from callcov_auth.tokens.keyring import KEY_SET_MAX_AGE
from callcov_auth.tokens.rotation import MAX_LIVE_KEYS, PUBLISH_AHEAD
from callcov_auth.tokens.stored_keys import KEYRING_INTERVAL
from tests.support.clock import Clock
from tests.support.issuers import signer
from tests.support.polling import eventually
from tests.support.settings import make_settings
from tests.tokens.test_stored_keys import Watched, bearer, kid_of, kids, reason

pytestmark = pytest.mark.anyio

PASSWORD = "SecurePassword123!"
DAY = 86400
WEEK = 7 * DAY
AT_ONCE = 8


async def signing(auth: Auth) -> Any:
    return kid_of(await auth.tokens.issue("usr_1"))


async def taken(auth: Auth, token: str) -> str:
    return (await auth.authenticate(bearer(token))).subject


async def states(auth: Auth) -> dict[str, str]:
    return {key.kid: key.state for key in await auth.signing_keys.list() if key.source == "store"}


def events(caplog: pytest.LogCaptureFixture, kind: type[Event]) -> list[Event]:
    found = [getattr(record, "event", None) for record in caplog.records]
    return [event for event in found if isinstance(event, kind)]


# When a key signs


async def test_the_first_key_signs_at_once_since_nobody_keeps_a_set_without_it(auth: Auth) -> None:
    assert kids(auth) == []
    kid = await auth.signing_keys.add()
    assert await signing(auth) == kid
    assert kids(auth) == [kid]


async def test_the_next_is_shown_at_once_and_signs_when_every_copy_of_the_set_has_it(
    auth: Auth, clock: Clock
) -> None:
    first = await auth.signing_keys.add()
    second = await auth.signing_keys.add()
    assert kids(auth) == [first, second]
    clock.advance(PUBLISH_AHEAD - 1)
    assert await signing(auth) == first
    clock.advance(1)
    assert await signing(auth) == second
    assert kids(auth) == [first, second]


async def test_the_first_stored_key_waits_where_the_settings_keys_are_kept_by_others(clock: Clock) -> None:
    settings = make_settings(signing_keys=[json.dumps(signer("ES256", "own").private_jwk())])
    async with Auth(settings, clock=clock) as auth:
        kid = await auth.signing_keys.add()
        assert (await signing(auth), kids(auth)) == ("own", ["own", kid])
        clock.advance(PUBLISH_AHEAD)
        assert (await signing(auth), kids(auth)) == (kid, ["own", kid])


@pytest.mark.parametrize("signs_in", [0, 60, 2.5])
async def test_it_may_be_said_when_a_key_signs(auth: Auth, clock: Clock, signs_in: float) -> None:
    first = await auth.signing_keys.add()
    second = await auth.signing_keys.add(signs_in=signs_in)
    if signs_in:
        clock.advance(signs_in - 0.01)
        assert await signing(auth) == first
        clock.advance(0.01)
    assert await signing(auth) == second


async def test_the_newest_of_those_whose_time_has_come_signs(auth: Auth, clock: Clock) -> None:
    first = await auth.signing_keys.add()
    later = await auth.signing_keys.add(signs_in=100)
    now = await auth.signing_keys.add(signs_in=0)
    assert await signing(auth) == now
    clock.advance(100)
    assert await signing(auth) == now, "one that is older takes nothing back"
    assert await states(auth) == {first: "verifying", later: "verifying", now: "signing"}


async def test_a_clock_that_runs_behind_changes_nothing_in_the_order(tmp_path: Path) -> None:
    settings = make_settings(database_url=f"sqlite:///{tmp_path}/a.db")
    ahead, behind = Clock(), Clock(Clock().now - 3600)
    async with Auth(settings, clock=ahead) as there, Auth(settings, clock=behind) as here:
        first = await there.signing_keys.add()
        second = await here.signing_keys.add(signs_in=0)
        third = await there.signing_keys.add(signs_in=0)
        assert list(await states(here)) == [first, second, third]
        assert await signing(there) == third


# The keys that are made

MADE = [alg for alg in get_args(SigningAlgorithm) if alg[:2] not in ("RS", "PS")] + ["RS256", "PS512"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("alg", MADE)
async def test_a_key_of_each_kind_signs_and_others_can_verify_it(alg: str, auth: Auth) -> None:
    kid = await auth.signing_keys.add(alg)
    token = await auth.tokens.issue("usr_1")
    assert await taken(auth, token) == "usr_1"
    parts = take_apart(token)
    assert parts.header == {"alg": alg, "kid": kid, "typ": "at+jwt"}
    shown = auth.tokens.public_keys()
    (jwk,) = shown["keys"]
    assert not PRIVATE_MEMBERS & jwk.keys()
    assert (jwk["alg"], jwk["use"], "key_ops" in jwk) == (alg, "sig", False)
    keys, refused = load_key_set(shown, algorithms=[alg], inline=False)
    assert refused == []
    assert keys.find(kid).verifies(parts.signed, parts.signature)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_rsa_key_has_3072_bits(auth: Auth) -> None:
    await auth.signing_keys.add("RS256")
    assert auth.tokens.keyring.signing.key.key_size == 3072


async def test_a_key_is_made_off_the_loop(auth: Auth, monkeypatch: pytest.MonkeyPatch) -> None:
    made_in: list[threading.Thread] = []
    make = rotation._private_key

    def noting(alg: SigningAlgorithm) -> Any:
        made_in.append(threading.current_thread())
        return make(alg)

    monkeypatch.setattr(rotation, "_private_key", noting)
    await auth.signing_keys.add()
    assert made_in != [threading.current_thread()]


async def test_the_setting_says_which_kind_is_made(clock: Clock) -> None:
    async with Auth(make_settings(signing_algorithm="EdDSA"), clock=clock) as auth:
        await auth.signing_keys.add()
        await auth.signing_keys.add("ES384")
        assert [key["alg"] for key in auth.tokens.public_keys()["keys"]] == ["EdDSA", "ES384"]


@pytest.mark.parametrize("alg", ["HS256", "none", "es256", "ES256K", "RSA", "", 256])
async def test_only_a_key_that_others_can_verify_by_is_made(auth: Auth, alg: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await auth.signing_keys.add(alg)
    assert set(caught.value.details["fields"]) == {"alg"}
    assert await states(auth) == {}


@pytest.mark.parametrize("signs_in", [-1, float("nan"), float("inf"), 367 * DAY, "60", True])
async def test_when_it_signs_is_a_time_to_come(auth: Auth, signs_in: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        await auth.signing_keys.add(signs_in=signs_in)
    assert set(caught.value.details["fields"]) == {"signs_in"}
    assert await states(auth) == {}


async def test_there_is_a_bound_to_the_keys_that_verify_at_once(auth: Auth, clock: Clock) -> None:
    for _ in range(MAX_LIVE_KEYS):
        await auth.signing_keys.add("EdDSA", signs_in=0)
    with pytest.raises(Conflict) as caught:
        await auth.signing_keys.add("EdDSA")
    assert caught.value.reason == "signing_key_limit_reached"
    clock.advance(WEEK)
    await auth.signing_keys.add("EdDSA")
    assert len(kids(auth)) == 2


async def test_what_was_made_is_told_without_the_key(
    auth: Auth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    first = await auth.signing_keys.add()
    second = await auth.signing_keys.add()
    third = await auth.signing_keys.add("EdDSA")
    at = clock() + PUBLISH_AHEAD
    assert events(caplog, SigningKeyAdded) == [
        SigningKeyAdded(first, "ES256", clock()),
        SigningKeyAdded(second, "ES256", at),
        SigningKeyAdded(third, "EdDSA", at),
    ]
    assert events(caplog, SigningKeyRetired) == [
        SigningKeyRetired(first, at + WEEK),
        SigningKeyRetired(second, at + WEEK),
    ]
    private = auth.tokens.keyring.signing.key.private_numbers().private_value
    shown = f"{caplog.text} {auth.signing_keys!r} {await auth.signing_keys.list()!r}"
    assert str(private) not in shown
    assert "sealed=" not in shown


# What the older ones signed


async def test_a_token_signed_before_a_rotation_verifies_until_its_end(auth: Auth, clock: Clock) -> None:
    await auth.signing_keys.add()
    await auth.signing_keys.add()
    clock.advance(PUBLISH_AHEAD - 1)
    token = await auth.tokens.issue("usr_1")
    clock.advance(1799)
    assert await taken(auth, token) == "usr_1"
    clock.advance(1)
    with pytest.raises(TokenExpired):
        await auth.authenticate(bearer(token))


async def test_a_refresh_token_signed_before_a_rotation_does_too(auth: Auth, clock: Clock) -> None:
    await auth.users.create("user@example.com", PASSWORD)
    old = await auth.signing_keys.add()
    new = await auth.signing_keys.add()
    clock.advance(PUBLISH_AHEAD - 1)
    refresh = (await auth.tokens.login("user@example.com", PASSWORD)).refresh_token.get_secret_value()
    assert kid_of(refresh) == old
    clock.advance(WEEK - 1)
    renewed = await auth.tokens.refresh(refresh)
    assert kid_of(renewed.access_token.get_secret_value()) == new
    clock.advance(1)
    with pytest.raises(TokenExpired):
        await auth.tokens.refresh(refresh)
    assert kids(auth) == [old, new]
    clock.advance(1)
    assert kids(auth) == [new], "nothing that it signed is left"
    with pytest.raises(InvalidToken) as caught:
        await auth.tokens.refresh(refresh)
    assert caught.value.reason == "token_unknown_kid"


@pytest.mark.parametrize(("access", "refresh"), [(600, 60), (60, 600)])
async def test_the_longest_life_of_a_token_and_the_leeway_count(
    access: int, refresh: int, clock: Clock
) -> None:
    settings = make_settings(access_token_ttl=access, refresh_token_ttl=refresh, leeway=30)
    async with Auth(settings, clock=clock) as auth:
        old = await auth.signing_keys.add()
        await auth.signing_keys.add(signs_in=0)
        clock.advance(629)
        assert (await states(auth))[old] == "verifying"
        clock.advance(1)
        assert (await states(auth))[old] == "retired"


async def test_the_secrets_key_goes_on_verifying(auth: Auth, clock: Clock) -> None:
    token = await auth.tokens.issue("usr_1")
    await auth.signing_keys.add()
    assert await signing(auth) != kid_of(token)
    assert await taken(auth, token) == "usr_1"


async def test_what_has_retired_is_forgotten_with_the_next_key(auth: Auth, clock: Clock) -> None:
    first = await auth.signing_keys.add()
    second = await auth.signing_keys.add(signs_in=0)
    clock.advance(WEEK)
    assert await states(auth) == {first: "retired", second: "signing"}
    third = await auth.signing_keys.add()
    assert await states(auth) == {second: "signing", third: "next"}


# Retiring


async def test_what_a_retired_key_signed_is_refused_at_once(auth: Auth, clock: Clock) -> None:
    first = await auth.signing_keys.add()
    token = await auth.tokens.issue("usr_1")
    await auth.authenticate(bearer(token))
    assert auth.callers.get(bearer(token).encode()) is not None
    await auth.signing_keys.add(signs_in=0)
    await auth.signing_keys.retire(first)
    assert auth.callers.get(bearer(token).encode()) is None
    assert await reason(auth, token) == "token_unknown_kid"
    assert first not in kids(auth)


async def test_retiring_twice_changes_nothing(
    auth: Auth, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    first = await auth.signing_keys.add()
    await auth.signing_keys.add(signs_in=0)
    for _ in range(2):
        await auth.signing_keys.retire(first)
        clock.advance(1)
    (_, retired) = events(caplog, SigningKeyRetired)
    assert retired == SigningKeyRetired(first, clock() - 2)
    assert next(key.retires_at for key in await auth.signing_keys.list() if key.kid == first) == clock() - 2


async def test_the_newest_key_is_not_retired(auth: Auth, clock: Clock) -> None:
    only = await auth.signing_keys.add()
    with pytest.raises(Conflict) as caught:
        await auth.signing_keys.retire(only)
    assert caught.value.reason == "signing_key_needed"
    newest = await auth.signing_keys.add()
    for signs in (False, True):
        assert (await signing(auth) == newest) is signs
        with pytest.raises(Conflict):
            await auth.signing_keys.retire(newest)
        clock.advance(PUBLISH_AHEAD)
    assert await states(auth) == {only: "verifying", newest: "signing"}


async def test_the_key_that_signs_is_not_retired_before_another_does(auth: Auth, clock: Clock) -> None:
    first = await auth.signing_keys.add()
    second = await auth.signing_keys.add()
    with pytest.raises(Conflict) as caught:
        await auth.signing_keys.retire(first)
    assert caught.value.reason == "signing_key_needed"
    clock.advance(PUBLISH_AHEAD)
    await auth.signing_keys.retire(first)
    assert await states(auth) == {first: "retired", second: "signing"}


async def test_an_older_one_signs_again_where_the_one_that_signs_is_retired(auth: Auth) -> None:
    first = await auth.signing_keys.add()
    second = await auth.signing_keys.add(signs_in=0)
    third = await auth.signing_keys.add()
    assert await signing(auth) == second
    await auth.signing_keys.retire(second)
    assert await states(auth) == {first: "signing", second: "retired", third: "next"}


async def test_a_key_that_does_not_sign_yet_can_be_retired_when_it_is_not_the_newest(
    auth: Auth, clock: Clock
) -> None:
    first, second, third = [await auth.signing_keys.add() for _ in range(3)]
    await auth.signing_keys.retire(second)
    assert await states(auth) == {first: "signing", second: "retired", third: "next"}
    clock.advance(PUBLISH_AHEAD)
    assert await signing(auth) == third


@pytest.mark.parametrize("which", ["unknown", "of the settings"])
async def test_only_the_stores_keys_are_retired(which: str, auth: Auth) -> None:
    kid = "0123456789abcdef" if which == "unknown" else await signing(auth)
    with pytest.raises(NotFound) as caught:
        await auth.signing_keys.retire(kid)
    assert caught.value.reason == "signing_key_not_found"


async def test_all_keys_are_listed_with_where_they_are_from(clock: Clock) -> None:
    own = [json.dumps(signer("ES256", kid).private_jwk()) for kid in ("own", "older")]
    async with Auth(make_settings(signing_keys=own), clock=clock) as auth:
        before = [(key.kid, key.alg, key.state, key.source) for key in await auth.signing_keys.list()]
        assert before == [
            ("own", "ES256", "signing", "settings"),
            ("older", "ES256", "verifying", "settings"),
        ]
        kid = await auth.signing_keys.add("EdDSA", signs_in=0)
        assert [key.state for key in await auth.signing_keys.list()] == ["verifying", "verifying", "signing"]
        added = (await auth.signing_keys.list())[-1]
        assert (added.kid, added.alg, added.source) == (kid, "EdDSA", "store")
        assert (added.created_at, added.signs_from, added.retires_at) == (clock(), clock(), None)


# By the calendar


def calendar(days: int | None, url: str = "sqlite://", **more: Any) -> Any:
    return make_settings(signing_key_rotation_days=days, database_url=url, **more)


async def test_without_the_setting_no_key_is_ever_made(clock: Clock) -> None:
    auth = Auth(calendar(None), clock=clock)
    for _ in range(3):
        await auth.ensure_open()
        clock.advance(1000 * DAY)
    assert kids(auth) == []
    await auth.aclose()


async def test_the_next_key_comes_when_the_newest_has_signed_for_so_long(clock: Clock) -> None:
    auth = Auth(calendar(30, signing_algorithm="EdDSA"), clock=clock)
    await auth.ensure_open()
    (first,) = kids(auth)
    assert await signing(auth) == first
    clock.advance(30 * DAY - 1)
    await auth.ensure_open()
    assert kids(auth) == [first]
    clock.advance(1)
    await auth.ensure_open()
    _, second = kids(auth)
    assert await signing(auth) == first
    clock.advance(PUBLISH_AHEAD)
    assert await signing(auth) == second
    clock.advance(WEEK)
    assert kids(auth) == [second]
    clock.advance(30 * DAY - WEEK - 1)
    await auth.ensure_open()
    assert kids(auth) == [second], "counted from its first signature"
    clock.advance(1)
    await auth.ensure_open()
    assert [key["alg"] for key in auth.tokens.public_keys()["keys"]] == ["EdDSA"] * 2
    await auth.aclose()


async def test_a_task_in_the_background_does_it_without_a_request(clock: Clock) -> None:
    async with Auth(calendar(1, revocation_interval=0.01), clock=clock) as auth:
        await eventually(lambda: len(kids(auth)) == 1)
        clock.advance(DAY)
        await eventually(lambda: len(kids(auth)) == 2)


@asynccontextmanager
async def processes(number: int, settings: Any, clock: Clock) -> AsyncIterator[list[Auth]]:
    """Many Auths on one file, as many processes have it, with no task in the background."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(number):
            auth = Auth(settings, clock=clock)
            await auth.open()
            stack.push_async_callback(auth.aclose)
            opened.append(auth)
        yield opened


async def all_at_once(auths: list[Auth]) -> None:
    async with anyio.create_task_group() as group:
        for auth in auths:
            group.start_soon(auth.ensure_open)


async def test_many_processes_make_one_key(tmp_path: Path, clock: Clock) -> None:
    settings = calendar(1, f"sqlite:///{tmp_path}/a.db")
    async with processes(AT_ONCE, settings, clock) as auths:
        for number in range(1, 4):
            await all_at_once(auths)
            clock.advance(KEYRING_INTERVAL)
            await all_at_once(auths)
            assert {tuple(kids(auth)) for auth in auths} == {tuple(kids(auths[0]))}
            assert len(kids(auths[0])) == number
            clock.advance(PUBLISH_AHEAD)
            assert {await signing(auth) for auth in auths} == {kids(auths[0])[-1]}
            clock.advance(DAY)


async def test_a_process_that_comes_later_finds_the_key_made(tmp_path: Path, clock: Clock) -> None:
    async with processes(2, calendar(1, f"sqlite:///{tmp_path}/a.db"), clock) as (here, there):
        await there.ensure_open()
        assert (kids(here), len(kids(there))) == ([], 1)
        await here.ensure_open()
        assert kids(here) == kids(there)


async def test_many_requests_of_one_process_make_one_key(clock: Clock) -> None:
    auth = Auth(calendar(1), clock=clock)
    await auth.open()
    await all_at_once([auth] * AT_ONCE)
    assert len(kids(auth)) == 1
    await auth.aclose()


async def test_those_who_add_at_the_same_time_all_succeed(tmp_path: Path, clock: Clock) -> None:
    async with processes(AT_ONCE, make_settings(database_url=f"sqlite:///{tmp_path}/a.db"), clock) as auths:
        async with anyio.create_task_group() as group:
            for auth in auths:
                group.start_soon(auth.signing_keys.add)
        listed = [key for key in await auths[0].signing_keys.list() if key.source == "store"]
        assert len(listed) == AT_ONCE
        assert [key.retires_at is None for key in listed] == [False] * (AT_ONCE - 1) + [True]


async def test_no_more_keys_are_made_than_there_may_be(tmp_path: Path, clock: Clock) -> None:
    by_hand = make_settings(database_url=f"sqlite:///{tmp_path}/a.db", refresh_token_ttl=366 * DAY)
    async with Auth(by_hand, clock=clock) as auth:
        for _ in range(MAX_LIVE_KEYS):
            await auth.signing_keys.add("EdDSA", signs_in=0)
    clock.advance(DAY)
    async with processes(1, by_hand.replace(signing_key_rotation_days=1), clock) as (auth,):
        await auth.ensure_open()
        assert len(kids(auth)) == MAX_LIVE_KEYS


async def test_while_the_store_is_dead_nothing_is_made_and_nothing_fails(clock: Clock) -> None:
    store = Watched("sqlite://")
    auth = Auth(calendar(1), store=store, clock=clock)
    await auth.ensure_open()
    token = await auth.tokens.issue("usr_1")
    store.error = AuthUnavailable(reason="store_dead")
    clock.advance(DAY)
    await auth.ensure_open()
    assert kids(auth) == [kid_of(token)]
    store.error = None
    await auth.ensure_open()
    assert len(kids(auth)) == 2
    await auth.aclose()


# All together


@pytest.mark.parametrize("asked_after", [0, KEYRING_INTERVAL - 1, KEYRING_INTERVAL, 150, KEY_SET_MAX_AGE - 1])
async def test_who_keeps_our_key_set_as_long_as_it_says_meets_no_key_unknown_to_it(
    asked_after: float, tmp_path: Path, clock: Clock
) -> None:
    """Asked for at the worst moment, of a process that has not heard of the new key yet."""
    settings = make_settings(database_url=f"sqlite:///{tmp_path}/a.db")
    async with processes(2, settings, clock) as (issuer, shown):
        old = await issuer.signing_keys.add()
        clock.advance(KEYRING_INTERVAL)
        await shown.ensure_open()
        new = await issuer.signing_keys.add()
        clock.advance(asked_after)
        met = set()
        for second in range(2 * KEY_SET_MAX_AGE):
            if second % KEY_SET_MAX_AGE == 0:
                await shown.ensure_open()
                kept = kids(shown)
            kid = issuer.tokens.keyring.signing.kid
            assert kid in kept
            met.add(kid)
            clock.advance(1)
        assert met == {old, new}


async def test_five_rotations_under_load_refuse_nobody(tmp_path: Path, clock: Clock) -> None:
    settings = make_settings(database_url=f"sqlite:///{tmp_path}/a.db", revocation_interval=0.01)
    met: set[Any] = set()
    rotating = True

    async def calling(login_at: Auth, others: list[Auth]) -> None:
        pair = await login_at.tokens.login("user@example.com", PASSWORD)
        while rotating:
            for auth in others:
                renewed = await auth.tokens.refresh(pair.refresh_token.get_secret_value())
                token = renewed.access_token.get_secret_value()
                met.add(kid_of(token))
                for verifier in others:
                    await verifier.authenticate(bearer(token))
            pair = await login_at.tokens.login("user@example.com", PASSWORD)

    async with Auth(settings, clock=clock) as here, Auth(settings, clock=clock) as there:
        await here.users.create("user@example.com", PASSWORD)
        async with anyio.create_task_group() as group:
            for login_at in (here, there, here):
                group.start_soon(calling, login_at, [here, there])
            await eventually(lambda: bool(met))
            with anyio.fail_after(60):
                for _ in range(5):
                    kid = await here.signing_keys.add()
                    while kid not in met:
                        clock.advance(20)
                        await anyio.sleep(0.01)
            rotating = False
        assert len(met) == 6, "the secret's key, then five"


async def test_a_session_outlives_any_number_of_rotations(tmp_path: Path, clock: Clock) -> None:
    settings = calendar(1, f"sqlite:///{tmp_path}/a.db")
    async with processes(2, settings, clock) as (here, there):
        await here.users.create("user@example.com", PASSWORD)
        await here.ensure_open()
        pair = await here.tokens.login("user@example.com", PASSWORD)
        signed_by = set()
        for _ in range(7 * 24 - 1):
            clock.advance(3600)
            for auth in (here, there):
                await auth.ensure_open()
                renewed = await auth.tokens.refresh(pair.refresh_token.get_secret_value())
                signed_by.add(kid_of(renewed.access_token.get_secret_value()))
        assert len(signed_by) == 7
