"""Other issuers' keys over the network: when they are fetched, and who waits for it."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from callcov_auth import Auth
from callcov_auth.errors import AuthUnavailable
from callcov_auth.events import KeysFetched, KeysLost
from callcov_auth.setting_types import ASYMMETRIC
from callcov_auth.tokens import trusted
from callcov_auth.tokens.jwk import VerifyingKey
from callcov_auth.tokens.jwks import (
    COOL_DOWN,
    DEFAULT_AGE,
    MAX_AGE,
    MIN_AGE,
    REFRESH_AT,
    FetchFailed,
    RemoteKeys,
)
from tests.support.clock import Clock
from tests.support.issuers import signer, trusted_party
from tests.support.polling import eventually
from tests.support.remote_issuer import RemoteIssuer, key_set_of
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

A, B, C = (signer("ES256", name) for name in "abc")
AGE = 600
STALE_FOR = 3600
SOON = 10  # seconds of real time, in which nothing but a lock-up takes so long


@pytest.fixture
def issuer() -> RemoteIssuer:
    return RemoteIssuer(A, B, max_age=AGE)


@pytest.fixture
def keys(issuer: RemoteIssuer, clock: Clock) -> RemoteKeys:
    return RemoteKeys(
        "https://a.example", issuer.fetch, algorithms=ASYMMETRIC, stale_for=STALE_FOR, timer=clock
    )


async def kid_of(keys: RemoteKeys, kid: object) -> str | None:
    key = await keys.find(kid)
    return None if key is None else key.kid


async def is_unavailable(keys: RemoteKeys, kid: object = "a") -> bool:
    with pytest.raises(AuthUnavailable) as caught:
        await keys.find(kid)
    assert (caught.value.reason, caught.value.retry_after) == ("jwks_unavailable", COOL_DOWN)
    return True


async def tend(keys: RemoteKeys, clock: Clock, seconds: int) -> None:
    """Let time pass as it does with a background task."""
    for _ in range(seconds):
        clock.advance(1)
        await keys.refresh()


# When the set is fetched


async def test_it_is_fetched_at_first_use_and_then_kept(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    assert issuer.fetches == 0
    for kid in ("a", "b", "a"):
        assert await kid_of(keys, kid) == kid
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    ("max_age", "kept"),
    [(AGE, AGE), (None, DEFAULT_AGE), (0, MIN_AGE), (59, MIN_AGE), (86401, MAX_AGE), (1e9, MAX_AGE)],
)
async def test_it_is_kept_as_long_as_its_sender_says_within_bounds(
    max_age: float | None, kept: float, keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    issuer.max_age = max_age
    await keys.find("a")
    clock.advance(kept - 0.5)
    await keys.find("a")
    assert issuer.fetches == 1
    clock.advance(0.5)
    await keys.find("a")
    assert issuer.fetches == 2


async def test_the_background_fetches_it_before_it_ends(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.refresh()
    assert issuer.fetches == 1
    await tend(keys, clock, int(REFRESH_AT * AGE) - 1)
    assert issuer.fetches == 1
    await tend(keys, clock, 1)
    assert issuer.fetches == 2
    await tend(keys, clock, 10 * AGE)
    assert issuer.fetches == 2 + int(10 / REFRESH_AT)


async def test_a_key_that_is_gone_from_the_set_verifies_no_more(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    assert await kid_of(keys, "b") == "b"
    issuer.document = key_set_of(A)
    clock.advance(AGE)
    assert await kid_of(keys, "a") == "a"
    assert await kid_of(keys, "b") is None


async def test_without_a_name_the_only_key_is_meant(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    assert await kid_of(keys, None) is None
    issuer.document = key_set_of(A)
    clock.advance(AGE)
    assert await kid_of(keys, None) == "a"


# Names that are not in the set


async def test_a_name_that_is_new_is_looked_for_once(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.find("a")
    issuer.document = key_set_of(A, C)
    clock.advance(COOL_DOWN)
    assert await kid_of(keys, "c") == "c"
    assert issuer.fetches == 2


async def test_unknown_names_have_the_issuer_asked_once_in_a_cool_down(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.find("a")
    for second in range(int(10 * COOL_DOWN)):
        for _ in range(3):
            assert await kid_of(keys, f"unknown-{second}") is None
        clock.advance(1)
    assert issuer.fetches == 10


@pytest.mark.parametrize("kid", [None, 7, True, 1.5, ["a"], {"a": 1}, []])
async def test_what_can_be_no_name_has_nobody_asked(
    kid: object, keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.find("a")
    clock.advance(COOL_DOWN)
    assert await kid_of(keys, kid) is None
    assert issuer.fetches == 1


# Who waits


async def all_of(*calls: Callable[[], Awaitable[Any]]) -> None:
    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as group:
            for call in calls:
                group.start_soon(call)


async def test_fifty_who_ask_at_once_share_one_fetch(keys: RemoteKeys, issuer: RemoteIssuer) -> None:
    issuer.hold()
    found: list[str | None] = []

    async def caller() -> None:
        found.append(await kid_of(keys, "b"))

    async def answer() -> None:
        await anyio.wait_all_tasks_blocked()
        assert found == []
        issuer.answer()

    await all_of(*[caller] * 50, answer)
    assert found == ["b"] * 50
    assert issuer.fetches == 1


async def test_fifty_with_one_new_name_share_one_fetch(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.find("a")
    issuer.document = key_set_of(A, C)
    clock.advance(COOL_DOWN)
    found: list[str | None] = []

    async def caller() -> None:
        found.append(await kid_of(keys, "c"))

    await all_of(*[caller] * 50)
    assert found == ["c"] * 50
    assert issuer.fetches == 2


@pytest.mark.parametrize("age", [COOL_DOWN, AGE - 1, AGE, AGE + STALE_FOR - 1])
async def test_a_known_name_never_waits_for_an_unknown_one(
    age: float, keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    """An attacker who has a slow issuer asked again and again slows down nobody else."""
    await keys.find("a")
    clock.advance(age)
    issuer.hold()
    waiting = True

    async def attacker() -> None:
        nonlocal waiting
        await keys.find("unknown")
        waiting = False

    async def others() -> None:
        await anyio.wait_all_tasks_blocked()
        for kid in ("a", "b") * 20:
            assert await kid_of(keys, kid) == kid
        assert await kid_of(keys, None) is None
        assert waiting
        issuer.answer()

    await all_of(*[attacker] * 20, others)
    assert issuer.fetches == 2


@pytest.mark.parametrize("age", [REFRESH_AT * AGE, AGE, AGE + STALE_FOR - 1])
async def test_nobody_waits_for_the_background(
    age: float, keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.refresh()
    clock.advance(age)
    issuer.hold()

    async def others() -> None:
        await anyio.wait_all_tasks_blocked()
        assert issuer.fetches == 2
        assert await kid_of(keys, "a") == "a"
        issuer.answer()

    await all_of(keys.refresh, others)


async def test_where_the_background_tries_in_vain_no_request_tries_too(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    """Each would wait for the time-out of a dead issuer, while the set in hand is good."""
    await keys.refresh()
    issuer.fault = FetchFailed("ConnectTimeout")
    clock.advance(AGE)
    await keys.refresh()
    await tend(keys, clock, int(COOL_DOWN) - 1)
    clock.advance(1)
    assert issuer.fetches == 2
    assert await kid_of(keys, "a") == "a"
    assert issuer.fetches == 2


# Those who go away


async def test_a_caller_who_goes_away_takes_the_answer_from_nobody(
    keys: RemoteKeys, issuer: RemoteIssuer
) -> None:
    issuer.hold()
    leaving = anyio.CancelScope()
    found: list[str | None] = []

    async def leader() -> None:
        with leaving:
            await keys.find("a")

    async def follower() -> None:
        await anyio.wait_all_tasks_blocked()
        found.append(await kid_of(keys, "a"))

    async def leave() -> None:
        while issuer.fetches == 0:
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        leaving.cancel()
        await anyio.wait_all_tasks_blocked()
        issuer.answer()

    await all_of(leader, *[follower] * 10, leave)
    assert found == ["a"] * 10
    assert issuer.fetches == 1


async def test_one_who_waits_and_goes_away_leaves_the_others_waiting(
    keys: RemoteKeys, issuer: RemoteIssuer
) -> None:
    issuer.hold()
    leaving = anyio.CancelScope()
    asking = anyio.Event()
    found: list[str | None] = []

    async def caller() -> None:
        found.append(await kid_of(keys, "a"))

    async def leaver() -> None:
        # Second, for whoever is first fetches for all and does not go away in the middle of it.
        await eventually(lambda: issuer.fetches == 1)
        asking.set()
        with leaving:
            await keys.find("a")
        found.append("left")

    async def leave() -> None:
        await asking.wait()
        await anyio.wait_all_tasks_blocked()
        leaving.cancel()
        await anyio.wait_all_tasks_blocked()
        assert found == ["left"]
        issuer.answer()

    await all_of(caller, leaver, caller, leave)
    assert sorted(map(str, found)) == ["a", "a", "left"]


async def test_an_attacker_who_asks_and_leaves_keeps_no_fetch_from_its_end(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    """Were the fetch to end with its caller, its cool-down would keep the keys from all others."""
    await keys.find("a")
    for _ in range(3 * (AGE + STALE_FOR)):
        clock.advance(1)
        with anyio.CancelScope() as attacker:
            issuer.meanwhile = attacker.cancel
            await keys.find("unknown")
        issuer.meanwhile = lambda: None
        assert await kid_of(keys, "a") == "a"
    assert issuer.fetches <= 3 * (AGE + STALE_FOR) / COOL_DOWN + 1


async def test_the_background_ends_at_once_when_it_is_told_to(
    keys: RemoteKeys, issuer: RemoteIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.hold()
    async with anyio.create_task_group() as group:
        group.start_soon(keys.refresh)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert issuer.fetches == 1
    assert caplog.records == []  # it did not wait until the fetch had failed


# Dead issuers


async def test_the_last_good_set_serves_a_while_and_then_nothing_is_known(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.find("a")
    issuer.fault = FetchFailed("ConnectError")
    for _ in range(AGE + STALE_FOR - 1):
        clock.advance(1)
        assert await kid_of(keys, "a") == "a"
    assert issuer.fetches <= 1 + STALE_FOR / COOL_DOWN
    clock.advance(1)
    assert await is_unavailable(keys)


async def test_the_keys_come_back_with_their_issuer(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.find("a")
    issuer.fault = FetchFailed("ConnectError")
    clock.advance(AGE + STALE_FOR)
    assert await is_unavailable(keys)
    issuer.fault = None
    clock.advance(COOL_DOWN - 1)
    assert await is_unavailable(keys)
    assert issuer.fetches == 2
    clock.advance(1)
    assert await kid_of(keys, "a") == "a"
    assert issuer.fetches == 3


async def test_an_issuer_that_is_dead_from_the_start(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    issuer.fault = FetchFailed("ConnectError")
    for kid in ("a", "unknown", None):
        assert await is_unavailable(keys, kid)
    assert issuer.fetches == 1
    issuer.fault = None
    clock.advance(COOL_DOWN)
    assert await kid_of(keys, "a") == "a"


async def test_what_an_unknown_name_means_is_not_known_while_its_issuer_is_dead(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.find("a")
    clock.advance(COOL_DOWN)
    issuer.fault = FetchFailed("ConnectError")
    assert await is_unavailable(keys, "c")
    assert await kid_of(keys, "a") == "a"
    assert await kid_of(keys, None) is None
    issuer.fault = None
    clock.advance(COOL_DOWN)
    assert await kid_of(keys, "c") is None


async def test_one_dead_issuer_never_touches_the_tokens_of_others(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, alive = (trusted_party(name, int(clock())) for name in ("ES256", "RS256"))
    remote = {party.issuer: RemoteIssuer(party.signer) for party in (dead, alive)}
    monkeypatch.setattr(trusted, "_fetch", lambda setting: remote[setting.issuer].fetch)
    remote[dead.issuer].hold()
    remote[dead.issuer].fault = FetchFailed("ReadTimeout")
    issuers = [
        {"issuer": party.issuer, "audience": party.audience, "jwks_url": "https://a.example"}
        for party in (dead, alive)
    ]
    async with Auth(make_settings(trusted_issuers=issuers), clock=clock) as auth:
        owner = await auth.users.create("user@example.com", "SecurePassword123!")
        key = await auth.keys.create(owner.id, name="k")
        others = [alive.token(), await auth.tokens.issue("usr_1"), key.api_key.get_secret_value()]

        async def waits() -> None:
            with pytest.raises(AuthUnavailable):
                await auth.authenticate(f"Bearer {dead.token()}")

        async def pass_by() -> None:
            await anyio.wait_all_tasks_blocked()
            for credential in others:
                assert await auth.authenticate(f"Bearer {credential}")
            remote[dead.issuer].answer()

        await all_of(waits, pass_by)


# Poison


POISON = {
    "no object": [],
    "no set": {"error": "maintenance"},
    "no keys": {"keys": []},
    "no list": {"keys": {"a": 1}},
    "no usable key": {"keys": [A.jwk(use="enc"), {"kty": "DSA"}]},
    "a secret key": key_set_of(signer("HS256", "a")),
    "a private key": {"keys": [A.private_jwk()]},
    "one name twice": key_set_of(A, signer("RS256", "a")),
    "one key twice": {"keys": [A.jwk(), A.jwk(kid="b")]},
    "too many keys": {"keys": [A.jwk(kid=f"k{number}") for number in range(101)]},
    "nothing": None,
}


@pytest.mark.parametrize("name", POISON)
async def test_a_poisoned_document_never_takes_the_place_of_a_good_set(
    name: str, keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    await keys.find("a")
    issuer.document = POISON[name]
    for _ in range(3):
        clock.advance(AGE)
        for made in (A, B):
            key = await keys.find(made.kid)
            assert isinstance(key, VerifyingKey)
            assert key.verifies(b"message", made.sign(b"message"))
    assert issuer.fetches == 4
    clock.advance(AGE + STALE_FOR)
    assert await is_unavailable(keys)


@pytest.mark.parametrize("fault", [ValueError("x"), RecursionError(), KeyError("a"), RuntimeError()])
async def test_no_fault_of_a_fetch_ends_a_request_or_the_background(
    fault: Exception, keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock
) -> None:
    issuer.fault = fault
    await keys.refresh()
    assert await is_unavailable(keys)
    issuer.fault = None
    await tend(keys, clock, int(COOL_DOWN))
    assert await kid_of(keys, "a") == "a"


async def test_what_cannot_be_used_of_a_set_is_told_to_the_operator(
    keys: RemoteKeys, issuer: RemoteIssuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "callcov_auth")
    issuer.document = {"keys": [A.jwk(), B.jwk(use="enc")]}
    await keys.find("a")
    issuer.fault = FetchFailed("status_500")
    clock.advance(AGE)
    for _ in range(5):
        await keys.find("a")
        clock.advance(COOL_DOWN)
    issuer.fault, issuer.document = None, {"keys": []}
    await keys.find("a")
    issuer.document = key_set_of(A)
    clock.advance(COOL_DOWN)
    await keys.find("a")
    assert [record.event for record in caplog.records] == [
        KeysFetched("https://a.example", 1, ("key 'b': its 'use' is not 'sig'",)),
        KeysLost("https://a.example", "status_500"),
        KeysFetched("https://a.example", 1, ()),
    ]
