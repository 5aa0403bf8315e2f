"""How soon is what one process revokes refused by seven others, under load?

    python -m benchmarks.revocation [redis] [restart] [polling] [--rounds N] [--watchers N] [--load N]

``redis``: revocations are pushed. ``restart``: the same, and Redis is killed after a third of the rounds and
started after two thirds. ``polling``: there is no Redis. Without a name, all three are run. A round lasts
from the revocation's commit until the last of the watchers refuses the key, which each of them had in its
cache. The last two columns are from the moment before ``keys.revoke`` is called: what they have more is the
database's, where eight processes write to one file. The exit code is 1 where a target falls short, or where
anybody let in a key that it had refused before.
"""

import argparse
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from benchmarks.fleet import Board, fleet, silence
from benchmarks.sites import Site, make_site, redis_server, settings_for
from benchmarks.watchers import COUNTED, Orders, all_hot, all_refused, watch
from callcov_auth import Auth, AuthSettings

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer

ROUNDS, WATCHERS, LOAD = 500, 7, 200.0
REGULARS = 50
SEED = 20_260_101
# A revocation comes at any moment of a poll's interval, not always just after the last poll.
LONGEST_PAUSE = {"redis": 0.02, "restart": 0.2, "polling": 1.0}

HEADER = (
    f"{'':10}{'rounds':>8}{'p50':>12}{'p99':>12}{'worst':>12}{'call p99':>12}{'call worst':>12}"
    f"{'stale':>8}{'503':>6}{'served':>10}"
)

# In seconds.
Targets = dict[str, float]
TARGETS: dict[str, Targets] = {
    "redis": {"p99": 0.05, "worst": 0.25},
    "restart": {"worst": 1.5},
    "polling": {"worst": 1.5},
}


@dataclass(frozen=True, slots=True)
class Lags:
    """How long each round lasted, in seconds, from the commit and from the call; how often an ended key was
    let in, and a good one not."""

    mode: str
    rounds: Sequence[float]
    calls: Sequence[float]
    stale: int
    unavailable: int
    served: int

    @property
    def figures(self) -> Targets:
        ordered, calls = sorted(self.rounds), sorted(self.calls)
        return {
            "p50": percentile(ordered, 50),
            "p99": percentile(ordered, 99),
            "worst": ordered[-1],
            "call p99": percentile(calls, 99),
            "call worst": calls[-1],
        }

    def shortfalls(self) -> list[str]:
        """Return what does not hold."""
        figures = self.figures
        wrong = [
            f"{self.mode}: {name} is {figures[name] * 1000:.1f} ms, not {bound * 1000:.0f} ms at most"
            for name, bound in TARGETS[self.mode].items()
            if figures[name] > bound
        ]
        if self.stale:
            wrong.append(f"{self.mode}: a key was let in {self.stale} times after it had been refused")
        return wrong


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest rank of ``ordered`` figures."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


async def revoke_each(
    site: Site, board: Board, pause: float, before: Callable[[int], None]
) -> list[tuple[float, float]]:
    """Revoke one key after another. Return when each was called for, and when it was committed.

    ``before`` is called before each.
    """
    randomness = random.Random(SEED)  # noqa: S311
    began = []
    async with Auth(AuthSettings(_env_file=None, **site.settings)) as auth:
        committed = _noting_commits(auth)
        for number, key_id in enumerate(site.key_ids):
            await anyio.to_thread.run_sync(all_hot, board, number)
            await anyio.sleep(randomness.uniform(0, pause))
            before(number)
            called = time.monotonic()
            await auth.keys.revoke(key_id)
            began.append((called, committed[-1]))
        await anyio.to_thread.run_sync(all_refused, board)
    return began


def _noting_commits(auth: Auth) -> list[float]:
    """Return a list that grows by the time of each revocation's commit."""
    revoke_key, times = auth.store.revoke_key, []

    async def noted(key_id: str, *, at: float) -> None:
        await revoke_key(key_id, at=at)
        times.append(time.monotonic())

    auth.store.revoke_key = noted  # type: ignore[method-assign]
    return times


def measure(mode: str, folder: Path, *, rounds: int, watchers: int, load: float) -> Lags:
    with nullcontext() if mode == "polling" else redis_server(folder) as server:
        settings = settings_for(folder, server and server.url)
        site = anyio.run(make_site, settings, rounds, REGULARS)
        board = Board(watchers, COUNTED, times=rounds)
        orders = Orders(settings, site.ending, site.regulars, load, SEED)
        fault = faults(server, rounds) if mode == "restart" and server else lambda _: None
        with fleet(watch, orders, board):
            began = anyio.run(revoke_each, site, board, LONGEST_PAUSE[mode], fault)
            # Long enough for every watcher to ask again for keys that ended.
            time.sleep(2)
    ended = [max(board.times(number)) for number in range(rounds)]
    calls = [end - called for end, (called, _) in zip(ended, began, strict=True)]
    lasted = [end - committed for end, (_, committed) in zip(ended, began, strict=True)]
    return Lags(
        mode, lasted, calls, *(sum(board.counts(name)) for name in ("stale", "unavailable", "served"))
    )


def faults(server: "RedisServer", rounds: int) -> Callable[[int], None]:
    """Return what kills Redis just before one revocation, and starts it again before a later one."""
    deeds = {rounds // 3: server.kill, 2 * rounds // 3: server.start}

    def before(number: int) -> None:
        deeds.get(number, lambda: None)()

    return before


def show(lags: Lags) -> None:
    times = "".join(f"{value * 1000:9.1f} ms" for value in lags.figures.values())
    print(
        f"{lags.mode:10}{len(lags.rounds):8}{times}{lags.stale:8}{lags.unavailable:6}{lags.served:10}",
        flush=True,
    )


def report(found: Sequence[Lags]) -> bool:
    """Print what falls short. Whether nothing does."""
    wrong = [problem for lags in found for problem in lags.shortfalls()]
    for problem in wrong:
        print(problem)
    return not wrong


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Time revocations between processes.")
    parser.add_argument("modes", nargs="*", metavar="MODE", help=f"any of: {', '.join(TARGETS)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="keys that are revoked in each mode")
    parser.add_argument("--watchers", type=int, default=WATCHERS, help="processes that refuse them")
    parser.add_argument("--load", type=float, default=LOAD, help="requests a second in each of those")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.modes) - set(TARGETS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    silence()
    print(HEADER)
    found = []
    for mode in chosen.modes or TARGETS:
        with tempfile.TemporaryDirectory() as folder:
            sizes = {"rounds": chosen.rounds, "watchers": chosen.watchers, "load": chosen.load}
            found.append(measure(mode, Path(folder), **sizes))
            show(found[-1])
    return 0 if report(found) else 1


if __name__ == "__main__":
    sys.exit(main())
