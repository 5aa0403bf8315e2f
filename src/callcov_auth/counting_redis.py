"""Counters in Redis, over all processes: each call is one atomic step there, so limits are exact."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar, cast

from anyio import CapacityLimiter, to_thread
from limits.storage import RedisStorage
from redis.exceptions import RedisError

from callcov_auth.counting import MAX_COUNTED, LocalCounters, Total
from callcov_auth.errors import AuthUnavailable
from callcov_auth.events import CountersLost, CountersRestored, OnEvent, emit
from callcov_auth.rates import Rate
from callcov_auth.redis_pool import redis_pool

T = TypeVar("T")

# How long one call may take, in seconds.
TIMEOUT = 1.0
# For so long, in seconds, a Redis that failed is not asked again.
PAUSE = 1.0
THREADS = 8

# The library's own fixed window counts on past its limit, cannot take one back without risking the next
# window's count, and needs a second call for the window's end.
_TAKE = """
local count = tonumber(redis.call('get', KEYS[1]) or '0')
if count >= tonumber(ARGV[1]) then
    return math.max(redis.call('pttl', KEYS[1]), 1)
end
redis.call('incr', KEYS[1])
if count == 0 then
    redis.call('expire', KEYS[1], ARGV[2])
end
return 0
"""
_GIVE_BACK = """
if tonumber(redis.call('get', KEYS[1]) or '0') > 0 then
    redis.call('decr', KEYS[1])
end
"""


class RedisCounters:
    """Counters that all processes share. ``timer`` is monotonic, in seconds.

    ``key`` keeps what is counted, emails and addresses, out of Redis, and two deployments apart there.
    While Redis fails, this process counts by itself: whoever takes Redis away gains some tries in each
    process, and takes away no login.
    """

    def __init__(
        self, url: str, *, key: bytes, timer: Callable[[], float], on_event: OnEvent | None = None
    ) -> None:
        # Once more where a connection was found closed, and not after a time-out: it may have counted.
        self._pool = redis_pool(url, timeout=TIMEOUT, connections=THREADS, tries=2)
        self._storage = RedisStorage(url, connection_pool=self._pool, key_prefix="callcov-auth:count")
        # Cast, for the library's own protocol of a client names only what it uses itself.
        self._client = cast(Any, self._storage.get_connection())
        self._take_script = self._client.register_script(_TAKE)
        self._give_back_script = self._client.register_script(_GIVE_BACK)
        self._key = key
        self._timer = timer
        self._on_event = on_event
        self._lane = CapacityLimiter(THREADS)
        self._alone = LocalCounters(MAX_COUNTED, timer)
        self._asked_again_at = float("-inf")
        self._is_lost = False

    async def take(self, name: str, rate: Rate) -> float:
        key, arguments = self._full(name), [rate.amount, rate.period]
        try:
            milliseconds = await self._run(lambda: self._take_script([key], arguments))
        except AuthUnavailable:
            return await self._alone.take(name, rate)
        return int(milliseconds) / 1000

    async def give_back(self, name: str, rate: Rate) -> None:
        key = self._full(name)
        try:
            await self._run(lambda: self._give_back_script([key]))
        except AuthUnavailable:
            await self._alone.give_back(name, rate)

    async def remember(self, name: str, seconds: int) -> None:
        key = self._full(f"{name} known")
        # Here too, for who is known must be so without Redis.
        await self._alone.remember(name, seconds)
        with suppress(AuthUnavailable):
            await self._run(lambda: self._client.set(key, 1, ex=seconds))

    async def remembers(self, name: str) -> bool:
        key = self._full(f"{name} known")
        try:
            return bool(await self._run(lambda: self._client.exists(key)))
        except AuthUnavailable:
            return await self._alone.remembers(name)

    async def totals(self, counts: Mapping[str, int], period: int) -> Mapping[str, Total]:
        """Add ``counts`` by name, and return what all processes counted. Raises AuthUnavailable."""

        def work() -> dict[str, Total]:
            return {name: self._total(name, count, period) for name, count in counts.items()}

        return await self._run(work)

    async def aclose(self) -> None:
        await to_thread.run_sync(self._pool.disconnect, limiter=self._lane)

    def _total(self, name: str, count: int, period: int) -> Total:
        key = self._digest(name)
        total = self._storage.incr(key, period, count)
        milliseconds = self._client.pttl(self._storage.prefixed_key(key))
        return Total(total, max(0, int(milliseconds)) / 1000)

    async def _run(self, work: Callable[[], T]) -> T:
        def hop() -> T:
            # Here, because whoever waited for a thread need not wait for the time-out too.
            if self._timer() < self._asked_again_at:
                raise AuthUnavailable(reason="redis_down")
            return work()

        try:
            found = await to_thread.run_sync(hop, limiter=self._lane)
        except RedisError as error:
            reason = f"redis_{type(error).__name__}"
        else:
            self._mark_restored()
            return found
        self._mark_lost(reason)
        raise AuthUnavailable(reason=reason)

    def _mark_lost(self, reason: str) -> None:
        self._asked_again_at = self._timer() + PAUSE
        if not self._is_lost:
            emit(CountersLost(reason), self._on_event)
        self._is_lost = True

    def _mark_restored(self) -> None:
        if self._is_lost:
            emit(CountersRestored(), self._on_event)
        self._is_lost = False

    def _full(self, name: str) -> str:
        return self._storage.prefixed_key(self._digest(name))

    def _digest(self, name: str) -> str:
        text = name.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16, key=self._key, person=b"counters").hexdigest()
