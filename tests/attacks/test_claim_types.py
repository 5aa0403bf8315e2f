"""Claims of another type, another value, or none: nothing is converted (RFC 7519 §4.1, RFC 9068 §4)."""

import pytest

from callcov_auth.errors import TokenExpired
from tests.attacks.cases import Case, Control, control, refused, sent, shown, taken, with_claims
from tests.support.issuers import ABSENT, World

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000
OWN = "callcov"
MISSING = "missing_or_malformed"

# A claim, its section, and per reason the values that are refused with it.
TABLE = {
    "sub": (
        "RFC 7519 §4.1.2",
        {
            f"sub_{MISSING}": (ABSENT, None, "", 7, True, ["usr_1"], {"id": "usr_1"}, "x" * 256),
            "sub_not_printable": (
                "a\r\nX-Injected: 1",
                "usr_1\x00",
                "\x1b[2J",
                "a\u2028b",
                "a\u202eb",
                "\x7f",
            ),
        },
    ),
    "iss": (
        "RFC 7519 §4.1.1, CVE-2024-53861",
        {
            "wrong_iss": (
                *(ABSENT, None, "", 1, ["callcov"], {"callcov": 1}),
                *("call", "callco", "callcov ", "CallCov", "callcov\x00", "https://callcov"),
            )
        },
    ),
    "aud": (
        "RFC 7519 §4.1.3, RFC 8725 §3.9, CVE-2020-26160",
        {
            f"aud_{MISSING}": (ABSENT, None, 1, True, {OWN: 1}, [OWN, 1], [OWN, None], [[OWN]]),
            "wrong_aud": (
                "",
                "other",
                "call",
                "callcov-evil",
                "CALLCOV",
                "callcov other",
                [],
                [""],
                ["other"],
                "*",
            ),
        },
    ),
    "exp": (
        "RFC 7519 §4.1.4",
        {
            f"exp_{MISSING}": (
                *(ABSENT, None, "", str(NOW + 60), "never", True, [NOW + 60], {}),
                *(-1, -0.5, 2**53, 1e300, 10**31),
            )
        },
    ),
    "nbf": (
        "RFC 7519 §4.1.5",
        {
            f"nbf_{MISSING}": (None, "0", "", False, True, [], {}, -1, 2**53),
            "nbf_in_the_future": (NOW + 1, NOW + 0.001, 2**53 - 1),
        },
    ),
    "iat": (
        "RFC 7519 §4.1.6",
        {
            f"iat_{MISSING}": (None, "0", False, True, [0], {}, -1, 2**53),
            "iat_in_the_future": (NOW + 1, NOW + 0.001, 2**53 - 1),
        },
    ),
    "jti": (
        "RFC 7519 §4.1.7",
        {f"jti_{MISSING}": (None, "", 1, ["a"], "x" * 256), "jti_not_printable": ("a\n",)},
    ),
    "sid": (
        "OpenID Connect Front-Channel Logout 1.0 §3",
        {f"sid_{MISSING}": (None, "", 1, ["ses_1"]), "sid_not_printable": ("ses_1\x00", "\t")},
    ),
    "scope": (
        "RFC 8693 §4.2, RFC 6749 §3.3",
        {
            "scope_malformed": (
                *(None, 1, True, {}, ["*"], ["calls:read"]),
                *(" ", "a  b", " a", "a ", "a\tb", "a\nb", 'a"b', "a\\b", "é", "a\x00", "x" * 129),
            )
        },
    ),
}
CASES = (
    *(
        sent(f"{claim} {shown(value)}", source, f"token_{reason}", make)
        for claim, (source, refusals) in TABLE.items()
        for reason, values in refusals.items()
        for value in values
        for make in [with_claims("own", **{claim: value})]
    ),
    *(
        sent(
            f"{who}: {claim} {shown(value)}",
            TABLE[claim][0],
            f"token_{reason}",
            with_claims(who, **{claim: value}),
        )
        for who, claim, value, reason in (
            ("RS256", "sub", ABSENT, f"sub_{MISSING}"),
            ("RS256", "aud", ABSENT, f"aud_{MISSING}"),
            ("RS256", "exp", ABSENT, f"exp_{MISSING}"),
            ("ES256", "exp", "9000000000", f"exp_{MISSING}"),
            ("Ed25519", "aud", OWN, "wrong_aud"),
            ("HS256", "scope", ["*"], "scope_malformed"),
        )
    ),
    *(
        sent(f"{who}: exp {exp}", "RFC 7519 §4.1.4", "token_expired", with_claims(who, exp=exp), TokenExpired)
        for who, exp in (
            ("own", NOW),
            ("own", NOW - 0.001),
            ("own", 0),
            ("own", -0.0),
            ("own", 1e-30),
            ("RS256", NOW),
            ("Ed448", NOW - 1),
        )
    ),
)
CONTROLS = (
    control("expires in a moment", with_claims("own", exp=NOW + 0.001)),
    control("expires as late as can be told", with_claims("own", exp=2**53 - 1)),
    control("begins now", with_claims("own", nbf=NOW, iat=NOW)),
    control("began in 1970", with_claims("own", nbf=0, iat=0.0)),
    control("a subject of 255 characters", with_claims("own", sub="é" * 255)),
    control("our audience among others", with_claims("own", aud=["other", OWN, OWN])),
    control(
        "no iat, nbf, jti, sid, scope",
        with_claims("RS256", iat=ABSENT, nbf=ABSENT, jti=ABSENT, sid=ABSENT, scope=ABSENT),
    ),
    control("an empty scope", with_claims("own", scope="")),
    control("a scope of 128 characters", with_claims("own", scope="x" * 128)),
)


def test_the_clock_is_what_the_table_says(world: World) -> None:
    assert world.clock() == NOW


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
