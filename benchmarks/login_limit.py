"""A thousand tries at once over eight processes: are exactly so many evaluated as may be?

    python -m benchmarks.login_limit [--rounds N] [--tries N] [--processes N] [--redis-url URL]

Each process has an Auth of its own, on one database file and one Redis; without ``--redis-url`` one is
started for the run. In each round all processes begin at the same moment, and together they try so many
wrong passwords at one account from one address; after that they use one key so many times which has a rate of
its own. The exit code is 1 where a round has one evaluation too many, or one too few.
"""

import argparse
import logging
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

import anyio

from callcov_auth import Auth, AuthSettings
from callcov_auth.errors import InvalidCredentials, RateLimited
from callcov_auth.rates import Rate

LOGIN_RATE, KEY_RATE = "5/minute", "100/minute"
TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Site:
    """What the processes have in common."""

    secret: str = field(repr=False)
    database_url: str
    redis_url: str
    rounds: int
    tries: int

    def settings(self) -> AuthSettings:
        return AuthSettings(
            _env_file=None,
            secret=self.secret,
            database_url=self.database_url,
            redis_url=self.redis_url,
            login_rate=LOGIN_RATE,
            # What is measured is how many are hashed, and not how long that takes.
            password_time_cost=1,
            password_memory_kib=8,
        )


@dataclass(frozen=True, slots=True)
class Round:
    """How the tries of all processes ended; ``seconds`` are the slowest process's."""

    logins: Counter[str]
    uses: Counter[str]
    seconds: float

    def holds(self, tries: int) -> bool:
        return all(
            ended == {"evaluated": allowed, "refused": tries - allowed}
            for ended, allowed in (
                (self.logins, min(tries, Rate.parse(LOGIN_RATE).amount)),
                (self.uses, min(tries, Rate.parse(KEY_RATE).amount)),
            )
        )


@dataclass(frozen=True, slots=True)
class Part:
    """One process's share of a round."""

    number: int
    logins: Counter[str]
    uses: Counter[str]
    seconds: float


async def outcome(work: Callable[[], Awaitable[object]]) -> str:
    try:
        await work()
    except RateLimited:
        return "refused"
    except InvalidCredentials:
        return "evaluated"
    return "evaluated"


async def at_once(work: Callable[[], Awaitable[object]], times: int) -> Counter[str]:
    ended: Counter[str] = Counter()

    async def one() -> None:
        ended[await outcome(work)] += 1

    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(one)
    return ended


async def take_part(site: Site, keys: Sequence[str], share: int, together: Barrier) -> list[Part]:
    parts = []
    async with Auth(site.settings()) as auth:
        for number in range(site.rounds):
            email, address = f"user-{number}@example.com", f"198.51.100.{number % 250}"
            key = f"Bearer {keys[number]}"
            await anyio.to_thread.run_sync(together.wait, TIMEOUT)
            began = time.perf_counter()
            logins = await at_once(lambda: auth.tokens.login(email, "wrong", address=address), share)  # noqa: B023
            uses = await at_once(lambda: auth.authenticate(key), share)  # noqa: B023
            parts.append(Part(number, logins, uses, time.perf_counter() - began))
    return parts


def worker(site: Site, keys: Sequence[str], share: int, together: Barrier, results: object) -> None:
    # A line for each failed login would fill the terminal.
    logging.getLogger("callcov_auth").setLevel(logging.ERROR)
    results.put(anyio.run(take_part, site, keys, share, together))  # type: ignore[attr-defined]


async def prepared(site: Site) -> list[str]:
    """Make a user for each round, and a key with a rate."""
    keys = []
    async with Auth(site.settings()) as auth:
        for number in range(site.rounds):
            user = await auth.users.create(f"user-{number}@example.com", secrets.token_urlsafe(16))
            key = await auth.keys.create(user.id, name="limited", rate=KEY_RATE)
            keys.append(key.api_key.get_secret_value())
    return keys


def run(site: Site, processes: int) -> list[Round]:
    keys = anyio.run(prepared, site)
    context = get_context("spawn")
    together, results = context.Barrier(processes), context.Queue()
    shares = [site.tries // processes + (number < site.tries % processes) for number in range(processes)]
    started = [
        context.Process(target=worker, args=(site, keys, share, together, results)) for share in shares
    ]
    for process in started:
        process.start()
    try:
        parts = [part for _ in started for part in results.get(timeout=TIMEOUT)]
    finally:
        for process in started:
            process.join(TIMEOUT)
    return [_together([part for part in parts if part.number == number]) for number in range(site.rounds)]


def _together(parts: Sequence[Part]) -> Round:
    logins, uses = Counter[str](), Counter[str]()
    for part in parts:
        logins += part.logins
        uses += part.uses
    return Round(logins, uses, max(part.seconds for part in parts))


def report(rounds: Sequence[Round], tries: int, processes: int) -> bool:
    """Print the figures. Whether every round holds."""
    held = all(each.holds(tries) for each in rounds)
    print(f"rounds of {tries:,} tries over {processes} processes     {len(rounds)}")
    for name, rate, seen in (
        ("passwords evaluated", LOGIN_RATE, [each.logins["evaluated"] for each in rounds]),
        ("uses of a key let in", KEY_RATE, [each.uses["evaluated"] for each in rounds]),
    ):
        print(f"{name}, at {rate:<12} {min(seen)} to {max(seen)}")
    print(f"median of a round's time             {median(each.seconds for each in rounds) * 1000:.0f} ms")
    print("holds" if held else "DOES NOT HOLD")
    return held


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    # Here, because with a server that is there none of it is needed.
    from tests.support.redis_server import RedisServer

    server = RedisServer(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A thousand tries at once over eight processes.")
    parser.add_argument("--rounds", type=int, default=10, help="each has an account and a key of its own")
    parser.add_argument("--tries", type=int, default=1000, help="in a round, over all processes")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--redis-url", help="one that is there; without it, one is started")
    arguments = parser.parse_args(given)
    if min(arguments.rounds, arguments.processes) < 1 or arguments.tries < arguments.processes:
        parser.error("--rounds and --processes are at least 1, and --tries is not below --processes")
    return arguments


def main(given: Sequence[str] | None = None) -> int:
    arguments = _arguments(given)

    def measured(folder: str, redis_url: str) -> bool:
        url = f"sqlite:///{folder}/limit.db"
        site = Site(secrets.token_urlsafe(48), url, redis_url, arguments.rounds, arguments.tries)
        return report(run(site, arguments.processes), arguments.tries, arguments.processes)

    with tempfile.TemporaryDirectory() as folder:
        if arguments.redis_url:
            return 0 if measured(folder, arguments.redis_url) else 1
        with _redis(Path(folder)) as url:
            return 0 if measured(folder, url) else 1


if __name__ == "__main__":
    sys.exit(main())
