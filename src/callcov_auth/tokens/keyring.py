"""Our signing keys, by ``kid``. A key serves one algorithm, and the token has no say in which."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from jwt import PyJWS

_JWS = PyJWS()


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    alg: str
    key: Any = field(repr=False)

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        return _JWS.get_algorithm_by_name(self.alg).verify(signed, self.key, signature)


@dataclass(frozen=True, slots=True)
class Keyring:
    """One key signs; every one verifies."""

    signing: SigningKey

    def find(self, kid: object) -> SigningKey | None:
        return self.signing if kid == self.signing.kid else None


def hs256_keyring(key: bytes) -> Keyring:
    """Return the keyring of one HS256 key; its ``kid`` is a fingerprint that tells nothing of it."""
    kid = hashlib.blake2b(b"kid", key=key, digest_size=8).hexdigest()
    return Keyring(SigningKey(kid, "HS256", key))
