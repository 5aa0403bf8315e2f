"""RSA keys that nobody should use, with their private parts: to show that it is the key that is refused."""

import random
from functools import cache
from math import gcd, prod

from cryptography.hazmat.primitives.asymmetric import rsa

from callcov_auth.tokens.roca import GENERATOR
from tests.support.issuers import Signer, signer

PRIMES = [prime for prime in range(2, 168) if all(prime % other for other in range(2, prime))]


@cache
def short_rsa() -> Signer:
    return Signer("short", "RS256", rsa.generate_private_key(65537, 1024))


@cache
def cubic_rsa() -> Signer:
    """A sound key with the exponent 3."""
    return Signer("cubic", "RS256", rsa.generate_private_key(3, 2048))


@cache
def huge_exponent_rsa() -> Signer:
    numbers = signer("RS256", "rs256-key").key.private_numbers()
    exponent = 2**64 + 1
    while gcd(exponent, (numbers.p - 1) * (numbers.q - 1)) != 1:
        exponent += 2
    return Signer("huge", "RS256", _from_primes(numbers.p, numbers.q, exponent))


@cache
def roca_rsa() -> Signer:
    """A key whose primes are made as the broken library made them: CVE-2017-15361."""
    chance = random.Random(15361)
    return Signer("roca", "RS256", _from_primes(_roca_prime(chance), _roca_prime(chance), 65537))


def _roca_prime(chance: random.Random) -> int:
    primorial = prod(PRIMES)
    while True:
        power = pow(GENERATOR, chance.getrandbits(64), primorial)
        # The two highest bits set, so that two of them make 2,048 bits.
        factor = chance.randrange(3 * 2**1022 // primorial + 1, 2**1024 // primorial)
        candidate = factor * primorial + power
        if pow(2, candidate - 1, candidate) == 1:
            return candidate


def _from_primes(p: int, q: int, exponent: int) -> rsa.RSAPrivateKey:
    d = pow(exponent, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    )
    return numbers.private_key()
