"""JWKs: which become keys that verify, and why the others do not."""

import json
import math
from collections.abc import Collection
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, generate_private_key
from jwt.algorithms import ECAlgorithm

from callcov_auth.setting_types import ASYMMETRIC
from callcov_auth.tokens.algorithms import ALGORITHMS
from callcov_auth.tokens.jwk import PRIVATE_MEMBERS, BadKey, VerifyingKey, load_key
from callcov_auth.tokens.roca import has_roca_fingerprint
from tests.support.issuers import ABSENT, signer
from tests.support.jwks import Jwk, odd, rsa_jwk
from tests.support.tokens import base64url

HMAC = ("HS256", "HS384", "HS512")
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
# Each algorithm with each kind of key that serves it.
SIGNERS = {name: signer(name, "k1") for name in (*HMAC, *RSA, "ES256", "ES384", "ES512", "Ed25519", "Ed448")}
SMALL_PRIMES = [prime for prime in range(3, 168) if all(prime % other for other in range(2, prime))]


def load(jwk: Any, algorithms: Collection[str] = ALGORITHMS, *, inline: bool = True) -> VerifyingKey:
    return load_key(jwk, algorithms=algorithms, inline=inline)


def powers_of(prime: int) -> set[int]:
    return {pow(65537, power, prime) for power in range(prime)}


