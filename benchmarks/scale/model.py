"""One process of many, simulated: what it asks of the database and of Redis, and what it keeps in memory.

All processes of a deployment are alike, so that one stands for all. What is taken for granted: requests come
at random times (Poisson) and go to any process, unless they are routed by key; few keys are asked for often
and many seldom (log-uniform: Zipf's law with exponent 1); a key is revoked or rotated at random times.
"""

import math
import random
from collections import OrderedDict
from dataclasses import dataclass

from callcov_auth.cache.feed import CLOSEST_POLLS
from callcov_auth.keys.last_use import PERIOD
from callcov_auth.keys.validator import RELEARN_PERIOD
from callcov_auth.store.statements import MAX_CHANGES
from callcov_auth.tokens.stored_keys import KEYRING_INTERVAL

FOREVER = float("inf")
# The most requests that one simulation goes through.
MOST_REQUESTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Fleet:
    """A deployment. ``requests`` and ``revocations`` are a second, and of all processes together.

    ``interval`` is ``revocation_interval``; with ``routed``, requests of one key go to one process.
    """

    processes: int
    keys: int
    requests: float
    revocations: float
    pushed: bool = True
    interval: float = 1.0
    cache_ttl: float = 60.0
    cache_size: int = 16384
    routed: bool = False

    @property
    def keys_at_a_process(self) -> int:
        return max(1, self.keys // self.processes) if self.routed else self.keys


@dataclass(frozen=True, slots=True)
class Rates:
    """What one process does in a second; ``entries`` is how many callers it has in its cache at the end."""

    requests: float
    lookups: float
    polls: float
    rows: float
    touches: float
    messages: float
    entries: int

    @property
    def hit_ratio(self) -> float:
        return 1 - self.lookups / self.requests if self.requests else 1.0

    @property
    def reads(self) -> float:
        """Queries a second that read, with those which look for imported keys and for new signing keys."""
        return self.lookups + self.polls + 1 / RELEARN_PERIOD + 1 / KEYRING_INTERVAL


def rank(randomness: random.Random, keys: int) -> int:
    """Return which of so many keys is asked for, 1 being asked for most."""
    return min(keys, int(math.exp(randomness.random() * math.log(keys + 1))))


class Process:
    """One process, from its start with an empty cache. ``lookup`` is how long a lookup lasts, in seconds."""

    def __init__(self, fleet: Fleet, *, lookup: float, seed: int) -> None:
        self.fleet = fleet
        self._randomness = random.Random(seed)  # noqa: S311
        self._lookup = lookup
        self._cache: OrderedDict[int, float] = OrderedDict()
        self._noted: dict[int, float] = {}
        self._pending = 0
        self._unheard = 0
        self._polled_at = 0.0
        self._called = False
        self._poll_at = self._flush_at = fleet.interval
        self._request_at = self._wait(fleet.requests / fleet.processes)
        self._change_at = self._wait(fleet.revocations)
        self._counts = dict.fromkeys(("requests", "lookups", "polls", "rows", "touches", "messages"), 0)

    def run(self, seconds: float, *, warm_up: float = 0.0) -> Rates:
        """Return what is done in so many seconds, after ``warm_up`` which is not counted."""
        self._until(warm_up)
        before = dict(self._counts)
        self._until(warm_up + seconds)
        done = {name: (self._counts[name] - before[name]) / seconds for name in before}
        return Rates(**done, entries=len(self._cache))

    def _until(self, end: float) -> None:
        fleet = self.fleet
        while (now := min(self._request_at, self._change_at, self._flush_at, self._poll_at)) < end:
            if now == self._request_at:
                self._request(now)
                self._request_at = now + self._wait(fleet.requests / fleet.processes)
            elif now == self._change_at:
                self._change(now)
                self._change_at = now + self._wait(fleet.revocations)
            elif now == self._flush_at:
                self._flush()
                self._flush_at = now + fleet.interval
            else:
                self._poll(now)

    def _wait(self, rate: float) -> float:
        return self._randomness.expovariate(rate) if rate else FOREVER

    def _request(self, now: float) -> None:
        self._counts["requests"] += 1
        key = rank(self._randomness, self.fleet.keys_at_a_process)
        if self._cache.get(key, 0.0) > now:
            self._cache.move_to_end(key)
            return
        self._counts["lookups"] += 1
        self._note(key, now)
        # What is forgotten while a lookup is under way keeps its answer out of the cache.
        if self._randomness.random() < math.exp(-self.fleet.revocations * self._lookup):
            self._cache[key] = now + self.fleet.cache_ttl
            self._cache.move_to_end(key)
        if len(self._cache) > self.fleet.cache_size:
            self._cache.popitem(last=False)

    def _note(self, key: int, now: float) -> None:
        if self._noted.get(key, 0.0) <= now:
            self._noted[key] = now + PERIOD
            self._pending += 1

    def _change(self, now: float) -> None:
        self._unheard += 1
        if self.fleet.pushed:
            self._counts["messages"] += 1
            soonest = self._polled_at + CLOSEST_POLLS * self.fleet.interval
            if not self._called:
                self._called = True
                spread = self._randomness.uniform(0, CLOSEST_POLLS * self.fleet.interval)
                self._poll_at = min(self._poll_at, max(now, soonest) + spread)

    def _poll(self, now: float) -> None:
        self._counts["polls"] += 1
        self._counts["rows"] += min(self._unheard, MAX_CHANGES + 1)
        if self._unheard > MAX_CHANGES:
            self._cache.clear()
        self._unheard = 0
        self._called = False
        self._polled_at = now
        self._poll_at = now + self.fleet.interval

    def _flush(self) -> None:
        self._counts["touches"] += self._pending > 0
        self._pending = 0


def simulate(fleet: Fleet, *, lookup: float, seed: int) -> Rates:
    """Return what a process does once its cache is as full as it gets, or as far as MOST_REQUESTS go."""
    longest = MOST_REQUESTS / max(fleet.requests / fleet.processes, 1e-9)
    warm_up = min(2 * fleet.cache_ttl, longest / 2)
    seconds = max(min(fleet.cache_ttl, longest / 2), 10 * fleet.interval)
    return Process(fleet, lookup=lookup, seed=seed).run(seconds, warm_up=warm_up)
