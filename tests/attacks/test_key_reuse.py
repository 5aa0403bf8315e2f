"""One key for two purposes: it serves one algorithm and one purpose (RFC 8725 §3.1, NIST SP 800-57 §5.2)."""

import hashlib
import hmac
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from callcov_auth import Auth
from callcov_auth.settings import SettingsError, derive
from tests.attacks.cases import Case, Control, control, refused, sent, taken, with_header
from tests.support.issuers import Signer, World, signer
from tests.support.settings import make_settings
from tests.support.tokens import as_json, base64url

pytestmark = pytest.mark.anyio

WRONG = "token_signature_wrong"
DERIVED = "RFC 5869 §3.2, NIST SP 800-57 §5.2"


def secret_of(world: World) -> bytes:
    return world.auth.settings.secret.get_secret_value().encode()


def by_secret(name: str, key: Callable[[World], bytes], alg: str = "HS256", reason: str = WRONG) -> Case:
    """The case of a token under a secret of ours that is meant for something else."""

    def make(world: World) -> str:
        return world.own.token({"alg": alg}, by=Signer(None, alg, key(world)))

    return sent(name, DERIVED, reason, make)


def starting(name: str, source: str, text: str, *keys: dict[str, object]) -> Case:
    return starting_with(name, source, text, *(as_json(key).decode() for key in keys))


def starting_with(name: str, source: str, text: str, *signing_keys: str) -> Case:
    async def attempt(world: World) -> object:
        return Auth(make_settings(signing_keys=signing_keys), clock=world.clock)

    return Case(name, source, text, attempt, SettingsError, "start")


def public_pem(key: Signer) -> bytes:
    text: bytes = key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text


RSA, EC, OKP, OCT = (signer(alg, f"reused-{alg}") for alg in ("RS256", "ES256", "Ed25519", "HS256"))
CASES = (
    by_secret("the secret itself", secret_of),
    by_secret("the pepper's key", lambda world: world.auth.settings.pepper_key),
    by_secret("the key of the keys' MAC", lambda world: world.auth.settings.key_mac_key),
    by_secret("SHA-256 of the secret", lambda world: hashlib.sha256(secret_of(world)).digest()),
    by_secret("another label", lambda world: derive(secret_of(world), "HS384")),
    by_secret("no label", lambda world: hmac.digest(secret_of(world), b"", "sha256")),
    by_secret(
        "the token's key for HS384",
        lambda world: world.auth.settings.token_keys[0],
        "HS384",
        "token_alg_not_the_keys",
    ),
    by_secret(
        "the token's key for HS512",
        lambda world: world.auth.settings.token_keys[0],
        "HS512",
        "token_alg_not_the_keys",
    ),
    by_secret("32 zeros", lambda world: bytes(32)),
    by_secret("the kid as a secret", lambda world: world.own.signer.kid.encode()),
    sent(
        "one issuer's RSA key as another's for PS256",
        "RFC 8725 §3.1",
        WRONG,
        lambda world: world["PS256"].token(by=Signer(None, "PS256", world["RS256"].signer.key)),
    ),
    sent(
        "one secret for our tokens and an issuer's",
        "RFC 8725 §3.8",
        WRONG,
        lambda world: world["HS256"].token(by=world.own.signer),
    ),
    starting(
        "one signing key for two algorithms",
        "RFC 8725 §3.1",
        "one signing key is there twice",
        RSA.private_jwk(kid="a", alg="RS256"),
        RSA.private_jwk(kid="b", alg="PS256"),
    ),
    starting(
        "one signing key under two names",
        "RFC 8725 §3.1",
        "one signing key is there twice",
        EC.private_jwk(kid="a"),
        EC.private_jwk(kid="b"),
    ),
    starting(
        "two signing keys with one name",
        "RFC 7517 §4.5",
        "two signing keys have one 'kid'",
        EC.private_jwk(kid="a"),
        OKP.private_jwk(kid="a"),
    ),
    starting(
        "a signing key for encryption", "RFC 7517 §4.2", "its 'use' is not 'sig'", RSA.private_jwk(use="enc")
    ),
    starting("a signing key with no private part", "RFC 7517 §9.3", "it has no private part", EC.jwk()),
    starting(
        "a signing key with no name",
        "RFC 7517 §4.5",
        "names its 'kid', and its 'alg'",
        EC.private_jwk(kid=None),
    ),
    starting(
        "a signing key with an empty name", "RFC 7517 §4.5", "'kid' is a printable", EC.private_jwk(kid="")
    ),
    starting(
        "a signing key for no algorithm",
        "RFC 8725 §3.1",
        "names its 'kid', and its",
        EC.private_jwk(alg=None),
    ),
    starting(
        "a signing key for 'none'", "RFC 8725 §3.2", "names its 'kid', and its", EC.private_jwk(alg="none")
    ),
    starting(
        "an RSA key for HS256", "RFC 8725 §3.1", "its 'alg' is not allowed", RSA.private_jwk(alg="HS256")
    ),
    starting(
        "a curve for another's algorithm",
        "RFC 7518 §3.4",
        "its 'alg' is not all",
        EC.private_jwk(alg="ES384"),
    ),
    starting("a short secret", "RFC 7518 §3.2", "it is shorter than 32 bytes", OCT.jwk(k="c2hvcnQ")),
    starting(
        "a signing key that may encrypt too",
        "RFC 7517 §4.3",
        "its 'key_ops' is not 'sign'",
        EC.private_jwk(key_ops=["sign", "encrypt"]),
    ),
    starting("32 zeros for a secret", "RFC 8725 §3.5", "it repeats itself", OCT.jwk(k=base64url(bytes(32)))),
    starting(
        "a public key for a secret",
        "CVE-2015-9235",
        "it looks like a key of another kind",
        OCT.jwk(k=base64url(public_pem(EC))),
    ),
    starting_with("text that is no key", "RFC 7517 §4", "a signing key is a private JWK", "{"),
    starting(
        "a private part of another key",
        "RFC 7517 §9.3",
        "its private part makes no key",
        OKP.private_jwk(d=signer("Ed25519", "stranger-key").private_jwk()["d"]),
    ),
)


async def signs(world: World, key: dict[str, object]) -> object:
    async with Auth(make_settings(signing_keys=[as_json(key).decode()]), clock=world.clock) as auth:
        return await auth.authenticate("Bearer " + await auth.tokens.issue("usr_1"))


CONTROLS = (
    control("each key for its own", with_header("own")),
    *(
        Control(f"a signing key for {key.alg}", lambda world, key=key: signs(world, key.private_jwk()))
        for key in (RSA, EC, OKP, OCT)
    ),
)


def test_text_that_is_no_key_stops_the_start() -> None:
    for text in ("", "{", "[]", '{"kid":"a","kid":"b"}', "\ud800"):
        with pytest.raises(SettingsError, match="a signing key is a private JWK"):
            Auth(make_settings(signing_keys=[text]))


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
