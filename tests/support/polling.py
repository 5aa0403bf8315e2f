"""Waiting for what a background task does, with a deadline in the place of a guess."""

import time
from collections.abc import Awaitable, Callable

import anyio

# In seconds: a machine with much else to do takes long to start a server.
TIMEOUT = 60.0
PAUSE = 0.005


async def eventually(condition: Callable[[], Awaitable[bool] | bool]) -> None:
    """Return when ``condition`` holds. Raises TimeoutError after TIMEOUT."""
    with anyio.fail_after(TIMEOUT):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await anyio.sleep(PAUSE)


def eventually_in_thread(condition: Callable[[], bool]) -> None:
    """The same, for what another thread does."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the condition does not come to hold")
        time.sleep(PAUSE)
