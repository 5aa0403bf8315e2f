"""Keys of another origin: what their digests look like, and how one is told again."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from callcov_auth.keys.format import PREFIX_LENGTH, digest
from callcov_auth.settings import AuthSettings
from callcov_auth.slow_hashes import is_bcrypt, read_argon2, read_bcrypt, read_either

Kind = Literal["sha256", "hmac-sha256", "argon2", "bcrypt", "keyshield", "ours"]
SALTED: frozenset[Kind] = frozenset({"argon2", "bcrypt", "keyshield"})
PEPPERED: frozenset[Kind] = frozenset({"hmac-sha256", "keyshield"})

DIGEST_BYTES = 32
# Four characters that tell keys apart: with fewer, whoever invents keys would reach the slow hashes.
DISTINCT_LENGTH = 4
MIN_PREFIX_LENGTH = len("sk_") + DISTINCT_LENGTH

# What our own keys start with, which tells none apart.
_OURS_ALONE = re.compile(r"sk_(?:live|test)(?:_.{0,3})?")
_HEX = re.compile(r"[0-9A-Fa-f]{64}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{43}=?")
_READ = {"argon2": read_argon2, "bcrypt": read_bcrypt, "keyshield": read_either}


# A process has few peppers, and asks for their names at each lookup.
@lru_cache(maxsize=64)
def pepper_id(pepper: bytes) -> str:
    """Return a name for a pepper: 32 bits of a MAC under it, which tell it apart and nothing else."""
    return hmac.digest(pepper, b"pepper id", "sha256")[:4].hex()


def origin(pepper: bytes, foreign: bytes) -> bytes:
    """Return by what an imported key is told again when its own digest has taken the foreign one's place.

    Under the pepper, so that what it is made of is gone with the foreign digest.
    """
    return hmac.digest(pepper, b"import " + foreign, "sha256")


def read_digest(kind: Kind, text: str) -> bytes:
    """Return the bytes of a digest or a salted hash. Raises ValueError, whose text shows none of it."""
    if kind in SALTED:
        return _READ[kind](text).encode("ascii")
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    if _BASE64URL.fullmatch(text):
        return urlsafe_b64decode(text.rstrip("=") + "=")
    raise ValueError(f"is not {DIGEST_BYTES} bytes in hex or base64url")


def lookups(settings: AuthSettings, text: str) -> dict[bytes, str | None]:
    """Return every digest by which a key may be stored, each with its pepper's name; ours come first."""
    found: dict[bytes, str | None] = dict(own_lookups(settings, text))
    found[hashlib.sha256(text.encode("ascii")).digest()] = None
    for pepper in settings.import_pepper_keys:
        found[digest(pepper, text)] = pepper_id(pepper)
    return found


def own_lookups(settings: AuthSettings, text: str) -> dict[bytes, str]:
    """Return the digests of a key of ours, the pepper in force first."""
    return {digest(pepper, text): pepper_id(pepper) for pepper in settings.pepper_keys}


def prefixes(text: str) -> Sequence[str]:
    """Return what the stored prefix of a key with a salted hash can be, the longest first."""
    longest = min(PREFIX_LENGTH, len(text))
    return [text[:length] for length in range(longest, MIN_PREFIX_LENGTH - 1, -1)]


def is_distinct(prefix: str, starts: Sequence[str]) -> bool:
    """Whether as much of a prefix as is kept tells its key from others that start with one of ``starts``."""
    kept = prefix[:PREFIX_LENGTH]
    start = max((start for start in starts if kept.startswith(start)), key=len, default=None)
    if start is None or _OURS_ALONE.fullmatch(kept):
        return False
    return len(kept) >= max(MIN_PREFIX_LENGTH, len(start) + DISTINCT_LENGTH)


def peppered(salted_hash: str, pepper: bytes, secret: bytes) -> bytes:
    """Return what keyshield hashes of a key's secret: for bcrypt a MAC of it, whose length it can take."""
    return hmac.digest(pepper, secret, "sha256") if is_bcrypt(salted_hash) else secret + pepper
