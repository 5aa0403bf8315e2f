"""Processes that watch one key after another end, for ``benchmarks.revocation``.

A watcher has a key in its cache, says so, and asks for it until it is refused; then it goes on to the next
key. Meanwhile it serves other callers, and asks again for keys that ended: none of them may be let in.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import anyio

from benchmarks.fleet import PAUSE, Board, at_rate, outcome, silence, subscribed, wait_until
from callcov_auth import Auth, AuthSettings

# In seconds: how often the load comes, and how often a key is asked for that ended.
LOAD_TICK, LATER_LOOK = 0.01, 0.05
COUNTED = ("hot", "stale", "unavailable", "served")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a watcher does. ``load`` is how many cached callers it serves in a second, from ``regulars``."""

    settings: dict[str, Any] = field(repr=False)
    ending: Sequence[str] = field(repr=False)
    regulars: Sequence[str] = field(repr=False)
    load: float
    seed: int


def watch(orders: Orders, board: Board, number: int) -> None:
    silence()
    anyio.run(_watch, orders, board, number)


def all_hot(board: Board, place: int) -> None:
    """Return when every watcher has the key at ``place`` in its cache, so that it refused those before."""
    wait_until(lambda: min(board.counts("hot")) > place, f"a watcher does not get to key {place}")


def all_refused(board: Board) -> None:
    wait_until(lambda: all(board.times(board.length - 1)), "a watcher does not refuse the last key")


async def _watch(orders: Orders, board: Board, number: int) -> None:
    async with (
        Auth(AuthSettings(_env_file=None, **orders.settings)) as auth,
        anyio.create_task_group() as tasks,
    ):
        await subscribed(auth)
        ended: list[str] = []
        tasks.start_soon(_serve, auth, orders, board, number)
        tasks.start_soon(_look_again, auth, ended, orders.seed + number, board, number)
        board.count("ready", number)
        for place, header in enumerate(orders.ending):
            await _see_end(auth, header, place, board, number)
            ended.append(header)
        while not board.done:  # noqa: ASYNC110
            await anyio.sleep(LOAD_TICK)
        tasks.cancel_scope.cancel()


async def _see_end(auth: Auth, header: str, place: int, board: Board, number: int) -> None:
    await outcome(auth, header)
    board.put("hot", number, place + 1)
    while not board.done and await outcome(auth, header) != "token_revoked":  # noqa: ASYNC110
        await anyio.sleep(PAUSE)
    board.note_time(number, place)


async def _serve(auth: Auth, orders: Orders, board: Board, number: int) -> None:
    regulars = cycle(orders.regulars)

    async def serve() -> None:
        works = await outcome(auth, next(regulars)) == "works"
        board.count("served" if works else "unavailable", number)

    await at_rate(orders.load, LOAD_TICK, serve)


async def _look_again(auth: Auth, ended: list[str], seed: int, board: Board, number: int) -> None:
    choice = random.Random(seed)  # noqa: S311
    while True:
        await anyio.sleep(LATER_LOOK)
        if ended and await outcome(auth, choice.choice(ended)) == "works":
            board.count("stale", number)
