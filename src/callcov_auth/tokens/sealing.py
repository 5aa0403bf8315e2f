"""Private keys at rest: sealed with AES-256-GCM (NIST SP 800-38D) under a key that the secret gives.

Whoever reads the database learns nothing of them, and whoever writes to it can neither add a key of his
own nor put one under another's name.
"""

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12


class CannotOpen(ValueError):
    """None of the keys opens the seal."""


class Seals:
    """The first of ``keys`` seals, each of them opens."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, kid: str, private: bytes) -> bytes:
        """Return ``private`` sealed, to be opened under the name ``kid`` alone."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, private, kid.encode())

    def open(self, kid: str, sealed: bytes) -> bytes:
        """Return what was sealed. Raises CannotOpen."""
        for cipher in self._ciphers:
            private = _opened(cipher, kid, sealed)
            if private is not None:
                return private
        raise CannotOpen("sealed_under_another_secret")

    def is_newest(self, kid: str, sealed: bytes) -> bool:
        """Whether the key that seals opens this too, so that no older one is needed for it."""
        return _opened(self._ciphers[0], kid, sealed) is not None


def _opened(cipher: AESGCM, kid: str, sealed: bytes) -> bytes | None:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], kid.encode())
    except (InvalidTag, ValueError):
        # ValueError: too short to be a seal at all.
        return None
