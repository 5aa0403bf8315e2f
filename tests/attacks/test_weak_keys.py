"""Weak, malformed and misused keys: one in the settings stops the start, a fetched one is never used."""

import pytest

from callcov_auth.setting_types import ASYMMETRIC
from tests.attacks.cases import Case, Control, refused, taken
from tests.attacks.poison import EC, ED, ED448, OCT, RSA, authenticated, bad_key, bad_set, good
from tests.support.issuers import ABSENT, World
from tests.support.tokens import base64url
from tests.support.weak_keys import cubic_rsa, huge_exponent_rsa, roca_rsa, short_rsa

pytestmark = pytest.mark.anyio

P25519 = 2**255 - 19
POINTS = "its parts make no key"
SMALL = "its point is of small order"


def uint(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8))


def point(ordinate: int, size: int = 32) -> str:
    return base64url(ordinate.to_bytes(size, "little"))


class Anybody:
    """Signs for an Edwards key of small order, knowing nothing: R is the identity, and S is 0."""

    def __init__(self, size: int = 32) -> None:
        self.kid, self.alg, self._size = "small", "EdDSA", size

    def sign(self, signed: bytes) -> bytes:
        return (1).to_bytes(self._size, "little") + bytes(self._size)


CASES = (
    *bad_key("for encryption", "RFC 7517 §4.2", "its 'use' is not 'sig'", lambda: RSA.jwk(use="enc")),
    *bad_key("for an unknown use", "RFC 7517 §4.2", "its 'use' is not 'sig'", lambda: RSA.jwk(use="tls")),
    *bad_key("for a list of uses", "RFC 7517 §4.2", "its 'use' is not 'sig'", lambda: RSA.jwk(use=["sig"])),
    *bad_key("to sign alone", "RFC 7517 §4.3", "does not hold 'verify'", lambda: RSA.jwk(key_ops=["sign"])),
    *bad_key("for nothing", "RFC 7517 §4.3", "does not hold 'verify'", lambda: RSA.jwk(key_ops=[])),
    *bad_key(
        "key_ops as a string", "RFC 7517 §4.3", "does not hold 'verify'", lambda: RSA.jwk(key_ops="verify")
    ),
    *bad_key(
        "to verify and to encrypt",
        "RFC 7517 §4.3",
        "more than signing",
        lambda: RSA.jwk(key_ops=["verify", "encrypt"]),
    ),
    *bad_key(
        "to verify twice",
        "RFC 7517 §4.3",
        "says a thing twice",
        lambda: RSA.jwk(key_ops=["verify", "verify"]),
    ),
    *bad_key(
        "for an algorithm that is not allowed",
        "RFC 8725 §3.1",
        "its 'alg' is not allowed",
        lambda: RSA.jwk(),
        algorithms={"RS512", "ES384"},
    ),
    *bad_key("RSA for HS256", "CVE-2015-9235", "its 'alg' is not allowed", lambda: RSA.jwk(alg="HS256")),
    *bad_key("for 'none'", "RFC 8725 §3.2", "its 'alg' is not allowed", lambda: RSA.jwk(alg="none")),
    *bad_key("for a list", "RFC 7517 §4.4", "its 'alg' is not allowed", lambda: RSA.jwk(alg=["RS256"])),
    *bad_key(
        "P-256 for ES384",
        "RFC 7518 §3.4",
        "its 'alg' is not allowed",
        lambda: EC.jwk(alg="ES384"),
        lambda: EC,
    ),
    *bad_key(
        "P-256 for EdDSA",
        "RFC 8037 §3.1",
        "its 'alg' is not allowed",
        lambda: EC.jwk(alg="EdDSA"),
        lambda: EC,
    ),
    *bad_key("RSA called EC", "RFC 7517 §4.1", "its 'alg' is not allowed", lambda: RSA.jwk(kty="EC")),
    *bad_key("no type", "RFC 7517 §4.1", "its 'alg' is not allowed", lambda: RSA.jwk(kty=ABSENT)),
    *bad_key("for no algorithm, of six", "RFC 8725 §3.1", "it names no 'alg'", lambda: RSA.jwk(alg=ABSENT)),
    *bad_key(
        "secp256k1", "RFC 8812 §3.1", "its 'alg' is not allowed", lambda: EC.jwk(crv="secp256k1"), lambda: EC
    ),
    *bad_key("X25519", "RFC 8037 §3.2", "its 'alg' is not allowed", lambda: ED.jwk(crv="X25519"), lambda: ED),
    *(
        case
        for key in (RSA, EC, ED)
        for case in bad_key(
            f"with its private part: {key.kid}",
            "RFC 7517 §9.3",
            "it holds a private part",
            key.private_jwk,
            lambda key=key: key,
        )
    ),
    *bad_key("with other primes", "RFC 7518 §6.3.2.7", "it holds a private part", lambda: RSA.jwk(oth=[])),
    *bad_key(
        "RSA of 1,024 bits", "RFC 7518 §3.3", "its modulus is not of", lambda: short_rsa().jwk(), short_rsa
    ),
    *bad_key(
        "RSA of 8,193 bits", "RFC 8725 §3.2", "its modulus is not of", lambda: RSA.jwk(n=uint(2**8192 + 1))
    ),
    *bad_key("the exponent 1", "RFC 8017 §3.1", "none of RSA", lambda: RSA.jwk(e="AQ")),
    *bad_key("the exponent 2", "RFC 8017 §3.1", "none of RSA", lambda: RSA.jwk(e="Ag")),
    *bad_key("the exponent 65,536", "RFC 8017 §3.1", "none of RSA", lambda: RSA.jwk(e="AQAA")),
    *bad_key(
        "an exponent beyond 2^64",
        "NIST SP 800-56B §6.2",
        "none of RSA",
        lambda: huge_exponent_rsa().jwk(),
        huge_exponent_rsa,
    ),
    *bad_key("an even modulus", "RFC 8017 §3.1", "none of RSA", lambda: RSA.jwk(n=uint(2**2048 - 2))),
    *bad_key("a modulus of ROCA", "CVE-2017-15361", "CVE-2017-15361", lambda: roca_rsa().jwk(), roca_rsa),
    *bad_key("no modulus", "RFC 7518 §6.3.1", "its 'n' is missing", lambda: RSA.jwk(n=ABSENT)),
    *bad_key("a modulus that is a number", "RFC 7518 §6.3.1", "its 'n' is missing", lambda: RSA.jwk(n=2**31)),
    *bad_key("no exponent", "RFC 7518 §6.3.1", "its 'e' is missing", lambda: RSA.jwk(e="")),
    *bad_key(
        "a padded modulus",
        "RFC 7518 §2",
        "its 'n' is not base64url",
        lambda: RSA.jwk(n=RSA.jwk()["n"] + "=="),
    ),
    *bad_key(
        "a line end in it",
        "RFC 7518 §2",
        "its 'x' is not base64url",
        lambda: EC.jwk(x=EC.jwk()["x"] + "\n"),
        lambda: EC,
    ),
    *bad_key(
        "a point off the curve",
        "RFC 7518 §6.2.2, CVE-2015-7940",
        POINTS,
        lambda: EC.jwk(y=EC.jwk()["x"]),
        lambda: EC,
    ),
    *bad_key("the point 0, 0", "RFC 7518 §6.2.1", POINTS, lambda: EC.jwk(x="A" * 43, y="A" * 43), lambda: EC),
    *bad_key("a point cut short", "RFC 7518 §6.2.1.2", POINTS, lambda: EC.jwk(x="AAAA"), lambda: EC),
    *bad_key("an Edwards point cut short", "RFC 8032 §5.1.5", POINTS, lambda: ED.jwk(x="AAAA"), lambda: ED),
    *(
        case
        for name, ordinate in (
            ("1", 1),
            ("0", 0),
            ("-1", P25519 - 1),
            ("1, written with the prime", P25519 + 1),
            ("1, with the sign", 1 + 2**255),
            ("an eighth", 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826),
        )
        for case in bad_key(
            f"Ed25519 at {name}",
            "RFC 8032 §8.4",
            SMALL,
            lambda ordinate=ordinate: ED.jwk(kid="small", x=point(ordinate)),
            Anybody,
        )
    ),
    *bad_key(
        "Ed448 at 1",
        "RFC 8032 §8.4",
        SMALL,
        lambda: ED448.jwk(kid="small", x=point(1, 57)),
        lambda: Anybody(57),
    ),
    *bad_key("a name of another type", "RFC 7517 §4.5", "'kid' is a printable", lambda: RSA.jwk(kid=7)),
    *bad_key("an empty name", "RFC 7517 §4.5", "'kid' is a printable", lambda: RSA.jwk(kid="")),
    *bad_key("a long name", "RFC 7517 §4.5", "'kid' is a printable", lambda: RSA.jwk(kid="k" * 256)),
    *bad_key(
        "a name with a line end", "RFC 7517 §4.5", "'kid' is a printable", lambda: RSA.jwk(kid="a\r\nb")
    ),
    *bad_key("a string in a key's place", "RFC 7517 §5", "a key is a JSON object", lambda: "key"),
    *bad_key("null in a key's place", "RFC 7517 §5", "a key is a JSON object", lambda: None),
    *bad_key(
        "a certificate alone",
        "RFC 7517 §4.7",
        "its 'n' is missing",
        lambda: RSA.jwk(n=ABSENT, e=ABSENT, x5c=["MIIB"]),
    ),
    bad_set(
        "32 zeros for a secret, inline",
        "RFC 8725 §3.5",
        "it repeats itself",
        lambda: [OCT.jwk(k=base64url(bytes(32)))],
        {"HS256"},
    ),
    bad_set(
        "a short secret, inline",
        "RFC 7518 §3.2",
        "it is shorter than 32 bytes",
        lambda: [OCT.jwk(k=base64url(bytes(range(31))))],
        {"HS256"},
    ),
    bad_set(
        "a secret of 32 bytes for HS512, inline",
        "RFC 7518 §3.2",
        "it is shorter than 64 bytes",
        lambda: [OCT.jwk(alg="HS512")],
        {"HS512"},
    ),
)
CONTROLS = (
    good("a key that may sign and verify", lambda: [RSA.jwk(key_ops=["sign", "verify"])], RSA),
    good("a key with members that nobody knows", lambda: [EC.jwk(x5c=["MIIB"], ext=True)], EC),
    good("no 'alg', where one fits", lambda: [RSA.jwk(alg=ABSENT)], RSA, algorithms={"RS256"}),
    good("no 'use'", lambda: [ED.jwk(use=ABSENT)], ED),
    Control(
        "a key with the exponent 3",
        lambda world: authenticated(world, [cubic_rsa().jwk()], cubic_rsa(), ASYMMETRIC, {}),
    ),
)


def test_whoever_knows_nothing_can_sign_for_a_point_of_small_order() -> None:
    from jwt.algorithms import OKPAlgorithm

    key = OKPAlgorithm.from_jwk(ED.jwk(x=point(1)))
    assert OKPAlgorithm().verify(b"anything", key, Anybody().sign(b"anything"))


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
