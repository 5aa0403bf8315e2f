"""What the package's parts cost on this machine, measured before a simulation builds on them."""

import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import redis

from benchmarks.cache_hit import FOREVER, caller, header
from benchmarks.fleet import subscribed
from benchmarks.harness.stores import key_file
from benchmarks.sites import make_site, settings_for
from callcov_auth import Auth, AuthSettings
from callcov_auth.cache.principals import PrincipalCache
from callcov_auth.store.protocol import Change

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer

HITS, LOOKUPS, POLLS, PUSHES = 5000, 200, 200, 100
ENTRIES, STORED = 5000, 20_000
SUBSCRIBERS, PUBLISHED = 80, 500


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of one cached caller, one lookup, one poll, one push from its commit to another's cache, and of
    Redis's own processor for one message to one subscriber; the bytes of one cached caller, of a process, and
    of one key in the database with its indexes.
    """

    hit: float
    lookup: float
    poll: float
    push: float
    delivery: float
    entry_bytes: float
    process_bytes: float
    stored_bytes: float


def measure_costs(server: "RedisServer", folder: Path) -> Costs:
    settings = settings_for(folder, server.url)
    site = anyio.run(make_site, settings, 1, LOOKUPS)
    hit, lookup, poll, push = anyio.run(_of_auth, site.settings, site.regulars)
    return Costs(
        hit, lookup, poll, push, _delivery(server), _entry_bytes(), _process_bytes(), _stored_bytes(folder)
    )


async def _of_auth(settings: dict[str, Any], headers: list[str]) -> tuple[float, float, float, float]:
    made = AuthSettings(_env_file=None, **settings)
    async with Auth(made) as here, Auth(made) as there:
        await subscribed(here)
        await subscribed(there)
        lookup = await _median([lambda header=each: here.authenticate(header) for each in headers])
        hit = await _median([lambda: _hits(here, headers[0])] * 9) / HITS
        poll = await _median([here._feed.poll] * POLLS)
        push = await _median([lambda: _push(there, here)] * PUSHES)
    return hit, lookup, poll, push


async def _hits(auth: Auth, header: str) -> None:
    for _ in range(HITS):
        await auth.authenticate(header)


async def _push(there: Auth, here: Auth) -> None:
    version = here.callers.version
    await there._feed.publish(Change("key", "key_of_nobody"))
    while here.callers.version == version:
        await anyio.lowlevel.checkpoint()


async def _median(deeds: list[Callable[[], Awaitable[object]]]) -> float:
    times = []
    for deed in deeds:
        began = time.perf_counter()
        await deed()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _delivery(server: "RedisServer") -> float:
    """Return the seconds of Redis's processor for one message to one of many subscribers."""
    with server.client() as client:
        listening = [client.pubsub() for _ in range(SUBSCRIBERS)]
        for each in listening:
            each.subscribe("delivery")
        before = _processor_time(client)
        for _ in range(PUBLISHED):
            client.publish("delivery", b"key:key_000000000000000000000000")
        spent = _processor_time(client) - before
        for each in listening:
            each.close()
    return spent / (SUBSCRIBERS * PUBLISHED)


def _processor_time(client: redis.Redis) -> float:
    used: dict[str, float] = client.info("cpu")
    return float(used["used_cpu_sys"]) + float(used["used_cpu_user"])


def _entry_bytes() -> float:
    tracemalloc.start()
    try:
        cache = PrincipalCache(ENTRIES, timer=time.monotonic)
        cache.trusted_until = FOREVER
        before = tracemalloc.get_traced_memory()[0]
        for number in range(ENTRIES):
            cache.put(header(60), caller(number), FOREVER, version=cache.version)
        return (tracemalloc.get_traced_memory()[0] - before) / ENTRIES
    finally:
        tracemalloc.stop()


def _stored_bytes(folder: Path) -> float:
    path = folder / "stored.db"
    anyio.run(key_file, path, STORED)
    return path.stat().st_size / STORED


def _process_bytes() -> float:
    """Return what this process has in memory, with an Auth loaded and a server's libraries not."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096.0
