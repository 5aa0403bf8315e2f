"""Argon2id off the event loop, behind a queue with a bound.

One hash takes tens of milliseconds of a whole core. Worker threads of their own keep the loop free, and
past ``MAX_WAITING`` for each a login is refused at once instead of waiting longer than its client does.
"""

from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from callcov_auth.errors import AuthUnavailable

MAX_WAITING = 64

T = TypeVar("T")


class Passwords:
    """Hashes and verifies. The defaults of the settings are OWASP's first choice for Argon2id."""

    def __init__(self, *, time_cost: int, memory_kib: int, workers: int) -> None:
        # One lane: more would only let one login take the cores of several.
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._limiter = CapacityLimiter(workers)
        self._most_waiting = MAX_WAITING * workers
        self._waiting = 0
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether ``password`` is the one; None stands for 'no such user' and takes as long to deny."""
        return await self._run(lambda: self._verify(password_hash, password))

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with other costs than the settings ask for now."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        if self._decoy is None:
            self._decoy = self._hasher.hash("")
        try:
            matches = self._hasher.verify(password_hash or self._decoy, password)
        except (VerificationError, InvalidHashError):
            return False
        return matches and password_hash is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most_waiting:
            raise AuthUnavailable(reason="password_queue_full", retry_after=2)
        self._waiting += 1
        try:
            return await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._waiting -= 1
