"""Keys and tokens of another deployment, such as staging's in production (RFC 8725 §3.8 and §3.9)."""

from collections.abc import Callable
from typing import Any

import pytest

from callcov_auth import Auth
from callcov_auth.errors import TokenRevoked
from callcov_auth.keys.format import mint
from tests.attacks.cases import Case, Control, Make, control, new_user, refused, sends, sent, taken
from tests.support.issuers import Signer, World, own_party
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

SOURCE = "RFC 8725 §3.8"
STAGING = bytes(range(32))
PREFIXES = "RFC 6750 §5.2"
ELSEWHERE = bytes(range(32, 64))


def of_staging(**header: Any) -> Make:
    """A token of another deployment, in which all but the secret is the same."""
    key = Signer("0123456789abcdef", "HS256", STAGING)
    return lambda world: world.own.token({"kid": key.kid} | header, by=key)


async def issued_elsewhere(world: World) -> object:
    async with Auth(make_settings(), clock=world.clock) as other:
        token = await other.tokens.issue("usr_1", scopes=["calls:read"])
    return await world.auth.authenticate(f"Bearer {token}")


async def minted_elsewhere(world: World) -> object:
    async with Auth(make_settings(), clock=world.clock) as other:
        owner = await other.users.create("owner@example.com", "SecurePassword123!")
        key = await other.keys.create(owner.id, name="k")
    return await world.auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")


def in_deployment(use: Callable[[World], Any], **settings: Any) -> Callable[[World], Any]:
    """Return ``use`` in a deployment with other ``settings``."""

    async def attempt(world: World) -> object:
        async with Auth(make_settings(**settings), clock=world.clock) as auth:
            return await use(World(auth, world.clock, own_party(auth, world.clock), world.others))

    return attempt


def key_use(environment: str, segment: str | None = None) -> Callable[[World], Any]:
    async def use(world: World) -> object:
        owner = await new_user(world)
        key = await world.auth.keys.create(owner.id, name="k", environment=environment, segment=segment)
        return await world.auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")

    return use


async def token_use(world: World) -> object:
    return await world.auth.authenticate(f"Bearer {await world.auth.tokens.issue('usr_1')}")


async def ended_session(world: World) -> object:
    token = await world.auth.tokens.issue("usr_1")
    session = (await world.auth.authenticate(f"Bearer {token}")).session_id
    await world.auth.tokens.logout(session_id=session)
    return await world.auth.authenticate(f"Bearer {token}")


CASES = (
    Case("a token that another deployment issued", SOURCE, "token_unknown_kid", issued_elsewhere),
    sent("a token under another secret", SOURCE, "token_unknown_kid", of_staging()),
    sent(
        "a token under another secret, with our key's name",
        SOURCE,
        "token_signature_wrong",
        lambda world: of_staging(kid=world.own.signer.kid)(world),
    ),
    *(
        sent(f"{claim} of {value!r}", "RFC 8725 §3.9", f"token_{reason}", make)
        for claim, value, reason in (
            ("aud", "callcov-staging", "wrong_aud"),
            ("aud", ["callcov-staging", "callcov-dev"], "wrong_aud"),
            ("iss", "callcov-staging", "wrong_iss"),
        )
        for make in [lambda world, claim=claim, value=value: world.own.token(claims={claim: value})]
    ),
    Case("an API key that another deployment minted", PREFIXES, "key_mac_wrong", minted_elsewhere),
    sent("an API key under another pepper", PREFIXES, "key_mac_wrong", lambda world: mint(ELSEWHERE, "live")),
    sent(
        "an API key of ours that is not stored",
        PREFIXES,
        "key_unknown",
        lambda world: mint(world.auth.settings.key_mac_key, "live"),
    ),
    Case(
        "a test key where live ones are taken",
        PREFIXES,
        "key_environment",
        in_deployment(key_use("test"), accepted_environments={"live"}),
    ),
    Case(
        "a live key where test ones are taken",
        PREFIXES,
        "key_environment",
        in_deployment(key_use("live"), accepted_environments={"test"}),
    ),
    *(
        Case(
            f"a key of segment {segment} where prod is taken",
            PREFIXES,
            "key_segment",
            in_deployment(key_use("live", segment), accepted_segments={"prod"}),
        )
        for segment in ("dev", None)
    ),
    Case(
        "a token where keys are taken",
        "RFC 6750 §3.1",
        "kind_not_accepted",
        in_deployment(token_use, accept={"api_key"}),
    ),
    Case(
        "a key where tokens are taken",
        "RFC 6750 §3.1",
        "kind_not_accepted",
        in_deployment(key_use("live"), accept={"token"}),
    ),
    Case(
        "a token of an ended session, where they are revocable",
        "RFC 9700 §4.14",
        "session_revoked",
        in_deployment(ended_session, revocable_access_tokens=True),
        TokenRevoked,
    ),
)
CONTROLS = (
    control("our own token", lambda world: world.own.token()),
    Control(
        "our audience, and staging's",
        sends(lambda world: world.own.token(claims={"aud": ["callcov-staging", "callcov"]})),
    ),
    Control(
        "a test key where those are taken", in_deployment(key_use("test"), accepted_environments={"test"})
    ),
    Control("a key of the right segment", in_deployment(key_use("live", "prod"), accepted_segments={"prod"})),
    Control("a token of a session that goes on", in_deployment(token_use, revocable_access_tokens=True)),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
