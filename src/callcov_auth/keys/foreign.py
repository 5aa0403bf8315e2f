"""Keys of another origin: what their digests look like, and how one is told again."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from argon2 import extract_parameters
from argon2.exceptions import InvalidHashError

from callcov_auth.keys.format import PREFIX_LENGTH, digest
from callcov_auth.settings import AuthSettings

Kind = Literal["sha256", "hmac-sha256", "argon2", "bcrypt", "ours"]
SALTED: frozenset[Kind] = frozenset({"argon2", "bcrypt"})

DIGEST_BYTES = 32
# Four characters that tell keys apart: with fewer, whoever invents keys would reach the slow hashes.
DISTINCT_PREFIX = re.compile(r"sk_(?!(?:live|test)(?:_.{0,3})?\Z)[!-~]{4,}")
MIN_PREFIX_LENGTH = len("sk_") + 4

# What one check may cost: about a second.
MAX_ARGON2_KIB_PASSES = 2 * 1024 * 1024
MAX_ARGON2_KIB = 512 * 1024
MIN_BCRYPT_COST, MAX_BCRYPT_COST = 4, 14

_HEX = re.compile(r"[0-9A-Fa-f]{64}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{43}=?")
_ARGON2 = re.compile(r"\$argon2(?:id|i|d)\$[!-~]{1,300}")
_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")


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
    if kind == "argon2":
        return _argon2(text)
    if kind == "bcrypt":
        return _bcrypt(text)
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


def _argon2(text: str) -> bytes:
    if not _ARGON2.fullmatch(text):
        raise ValueError("is not an Argon2 hash in PHC form")
    try:
        parameters = extract_parameters(text)
    except (InvalidHashError, ValueError):
        raise ValueError("is not an Argon2 hash in PHC form") from None
    passes = parameters.memory_cost * parameters.time_cost
    if parameters.memory_cost > MAX_ARGON2_KIB or passes > MAX_ARGON2_KIB_PASSES:
        raise ValueError("would cost too much to check: it asks for too much memory or too many passes")
    return text.encode("ascii")


def _bcrypt(text: str) -> bytes:
    match = _BCRYPT.fullmatch(text)
    if match is None:
        raise ValueError("is not a bcrypt hash, which starts with $2a$, $2b$ or $2y$")
    if not MIN_BCRYPT_COST <= int(match["cost"]) <= MAX_BCRYPT_COST:
        raise ValueError(f"has a cost that is not {MIN_BCRYPT_COST} to {MAX_BCRYPT_COST}")
    return text.encode("ascii")
