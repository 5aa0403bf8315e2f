"""Algorithm confusion: a token that says itself how it is verified (RFC 8725 §2.1 and §3.1)."""

from functools import partial

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.attacks.cases import Case, Control, Make, control, refused, sent, taken, with_header
from tests.support.issuers import ABSENT, TRUSTED, Signer, World
from tests.support.tokens import as_json

pytestmark = pytest.mark.anyio

REASON = "token_alg_not_the_keys"
SPKI, PKCS1, OPENSSH = PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1, PublicFormat.OpenSSH

# The public key in the forms in which a library was once handed it as an HMAC secret.
FORMS = {
    "PEM": ("CVE-2015-9235", Encoding.PEM, SPKI, ""),
    "PEM without its last line end": ("CVE-2016-5431", Encoding.PEM, SPKI, "strip"),
    "DER": ("CVE-2016-10555", Encoding.DER, SPKI, ""),
    "PKCS #1 PEM": ("CVE-2017-11424", Encoding.PEM, PKCS1, ""),
    "OpenSSH": ("CVE-2022-29217, CVE-2024-33663", Encoding.OpenSSH, OPENSSH, ""),
    "JWK": ("CVE-2024-37568", None, None, ""),
}


def public_text(signer: Signer, form: str) -> bytes:
    _, encoding, layout, how = FORMS[form]
    if encoding is None:
        return as_json(signer.jwk())
    text: bytes = signer.public.public_bytes(encoding, layout)
    return text.strip() if how else text


def keyed_with_public_key(who: str, form: str, alg: str, world: World) -> str:
    party = world[who]
    secret = Signer(party.signer.kid, alg, public_text(party.signer, form))
    return party.token(header={"alg": alg}, by=secret)


def has_form(who: str, form: str) -> bool:
    if form == "PKCS #1 PEM":
        return who in ("RS256", "PS256")
    return form != "OpenSSH" or who != "Ed448"


def signed_as(who: str, alg: str) -> Make:
    """A token signed by the right key, in the way that its header says and the key does not."""
    return lambda world: world[who].token({"alg": alg}, by=Signer(None, alg, world[who].signer.key))


ASYMMETRIC = [who for who in TRUSTED if who not in ("HS256", "ES256-2")]
CASES = (
    *(
        sent(f"{who}: HS256 under the public key as {form}", FORMS[form][0], REASON, make)
        for who in ASYMMETRIC
        for form in FORMS
        if has_form(who, form)
        for make in [partial(keyed_with_public_key, who, form, "HS256")]
    ),
    *(
        sent(
            f"RS256: {alg} under the public key",
            "CVE-2023-48238, CVE-2024-54150",
            REASON,
            partial(keyed_with_public_key, "RS256", "PEM", alg),
        )
        for alg in ("HS384", "HS512")
    ),
    *(
        sent(f"{who}: signed as {alg} by the right key", "RFC 8725 §3.1, CVE-2021-46743", REASON, make)
        for who, alg in (
            ("RS256", "RS384"),
            ("RS256", "RS512"),
            ("RS256", "PS256"),
            ("PS256", "RS256"),
            ("PS256", "PS384"),
            ("HS256", "HS384"),
            ("HS256", "HS512"),
            ("own", "HS384"),
            ("own", "HS512"),
        )
        for make in [signed_as(who, alg)]
    ),
    *(
        sent(f"{who}: the right signature under the name {alg!r}", "RFC 8725 §3.1", REASON, make)
        for who, alg in (
            ("own", "RS256"),
            ("own", "hs256"),
            ("own", "HS256 "),
            ("own", "HS256\x00"),
            ("RS256", "rs256"),
            ("RS256", "RSA-SHA256"),
            ("PS256", "RS256"),
            ("ES256", "ES256K"),
            ("ES256", "ES384"),
            ("ES512", "ES521"),
            ("Ed25519", "Ed25519"),
            ("Ed25519", "EDDSA"),
            ("Ed448", "Ed448"),
            ("Ed448", ""),
        )
        for make in [with_header(who, alg=alg)]
    ),
    *(
        sent(f"{who}: an 'alg' that is {alg!r}", "RFC 7515 §4.1.1", REASON, with_header(who, alg=alg))
        for who, alg in (
            ("own", ["HS256"]),
            ("own", {"HS256": 1}),
            ("own", 256),
            ("own", None),
            ("RS256", True),
            ("RS256", ["RS256", "HS256"]),
        )
    ),
    sent("no 'alg'", "RFC 7515 §4.1.1", REASON, with_header("ES256", alg=ABSENT)),
)
CONTROLS = tuple(control(f"{who}: its own algorithm", with_header(who)) for who in ("own", *TRUSTED))


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
