"""Does the time of a failed login tell whether the email is known?

    python -m benchmarks.login_timing [--rounds N]

Each round logs in once with an email that nobody has, and once with a known email and a wrong password.
The two kinds come in a random order, over ASGI, against a database file, at the default Argon2 costs.
Welch's t compares the times. The exit code is 1 where |t| reaches 4.5: then they can be told apart.
"""

import argparse
import logging
import math
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, variance

import anyio
import httpx2
from starlette.applications import Starlette

from callcov_auth import Auth, AuthMiddleware, AuthSettings, auth_routes

# The threshold of the TVLA methodology, which dudect uses too.
LIMIT = 4.5
FEWEST_ROUNDS = 200
WARM_UP_ROUNDS = 5
SEED = 20_260_101

UNKNOWN, KNOWN = "unknown email", "wrong password"
KNOWN_EMAIL = "known-0000000000000000@example.com"


@dataclass(frozen=True, slots=True)
class Login:
    kind: str
    email: str


def welch_t(left: Sequence[float], right: Sequence[float]) -> float:
    """Return Welch's t of two samples, which may differ in variance."""
    error = math.sqrt(variance(left) / len(left) + variance(right) / len(right))
    return (fmean(left) - fmean(right)) / error


def shuffled_logins(rounds: int, order: random.Random) -> list[Login]:
    unknown = [Login(UNKNOWN, f"other-{secrets.token_hex(8)}@example.com") for _ in range(rounds)]
    logins = [*unknown, *[Login(KNOWN, KNOWN_EMAIL)] * rounds]
    order.shuffle(logins)
    return logins


async def seconds_of(client: httpx2.AsyncClient, login: Login) -> float:
    body = {"email": login.email, "password": "not-the-password"}
    began = time.perf_counter()
    response = await client.post("/api/v1/auth/login", json=body)
    took = time.perf_counter() - began
    if response.status_code != 401:
        raise RuntimeError(f"the login was answered with {response.status_code}, so its time says nothing")
    return took


async def measure(database: Path, rounds: int) -> dict[str, list[float]]:
    settings = AuthSettings(
        _env_file=None,
        secret=secrets.token_urlsafe(48),
        database_url=f"sqlite:///{database}",
        # Far more fail here than may, and one that is refused unread takes no time that tells anything.
        login_rate=None,
        failure_rate=None,
    )
    order = random.Random(SEED)  # noqa: S311
    times: dict[str, list[float]] = {UNKNOWN: [], KNOWN: []}
    async with Auth(settings) as auth:
        app = AuthMiddleware(Starlette(routes=auth_routes(auth)), auth=auth)
        await auth.users.create(KNOWN_EMAIL, secrets.token_urlsafe(16))
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://bench.example") as client:
            for login in shuffled_logins(WARM_UP_ROUNDS, order):
                await seconds_of(client, login)
            for login in shuffled_logins(rounds, order):
                times[login.kind].append(await seconds_of(client, login))
    return times


def report(times: dict[str, list[float]]) -> bool:
    """Print the figures. Whether the two kinds cannot be told apart."""
    for kind, sample in times.items():
        print(f"{kind:15} n = {len(sample):5}  median = {median(sample) * 1000:.3f} ms")
    t = welch_t(times[UNKNOWN], times[KNOWN])
    alike = abs(t) < LIMIT
    print(f"Welch's t = {t:+.2f}: {'alike' if alike else 'they can be told apart'} (limit {LIMIT})")
    return alike


def rounds_from(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(description="Time failed logins: unknown email, wrong password.")
    parser.add_argument("--rounds", type=int, default=FEWEST_ROUNDS, help="logins of each kind")
    rounds: int = parser.parse_args(arguments).rounds
    if rounds < FEWEST_ROUNDS:
        parser.error(f"--rounds is at least {FEWEST_ROUNDS}; fewer prove nothing")
    return rounds


def main(arguments: Sequence[str] | None = None) -> int:
    rounds = rounds_from(arguments)
    # Each failed login is logged, which is part of its time.
    logging.basicConfig(filename=os.devnull)
    with tempfile.TemporaryDirectory() as folder:
        times = anyio.run(measure, Path(folder) / "bench.db", rounds)
    return 0 if report(times) else 1


if __name__ == "__main__":
    sys.exit(main())
