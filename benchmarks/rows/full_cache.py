"""What a hit costs in a full cache: a thousand entries, and a million."""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, cast

from starlette.middleware import Middleware

from benchmarks.harness.contest import Entrant, Round, contest, figure, itself
from benchmarks.harness.figures import Effort, Figure
from benchmarks.peers import ours
from benchmarks.peers.apps import starlette_app
from benchmarks.peers.hand_written import ByHeader, Caller
from benchmarks.peers.subject import Headers
from callcov_auth import Auth
from callcov_auth.events import logger
from callcov_auth.keys.format import mint
from callcov_auth.store.protocol import Key, OwnedKey, Store

SMALL, LARGE = 1_000, 1_000_000
HOT = 100
# So many requests go before a timed batch of the hot ones, that it finds in the processor's caches what they
# left there: each of them came, and not only the few that a short lead-in draws.
WARMING = 10 * HOT
SEED = 20_260_101
# The longest that may be set, because filling takes a minute.
CACHE_TTL = 3600
# Background work is let run after so many keys.
PAUSE_AFTER = 1_000


class AnyKey:
    """A store that knows every key, so that a million need not be written before one can be remembered."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def keys_by_digest(
        self, digests: Collection[bytes], _salted_prefixes: Collection[str] = ()
    ) -> Sequence[OwnedKey]:
        return [known(next(iter(digests)))]

    async def touch_keys(self, _last_used: Mapping[str, float]) -> None:
        """Write nothing."""

    async def move_key(self, _key: Key, *, old: bytes) -> None:
        """Write nothing."""


def known(digest: bytes) -> OwnedKey:
    """Return a key, of a user of its own, whose digest this is."""
    name, scopes = digest.hex()[:24], frozenset(ours.SCOPES)
    key = Key(
        id=f"key_{name}",
        owner=f"usr_{name}",
        name="benchmark",
        description=None,
        key_prefix="sk_live_",
        environment="live",
        segment=None,
        scopes=scopes,
        digest=digest,
        created_at=0,
    )
    return OwnedKey(key, scopes, owner_disabled=False)


async def measure(effort: Effort) -> list[Figure]:
    """Compare a hit among a thousand entries with one among a million, and the same in a plain dict."""
    large, rounds = max(10 * SMALL, effort.scaled(LARGE)), []
    # Nine apps in turn, of which each is slow to tell from its bare one.
    once, order = replace(effort, rounds=1, turns=max(1, effort.turns // 2)), random.Random(SEED)  # noqa: S311
    async with AsyncExitStack() as stack:
        # That it cannot write down when so many keys were used is nothing to this row.
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.ERROR)
        full = await ours_and_plain(stack, "large", large)
        for _ in range(effort.rounds):
            rounds += await beside_small(full, once, order)
    same = itself("a hit among a thousand", rounds, "ours, hot, small", "ours, hot, again")
    return [same, *(compared(which, rounds, SMALL, large) for which in ("hot", "uniform"))]


async def beside_small(full: Sequence[Entrant], once: Effort, order: random.Random) -> list[Round]:
    """Measure one round. The small caches are new in each, for by where they lie they differ for life."""
    async with AsyncExitStack() as stack:
        small = [
            entrant for called in ("small", "again") for entrant in await ours_and_plain(stack, called, SMALL)
        ]
        return await contest([*small, *full], once, order)


def compared(which: str, rounds: Sequence[Round], small: int, large: int) -> Figure:
    def times(kind: str) -> Callable[[Round], float]:
        few, many = f"{kind}, {which}, small", f"{kind}, {which}, large"
        return lambda each: each[many].added / each[few].added

    plain = figure("", rounds, times("plain dict"))
    return figure(
        f"full-cache-{which}",
        rounds,
        times("ours"),
        entries=[small, large],
        plain_dict=[plain.low, plain.value, plain.high],
        note=f"{small:,} → {large:,}; beside it, a middleware with a plain dict pays {plain.value:.2f} ×",
    )


async def ours_and_plain(stack: AsyncExitStack, called: str, entries: int) -> list[Entrant]:
    """Return our middleware and a plain dict's, each full of ``entries``, asked for a hundred and for all."""
    settings = ours.memory_settings(cache_size=entries, cache_ttl=CACHE_TTL)
    auth = await stack.enter_async_context(Auth(settings, store=cast(Store, AnyKey(Auth(settings).store))))
    keys = await filled(auth, entries)
    callers = {b"Bearer " + key: Caller("benchmark") for key in keys}
    order = random.Random(SEED)  # noqa: S311
    hot = order.sample(keys, min(HOT, entries))
    plain = starlette_app(Middleware(ByHeader, callers=callers))
    own = ours.subject(auth, "")
    apps = (("ours", own), ("plain dict", replace(own, app=plain)))
    return [
        Entrant(f"{name}, {which}, {called}", replace(app, headers=drawn(sent, order)), lead_in=lead_in)
        for which, sent, lead_in in (("hot", hot, WARMING), ("uniform", keys, 0))
        for name, app in apps
    ]


async def filled(auth: Auth, entries: int) -> list[bytes]:
    """Return as many keys as entries, each of which was verified once."""
    keys = []
    for number in range(entries):
        if number % PAUSE_AFTER == 0:
            await asyncio.sleep(0)
        key = mint(auth.settings.key_mac_key, "live").encode()
        await auth.authenticate(b"Bearer " + key)
        keys.append(key)
    return keys


def drawn(keys: Sequence[bytes], order: random.Random) -> Callable[[], Headers]:
    """Return what makes the header of any of ``keys``, each as likely as another."""
    at, count = order.random, len(keys)
    return lambda: [(b"Authorization".lower(), b"Bearer " + keys[int(at() * count)])]
