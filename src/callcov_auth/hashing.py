"""Slow hashes off the event loop, behind a queue with a bound.

One hash takes tens of milliseconds of a whole core. Worker threads of their own keep the loop free, and
past the bound a caller is refused at once instead of waiting longer than its client does.
"""

from collections.abc import Callable
from typing import TypeVar

from callcov_auth.errors import AuthUnavailable
from callcov_auth.threads import Threads

T = TypeVar("T")


class HashingLane:
    """``workers`` threads; past ``most_waiting`` callers AuthUnavailable is raised, with ``reason``."""

    def __init__(self, workers: int, *, most_waiting: int, reason: str) -> None:
        self._threads = Threads(workers, "hashing")
        self._most_waiting = most_waiting
        self._reason = reason
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most_waiting:
            raise AuthUnavailable(reason=self._reason, retry_after=2)
        self._waiting += 1
        try:
            return await self._threads.run(work)
        finally:
            self._waiting -= 1
