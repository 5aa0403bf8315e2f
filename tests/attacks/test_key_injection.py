"""Keys that the token itself brings or points at: never followed (RFC 8725 §3.10, RFC 7515 §4.1.2 to 6)."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.attacks.cases import Case, Control, Make, control, refused, sent, taken
from tests.support.issuers import ABSENT, Signer, World, signer
from tests.support.tokens import base64url

pytestmark = pytest.mark.anyio

EVIL = {alg: signer(alg, "evil-key") for alg in ("RS256", "ES256", "Ed25519")}


def der(key: Signer) -> str:
    return base64url(key.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


OFFERS = {
    "jwk": ("CVE-2018-0114", lambda key: {"jwk": key.jwk()}),
    "jwk with its private part": ("CVE-2018-0114", lambda key: {"jwk": key.private_jwk()}),
    "jku": ("CVE-2024-21643", lambda key: {"jku": "https://evil.example/jwks.json"}),
    "jku on our own host": ("RFC 8725 §3.10", lambda key: {"jku": "https://rs256.example/../evil"}),
    "jku to a local file": ("RFC 8725 §3.10", lambda key: {"jku": "file:///dev/stdin"}),
    "jku inside the network": ("RFC 8725 §3.10", lambda key: {"jku": "http://169.254.169.254/latest"}),
    "x5u": ("RFC 8725 §3.10", lambda key: {"x5u": "https://evil.example/chain.pem"}),
    "x5c": ("RFC 7515 §4.1.6", lambda key: {"x5c": [der(key)]}),
    "x5t": ("RFC 7515 §4.1.7", lambda key: {"x5t": base64url(bytes(20))}),
    "jwk and jku": ("CVE-2018-0114", lambda key: {"jwk": key.jwk(), "jku": "https://evil.example/"}),
}


def offering(who: str, offer: str, **changes: object) -> Make:
    key = EVIL[who]
    return lambda world: world[who].token({**OFFERS[offer][1](key), **changes}, by=key)


CASES = (
    *(
        sent(f"{who}: {offer}", OFFERS[offer][0], "token_signature_wrong", offering(who, offer))
        for who in EVIL
        for offer in OFFERS
    ),
    *(
        sent(
            f"{who}: jwk named by 'kid'",
            "CVE-2018-0114",
            "token_unknown_kid",
            offering(who, "jwk", kid="evil-key"),
        )
        for who in EVIL
    ),
    sent(
        "a secret in 'jwk'",
        "CVE-2018-0114",
        "token_signature_wrong",
        lambda world: world.own.token(
            {"jwk": {"kty": "oct", "k": base64url(bytes(32)), "alg": "HS256"}},
            by=Signer(None, "HS256", bytes(32)),
        ),
    ),
    sent(
        "a key among the claims",
        "RFC 7800 §3.1",
        "token_signature_wrong",
        lambda world: world["ES256"].token(claims={"cnf": {"jwk": EVIL["ES256"].jwk()}}, by=EVIL["ES256"]),
    ),
    sent(
        "jwk and no 'kid', where two keys are known",
        "CVE-2018-0114",
        "token_unknown_kid",
        lambda world: world["ES384"].token({"kid": ABSENT, "jwk": EVIL["ES256"].jwk()}, by=EVIL["ES256"]),
    ),
)
CONTROLS = (
    control(
        "the issuer's own key in 'jwk', which nobody reads",
        lambda world: world["ES256"].token({"jwk": world["ES256"].signer.jwk()}),
    ),
    control(
        "another's address in 'jku', which nobody asks", lambda world: world.own.token({"jku": "https://x"})
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
