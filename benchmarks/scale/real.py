"""Real processes on one database and one Redis, which count what they do, to hold the simulation against."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from benchmarks.fleet import Board, at_rate, count_heard, fleet, outcome, silence, subscribed
from benchmarks.harness.stores import LOOKUP, counted
from benchmarks.scale.model import Fleet, Rates, rank
from benchmarks.sites import make_site, redis_server, settings_for
from callcov_auth import Auth, AuthSettings

TICK = 0.01
COUNTED = ("requests", "lookups", "polls", "touches", "messages")


@dataclass(frozen=True, slots=True)
class Orders:
    settings: dict[str, Any] = field(repr=False)
    headers: Sequence[str] = field(repr=False)
    rate: float
    seed: int


def run(scale: Fleet, folder: Path, *, seconds: float, seed: int) -> Rates:
    """Return what a process did in a second, the mean of all."""
    with redis_server(folder) as server:
        changes = {"revocation_interval": scale.interval, "cache_ttl": scale.cache_ttl}
        settings = settings_for(folder, server.url if scale.pushed else None, **changes)
        ending = int(scale.revocations * seconds * 3) + 10
        site = anyio.run(make_site, settings, ending, scale.keys)
        board = Board(scale.processes, COUNTED)
        orders = Orders(settings, site.regulars, scale.requests / scale.processes, seed)
        with fleet(work, orders, board):
            before = {name: sum(board.counts(name)) for name in COUNTED}
            began = time.monotonic()
            anyio.run(_revoke, settings, site.key_ids, scale.revocations, seconds, seed)
            lasted = time.monotonic() - began
            after = {name: sum(board.counts(name)) for name in COUNTED}
    done = {
        name: (after[name] - before[name]) / lasted / scale.processes for name in COUNTED if name != "begun"
    }
    return Rates(**done, rows=0.0, entries=0)


def work(orders: Orders, board: Board, number: int) -> None:
    silence()
    anyio.run(_work, orders, board, number)


async def _work(orders: Orders, board: Board, number: int) -> None:
    randomness = random.Random(orders.seed + number)  # noqa: S311
    auth, store = counted(AuthSettings(_env_file=None, **orders.settings))

    async def request() -> None:
        place = rank(randomness, len(orders.headers)) - 1
        await outcome(auth, orders.headers[place])
        board.count("requests", number)

    async with auth, anyio.create_task_group() as tasks:
        await subscribed(auth)
        count_heard(auth, lambda messages: board.count("messages", number, messages))
        board.count("ready", number)
        tasks.start_soon(at_rate, orders.rate, TICK, request)
        while not board.done:
            await anyio.sleep(TICK)
            board.put("lookups", number, store.calls[LOOKUP])
            board.put("polls", number, store.calls["changes_after"])
            board.put("touches", number, store.calls["touch_keys"])
        tasks.cancel_scope.cancel()


async def _revoke(
    settings: dict[str, Any], key_ids: Sequence[str], rate: float, seconds: float, seed: int
) -> None:
    """Revoke one key after another, at random times, for so many seconds."""
    randomness = random.Random(seed)  # noqa: S311
    async with Auth(AuthSettings(_env_file=None, **settings)) as auth:
        with anyio.move_on_after(seconds):
            for key_id in key_ids:
                await anyio.sleep(randomness.expovariate(rate))
                await auth.keys.revoke(key_id)
            await anyio.sleep_forever()
