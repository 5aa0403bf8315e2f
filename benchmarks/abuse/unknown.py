"""Keys that look genuine and that nobody has: each costs one query, and memory has a ceiling."""

import gc
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from benchmarks.harness.figures import Effort, Figure
from benchmarks.harness.requests import Leg, cpu_time
from benchmarks.harness.samples import count_of
from benchmarks.harness.stores import counted, key_file
from benchmarks.peers.apps import starlette_app
from benchmarks.peers.ours import bearer
from callcov_auth import AuthMiddleware
from callcov_auth.keys.format import mint

UNKNOWN = 100_000
# Far more than are remembered as unknown, so that the ceiling is reached before memory is looked at.
WARM_UP = 10_000
GOOD = 100
# Longer than the flood: that a good key is looked up once a minute is nothing to it.
CACHE_TTL = 3600


@dataclass(frozen=True, slots=True)
class Found:
    """Memory that grew, in bytes; queries of the flood; good keys that had to be looked up after it."""

    growth: int
    queries: int
    lost: int


def measure(effort: Effort) -> list[Figure]:
    """Measure in a process of its own, whose memory nothing else takes part in."""
    unknown = effort.scaled(UNKNOWN)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(run, unknown).result()
    return [
        count_of("unknown-memory", found.growth / 2**20, unknown=unknown, warm_up=WARM_UP),
        count_of("unknown-lost", found.lost, good=GOOD),
        count_of(
            "unknown-queries", found.queries / unknown, wording="queries for each unknown key, sent twice"
        ),
    ]


def run(unknown: int) -> Found:
    return anyio.run(flood, unknown, backend_options={"use_uvloop": True})


async def flood(unknown: int) -> Found:
    with TemporaryDirectory() as folder:
        file = await key_file(Path(folder) / "keys.db", GOOD, cache_ttl=CACHE_TTL)
        auth, store = counted(file.settings)
        async with auth:
            app = starlette_app(Middleware(AuthMiddleware, auth=auth))
            keys = unknown_keys(file.settings.key_mac_key)
            for key in file.keys:
                await send(app, key, 200)
            await send_twice(app, keys, WARM_UP)
            queries, memory = store.lookups, resident()
            await send_twice(app, keys, unknown)
            queries, memory = store.lookups - queries, resident() - memory
            before = store.lookups
            for key in file.keys:
                await send(app, key, 200)
            return Found(memory, queries, store.lookups - before)


def unknown_keys(mac_key: bytes) -> Iterator[str]:
    while True:
        yield mint(mac_key, "live")


async def send_twice(app: ASGIApp, keys: Iterator[str], count: int) -> None:
    """Send so many keys, each once more after it was refused."""
    for _ in range(count):
        await send(app, next(keys), 401, times=2)


async def send(app: ASGIApp, key: str, status: int, times: int = 1) -> None:
    await cpu_time(Leg(app, bearer(key), status), times)


def resident() -> int:
    """Return the bytes of memory that this process has in use."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
