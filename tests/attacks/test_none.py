"""Unsecured tokens: 'none', in any spelling, with or without a signature (RFC 8725 §3.2, RFC 7518 §3.6)."""

import pytest

from tests.attacks.cases import Case, Control, Make, control, refused, sent, taken
from tests.support.issuers import ABSENT, World
from tests.support.tokens import base64url

pytestmark = pytest.mark.anyio


def unsigned(who: str, alg: object, signature: bytes = b"x", **more: object) -> Make:
    def make(world: World) -> str:
        signed = world[who].token(header={"alg": alg, **more})
        return f"{signed.rpartition('.')[0]}.{base64url(signature)}"

    return make


def cut(who: str, ending: str, alg: str = "none") -> Make:
    return lambda world: world[who].token(header={"alg": alg}).rpartition(".")[0] + ending


CASES = (
    *(
        sent(f"{who}: 'alg' {alg!r}", source, "token_alg_not_the_keys", unsigned(who, alg))
        for who, alg, source in (
            ("own", "none", "CVE-2015-2951"),
            ("RS256", "none", "CVE-2018-1000531"),
            ("PS256", "none", "CVE-2022-23540"),
            ("ES256", "none", "CVE-2022-23540"),
            ("Ed25519", "none", "CVE-2022-23540"),
            ("own", "None", "RFC 8725 §3.2"),
            ("own", "NONE", "RFC 8725 §3.2"),
            ("own", "nOnE", "RFC 8725 §3.2"),
            ("own", "none ", "RFC 8725 §3.2"),
            ("own", "", "RFC 8725 §3.2"),
            ("own", "null", "RFC 8725 §3.2"),
        )
    ),
    sent(
        "the right signature under 'none'",
        "RFC 8725 §3.2",
        "token_alg_not_the_keys",
        lambda world: world.own.token(header={"alg": "none"}),
    ),
    sent(
        "'none' and no 'kid'",
        "RFC 8725 §3.2",
        "token_unknown_kid",
        unsigned("own", "none", kid=ABSENT),
    ),
    *(
        sent(f"{alg} with the ending {ending!r}", source, "unknown_form", cut("own", ending, alg))
        for alg, ending, source in (
            ("none", ".", "CVE-2018-1000531"),
            ("none", "", "RFC 7519 §6.1"),
            ("none", "..", "RFC 7515 §7.1"),
            ("HS256", ".", "CVE-2020-28042"),
            ("HS256", "", "CVE-2020-28042"),
            ("HS256", ".=", "CVE-2020-28042"),
        )
    ),
    *(
        sent(
            f"{who}: a signature of {size} bytes",
            "CVE-2020-28042",
            "token_signature_wrong",
            unsigned(who, alg, bytes(size)),
        )
        for who, alg, size in (
            ("own", "HS256", 1),
            ("own", "HS256", 32),
            ("RS256", "RS256", 1),
            ("ES256", "ES256", 1),
            ("Ed25519", "EdDSA", 1),
        )
    ),
)
CONTROLS = (control("a claim that says 'none'", lambda world: world.own.token(claims={"alg": "none"})),)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