def number_with(residues: dict[int, int]) -> int:
    """A number of 2048 bits that has these residues modulo these primes."""
    product = math.prod(residues)
    value = sum(
        residue * (product // prime) * pow(product // prime, -1, prime) for prime, residue in residues.items()
    )
    blown_up = value % product + product * odd(2048 - product.bit_length())
    return blown_up if blown_up % 2 else blown_up + product


# What becomes a key


@pytest.mark.parametrize("name", SIGNERS)
def test_a_key_of_each_kind_verifies_what_its_private_part_signed(name: str) -> None:
    made = SIGNERS[name]
    key = load(made.jwk())
    assert (key.kid, key.alg) == ("k1", made.alg)
    signature = made.sign(b"message")
    assert key.verifies(b"message", signature)
    assert not key.verifies(b"another", signature)
    assert not key.verifies(b"message", signature[:-1])
    assert not key.verifies(b"message", b"")


def test_every_algorithm_is_served() -> None:
    assert {made.alg for made in SIGNERS.values()} == set(ALGORITHMS)


@pytest.mark.parametrize("name", SIGNERS)
def test_an_algorithm_that_the_issuer_does_not_use_is_refused(name: str) -> None:
    made = SIGNERS[name]
    with pytest.raises(BadKey, match=r"^key 'k1': its 'alg' is not allowed for it$"):
        load(made.jwk(), algorithms=ALGORITHMS.keys() - {made.alg})


@pytest.mark.parametrize("name", SIGNERS)
def test_an_algorithm_of_another_type_of_key_is_refused(name: str) -> None:
    made = SIGNERS[name]
    foreign = [other for other in ALGORITHMS.values() if other.kty != ALGORITHMS[made.alg].kty]
    for algorithm in foreign:
        with pytest.raises(BadKey, match="its 'alg' is not allowed for it"):
            load(made.jwk(alg=algorithm.name))


@pytest.mark.parametrize(("alg", "curve"), [("ES256", "P-384"), ("ES384", "P-521"), ("ES512", "P-256")])
def test_an_algorithm_of_another_curve_is_refused(alg: str, curve: str) -> None:
    with pytest.raises(BadKey, match="its 'alg' is not allowed for it"):
        load(SIGNERS[alg].jwk(crv=curve))


@pytest.mark.parametrize("alg", ["none", "ES521", "ES256K", "rs256", "RSA-OAEP", "", 5, ["RS256"]])
def test_an_algorithm_that_is_not_known_is_refused(alg: object) -> None:
    with pytest.raises(BadKey, match="its 'alg' is not allowed for it"):
        load(SIGNERS["RS256"].jwk(alg=alg), algorithms={*ALGORITHMS, "none", "ES521", "ES256K", "RSA-OAEP"})


@pytest.mark.parametrize(
    ("name", "algorithms"),
    [
        ("ES256", ASYMMETRIC),
        ("ES384", ASYMMETRIC),
        ("ES512", ASYMMETRIC),
        ("Ed25519", ASYMMETRIC),
        ("Ed448", ASYMMETRIC),
        ("RS256", {"RS256"}),
        ("PS512", {"PS512", "ES256", "HS256"}),
        ("HS384", {"HS384", "RS256"}),
    ],
)
def test_without_alg_a_key_serves_the_only_one_that_fits(name: str, algorithms: set[str]) -> None:
    made = SIGNERS[name]
    key = load(made.jwk(alg=ABSENT), algorithms)
    assert key.alg == made.alg
    assert key.verifies(b"message", made.sign(b"message"))


@pytest.mark.parametrize(
    ("name", "algorithms"),
    [
        ("RS256", ASYMMETRIC),
        ("RS256", {"RS256", "PS256"}),
        ("RS256", {"ES256", "HS256"}),
        ("HS512", {"HS256", "HS512"}),
        ("ES256", {"ES384"}),
        ("Ed25519", {"ES256"}),
    ],
)
def test_without_alg_a_key_that_could_serve_more_or_none_is_refused(name: str, algorithms: set[str]) -> None:
    with pytest.raises(BadKey, match="it names no 'alg', and there is not exactly one that fits it"):
        load(SIGNERS[name].jwk(alg=ABSENT), algorithms)


# What a key is for


@pytest.mark.parametrize(
    "changes", [{"use": ABSENT}, {"key_ops": ["verify"]}, {"key_ops": ["verify", "sign"]}]
)
def test_a_key_for_signatures_is_taken(changes: Jwk) -> None:
    assert load(SIGNERS["ES256"].jwk(**changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"use": "enc"}, "its 'use' is not 'sig'"),
        ({"use": "SIG"}, "its 'use' is not 'sig'"),
        ({"use": None}, "its 'use' is not 'sig'"),
        ({"use": ["sig"]}, "its 'use' is not 'sig'"),
        ({"key_ops": []}, "its 'key_ops' does not hold 'verify'"),
        ({"key_ops": ["sign"]}, "its 'key_ops' does not hold 'verify'"),
        ({"key_ops": "verify"}, "its 'key_ops' does not hold 'verify'"),
        ({"key_ops": None}, "its 'key_ops' does not hold 'verify'"),
        ({"key_ops": {"verify": 1}}, "its 'key_ops' does not hold 'verify'"),
        ({"key_ops": ["verify", "encrypt"]}, "its 'key_ops' holds more than signing"),
        ({"key_ops": ["verify", ["sign"]]}, "its 'key_ops' holds more than signing"),
        ({"key_ops": ["verify", "verify"]}, "its 'key_ops' says a thing twice"),
    ],
)
def test_a_key_for_something_else_is_refused(changes: Jwk, reason: str) -> None:
    with pytest.raises(BadKey) as caught:
        load(SIGNERS["ES256"].jwk(**changes))
    assert str(caught.value) == f"key 'k1': {reason}"


# Its name


@pytest.mark.parametrize("kid", [None, ABSENT])
def test_a_key_may_have_no_name(kid: object) -> None:
    assert load(SIGNERS["ES256"].jwk(kid=kid)).kid is None


@pytest.mark.parametrize("kid", ["", "x" * 256, "a\nb", "a\x00", 7, True, ["k1"], {"k1": 1}])
def test_a_name_that_is_no_printable_string_is_refused(kid: object) -> None:
    with pytest.raises(BadKey, match=r"^'kid' is a printable string of at most 255 characters$"):
        load(SIGNERS["ES256"].jwk(kid=kid))


def test_a_name_of_255_characters_is_taken() -> None:
    assert load(SIGNERS["ES256"].jwk(kid="é" * 255)).kid == "é" * 255


# Secret keys, and secret parts of others


@pytest.mark.parametrize("name", HMAC)
def test_a_secret_key_is_taken_from_the_settings_alone(name: str) -> None:
    jwk = SIGNERS[name].jwk()
    assert load(jwk, inline=True)
    with pytest.raises(BadKey, match="a secret key that was fetched is known to others"):
        load(jwk, inline=False)


