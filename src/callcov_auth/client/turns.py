"""Turns: one at a time, among the threads and the tasks of a process."""

import threading

import anyio
from anyio.lowlevel import RunVar

from callcov_auth.client.errors import LoginFailed

# In seconds. Longer than one login with all its pauses takes.
LONGEST_WAIT = 120.0
# How often a task looks whether a thread, or another event loop's task, is done. In seconds.
LOOK_EVERY = 0.01


class Turns:
    """A lock that threads wait for by blocking, and tasks of any event loop without."""

    __slots__ = ("_queue", "_turn")

    def __init__(self) -> None:
        self._turn = threading.Lock()
        # For the tasks of one event loop, so that only the first of them looks for the lock itself.
        self._queue: RunVar[anyio.Lock] = RunVar("callcov_auth.client")

    def take_if_free(self) -> bool:
        return self._turn.acquire(blocking=False)

    def take(self) -> None:
        """Raises LoginFailed after LONGEST_WAIT."""
        if not self._turn.acquire(timeout=LONGEST_WAIT):
            raise _too_long()

    async def take_async(self) -> None:
        """Raises LoginFailed after LONGEST_WAIT."""
        with anyio.move_on_after(LONGEST_WAIT):
            async with self._queue_here():
                while not self.take_if_free():  # noqa: ASYNC110 (a thread sets no event of a loop)
                    await anyio.sleep(LOOK_EVERY)
                return
        raise _too_long()

    def give_back(self) -> None:
        self._turn.release()

    def _queue_here(self) -> anyio.Lock:
        queue = self._queue.get(None)
        if queue is None:
            queue = anyio.Lock()
            self._queue.set(queue)
        return queue


def _too_long() -> LoginFailed:
    return LoginFailed("another request's login did not end")
