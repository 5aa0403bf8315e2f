"""Argon2 and bcrypt hashes of keys from elsewhere, each checked until its key was used here once."""

from collections.abc import Sequence

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from callcov_auth.errors import AuthUnavailable
from callcov_auth.hashing import HashingLane
from callcov_auth.store.protocol import OwnedKey

# With one prefix; so many slow hashes are the most that one unknown key can ask for.
MAX_CANDIDATES = 5
# Fewer than for logins, for one who waits here may wait for all candidates of each before.
MAX_WAITING = 16
# bcrypt reads no further: a longer key would be as good as any other that starts like it.
BCRYPT_BYTES = 72


class SaltedHashes:
    """Finds the key of a text among few. A lane of its own, so that no login waits for it."""

    def __init__(self) -> None:
        self._lane = HashingLane(1, most_waiting=MAX_WAITING, reason="key_hash_queue_full")

    async def matching(self, candidates: Sequence[OwnedKey], text: str) -> OwnedKey | None:
        """Return the one whose hash is of ``text``. Raises AuthUnavailable where that cannot be known."""
        if not candidates:
            return None
        return await self._lane.run(lambda: _matching(candidates[:MAX_CANDIDATES], text))


def _matching(candidates: Sequence[OwnedKey], text: str) -> OwnedKey | None:
    return next((owned for owned in candidates if _matches(owned.key.salted_hash or "", text)), None)


def _matches(salted_hash: str, text: str) -> bool:
    if not salted_hash.startswith("$argon2"):
        return _is_bcrypt_of(salted_hash, text)
    try:
        return PasswordHasher().verify(salted_hash, text)
    except (VerificationError, InvalidHashError):
        return False


def _is_bcrypt_of(salted_hash: str, text: str) -> bool:
    try:
        import bcrypt
    except ModuleNotFoundError:
        raise AuthUnavailable(reason="bcrypt_not_installed: pip install 'callcov-auth[import]'") from None
    return len(text) <= BCRYPT_BYTES and bcrypt.checkpw(text.encode("ascii"), salted_hash.encode("ascii"))