@pytest.mark.parametrize(("name", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_key_is_as_long_as_its_hash(name: str, size: int) -> None:
    assert load(SIGNERS[name].jwk(k=base64url(bytes(range(size)))))
    with pytest.raises(BadKey, match=f"it is shorter than {size} bytes"):
        load(SIGNERS[name].jwk(k=base64url(bytes(range(size - 1)))))


@pytest.mark.parametrize("name", ["RS256", "PS384", "ES256", "ES512", "Ed25519", "Ed448"])
@pytest.mark.parametrize("inline", [True, False])
def test_a_private_key_is_refused_wherever_it_comes_from(name: str, inline: bool) -> None:
    with pytest.raises(BadKey, match="it holds a private part, so whoever sent it can sign with it too"):
        load(SIGNERS[name].private_jwk(), inline=inline)


@pytest.mark.parametrize("member", sorted(PRIVATE_MEMBERS))
def test_one_private_member_is_enough(member: str) -> None:
    with pytest.raises(BadKey, match="it holds a private part"):
        load(SIGNERS["RS256"].jwk(**{member: "AQAB"}))


# RSA


@pytest.mark.parametrize("bits", [2048, 2049, 8192])
def test_moduli_of_2048_to_8192_bits_are_taken(bits: int) -> None:
    assert load(rsa_jwk(odd(bits))).alg == "RS256"


@pytest.mark.parametrize("bits", [512, 1024, 2047, 8193])
def test_other_moduli_are_refused(bits: int) -> None:
    with pytest.raises(BadKey, match="its modulus is not of 2048 to 8192 bits"):
        load(rsa_jwk(odd(bits)))


def test_zeros_before_a_modulus_make_it_no_longer() -> None:
    padded = base64url(bytes(200) + odd(1024).to_bytes(128))
    with pytest.raises(BadKey, match="its modulus is not of 2048 to 8192 bits"):
        load(rsa_jwk(odd(2048), n=padded))


@pytest.mark.parametrize("exponent", [3, 17, 65537, 2**64 - 1])
def test_odd_exponents_are_taken(exponent: int) -> None:
    assert load(rsa_jwk(odd(2048), exponent))


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [
        (odd(2048) - 1, 65537),
        (odd(2048), 65536),
        (odd(2048), 1),
        (odd(2048), 2),
        (odd(2048), 2**64 + 1),
        (odd(2048), odd(2047)),
    ],
)
def test_numbers_that_are_none_of_rsa_are_refused(modulus: int, exponent: int) -> None:
    with pytest.raises(BadKey, match="its modulus or its exponent is none of RSA"):
        load(rsa_jwk(modulus, exponent))


def test_an_exponent_of_zero_is_refused() -> None:
    with pytest.raises(BadKey, match="its modulus or its exponent is none of RSA"):
        load(rsa_jwk(odd(2048), e="AA"))


def test_a_modulus_with_the_fingerprint_of_roca_is_refused() -> None:
    """Such a modulus is a power of 65537 modulo each small prime, whichever power it is."""
    for power in (1, 2, 1234567):
        weak = number_with({prime: pow(65537, power, prime) for prime in SMALL_PRIMES})
        assert weak.bit_length() == 2048
        assert has_roca_fingerprint(weak)
        with pytest.raises(BadKey, match=r"its modulus can be factored \(ROCA, CVE-2017-15361\)"):
            load(rsa_jwk(weak))


@pytest.mark.parametrize("prime", [prime for prime in SMALL_PRIMES if len(powers_of(prime)) < prime - 1])
def test_a_modulus_that_lacks_the_fingerprint_for_one_prime_is_sound(prime: int) -> None:
    outside = next(residue for residue in range(1, prime) if residue not in powers_of(prime))
    sound = number_with({other: 65537 % other for other in SMALL_PRIMES} | {prime: outside})
    assert load(rsa_jwk(sound))


# Elliptic curves


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    for alg, size in {"ES256": 32, "ES384": 48, "ES512": 66}.items():
        jwk = SIGNERS[alg].jwk(y=base64url((5).to_bytes(size)))
        with pytest.raises(BadKey, match=r"^key 'k1': its parts make no key$"):
            load(jwk)


def test_a_point_of_another_curve_is_refused() -> None:
    stray = SIGNERS["ES384"].jwk(alg="ES256", crv="P-256")
    with pytest.raises(BadKey, match="its parts make no key"):
        load(stray)


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512"])
@pytest.mark.parametrize("coordinate", ["x", "y"])
def test_a_coordinate_is_as_long_as_the_curve_says(alg: str, coordinate: str) -> None:
    right = SIGNERS[alg].jwk()
    raw = load(right).material[1 if coordinate == "x" else 2]
    for wrong in (b"\x00" + raw, raw[1:], raw + b"\x00"):
        with pytest.raises(BadKey, match="its parts make no key"):
            load(right | {coordinate: base64url(wrong)})


@pytest.mark.parametrize("alg", ["ES256K", "ES256", None])
def test_bitcoins_curve_is_refused(alg: str | None) -> None:
    jwk = json.loads(ECAlgorithm.to_jwk(generate_private_key(SECP256K1()).public_key()))
    assert jwk["crv"] == "secp256k1"
    with pytest.raises(BadKey):
        load(
            {"kty": "EC", "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"], "alg": alg},
            {*ALGORITHMS, "ES256K"},
        )


