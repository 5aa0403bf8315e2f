"""Points of small order on the curves of EdDSA (RFC 8032 §5), in every encoding.

A public key that is one of them verifies a signature that needs no private key, over anything.
"""

_P25519 = 2**255 - 19
# One of the two ordinates of the points of order eight.
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_P448 = 2**448 - 2**224 - 1

# By the length of an encoded point: the field's prime, and the ordinates of the points of small order.
_ORDINATES = {
    32: (_P25519, frozenset({0, 1, _P25519 - 1, _EIGHTH, _P25519 - _EIGHTH})),
    57: (_P448, frozenset({0, 1, _P448 - 1})),
}


def has_small_order(point: bytes) -> bool:
    """Whether ``point``, encoded as RFC 8032 §5.1.2 and §5.2.2 say, is of small order."""
    if len(point) not in _ORDINATES:
        return False
    prime, small = _ORDINATES[len(point)]
    # The last bit is a sign, and an ordinate may be written with the prime added to it.
    ordinate = int.from_bytes(point, "little") & ~(1 << (8 * len(point) - 1))
    return ordinate % prime in small
