"""Slow hashes off the event loop, behind a queue with a bound.

One hash takes tens of milliseconds of a whole core. Worker threads of their own keep the loop free, give way
to it where cores are few, and past the bound a caller is refused at once instead of waiting longer than its
client does.
"""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from callcov_auth.errors import AuthUnavailable

T = TypeVar("T")

# On a busy core a thread of this niceness has a tenth of what the event loop has (sched(7)): a crowd of
# logins is slow then, and never stands still.
NICENESS = 10


class HashingLane:
    """``workers`` threads; past ``most_waiting`` callers AuthUnavailable is raised, with ``reason``."""

    def __init__(self, workers: int, *, most_waiting: int, reason: str) -> None:
        self._limiter = CapacityLimiter(workers)
        # Not anyio's threads, which do other work too, and cannot be given their priority back.
        self._threads = ThreadPoolExecutor(workers, "callcov-auth-hashing", _give_way)
        self._most_waiting = most_waiting
        self._reason = reason
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most_waiting:
            raise AuthUnavailable(reason=self._reason, retry_after=2)
        self._waiting += 1
        try:
            return await to_thread.run_sync(self._run, work, limiter=self._limiter)
        finally:
            self._waiting -= 1

    def _run(self, work: Callable[[], T]) -> T:
        return self._threads.submit(work).result()


def _give_way() -> None:
    # Elsewhere a niceness is the whole process's.
    if sys.platform == "linux":
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICENESS)
