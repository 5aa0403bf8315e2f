"""Processes that each have an Auth of their own on one database, and a board on which they write figures.

All share the machine's monotonic clock. The board is shared memory, where each number has one writer.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.sharedctypes import RawArray
from typing import Any

import anyio

from callcov_auth import Auth, AuthError

_processes = get_context("forkserver")
_processes.set_forkserver_preload(["callcov_auth.auth", "callcov_auth.store.sql", "anyio._backends._asyncio"])

# Between two looks at something, in seconds: the resolution of what is measured.
PAUSE = 0.001
START_TIMEOUT, TIMEOUT = 120.0, 60.0


class Stuck(RuntimeError):
    """A process does not get on."""


class Board:
    """Numbers that all processes see: the counts named ``names``, and a row of times for each process."""

    def __init__(self, processes: int, names: tuple[str, ...], *, times: int = 0) -> None:
        self.processes = processes
        self.length = times
        self._times = RawArray("d", processes * times)
        self._counts = {name: RawArray("q", processes) for name in ("ready", *names)}
        self._done = RawArray("b", 1)

    def note_time(self, process: int, place: int) -> None:
        self._times[process * self.length + place] = time.monotonic()

    def times(self, place: int) -> list[float]:
        """When each process noted its time at this place; 0 where it did not."""
        return [self._times[process * self.length + place] for process in range(self.processes)]

    def count(self, name: str, process: int, by: int = 1) -> None:
        self._counts[name][process] += by

    def put(self, name: str, process: int, value: int) -> None:
        self._counts[name][process] = value

    def counts(self, name: str) -> list[int]:
        return list(self._counts[name])

    @property
    def done(self) -> bool:
        return bool(self._done[0])

    def end(self) -> None:
        self._done[0] = 1


@contextmanager
def fleet(target: Callable[..., None], orders: object, board: Board) -> Iterator[None]:
    """Run ``target(orders, board, number)`` in each process until the block ends.

    The block begins when each has counted ``ready``; they end when ``board.done``.
    """
    made = [
        _processes.Process(target=target, args=(orders, board, number), daemon=True)
        for number in range(board.processes)
    ]
    for process in made:
        process.start()
    try:
        wait_until(lambda: all(board.counts("ready")), "a process does not start", START_TIMEOUT)
        yield
    finally:
        board.end()
        for process in made:
            process.join(TIMEOUT)
            process.kill()


def wait_until(condition: Callable[[], bool], problem: str, timeout: float = TIMEOUT) -> None:
    """Return when ``condition`` holds. Raises Stuck, with ``problem``."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise Stuck(problem)
        time.sleep(PAUSE)


def silence() -> None:
    """Log nothing: what is lost and restored is the benchmark's own doing."""
    logging.disable()


async def subscribed(auth: Auth) -> None:
    """Return when ``auth`` hears what Redis tells, or at once where there is none."""
    while auth._push is not None and not auth._push.subscribed:  # noqa: ASYNC110
        await anyio.sleep(PAUSE)


def count_heard(auth: Auth, count: Callable[[int], None]) -> None:
    """Call ``count`` with the number of revocations that each message batch tells."""
    hear = auth._feed.hear

    def counting(changes: Any) -> None:
        count(len(changes))
        hear(changes)

    auth._feed.hear = counting  # type: ignore[method-assign]


async def outcome(auth: Auth, header: str) -> str:
    """Return ``works``, or the code of the refusal."""
    try:
        await auth.authenticate(header)
    except AuthError as refusal:
        return refusal.code
    return "works"


async def at_rate(rate: float, tick: float, do: Callable[[], Any]) -> None:
    """Await ``do`` as often as is due, for ever; a tick that comes late does more."""
    owed, before = 0.0, time.monotonic()
    while True:
        await anyio.sleep(tick)
        now = time.monotonic()
        owed, before = owed + rate * (now - before), now
        for _ in range(int(owed)):
            await do()
        owed -= int(owed)