@pytest.mark.parametrize(("name", "size"), [("Ed25519", 32), ("Ed448", 57)])
def test_an_edwards_key_is_as_long_as_the_curve_says(name: str, size: int) -> None:
    for wrong in (size - 1, size + 1):
        with pytest.raises(BadKey, match="its parts make no key"):
            load(SIGNERS[name].jwk(x=base64url(bytes(range(wrong)))))


@pytest.mark.parametrize("curve", ["X25519", "X448", "P-256", "ed25519", None, ["Ed25519"]])
def test_eddsa_has_two_curves(curve: object) -> None:
    with pytest.raises(BadKey, match="its 'alg' is not allowed for it"):
        load(SIGNERS["Ed25519"].jwk(crv=curve))


# Form


@pytest.mark.parametrize("jwk", [None, [], "key", 5, b"{}"])
def test_what_is_no_object_is_refused(jwk: object) -> None:
    with pytest.raises(BadKey, match=r"^a key is a JSON object$"):
        load(jwk)


@pytest.mark.parametrize("kty", [None, "rsa", "DSA", ["RSA"], {}, 5])
def test_an_unknown_type_is_refused(kty: object) -> None:
    for alg in ("RS256", ABSENT):
        with pytest.raises(BadKey):
            load(SIGNERS["RS256"].jwk(kty=kty, alg=alg), {"RS256"})


MEMBERS = [("RS256", "n"), ("RS256", "e"), ("ES256", "x"), ("ES256", "y"), ("Ed25519", "x"), ("HS256", "k")]


@pytest.mark.parametrize(("name", "member"), MEMBERS)
@pytest.mark.parametrize("value", [ABSENT, None, "", 5, ["AQAB"]])
def test_a_missing_part_is_named(name: str, member: str, value: object) -> None:
    with pytest.raises(BadKey) as caught:
        load(SIGNERS[name].jwk(**{member: value}))
    assert str(caught.value) == f"key 'k1': its {member!r} is missing"


@pytest.mark.parametrize(("name", "member"), MEMBERS)
def test_a_part_is_canonical_base64url(name: str, member: str) -> None:
    right = SIGNERS[name].jwk()
    for wrong in (right[member] + "=", right[member] + "\n", "+/" + right[member], "é", "AQABA"):
        with pytest.raises(BadKey) as caught:
            load(right | {member: wrong})
        assert str(caught.value) == f"key 'k1': its {member!r} is not base64url"


@pytest.mark.parametrize("name", SIGNERS)
def test_nothing_of_a_key_but_its_name_is_shown(name: str) -> None:
    jwk = SIGNERS[name].private_jwk()
    shown = repr(load(SIGNERS[name].jwk()))
    with pytest.raises(BadKey) as caught:
        load(jwk | {"d": "x", "use": "enc"})
    for member in ("k", "d", "n", "x", "y", "p", "q"):
        if member in jwk:
            assert jwk[member] not in shown + str(caught.value)
