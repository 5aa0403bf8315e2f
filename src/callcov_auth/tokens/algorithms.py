"""The signature algorithms of RFC 7518 §3.1 and RFC 8037 §3.1 that a key may serve, and nothing else.

PyJWT does the signatures; which algorithm is used is never the token's to say (RFC 8725 §3.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

KeyType = Literal["oct", "RSA", "EC", "OKP"]

MIN_RSA_BITS = 2048
# Beyond it one verification costs milliseconds, and no issuer needs it.
MAX_RSA_BITS = 8192


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What a key must be to serve: its type, its curve, and for ``oct`` at least so many bytes."""

    name: str
    kty: KeyType
    curves: frozenset[str] = frozenset()
    min_bytes: int = 0


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            Algorithm("HS256", "oct", min_bytes=32),
            Algorithm("HS384", "oct", min_bytes=48),
            Algorithm("HS512", "oct", min_bytes=64),
            Algorithm("RS256", "RSA"),
            Algorithm("RS384", "RSA"),
            Algorithm("RS512", "RSA"),
            Algorithm("PS256", "RSA"),
            Algorithm("PS384", "RSA"),
            Algorithm("PS512", "RSA"),
            Algorithm("ES256", "EC", frozenset({"P-256"})),
            Algorithm("ES384", "EC", frozenset({"P-384"})),
            Algorithm("ES512", "EC", frozenset({"P-521"})),
            Algorithm("EdDSA", "OKP", frozenset({"Ed25519", "Ed448"})),
        )
    }
)
