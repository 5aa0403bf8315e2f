"""RSA keys out of numbers, of any size and at no cost: nobody can sign with them."""

import random
from typing import Any

from tests.support.tokens import base64url

Jwk = dict[str, Any]


def number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8))


def rsa_jwk(modulus: int, exponent: int = 65537, **changes: Any) -> Jwk:
    return {"kty": "RSA", "alg": "RS256", "kid": "k1", "n": number(modulus), "e": number(exponent), **changes}


def odd(bits: int, seed: int = 1) -> int:
    """A number of so many bits that nobody can tell from a product of two primes."""
    return random.Random(seed).getrandbits(bits) | 1 << (bits - 1) | 1
