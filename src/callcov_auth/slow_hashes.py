"""Argon2 and bcrypt hashes that another program made: how they are written, and what a check may cost."""

import re
from importlib.util import find_spec

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from callcov_auth.errors import AuthUnavailable

BCRYPT_NEEDED = "needs bcrypt: pip install 'callcov-auth[import]'"
# bcrypt reads no further.
BCRYPT_BYTES = 72

# What one check may cost: about a second.
MAX_ARGON2_KIB_PASSES = 2 * 1024 * 1024
MAX_ARGON2_KIB = 512 * 1024
MIN_BCRYPT_COST, MAX_BCRYPT_COST = 4, 14

_ARGON2 = re.compile(r"\$argon2(?:id|i|d)\$[!-~]{1,300}")
_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")


def has_bcrypt() -> bool:
    return find_spec("bcrypt") is not None


def is_bcrypt(text: str) -> bool:
    """Whether ``text`` means to be a bcrypt hash."""
    return text.startswith("$2")


def read_argon2(text: str) -> str:
    """Return an Argon2 hash that can be checked. Raises ValueError, whose text shows none of it."""
    if not _ARGON2.fullmatch(text):
        raise ValueError("is not an Argon2 hash in PHC form")
    try:
        parameters = extract_parameters(text)
    except (InvalidHashError, ValueError):
        raise ValueError("is not an Argon2 hash in PHC form") from None
    passes = parameters.memory_cost * parameters.time_cost
    if parameters.memory_cost > MAX_ARGON2_KIB or passes > MAX_ARGON2_KIB_PASSES:
        raise ValueError("would cost too much to check: it asks for too much memory or too many passes")
    return text


def read_bcrypt(text: str) -> str:
    """Return a bcrypt hash that can be checked. Raises ValueError, whose text shows none of it."""
    match = _BCRYPT.fullmatch(text)
    if match is None:
        raise ValueError("is not a bcrypt hash, which starts with $2a$, $2b$ or $2y$")
    if not MIN_BCRYPT_COST <= int(match["cost"]) <= MAX_BCRYPT_COST:
        raise ValueError(f"has a cost that is not {MIN_BCRYPT_COST} to {MAX_BCRYPT_COST}")
    return text


def read_either(text: str) -> str:
    """Return an Argon2 or a bcrypt hash that can be checked. Raises ValueError as the two do."""
    if is_bcrypt(text):
        return read_bcrypt(text)
    if text.startswith("$argon2"):
        return read_argon2(text)
    raise ValueError("is neither an Argon2 nor a bcrypt hash")


def is_hash_of(salted_hash: str, secret: bytes) -> bool:
    """Whether it is the hash of ``secret``, in a thread's own time.

    Raises AuthUnavailable where that cannot be known, for lack of bcrypt.
    """
    if is_bcrypt(salted_hash):
        return _is_bcrypt_of(salted_hash, secret)
    try:
        return PasswordHasher().verify(salted_hash, secret)
    except (VerificationError, InvalidHashError):
        return False


def _is_bcrypt_of(salted_hash: str, secret: bytes) -> bool:
    try:
        import bcrypt
    except ModuleNotFoundError:
        raise AuthUnavailable(reason="bcrypt_not_installed: pip install 'callcov-auth[import]'") from None
    return bcrypt.checkpw(secret, salted_hash.encode("ascii"))
