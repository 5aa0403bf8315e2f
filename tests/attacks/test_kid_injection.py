"""A 'kid' that is more than a name (RFC 8725 §3.10, RFC 7515 §4.1.4)."""

import pytest

from tests.attacks.cases import Case, Control, control, refused, sent, taken, with_header
from tests.support.issuers import ABSENT, SPARE_KEY, Signer, World

pytestmark = pytest.mark.anyio

KIDS = {
    "a path to an empty file": "../../../../../../dev/null",
    "an absolute path": "/proc/sys/kernel/randomize_va_space",
    "a path with NUL": "rs256-key\x00.pem",
    "SQL": "x' UNION SELECT 'AAAA' -- ",
    "SQL that is always true": "' OR '1'='1",
    "LDAP": "*)(uid=*))(|(uid=*",
    "a shell command": "key; sleep 10",
    "a template": "{{7*7}}${7*7}%{7*7}",
    "a format string": "{0.__class__.__mro__}",
    "an address": "https://evil.example/key",
    "line ends": "rs256-key\r\nX-Injected: 1",
    "another case": "RS256-KEY",
    "a space more": "rs256-key ",
    "a prefix of it": "rs256-ke",
    "an empty one": "",
    "a very long one": "k" * 4000,
    "not ASCII": "rs256-\u212aey",
    "a dunder": "__class__",
}
NOT_STRINGS = (0, True, ["rs256-key"], {"rs256-key": 1}, 1.5, [[]])

CASES = (
    *(
        sent(f"{who}: {name}", "RFC 8725 §3.10", "token_unknown_kid", with_header(who, kid=kid))
        for who in ("RS256", "own")
        for name, kid in KIDS.items()
    ),
    *(
        sent(
            f"{who}: a 'kid' that is {kid!r}",
            "RFC 7515 §4.1.4",
            "token_unknown_kid",
            with_header(who, kid=kid),
        )
        for who in ("RS256", "own")
        for kid in NOT_STRINGS
    ),
    sent(
        "an empty secret for an empty file",
        "RFC 8725 §3.10",
        "token_unknown_kid",
        lambda world: world.own.token({"kid": "/dev/null"}, by=Signer(None, "HS256", b"")),
    ),
    sent("own: no 'kid'", "RFC 7515 §4.1.4", "token_unknown_kid", with_header("own", kid=ABSENT)),
    sent("own: null", "RFC 7515 §4.1.4", "token_unknown_kid", with_header("own", kid=None)),
    sent(
        "no 'kid', where two keys are known",
        "RFC 7515 §4.1.4",
        "token_unknown_kid",
        with_header("ES384", kid=ABSENT),
    ),
    sent(
        "one key's name over another's signature",
        "RFC 7515 §4.1.4",
        "token_alg_not_the_keys",
        lambda world: world["ES384"].token({"kid": SPARE_KEY.kid}),
    ),
)
CONTROLS = (
    control("no 'kid', where one key is known", with_header("RS256", kid=ABSENT)),
    control("null, where one key is known", with_header("RS256", kid=None)),
    control(
        "the second of two keys",
        lambda world: world["ES384"].token({"kid": SPARE_KEY.kid, "alg": "ES256"}, by=SPARE_KEY),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
