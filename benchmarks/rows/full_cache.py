"""What a hit costs in a full cache: a thousand entries, and a million."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from starlette.middleware import Middleware

from benchmarks.cache_hit import caller
from benchmarks.harness.contest import Entrant, Round, contest, figure, itself
from benchmarks.harness.figures import Effort, Figure
from benchmarks.peers import ours
from benchmarks.peers.apps import starlette_app
from benchmarks.peers.hand_written import ByHeader, Caller
from benchmarks.peers.subject import Headers
from callcov_auth import Auth
from callcov_auth.keys.format import mint

SMALL, LARGE = 1_000, 1_000_000
HOT = 100
# So many requests go before a timed batch of the hot ones, that it finds in the processor's caches what they
# left there: each of them came, and not only the few that a short lead-in draws.
WARMING = 10 * HOT
SEED = 20_260_101
# The longest that may be set, in seconds: nobody's remembrance is to end while he is asked for.
CACHE_TTL, REVOCATION_INTERVAL = 3600, 60
ROUNDS = 15
# Background work is let run after so many keys.
PAUSE_AFTER = 1_000


async def measure(effort: Effort) -> list[Figure]:
    """Compare a hit among a thousand entries with one among a million, and the same in a plain dict."""
    small, large = SMALL, max(10 * SMALL, effort.scaled(LARGE))
    async with AsyncExitStack() as stack:
        entrants = [
            *await ours_and_plain(stack, "small", small),
            *(await ours_and_plain(stack, "again", small))[:1],
            *await ours_and_plain(stack, "large", large),
        ]
        # A process that holds a million entries is less steady than others, so it takes more turns.
        more = replace(effort, rounds=min(effort.rounds, ROUNDS), turns=effort.turns * 3 // 2)
        rounds = await contest(entrants, more)
    same = itself("a hit among a thousand", rounds, "ours, hot, small", "ours, hot, again")
    return [same, *(compared(which, rounds, small, large) for which in ("hot", "uniform"))]


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
    settings = ours.memory_settings(
        cache_size=entries, cache_ttl=CACHE_TTL, revocation_interval=REVOCATION_INTERVAL
    )
    auth = await stack.enter_async_context(Auth(settings))
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
    """Let so many callers be remembered, as if each had been verified. Return their keys."""
    keys, until = [], auth.timer() + CACHE_TTL
    for number in range(entries):
        if number % PAUSE_AFTER == 0:
            await asyncio.sleep(0)
        key = mint(auth.settings.key_mac_key, "live").encode()
        auth.callers.put(b"Bearer " + key, caller(number), until, version=auth.callers.version)
        keys.append(key)
    return keys


def drawn(keys: Sequence[bytes], order: random.Random) -> Callable[[], Headers]:
    """Return what makes the header of any of ``keys``, each as likely as another."""
    at, count = order.random, len(keys)
    return lambda: [(b"Authorization".lower(), b"Bearer " + keys[int(at() * count)])]
