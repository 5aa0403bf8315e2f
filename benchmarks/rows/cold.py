"""A key that is not cached: how long it takes to look it up, and how often it is looked up."""

import asyncio
import gc
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from anyio import CapacityLimiter, to_thread
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.sqlite import dialect
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from benchmarks.harness.figures import Effort, Figure
from benchmarks.harness.requests import Leg, cpu_time
from benchmarks.harness.samples import count_of, figure_of
from benchmarks.harness.stores import Counting, KeyFile, counted, key_file
from benchmarks.peers.apps import starlette_app
from benchmarks.peers.ours import bearer
from callcov_auth import Auth, AuthMiddleware
from callcov_auth.keys.format import digest
from callcov_auth.store.tables import api_keys, users

FEW, MANY = 1_000, 1_000_000
# Lookups of each kind in one turn of a round.
LOOKUPS = 10
CROWD = 1_000
SEED = 20_260_101

Lookup = Callable[[], Awaitable[object]]


async def measure(effort: Effort) -> list[Figure]:
    with TemporaryDirectory() as folder:
        # One entry, so that no key is remembered until it is sent again.
        few = await key_file(Path(folder) / "few.db", FEW, cache_size=1)
        many = await key_file(Path(folder) / "many.db", max(10 * FEW, effort.scaled(MANY)), cache_size=1)
        return [
            await beside_many(few, many, effort),
            await beside_select(few, effort),
            *await crowd(few, effort),
        ]


async def beside_many(few: KeyFile, many: KeyFile, effort: Effort) -> Figure:
    """Time lookups in a file with few keys, and in one with many."""
    async with Auth(few.settings) as small, Auth(many.settings) as large:
        rounds = await contest(authenticating(large, many), authenticating(small, few), effort)
    return compared("cold-many-keys", rounds, file_mib=[mib(few.path), mib(many.path)])


async def beside_select(file: KeyFile, effort: Effort) -> Figure:
    """Time lookups beside the same SELECT without the package, and beside a thread that does nothing."""
    async with Auth(file.settings) as auth:
        with closing(sqlite3.connect(file.path, check_same_thread=False)) as connection:
            rounds = await contest(authenticating(auth, file), selecting(connection, file), effort)
    hop = await p50(doing_nothing(), LOOKUPS * effort.rounds)
    return compared("cold-select", rounds, thread_alone_us=hop * 1e6)


def authenticating(auth: Auth, file: KeyFile) -> Lookup:
    headers = cycle([f"Bearer {key}".encode() for key in shuffled(file.keys)])
    return lambda: auth.authenticate(next(headers))


def selecting(connection: sqlite3.Connection, file: KeyFile) -> Lookup:
    """Return the same SELECT in a worker thread, with a limiter of its own as our store has."""
    owned = select(api_keys, users.c.scopes, users.c.disabled_at).join(users, users.c.id == api_keys.c.owner)
    statement = str(owned.where(api_keys.c.digest == bindparam("digest")).compile(dialect=dialect()))
    digests = cycle([digest(file.settings.pepper_key, key) for key in shuffled(file.keys)])
    lane = CapacityLimiter(1)

    def work(wanted: bytes) -> Any:
        return connection.execute(statement, (wanted,)).fetchall()

    return lambda: to_thread.run_sync(work, next(digests), limiter=lane)


def doing_nothing() -> Lookup:
    lane = CapacityLimiter(1)
    return lambda: to_thread.run_sync(int, limiter=lane)


def shuffled(keys: Sequence[str]) -> list[str]:
    order = random.Random(SEED)  # noqa: S311
    return order.sample(keys, len(keys))


@dataclass(frozen=True, slots=True)
class Times:
    """The medians of one round, in seconds."""

    one: float
    other: float


async def contest(one: Lookup, other: Lookup, effort: Effort) -> list[Times]:
    """Time two lookups in turn, A B B A, each time one call; the first round is a lead-in."""
    rounds = [await one_round(one, other, LOOKUPS * effort.turns) for _ in range(effort.rounds + 1)]
    return rounds[1:]


async def one_round(one: Lookup, other: Lookup, turns: int) -> Times:
    first, second = [], []
    for _ in range(turns):
        first.append(await seconds(one))
        second += [await seconds(other), await seconds(other)]
        first.append(await seconds(one))
    return Times(median(first), median(second))


async def seconds(work: Lookup) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def p50(work: Lookup, calls: int) -> float:
    return median([await seconds(work) for _ in range(calls)])


def compared(row: str, rounds: Sequence[Times], **detail: Any) -> Figure:
    microseconds = [median(each.one for each in rounds) * 1e6, median(each.other for each in rounds) * 1e6]
    note = f"{microseconds[0]:.0f} µs beside {microseconds[1]:.0f} µs"
    return figure_of(row, [each.one / each.other for each in rounds], us=microseconds, note=note, **detail)


def mib(path: Path) -> float:
    return path.stat().st_size / 2**20


@dataclass(frozen=True, slots=True)
class Crowd:
    """What one round found: seconds, and how many queries the thousand at once made."""

    cold: float
    hot: float
    hot_at_once: float
    at_once: float
    queries: int


async def crowd(file: KeyFile, effort: Effort) -> list[Figure]:
    """Send a thousand requests at once with one cold key, beside a cold one and a thousand hot ones."""
    settings = file.settings.replace(cache_size=2 * CROWD)
    auth, store = counted(settings)
    async with auth:
        app = starlette_app(Middleware(AuthMiddleware, auth=auth))
        # No key comes twice.
        keys = iter(shuffled(file.keys))
        with collecting_no_old():
            rounds = [await crowd_round(app, store, keys) for _ in range(effort.rounds + 1)][1:]
    times = [each.at_once / (each.cold + each.hot) for each in rounds]
    at_once = [each.at_once / (each.cold + each.hot_at_once) for each in rounds]
    queries = max(each.queries for each in rounds)
    return [
        count_of("cold-crowd-queries", queries, rounds=len(rounds)),
        figure_of(
            "cold-crowd-time",
            times,
            ms=median(each.at_once for each in rounds) * 1e3,
            beside_hot_at_once=median(at_once),
            note=f"the hot ones one after another; if they come at once too, {median(at_once):.2f}",
        ),
    ]


@contextmanager
def collecting_no_old() -> Iterator[None]:
    """Spare the collector what was there before: all that a benchmark imports.

    A full collection walks through it, which takes longer than a crowd, and falls into every second one.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def crowd_round(app: ASGIApp, store: Counting, keys: Iterator[str]) -> Crowd:
    one, other = next(keys), next(keys)
    cold = await seconds(lambda: in_turn(app, one, 1))
    hot = await seconds(lambda: in_turn(app, one, CROWD))
    hot_at_once = await seconds(lambda: together(app, one, CROWD))
    before = store.lookups
    at_once = await seconds(lambda: together(app, other, CROWD))
    return Crowd(cold, hot, hot_at_once, at_once, store.lookups - before)


async def in_turn(app: ASGIApp, key: str, requests: int) -> None:
    await cpu_time(Leg(app, bearer(key)), requests)


async def together(app: ASGIApp, key: str, requests: int) -> None:
    leg = Leg(app, bearer(key))
    async with asyncio.TaskGroup() as group:
        for _ in range(requests):
            group.create_task(cpu_time(leg, 1))
