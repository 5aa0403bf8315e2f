"""Argon2id for passwords, off the event loop; and the hashes of other programs, until the next login."""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from callcov_auth.hashing import HashingLane
from callcov_auth.slow_hashes import BCRYPT_BYTES, is_bcrypt, is_hash_of
from callcov_auth.watching import Watch, unwatched

# For each worker.
MAX_WAITING = 64
# In the place of a hash, for one who cannot log in.
NO_PASSWORD = ""


class Passwords:
    """Hashes and verifies. The defaults of the settings are OWASP's first choice for Argon2id."""

    def __init__(self, *, time_cost: int, memory_kib: int, workers: int, watch: Watch = unwatched) -> None:
        # One lane: more would only let one login take the cores of several.
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._lane = HashingLane(workers, most_waiting=MAX_WAITING * workers, reason="password_queue_full")
        # How argon2 begins a hash of these costs.
        self._of_these_costs = f"$argon2id$v=19$m={memory_kib},t={time_cost},p=1$"
        self._decoy: str | None = None
        self._watch = watch

    async def hash(self, password: str) -> str:
        with self._watch("hash_password"):
            return await self._lane.run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether ``password`` is the one; None and NO_PASSWORD take as long to deny."""
        with self._watch("verify_password"):
            return await self._lane.run(lambda: self._verify(password_hash, password))

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made in another way, or with other costs, than the settings ask for now."""
        # Seen at a glance for most, since argon2 takes each apart, and a login waits for that.
        if password_hash.startswith(self._of_these_costs):
            return False
        return is_bcrypt(password_hash) or self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        if self._decoy is None:
            self._decoy = self._hasher.hash("")
        if password_hash is not None and is_bcrypt(password_hash):
            # bcrypt never read further, and the library of today refuses what is longer.
            return is_hash_of(password_hash, password.encode()[:BCRYPT_BYTES])
        try:
            matches = self._hasher.verify(password_hash or self._decoy, password)
        except (VerificationError, InvalidHashError):
            return False
        return matches and bool(password_hash)
