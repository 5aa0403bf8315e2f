"""Argon2 and bcrypt hashes of keys from elsewhere, each checked until its key was used here once.

What is stored is the hash, behind the part of the key that was not hashed with the rest, if any. Where the
hash was made with a pepper, the key has that one's name.
"""

from collections.abc import Mapping, Sequence

from callcov_auth.hashing import HashingLane
from callcov_auth.keys.foreign import peppered
from callcov_auth.slow_hashes import BCRYPT_BYTES, is_bcrypt, is_hash_of
from callcov_auth.store.protocol import Key, OwnedKey

# With one prefix; so many slow hashes are the most that one unknown key can ask for.
MAX_CANDIDATES = 5
# Fewer than for logins, for one who waits here may wait for all candidates of each before.
MAX_WAITING = 16


class SaltedHashes:
    """Finds the key of a text among few. A lane of its own, so that no login waits for it."""

    def __init__(self, peppers: Mapping[str, bytes]) -> None:
        self._peppers = peppers
        self._lane = HashingLane(1, most_waiting=MAX_WAITING, reason="key_hash_queue_full")

    async def matching(self, candidates: Sequence[OwnedKey], text: str) -> OwnedKey | None:
        """Return the one whose hash is of ``text``. Raises AuthUnavailable where that cannot be known."""
        if not candidates:
            return None
        return await self._lane.run(lambda: self._matching(candidates[:MAX_CANDIDATES], text))

    def _matching(self, candidates: Sequence[OwnedKey], text: str) -> OwnedKey | None:
        return next((owned for owned in candidates if self._is_of(owned.key, text)), None)

    def _is_of(self, key: Key, text: str) -> bool:
        start, dollar, rest = (key.salted_hash or "").partition("$")
        if not text.startswith(start):
            return False
        salted_hash, secret = dollar + rest, text[len(start) :].encode("ascii")
        if key.pepper_id is not None:
            pepper = self._peppers.get(key.pepper_id)
            # As for any key, it is unknown without its pepper.
            return pepper is not None and is_hash_of(salted_hash, peppered(salted_hash, pepper, secret))
        # A longer key would be as good as any other that starts like it.
        if is_bcrypt(salted_hash) and len(secret) > BCRYPT_BYTES:
            return False
        return is_hash_of(salted_hash, secret)
