"""Forged API keys: what carries no MAC of ours is refused without a query, and the rest by its digest."""

import hashlib
import hmac
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from callcov_auth.errors import TokenExpired, TokenRevoked
from callcov_auth.keys.format import ALPHABET, digest, mint
from tests.attacks.cases import Case, Control, new_user, refused, sent, taken
from tests.support.issuers import World

pytestmark = pytest.mark.anyio

GUESSING = "CWE-330, RFC 6819 §5.1.4.2.2"
TAMPERED = "CWE-347"
ENDED = "RFC 6819 §5.1.5"
LIVE = "sk_live_"


def forged(name: str, source: str, reason: str, change: Callable[[str], str | bytes]) -> Case:
    """The case of a good key, changed."""

    async def attempt(world: World) -> object:
        made = change(await good_key(world))
        return await world.auth.authenticate(made if isinstance(made, bytes) else f"Bearer {made}")

    return Case(name, source, reason, attempt)


async def good_key(world: World, **options: Any) -> str:
    owner = await new_user(world)
    key = await world.auth.keys.create(owner.id, name="k", **options)
    return key.api_key.get_secret_value()


def other(character: str) -> str:
    return ALPHABET[(ALPHABET.index(character) + 1) % len(ALPHABET)]


def with_mac(key: bytes, **options: Any) -> str:
    """A key whose MAC is made as ours is, under a key of the attacker's choice."""
    signed = LIVE + "A" * 42
    number = int.from_bytes(hashlib.blake2b(signed.encode(), digest_size=8, key=key, **options).digest())
    text = ""
    for _ in range(6):
        number, rest = divmod(number, 62)
        text += ALPHABET[rest]
    return signed + text


async def revoked_key(world: World) -> object:
    owner = await new_user(world)
    key = await world.auth.keys.create(owner.id, name="k")
    await world.auth.keys.revoke(key.id, owner=owner.id)
    return await world.auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")


async def key_of_disabled_owner(world: World) -> object:
    owner = await new_user(world)
    key = await world.auth.keys.create(owner.id, name="k")
    await world.auth.users.disable(owner.id)
    return await world.auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")


async def expired_key(world: World) -> object:
    key = await good_key(world, expires_in_days=1)
    started = world.clock.now
    try:
        world.clock.advance(timedelta(days=1).total_seconds())
        return await world.auth.authenticate(f"Bearer {key}")
    finally:
        world.clock.now = started


