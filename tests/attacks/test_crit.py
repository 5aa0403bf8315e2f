"""Headers that change what is signed or how it is read: none is supported."""

import zlib

import pytest

from tests.attacks.cases import Case, Control, control, refused, sent, taken, with_header
from tests.support.issuers import World
from tests.support.tokens import as_json

pytestmark = pytest.mark.anyio

CRIT = "RFC 7515 §4.1.11, CVE-2025-59420, CVE-2026-32597"
NESTED = "RFC 7519 §5.2, RFC 8725 §3.3"


def zipped(world: World) -> str:
    claims = as_json(world.own.claims())
    return world.own.token({"zip": "DEF"}, zlib.compress(claims))


def nested(world: World) -> str:
    return world.own.token({"cty": "JWT"}, world["RS256"].token().encode())


CASES = (
    *(
        sent(f"{who}: 'crit' {crit!r}", CRIT, "token_header_crit", with_header(who, crit=crit, **more))
        for who, crit, more in (
            ("own", ["exp"], {}),
            ("own", ["bork"], {"bork": "x"}),
            ("own", ["cnf"], {"cnf": {"jkt": "thumb"}}),
            ("own", ["alg"], {}),
            ("own", ["b64"], {"b64": True}),
            ("own", [], {}),
            ("own", None, {}),
            ("own", "exp", {}),
            ("own", {}, {}),
            ("own", [1], {}),
            ("RS256", ["http://example.com/unknown"], {"http://example.com/unknown": True}),
            ("Ed25519", ["kid", "kid"], {}),
            ("ES512", False, {}),
        )
    ),
    *(
        sent(f"{who}: 'b64' {value!r}", "RFC 7797 §3 and §6", "token_header_b64", with_header(who, b64=value))
        for who, value in (("own", False), ("own", True), ("own", None), ("ES256", False), ("RS256", "false"))
    ),
    *(
        sent(f"'zip' {value!r}", "RFC 7516 §4.1.3", "token_header_zip", with_header("own", zip=value))
        for value in ("DEF", "", None, "GZIP")
    ),
    sent("a compressed payload", "CVE-2024-28176, CVE-2024-33664", "token_header_zip", zipped),
    *(
        sent(f"{who}: 'cty' {value!r}", NESTED, "token_header_cty", with_header(who, cty=value))
        for who, value in (("own", "JWT"), ("own", "jwt"), ("own", "application/json"), ("PS256", None))
    ),
    sent("a token in a token", NESTED, "token_header_cty", nested),
    sent(
        "a token in a token that says nothing of it",
        NESTED,
        "token_not_json",
        lambda world: world.own.token(claims=world["RS256"].token().encode()),
    ),
)
CONTROLS = (
    control("an unknown header, which RFC 7515 §4 lets pass", with_header("own", x=["crit"])),
    control(
        "names that differ by case, which are other names", with_header("RS256", CRIT=["exp"], Zip="DEF")
    ),
    control("a claim called crit", lambda world: world.own.token(claims={"crit": ["exp"], "b64": False})),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
