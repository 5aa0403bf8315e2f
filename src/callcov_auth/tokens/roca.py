"""The fingerprint of ROCA (CVE-2017-15361): RSA moduli that a broken library made, and anybody can factor.

Such a modulus is, modulo every small prime, a power of 65537 (Nemec et al., "The Return of Coppersmith's
Attack", CCS 2017); a sound one is that for all of them by a rare chance alone.
"""

GENERATOR = 65537
_PRIMES = (
    *(3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97),
    *(101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167),
)


def _powers(prime: int) -> frozenset[int]:
    powers = {1}
    power = GENERATOR % prime
    while power not in powers:
        powers.add(power)
        power = power * GENERATOR % prime
    return frozenset(powers)


_POWERS = {prime: _powers(prime) for prime in _PRIMES}


def has_roca_fingerprint(modulus: int) -> bool:
    """Whether ``modulus`` is of the kind that can be factored."""
    return all(modulus % prime in powers for prime, powers in _POWERS.items())
