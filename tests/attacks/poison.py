"""Key sets that an issuer should not have, in the settings and fetched."""

from collections.abc import Callable, Collection
from typing import Any

from callcov_auth.errors import AuthUnavailable, InvalidToken
from callcov_auth.setting_types import ASYMMETRIC
from callcov_auth.settings import SettingsError
from tests.attacks.cases import Case, Control
from tests.support.hosting import JWKS, hosted_party, page, relying_party
from tests.support.issuers import ABSENT, Signer, World, signer

Jwk = dict[str, Any]
RSA, EC, ED, ED448, OCT = (
    signer(alg, f"poisoned-{alg}") for alg in ("RS256", "ES256", "Ed25519", "Ed448", "HS256")
)
GOOD = signer("ES384", "good-key")


def bad_key(
    name: str,
    source: str,
    text: str,
    jwk: Callable[[], Any],
    by: Callable[[], Any] = lambda: RSA,
    algorithms: Collection[str] = ASYMMETRIC,
) -> tuple[Case, ...]:
    """Return the cases of a key, beside a good one: in the settings, and fetched, where it signs a token."""
    inline = bad_set(f"{name}, inline", source, text, lambda: [GOOD.jwk(), jwk()], algorithms)

    async def attempt(world: World) -> object:
        return await authenticated(world, [GOOD.jwk(), jwk()], by(), algorithms, {"kid": _kid_of(jwk())})

    return inline, Case(f"{name}, fetched", source, "token_unknown_kid", attempt, InvalidToken)


def _kid_of(jwk: Any) -> object:
    return jwk.get("kid", ABSENT) if isinstance(jwk, dict) else "no-key"


def bad_set(
    name: str, source: str, text: str, keys: Callable[[], Any], algorithms: Collection[str] = ASYMMETRIC
) -> Case:
    async def attempt(world: World) -> object:
        async with relying_party(
            world.clock, {}, jwks={"keys": keys()}, algorithms=sorted(algorithms)
        ) as auth:
            return auth

    return Case(name, source, text, attempt, SettingsError, "start")


def bad_fetched_set(
    name: str,
    source: str,
    keys: Callable[[], Any],
    by: Signer,
    header: Jwk | None = None,
    algorithms: Collection[str] = ASYMMETRIC,
) -> Case:
    async def attempt(world: World) -> object:
        return await authenticated(world, keys(), by, algorithms, header or {})

    return Case(name, source, "jwks_unavailable", attempt, AuthUnavailable)


def bad_answer(name: str, source: str, pages: Callable[[], dict[str, Any]], **issuer: Any) -> Case:
    async def attempt(world: World) -> object:
        async with relying_party(world.clock, pages(), **issuer) as auth:
            return await auth.authenticate(f"Bearer {hosted_party(EC, world.clock).token()}")

    return Case(name, source, "jwks_unavailable", attempt, AuthUnavailable)


async def authenticated(
    world: World, keys: object, by: Any, algorithms: Collection[str], header: Jwk
) -> object:
    pages = {JWKS: page({"keys": keys})}
    async with relying_party(world.clock, pages, algorithms=sorted(algorithms)) as auth:
        return await auth.authenticate(f"Bearer {hosted_party(by, world.clock).token(header)}")


def good(name: str, keys: Callable[[], list[Any]], by: Signer, **issuer: Any) -> Control:
    algorithms = issuer.pop("algorithms", ASYMMETRIC)
    return Control(name, lambda world: authenticated(world, keys(), by, algorithms, issuer))
