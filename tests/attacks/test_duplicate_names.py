"""A name given twice, of which one reader takes the first and another the last."""

from collections.abc import Callable

import pytest

from tests.attacks.cases import Case, Control, Make, control, refused, sent, taken
from tests.support.issuers import World
from tests.support.tokens import as_json

pytestmark = pytest.mark.anyio

Change = Callable[[bytes, str], bytes]

REASON = "token_duplicate_name"
IN_HEADER = "RFC 7515 §4"
IN_CLAIMS = "RFC 7519 §4"


def added(raw: bytes, text: str) -> bytes:
    return raw[:-1] + b"," + text.encode() + b"}"


def ahead(raw: bytes, text: str) -> bytes:
    return b"{" + text.encode() + b"," + raw[1:]


def header_with(who: str, text: str, put: Change = added) -> Make:
    return lambda world: world[who].token(header=put(as_json(world[who].header()), text))


def claims_with(who: str, text: str, put: Change = added) -> Make:
    return lambda world: world[who].token(claims=put(as_json(world[who].claims()), text))


CASES = (
    *(
        sent(f"{who}: header, then {text}", IN_HEADER, REASON, header_with(who, text))
        for who in ("own", "RS256")
        for text in ('"alg":"none"', '"alg":"HS256"', '"kid":"evil"', '"typ":"at+jwt"', '"typ":"rt+jwt"')
    ),
    *(
        sent(f"header, after {text}", IN_HEADER, REASON, header_with("own", text, ahead))
        for text in ('"alg":"none"', '"kid":"evil"', '"typ":null')
    ),
    *(
        sent(f"{who}: claims, then {text}", IN_CLAIMS, REASON, claims_with(who, text))
        for who in ("own", "ES256")
        for text in (
            '"sub":"admin"',
            '"scope":"*"',
            '"aud":"callcov"',
            '"iss":"callcov"',
            '"exp":9000000000',
            '"exp":1',
            '"nbf":0',
        )
    ),
    *(
        sent(f"claims, after {text}", IN_CLAIMS, REASON, claims_with("own", text, ahead))
        for text in ('"sub":"admin"', '"scope":"*"', '"exp":9000000000')
    ),
    *(
        sent(f"claims, written otherwise: {text}", "RFC 8259 §8.3", REASON, claims_with("own", text))
        for text in ('"\\u0073ub":"admin"', '"s\\u0063ope":"*"', '"\\u0073\\u0075\\u0062":"usr_1"')
    ),
    *(
        sent(f"deep: {text}", "RFC 7493 §2.3", REASON, claims_with("own", text))
        for text in ('"a":{"b":1,"b":2}', '"a":[{"b":1,"b":1}]', '"a":{"b":{"c":[[{"":1,"":2}]]}}')
    ),
)
CONTROLS = (
    control("one name at two depths", claims_with("own", '"a":{"sub":"admin","a":{"a":1}}')),
    control("names that differ by case", claims_with("own", '"Sub":"admin","SCOPE":"*"')),
    control("names that differ by their form in Unicode", claims_with("own", '"é":1,"e\\u0301":2')),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