MALFORMED, MAC, UNKNOWN = "key_malformed", "key_mac_wrong", "key_unknown"
CASES = (
    *(
        forged(f"character {place} changed", TAMPERED, MAC, change)
        for place in (8, 9, 20, 30, 49, 50, 51, 55)
        for change in [lambda key, place=place: key[:place] + other(key[place]) + key[place + 1 :]]
    ),
    forged("all of it in lower case", TAMPERED, MAC, lambda key: LIVE + key[8:].swapcase()),
    forged(
        "two characters swapped",
        TAMPERED,
        MAC,
        lambda key: key[:50] + key[50:].translate(str.maketrans(ALPHABET, ALPHABET[1:] + ALPHABET[:1])),
    ),
    forged("live made test", TAMPERED, MAC, lambda key: key.replace("live", "test")),
    forged("a segment added", TAMPERED, MAC, lambda key: key.replace("live_", "live_prod_")),
    forged("one character less", TAMPERED, MALFORMED, lambda key: key[:-1]),
    forged("one character more", TAMPERED, MALFORMED, lambda key: key + "A"),
    forged("twice", TAMPERED, MALFORMED, lambda key: key + key[8:]),
    forged("the part that lists show", "CWE-200", MALFORMED, lambda key: key[:14]),
    forged("a prefix of it", TAMPERED, MALFORMED, lambda key: LIVE),
    forged("another environment", TAMPERED, MALFORMED, lambda key: key.replace("live", "prod")),
    forged("LIVE", TAMPERED, MALFORMED, lambda key: key.replace("live", "LIVE")),
    forged("SK_", TAMPERED, "unknown_form", lambda key: "SK_" + key[3:]),
    forged("a hyphen for its line", TAMPERED, "unknown_form", lambda key: key.replace("sk_", "sk-")),
    forged("an empty segment", TAMPERED, MALFORMED, lambda key: key.replace("live_", "live__")),
    forged("a long segment", TAMPERED, MALFORMED, lambda key: key.replace("live_", "live_" + "a" * 17 + "_")),
    forged("'=' after it", TAMPERED, MALFORMED, lambda key: key + "="),
    forged("a dot in it", TAMPERED, MALFORMED, lambda key: key[:30] + "." + key[31:]),
    forged("a wildcard of SQL in it", "CWE-89", "header_malformed", lambda key: LIVE + "%" * 48),
    forged("SQL", "CWE-89", "header_malformed", lambda key: f"{key}' OR '1'='1"),
    forged("NUL after it", "CWE-626", "header_malformed", lambda key: key + "\x00"),
    forged("a line end after it", "CWE-93", "header_malformed", lambda key: key + "\n"),
    forged(
        "full-width characters",
        "CWE-176",
        "header_malformed",
        lambda key: f"Bearer {key[:-1]}\uff21".encode(),
    ),
    forged(
        "full-width characters, as text",
        "CWE-176",
        "header_not_visible_ascii",
        lambda key: key[:-1] + "\uff21",
    ),
    sent("all zeros", GUESSING, MAC, lambda world: LIVE + "0" * 48),
    sent("a MAC with no key", GUESSING, MAC, lambda world: with_mac(b"")),
    sent("a MAC under zeros", GUESSING, MAC, lambda world: with_mac(bytes(32))),
    sent(
        "a MAC under the pepper's key", GUESSING, MAC, lambda world: with_mac(world.auth.settings.pepper_key)
    ),
    sent(
        "a MAC under the tokens' key",
        GUESSING,
        MAC,
        lambda world: with_mac(world.auth.settings.token_keys[0]),
    ),
    sent(
        "a MAC for another purpose",
        GUESSING,
        MAC,
        lambda world: with_mac(world.auth.settings.key_mac_key, person=b"other"),
    ),
    sent(
        "a right MAC over a key that is not stored",
        GUESSING,
        UNKNOWN,
        lambda world: with_mac(world.auth.settings.key_mac_key),
    ),
    sent(
        "one that is freshly minted",
        GUESSING,
        UNKNOWN,
        lambda world: mint(world.auth.settings.key_mac_key, "live"),
    ),
    forged(
        "its digest as a key",
        "CWE-836",
        MALFORMED,
        lambda key: f"sk_live_{hashlib.sha256(key.encode()).hexdigest()}",
    ),
    sent(
        "a stored digest as a key",
        "CWE-836",
        MALFORMED,
        lambda world: "sk_live_" + digest(world.auth.settings.pepper_key, "sk_live_x").hex(),
    ),
    sent(
        "a signature for a key",
        "CWE-347",
        MALFORMED,
        lambda world: "sk_" + hmac.digest(b"k", b"k", "sha256").hex(),
    ),
    sent("a token behind the prefix", "CWE-347", MALFORMED, lambda world: "sk_" + world.own.token()),
    Case("one that was revoked", ENDED, "key_revoked", revoked_key, TokenRevoked),
    Case("one whose owner was disabled", ENDED, "key_owner_disabled", key_of_disabled_owner, TokenRevoked),
    Case("one that ended", ENDED, "key_expired", expired_key, TokenExpired),
)


async def whole_key(world: World, **options: Any) -> object:
    return await world.auth.authenticate(f"Bearer {await good_key(world, **options)}")


CONTROLS = (
    Control("a good key", whole_key),
    Control("a test key", lambda world: whole_key(world, environment="test")),
    Control("a key with the longest segment", lambda world: whole_key(world, segment="a" * 16)),
    Control("a key that ends in a day", lambda world: whole_key(world, expires_in_days=1)),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
