"""Points of small order on the curves of EdDSA, worked out by the arithmetic of RFC 8032 §5."""

from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callcov_auth.tokens.jwk import BadKey, load_key
from callcov_auth.tokens.small_order import _ORDINATES, has_small_order
from tests.support.tokens import base64url

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Curve:
    """a·x² + y² = 1 + d·x²·y² over the integers modulo ``prime``; a point is encoded in ``size`` bytes."""

    size: int
    prime: int
    a: int
    d: int
    cofactor: int

    def sum(self, p: Point, q: Point) -> Point:
        (x1, y1), (x2, y2) = p, q
        product = self.d * x1 * x2 * y1 * y2
        x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, self.prime)
        y = (y1 * y2 - self.a * x1 * x2) * pow(1 - product, -1, self.prime)
        return x % self.prime, y % self.prime

    def times(self, factor: int, p: Point) -> Point:
        total = (0, 1)
        for _ in range(factor):
            total = self.sum(total, p)
        return total

    def squared_abscissa(self, y: int) -> int:
        return (y * y - 1) * pow(self.d * y * y - self.a, -1, self.prime) % self.prime

    def encoded(self, y: int, sign: int) -> bytes:
        return (y | sign << (8 * self.size - 1)).to_bytes(self.size, "little")


P25519 = 2**255 - 19
P448 = 2**448 - 2**224 - 1
ED25519 = Curve(32, P25519, -1, -121665 * pow(121666, -1, P25519) % P25519, 8)
ED448 = Curve(57, P448, 1, -39081, 4)
CURVES = pytest.mark.parametrize("curve", [ED25519, ED448], ids=["Ed25519", "Ed448"])


def root(square: int, prime: int) -> int:
    """Return the root of a square modulo a prime that is 3 modulo 4, or 5 modulo 8."""
    candidate = pow(square, (prime + 3) // 8 if prime % 8 == 5 else (prime + 1) // 4, prime)
    if candidate * candidate % prime != square:
        candidate = candidate * pow(2, (prime - 1) // 4, prime) % prime
    assert candidate * candidate % prime == square
    return candidate


@CURVES
def test_each_ordinate_that_is_listed_is_of_a_point_of_small_order(curve: Curve) -> None:
    prime, ordinates = _ORDINATES[curve.size]
    assert prime == curve.prime
    for y in ordinates:
        x = root(curve.squared_abscissa(y), prime)
        assert curve.times(curve.cofactor, (x, y)) == (0, 1)


@CURVES
def test_none_is_missing(curve: Curve) -> None:
    """As many points have small order as the cofactor says; all but two of them come in pairs (x, -x)."""
    _, ordinates = _ORDINATES[curve.size]
    points = sum(1 if y in (1, curve.prime - 1) else 2 for y in ordinates)
    assert points == curve.cofactor


@CURVES
@pytest.mark.parametrize("sign", [0, 1])
def test_every_encoding_of_such_a_point_is_known(curve: Curve, sign: int) -> None:
    prime, ordinates = _ORDINATES[curve.size]
    assert all(has_small_order(curve.encoded(y, sign)) for y in ordinates)
    also = [y + prime for y in ordinates if (y + prime).bit_length() < 8 * curve.size]
    assert also
    assert all(has_small_order(curve.encoded(y, sign)) for y in also)


@CURVES
@pytest.mark.parametrize("sign", [0, 1])
def test_its_neighbours_are_not_of_the_kind(curve: Curve, sign: int) -> None:
    prime, ordinates = _ORDINATES[curve.size]
    near = {(y + step) % prime for y in ordinates for step in (-2, 2)} - ordinates
    high = {y | 1 << (8 * curve.size - 2) for y in (0, 1)}
    high = {y for y in high if y % prime not in ordinates}
    assert not any(has_small_order(curve.encoded(y, sign)) for y in near | high)


def test_keys_are_not_of_the_kind() -> None:
    for _ in range(100):
        assert not has_small_order(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
        assert not has_small_order(Ed448PrivateKey.generate().public_key().public_bytes_raw())


@pytest.mark.parametrize("size", [0, 1, 31, 33, 56, 58])
def test_what_has_another_length_is_no_point(size: int) -> None:
    assert not has_small_order(bytes(size))


@CURVES
def test_such_a_key_is_refused_with_its_reason(curve: Curve) -> None:
    name = {32: "Ed25519", 57: "Ed448"}[curve.size]
    jwk = {"kty": "OKP", "crv": name, "kid": "k1", "alg": "EdDSA", "x": base64url(curve.encoded(1, 0))}
    with pytest.raises(BadKey) as caught:
        load_key(jwk, algorithms={"EdDSA"}, inline=True)
    assert str(caught.value) == "key 'k1': its point is of small order, so that anybody can sign for it"
